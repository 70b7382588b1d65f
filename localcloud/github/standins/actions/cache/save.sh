# shellcheck shell=bash
# The last step of a job that succeeded: what it has cached moves into the entry of its key.
set -euo pipefail

[ -f "$RUNNER_TEMP/caches" ] || exit 0
cut -f 1 "$RUNNER_TEMP/caches" | sort -u | while read -r entry; do
  # Where another job makes it at this very moment, or has made it, that one counts.
  if [ -e "$entry" ] || ! mkdir -p "$(dirname "$entry")" || ! mkdir "$entry.part" 2>/dev/null; then continue; fi
  while IFS=$'\t' read -r to path kept; do
    part=$entry.part${kept#"$entry"}
    if [ "$to" != "$entry" ] || [ ! -e "$path" ]; then continue; fi
    mkdir -p "$(dirname "$part")"
    mv "$path" "$part"
    # Its programs name the workspace, which is gone then: at GitHub, every job has the same.
    find "$part" -path '*/bin/*' -type f -size -64k -exec grep -lI "$GITHUB_WORKSPACE/" {} + |
      while read -r program; do
        sed -i.made "1,2s|$GITHUB_WORKSPACE/|$entry/|" "$program" && rm "$program.made"
      done
  done <"$RUNNER_TEMP/caches"
  mv "$entry.part" "$entry"
done
