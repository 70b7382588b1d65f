# shellcheck shell=bash
# Fetch what is asked for from the server, and check it out in $TO.
set -euo pipefail

commit=""
if [ -z "$REF" ] && [ "$REPOSITORY" = "$GITHUB_REPOSITORY" ]; then
  REF=$GITHUB_REF commit=$GITHUB_SHA
elif [[ $REF =~ ^[0-9a-f]{40}$ ]]; then
  commit=$REF REF=""
fi
mkdir -p "$GITHUB_WORKSPACE/$TO"
cd "$GITHUB_WORKSPACE/$TO"
[ -d .git ] || git init --quiet --initial-branch=main .
git config gc.auto 0
git remote remove origin 2>/dev/null || true
git remote add origin "$GITHUB_SERVER_URL/$REPOSITORY"
# Never on a command line, which every process of the machine can read.
header="http.$GITHUB_SERVER_URL/.extraheader"
git config --unset-all "$header" || true # an earlier checkout's
if [ -n "$TOKEN" ]; then
  basic=$(printf 'x-access-token:%s' "$TOKEN" | base64 | tr -d '\n')
  echo "::add-mask::$basic"
  export GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=$header GIT_CONFIG_VALUE_0="AUTHORIZATION: basic $basic"
fi

if [ -z "$REF" ] && [ -z "$commit" ]; then # another repository's own branch
  REF=$(git ls-remote --symref origin HEAD | sed -n 's/^ref: \(.*\)\tHEAD$/\1/p')
fi
if [ -n "$REF" ] && [[ $REF != refs/* ]]; then
  found=$(git ls-remote origin "refs/heads/$REF" "refs/tags/$REF" | cut -f 2 | head -n 1)
  [ -n "$found" ] || { echo "::error::A branch or tag with the name '$REF' could not be found"; exit 1; }
  REF=$found
fi

case $REF in
refs/heads/*) kept=refs/remotes/origin/${REF#refs/heads/} ;;
refs/pull/*) kept=refs/remotes/${REF#refs/} ;;
*) kept=$REF ;;
esac
what=("${commit:-$REF}")
if [ -n "$kept" ]; then what=("+${commit:-$REF}:$kept"); fi
options=(--quiet --prune --no-recurse-submodules)
if [ "$DEPTH" = 0 ]; then
  options+=(--tags)
  what+=("+refs/heads/*:refs/remotes/origin/*")
else
  options+=("--depth=$DEPTH")
  if [ "$TAGS" = true ]; then options+=(--tags); else options+=(--no-tags); fi
fi
if [ -n "$FILTER" ]; then options+=("--filter=$FILTER"); fi
if [ "$DEPTH" = 0 ]; then # all branches as they are, then the one that started the run as it was
  git fetch "${options[@]}" origin "${what[@]:1}"
fi
git fetch "${options[@]}" origin "${what[0]}"

case $REF in
refs/heads/*) git checkout --quiet --force -B "${REF#refs/heads/}" "$kept" ;;
"") git checkout --quiet --force --detach "$commit" ;;
*) git checkout --quiet --force --detach "$kept" ;;
esac
if [ "$CLEAN" = true ]; then git clean -ffdx --quiet; fi
if [ "$PERSIST" = true ] && [ -n "$TOKEN" ]; then
  printf '[http "%s/"]\n\textraheader = %s\n' "$GITHUB_SERVER_URL" "$GIT_CONFIG_VALUE_0" >>.git/config
fi
echo "ref=$REF" >>"$GITHUB_OUTPUT"
echo "commit=$(git rev-parse HEAD)" >>"$GITHUB_OUTPUT"
git log -1 --format='%H %s'
