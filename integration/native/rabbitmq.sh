# shellcheck shell=bash
# RabbitMQ from Debian's package, beside whatever else of Erlang may run on the machine.

# The command of this name in sbin insists on root or its own user.
rabbitmq_server=/usr/lib/rabbitmq/bin/rabbitmq-server

rabbitmq_prepare() {
  need rabbitmq-server test -x "$rabbitmq_server"
  provide
}

rabbitmq_start() {
  local epmd
  free_port
  epmd=$port
  # RabbitMQ would start this daemon itself if it was not there, and leave it behind.
  ERL_EPMD_ADDRESS=127.0.0.1 spawn "$scratch/epmd.log" epmd -port "$epmd"
  free_port
  rabbitmq_distribution=$port
  free_port
  rabbitmq_port=$port
  spawn "$scratch/rabbitmq.log" rabbitmq_serve "$epmd"
  pid["rabbitmq"]=$spawned
  address["rabbitmq"]=amqp://guest:guest@127.0.0.1:$rabbitmq_port/%2f
}

rabbitmq_serve() {
  local data=$scratch/rabbitmq
  mkdir -p "$data"
  echo '[].' >"$data/enabled_plugins"
  # Where Erlang leaves a crash dump.
  cd "$data" || return
  # HOME is for the Erlang cookie. The last three keep out the machine's own configuration.
  exec env HOME="$data" ERL_EPMD_ADDRESS=127.0.0.1 ERL_EPMD_PORT="$1" \
    RABBITMQ_NODENAME="otel-messaging-$rabbitmq_port@localhost" \
    RABBITMQ_NODE_IP_ADDRESS=127.0.0.1 \
    RABBITMQ_NODE_PORT="$rabbitmq_port" \
    RABBITMQ_DIST_PORT="$rabbitmq_distribution" \
    RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS='-kernel inet_dist_use_interface {127,0,0,1}' \
    RABBITMQ_MNESIA_BASE="$data/mnesia" \
    RABBITMQ_ENABLED_PLUGINS_FILE="$data/enabled_plugins" \
    RABBITMQ_LOG_BASE="$data/log" RABBITMQ_LOGS=- \
    RABBITMQ_PID_FILE="$data/pid" \
    RABBITMQ_CONFIG_FILE="$here/rabbitmq/rabbitmq.conf" \
    RABBITMQ_CONFIG_FILES="$data/conf.d" \
    RABBITMQ_ADVANCED_CONFIG_FILE="$data/advanced.config" \
    RABBITMQ_CONF_ENV_FILE=/dev/null \
    "$rabbitmq_server"
}

rabbitmq_answers() { [[ $(rabbitmq_greeting 127.0.0.1 "$rabbitmq_port" | od -An -tx1 -N1) == ' 01' ]]; }

# To the header of the protocol a broker answers with a method frame (type 1) that also carries its name and release.
rabbitmq_greeting() { ask "$1" "$2" 'AMQP\0\0\x09\x01'; }

rabbitmq_version() {
  host_and_port "${address[rabbitmq]}" amqp 5672 || return
  rabbitmq_greeting "$host" "$port" | tr -cs '[:print:]' '\n' | awk '
    name == "productS" { product = $0 }
    name == "versionS" { version = $0 }
    { name = $0 }
    END { if (version == "") exit 1; print product, version }'
}
