# shellcheck shell=bash
# The last step of a job that succeeded: what it has cached moves into the entry of its key. Where that
# fails, the job stays good and the next one with the key tries again.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/moved.sh"
trap '[ $? = 0 ] || echo "::warning::Failed to save: the cache is left as it was"; exit 0' EXIT

[ -f "$RUNNER_TEMP/caches" ] || exit 0
cut -f 1 "$RUNNER_TEMP/caches" | sort -u | while read -r entry; do
  # Where another job has made it, that one counts.
  if [ -e "$entry" ]; then continue; fi
  mkdir -p "$(dirname "$entry")"
  made=$(mktemp -d "$RUNNER_TEMP/entry.XXXXXX") # what is not finished ends with the run's folder
  while IFS=$'\t' read -r to path kept; do
    part=$made${kept#"$entry"}
    if [ "$to" != "$entry" ] || [ ! -e "$path" ]; then continue; fi
    mkdir -p "$(dirname "$part")"
    mv "$path" "$part"
    moved "$part" "$GITHUB_WORKSPACE" "$entry"
  done <"$RUNNER_TEMP/caches"
  chmod 755 "$made" # mktemp's is its owner's alone
  # Not mv, which moves into an entry that is there by now.
  "$LOCALCLOUD_PYTHON" -c 'import os, sys; os.rename(*sys.argv[1:])' "$made" "$entry" || [ -e "$entry" ]
done
