# shellcheck shell=bash
# Brokers from docker-compose.yml, as a project of this run alone and on ports that are free.

project=otel-messaging-$$
services=()
composing='' composed=''
own_engine=''
declare -A port_variable=([kafka]=KAFKA_PORT [rabbitmq]=AMQP_PORT [nats]=NATS_PORT)

compose() { docker compose -p "$project" -f "$here/../docker-compose.yml" "$@"; }

engine_answers() { has docker && timeout 10 docker version && docker compose version; }

# Turns no path into compose where an engine answers, else into native. For --compose brings an engine if none does.
choose_path() {
  [[ $path != native ]] || return 0
  if engine_answers &>/dev/null; then
    path=compose
  elif [[ $path == compose ]]; then
    bring_engine
  else
    path=native
  fi
}

bring_engine() {
  own_engine=$scratch/engine
  reason='no Docker engine with Compose answers, and none could be started'
  interruptible "$here/engine" start "$own_engine" || return
  export DOCKER_HOST=unix://$own_engine/docker.sock DOCKER_CONFIG=$own_engine/config
}

compose_prepare() {
  free_port
  export "${port_variable[$1]}=$port"
  case $1 in
    kafka) address["kafka"]=127.0.0.1:$port ;;
    rabbitmq) address["rabbitmq"]=amqp://guest:guest@127.0.0.1:$port/%2f ;;
    nats) address["nats"]=nats://127.0.0.1:$port ;;
  esac
  services+=("$1")
}

# Starts the services that were prepared, while something else goes on.
compose_up() {
  ((${#services[@]})) || return 0
  spawn "$scratch/compose.log" compose up -d --wait "${services[@]}"
  composing=$spawned
  composed=''
  services=()
}

# compose_answers BROKER: waits until all services are healthy, and notes whether this one's image is a stand-in.
compose_answers() {
  local label
  if [[ ! $composed ]]; then
    composed=yes
    if ! wait "$composing"; then
      composed=no
      printf '\ndocker compose up failed. The end of its log:\n'
      tail -n 20 "$scratch/compose.log"
    fi
  fi
  [[ $composed == yes ]] || return
  label=$(docker inspect -f '{{ index .Config.Labels "stand-in" }}' "$(compose ps -q "$1")") || return
  [[ $label != yes ]] || origin[$1]+=', stand-in'
}

# The official image and the stand-in have the jars in the same place.
compose_kafka_version() {
  # shellcheck disable=SC2016 # expanded in the container
  compose exec -T kafka bash -c 'echo /opt/kafka/libs/kafka_2*.jar' | sed -n 's/.*-\([0-9.]*\)\.jar$/Kafka \1/p' | grep .
}

# A shell command that stops a service, for a process that knows nothing of this script.
compose_stop_command() { printf '%q ' docker compose --progress quiet -p "$project" -f "$here/../docker-compose.yml" stop "$1"; }

# Out of reach of a second Ctrl-C, as long as that is ignored here: these would heed it.
compose_down() {
  if [[ $composing ]]; then
    interruptible hidden "$scratch/brokers.log" compose logs --no-color || true
    if interruptible hidden "$scratch/compose-down.log" compose down -v -t 5; then
      composing=''
    else
      cat "$scratch/compose-down.log"
    fi
  fi
  if [[ $own_engine ]]; then
    cp "$own_engine/dockerd.log" "$scratch/" 2>/dev/null || true
    interruptible "$here/engine" stop "$own_engine" && own_engine='' || echo "the engine in $own_engine is not stopped"
  fi
}
