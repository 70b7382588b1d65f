# shellcheck shell=bash
# Sourced by every verb, with its arguments: answers --help from the verb's first comment, then sets up.
set -euo pipefail
verb=$(basename "$0")
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
for argument in "$@"; do
  if [ "$argument" = --help ] || [ "$argument" = -h ]; then
    # The comment below the first line, up to the first line that is none.
    sed -n '2,${/^#/!q;s/^# \{0,1\}//p;}' "scripts/$verb"
    exit 0
  fi
done
# A caller's own repository (a hook's, for example) is not the one that is meant.
# shellcheck disable=SC2046 # one name a word
unset $(git rev-parse --local-env-vars 2>/dev/null || true)
# A verb that says `packages=none` needs nothing but Python: it starts at once where nothing is set up.
if [ "${packages:-all}" != none ]; then
  # Where that takes minutes, a wrong command line is refused before.
  if [ ! -e .venv/retrain-stamp ]; then
    for python in python3 python3.13 python3.12 python3.11; do # as scripts/setup looks for one
      # An older one cannot read the modules.
      "$python" -ISc 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || continue
      "$python" -ISB scripts/laptop/early.py "$verb" "$@" || [ $? != 2 ] || exit 2
      break
    done
  fi
  ./scripts/setup --quiet >&2
fi
# Without .pyc files every start costs seconds; a user's own path must not shadow the project.
unset PYTHONDONTWRITEBYTECODE PYTHONHOME
export PYTHONPATH="$PWD/vertex-ai-pipelines:$PWD/scripts:$PWD" PYTHONUNBUFFERED=1
python="$PWD/.venv/bin/python"
[ -x "$python" ] || python=python3
