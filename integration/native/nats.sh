# shellcheck shell=bash
# nats-server from Debian's package.

nats_prepare() {
  need nats-server has nats-server
  provide
}

nats_start() {
  free_port
  spawn "$scratch/nats.log" nats-server -c "$here/nats/nats.conf" -a 127.0.0.1 -p "$port" -sd "$scratch/nats"
  pid["nats"]=$spawned
  address["nats"]=nats://127.0.0.1:$port
}

# A server speaks first, and tells its release at once.
nats_greeting() { host_and_port "${address[nats]}" nats 4222 && ask "$host" "$port" ''; }

nats_answers() { [[ $(nats_greeting) == 'INFO '* ]]; }

nats_version() { nats_greeting | sed -n 's/^INFO .*"version":"\([^"]*\)".*/nats-server \1/p' | grep .; }
