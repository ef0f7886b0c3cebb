# shellcheck shell=bash
# The brokers' programs, for a suite that starts and kills brokers of its own.

equip_programs() {
  # It ends programs with whoever started them, and gives them a disk of their own to be full.
  need util-linux has setpriv unshare nsenter
  provide && kafka_prepare && rabbitmq_prepare && nats_prepare || return
  # Folders that it has no time to remove are in ours.
  settings+=("KAFKA_LIBS=$kafka_libs" "RABBITMQ_SERVER=$rabbitmq_server" "NATS_SERVER=$(command -v nats-server)"
    "TMPDIR=$scratch")
  against="$(kafka_release), $(rabbitmq_release), $(nats-server --version | tr -d :), its own"
}

rabbitmq_release() { echo "RabbitMQ $(HOME=$scratch "${rabbitmq_server%/*}/rabbitmqctl" version 2>/dev/null)"; }
