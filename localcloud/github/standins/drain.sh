# shellcheck shell=bash
# Every step's bash reads this first: act does not wait for the output of a command that fails.
unset BASH_ENV
drain() {
  local code=$?
  if [ "$code" != 0 ]; then sleep 0.2; fi
  exit "$code"
}
trap drain EXIT
