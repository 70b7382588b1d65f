# shellcheck shell=bash
# Link each path to the key's entry below $RUNNER_TOOL_CACHE/cache, which jobs share; without one,
# note what save.sh keeps at the job's end. FOREIGN: the code is a fork's, which gets copies.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/moved.sh"

hash() { printf '%s' "$1" | { sha256sum 2>/dev/null || shasum -a 256; } | cut -c 1-64; }
tools=$(cd -P "$RUNNER_TOOL_CACHE" && pwd)
entry=$tools/cache/$(hash "$KEY")
case "$FOREIGN $GITHUB_REF" in
"true "* | *" refs/pull/"*) # it finds what its base has kept, but what it makes itself is kept for it alone
  if [ ! -d "$entry" ]; then entry=$tools/cache-of/$(hash "$GITHUB_REPOSITORY $GITHUB_REF")/$(hash "$KEY"); fi
  ;;
esac
copy() { # $1 to $2, and the folders that links in it lead to: what is written there is nobody else's
  local real=$1 clone="" link target
  if [ -d "$1" ]; then real=$(cd -P "$1" && pwd); fi
  if cp --reflink=auto --version >/dev/null 2>&1; then clone=--reflink=auto; fi
  cp -a -H ${clone:+"$clone"} "$real" "$2"
  moved "$2" "$real" "$2"
  find "$2" -type l | while read -r link; do
    target=$(readlink "$link")
    if [ "${target#/}" = "$target" ] || [ ! -d "$target" ]; then continue; fi
    rm "$link"
    copy "$target" "$link"
  done
}
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
fi
if [ "$LOOK" = true ]; then exit 0; fi
while read -r path; do
  case $path in
  "" | "!"*) continue ;;
  "~"*) path=$HOME${path#\~} kept=$entry/home${path#\~} ;;
  /*) kept=$entry/root$path ;;
  *) kept=$entry/$path path=$GITHUB_WORKSPACE/$path ;;
  esac
  if [ ! -d "$entry" ]; then
    if [ "$MAKE" = true ]; then printf '%s\t%s\t%s\n' "$entry" "$path" "$kept" >>"$RUNNER_TEMP/caches"; fi
  elif [ -e "$kept" ]; then
    mkdir -p "$(dirname "$path")"
    rm -rf "$path"
    if [ "$FOREIGN" = true ]; then copy "$kept" "$path"; else ln -s "$kept" "$path"; fi
  fi
done <<<"$PATHS"
