# shellcheck shell=bash
# Kafka as a single node from Maven artifacts: there is no Debian package.

kafka_libs=$build/kafka-libs

kafka_prepare() {
  need default-jre-headless has java
  kafka_fetched || need maven has mvn
  provide && { kafka_fetched || kafka_fetch; }
}

kafka_fetched() { [[ $kafka_libs/.complete -nt $here/kafka/pom.xml ]]; }

kafka_fetch() {
  local log=$scratch/maven.log
  echo 'fetching the jars of the Kafka broker'
  rm -rf "$kafka_libs"
  if ! interruptible hidden "$log" \
    mvn -q -B -f "$here/kafka/pom.xml" dependency:copy-dependencies -DoutputDirectory="$kafka_libs"; then
    tail -n 20 "$log"
    reason='Maven could not fetch the jars of the broker'
    return 1
  fi
  touch "$kafka_libs/.complete"
}

# A second node is started after the first one has been stopped, or beside one named in the environment.
kafka_start() {
  local client controller
  free_port
  client=$port
  free_port
  controller=$port
  rm -rf "$scratch/kafka"
  {
    cat "$here/kafka/server.properties"
    echo "listeners=PLAINTEXT://127.0.0.1:$client,CONTROLLER://127.0.0.1:$controller"
    echo "advertised.listeners=PLAINTEXT://127.0.0.1:$client"
    echo "controller.quorum.voters=1@127.0.0.1:$controller"
    echo "log.dirs=$scratch/kafka"
  } >"$scratch/kafka.properties"
  spawn "$scratch/kafka.log" kafka_serve "$scratch/kafka.properties"
  pid["kafka"]=$spawned
  address["kafka"]=127.0.0.1:$client
}

kafka_serve() {
  kafka_java kafka.tools.StorageTool format -t otelMessagingScratch0Q -c "$1" || return
  exec java -Xmx512m -Dlog4j2.level=INFO -cp "$kafka_libs/*" kafka.Kafka "$1"
}

kafka_java() { java -cp "$kafka_libs/*" "$@"; }

# An ApiVersions request, numbered 7, is answered under that number and without an error. It is also answered while
# the node still starts, hence the line in the log.
kafka_answers() {
  local bytes
  grep -q 'Kafka Server started' "$scratch/kafka.log" || return
  bytes=$(ask "${address[kafka]%:*}" "${address[kafka]#*:}" '\0\0\0\x0a\0\x12\0\0\0\0\0\x07\xff\xff' | od -An -tx1 -N10)
  [[ $bytes == *' 00 00 00 07 00 00' ]]
}

kafka_release() { echo "Kafka $(kafka_java kafka.Kafka --version 2>/dev/null)"; }

# The protocol does not tell a broker's release, but the jars of ours do.
kafka_version() {
  case ${origin[kafka]} in
    native) kafka_release ;;
    compose*) compose_kafka_version ;;
    *) false ;;
  esac
}
