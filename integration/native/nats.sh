# shellcheck shell=bash
# nats-server: Debian's package, and a current release built from its Go module beside it.

nats_release=v2.15.2
nats_folder=$build/nats-server-$nats_release

nats_prepare() {
  need nats-server has nats-server
  provide
}

nats_start() {
  free_port
  spawn "$scratch/nats.log" nats_serve nats-server "$scratch/nats"
  pid["nats"]=$spawned
  address["nats"]=nats://127.0.0.1:$port
}

# nats_serve PROGRAM DATA
nats_serve() { exec "$1" -c "$here/nats/nats.conf" -a 127.0.0.1 -p "$port" -sd "$2"; }

# A server speaks first, and tells its release at once.
nats_greeting() { host_and_port "${address[$1]}" nats 4222 && ask "$host" "$port" ''; }

nats_answers() { [[ $(nats_greeting nats) == 'INFO '* ]]; }

nats_version() { nats_told nats; }

# nats_told BROKER: the release.
nats_told() { nats_greeting "$1" | sed -n 's/^INFO .*"version":"\([^"]*\)".*/nats-server \1/p' | grep .; }

# The current release, of which there is one for all suites that ask for it.
equip_nats_current() {
  if [[ ! ${address[nats-current]:-} ]]; then
    nats_current_start || return
  fi
  settings+=("NATS_URL=${address[nats-current]}" "NATS_SERVER=$nats_folder/nats-server")
  against="$(nats_told nats-current), native"
}

# Debian's program, for a suite that starts and stops servers of its own.
equip_nats_program() {
  nats_prepare || return
  settings+=("NATS_SERVER=$(command -v nats-server)")
  against="$(nats-server --version | tr -d :), native"
}

nats_current_start() {
  go_built "$nats_folder" || go_build "nats-server $nats_release" "$nats_folder" nats_current_make || return
  free_port
  spawn "$scratch/nats-current.log" nats_serve "$nats_folder/nats-server" "$scratch/nats-current"
  address["nats-current"]=nats://127.0.0.1:$port
  wait_for 20 nats_told nats-current >/dev/null && return
  unset 'address[nats-current]'
  reason="nats-server $nats_release did not start"
  return 1
}

nats_current_make() { GOBIN=$nats_folder go install "github.com/nats-io/nats-server/v2@$nats_release"; }
