# shellcheck shell=bash
# Find a Python that runs: the one wanted, or another one of this machine.
set -euo pipefail

code='import platform, sys; print(platform.python_version(), sys.executable)'
facts=$("python$WANTED" -c "$code" 2>/dev/null || python3 -c "$code")
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
