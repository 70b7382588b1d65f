# shellcheck shell=bash
# Link each path to an entry below $RUNNER_TOOL_CACHE/cache, which jobs share.
set -euo pipefail

hash() { printf '%s' "$1" | { sha256sum 2>/dev/null || shasum -a 256; } | cut -c 1-64; }
tools=$(cd -P "$RUNNER_TOOL_CACHE" && pwd)
entry=$tools/cache/$(hash "$KEY")
if [ -d "$entry" ]; then
  echo "Cache restored from key: $KEY"
  { echo "cache-hit=true" && echo "matched=$KEY"; } >>"$GITHUB_OUTPUT"
else
  echo "Cache not found for input keys: $KEY"
  echo "cache-hit=false" >>"$GITHUB_OUTPUT"
  if [ "$MUST" = true ]; then
    echo "::error::Failed to restore cache entry. Input key: $KEY"
    exit 1
  fi
  # It is kept once the job has succeeded.
  entry=$tools/cache/pending/$(hash "$ACTIONS_ORCHESTRATION_ID")/$(hash "$KEY")
fi
if [ "$LOOK" = true ] || { [ "$MAKE" != true ] && [ ! -d "$entry" ]; }; then exit 0; fi
while read -r path; do
  case $path in
  "" | "!"*) continue ;;
  "~"*) path=$HOME${path#\~} kept=$entry/home${path#\~} ;;
  /*) kept=$entry/root$path ;;
  *) kept=$entry/$path path=$GITHUB_WORKSPACE/$path ;;
  esac
  [ -e "$kept" ] || mkdir -p "$kept"
  mkdir -p "$(dirname "$path")"
  if [ -e "$path" ] && [ ! -L "$path" ]; then rm -r "$path"; fi
  ln -sfn "$kept" "$path"
done <<<"$PATHS"
