# shellcheck shell=bash
# Programs name the folder in which they were made. At GitHub, that is the same in every job.

moved() { # those below $1 name $3 from now on, where they named $2
  local program
  { find "$1" -path '*/bin/*' -type f -size -64k -exec grep -lI "$2" {} + || true; } |
    while read -r program; do
      sed -E -i.made "s#$2([^[:alnum:]_.-]|\$)#$3\\1#g" "$program" && rm "$program.made"
    done
}
