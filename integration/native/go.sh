# shellcheck shell=bash
# Programs from Go modules, where Debian has none or an old one.

# The oldest go that fetches by itself whatever release a module asks for.
go_oldest=go1.21

provide_go() {
  need golang-go has go
  provide || return
  printf '%s\n' "$go_oldest" "$(go env GOVERSION)" | sort -CV && return
  reason="missing: go, $go_oldest or newer"
  return 1
}

# go_built FOLDER: whether a program is there, and newer than the files that it was built by.
go_built() {
  local file
  [[ -e $1/.complete ]] || return
  for file in "${@:2}"; do [[ $1/.complete -nt $file ]] || return; done
}

# go_build TITLE FOLDER COMMAND...: runs the COMMAND that leaves a program in FOLDER.
go_build() {
  local title=$1 folder=$2 log=$scratch/${2##*/}-build.log
  shift 2
  if ! provide_go; then
    reason+=", to build $title"
    return 1
  fi
  echo "building $title"
  rm -rf "$folder"
  if ! interruptible hidden "$log" "$@"; then
    tail -n 20 "$log"
    reason="$title could not be built"
    return 1
  fi
  touch "$folder/.complete"
}
