# shellcheck shell=bash
# Find a Python that runs: the one wanted, one that differs in its last part, or the local cloud's.
set -euo pipefail

ask() { "$1" -c "import platform, sys; print(platform.python_version(), sys.$2)" 2>/dev/null; }
minor=$(cut -d . -f 1,2 <<<"$WANTED")
# Looked for once while the local cloud runs: version managers take a third of a second to say no.
# By PATH, too: what one job puts there is not another's.
kept=$RUNNER_TOOL_CACHE/python/$(printf '%s\n' "$WANTED" "$PATH" | sha256sum | cut -c 1-16)
facts=$(cat "$kept" 2>/dev/null || true)
if [ ! -x "${facts#* }" ]; then
  # Of the local cloud's the one below its environment: what a job installs is not for that.
  facts=$(ask "python$WANTED" executable || ask "python$minor" executable ||
    ask "$LOCALCLOUD_PYTHON" _base_executable)
  mkdir -p "$RUNNER_TOOL_CACHE/python"
  printf %s "$facts" >"$kept.$$" && mv "$kept.$$" "$kept"
fi
version=${facts%% *} path=${facts#* }
case $version in
"$WANTED" | "$WANTED".*) ;;
*) echo "::notice::Python $WANTED is not on this machine: $version takes its place" ;;
esac
if [ "$UPDATE" = true ]; then
  folder=$RUNNER_TEMP/python
  mkdir -p "$folder"
  for name in python python3; do
    printf '#!/bin/sh\nexec "%s" "$@"\n' "$path" >"$folder/$name"
    chmod +x "$folder/$name"
  done
  echo "$folder" >>"$GITHUB_PATH"
  echo "pythonLocation=$(dirname "$(dirname "$path")")" >>"$GITHUB_ENV"
fi
echo "python-version=$version" >>"$GITHUB_OUTPUT"
echo "python-path=$path" >>"$GITHUB_OUTPUT"
