# shellcheck shell=bash
# Brings what a run needs from Debian packages: if this is Debian and we are root, else it says what is missing.

absent=()
lists_updated=''
policy=/usr/sbin/policy-rc.d

has() {
  local tool
  for tool in "$@"; do command -v "$tool" >/dev/null || return; done
}

# need PACKAGE CHECK...: puts PACKAGE down for the next provide, unless CHECK succeeds.
need() { "${@:2}" &>/dev/null || absent+=("$1"); }

# Installs what was put down. False if it cannot, and $reason says what is missing.
provide() {
  local packages=("${absent[@]}") list="${absent[*]}"
  absent=()
  ((${#packages[@]})) || return 0
  reason="missing Debian packages: ${list// /, }"
  if ! has apt-get; then
    reason+=' (no apt-get here to install them)'
  elif ((EUID != 0)); then
    reason+=' (only root can install them)'
  else
    update_lists
    echo "installing ${list// /, }"
    install_packages "${packages[@]}" && return
    reason+=' (apt-get failed)'
  fi
  return 1
}

update_lists() {
  [[ ! $lists_updated ]] || return 0
  lists_updated=yes
  apt-get update -qq </dev/null >/dev/null || echo 'apt-get update failed; going on with the package lists there are'
}

install_packages() (
  # A package with a daemon would start it at once, on its well-known port and for good. This forbids it.
  if [[ ! -e $policy ]]; then
    trap 'rm -f "$policy"' EXIT
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod +x "$policy"
  fi
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
    -o DPkg::Lock::Timeout=300 "$@" </dev/null >/dev/null
)

# rdkafka compiles librdkafka.
provide_compiler() {
  need build-essential has cc c++ make
  provide
}
