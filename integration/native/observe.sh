# shellcheck shell=bash
# The back end of `docker compose --profile observe`, but for Grafana, as processes of this machine: with its
# configuration, other addresses, and the releases that can be had without images.

observing=''

# One for all suites that ask for it.
equip_observe() {
  collector_prepare && jaeger_prepare && prometheus_prepare && provide_compose || return
  [[ $observing ]] || observe_start || return
  observing=yes
  settings+=("OTEL_EXPORTER_OTLP_ENDPOINT=$otlp_url" "JAEGER_URL=$sampled_url")
  settings+=("UNSAMPLED_JAEGER_URL=$jaeger_url" "UNSAMPLED_JAEGER_OTLP_URL=$jaeger_http")
  settings+=("PROMETHEUS_URL=$prometheus_url" "OTELCOL=$collector" "DOCKER_COMPOSE=$compose_program")
  against+="; OpenTelemetry Collector $collector_release, Jaeger $jaeger_release, Prometheus $(prometheus_release), native"
}

observe_start() {
  local health metrics telemetry addresses
  jaeger_start "$scratch/jaeger.log" || return
  sampled_url=$jaeger_url
  addresses=("JAEGER_OTLP_ENDPOINT=$jaeger_grpc")
  # And one that is sent to directly, for what sampling must not cut.
  jaeger_start "$scratch/jaeger-unsampled.log" || return
  free_port
  health=127.0.0.1:$port
  free_port
  metrics=127.0.0.1:$port
  free_port
  telemetry=127.0.0.1:$port
  addresses+=("HEALTH_ENDPOINT=$health" "METRICS_ENDPOINT=$metrics" TELEMETRY_HOST=127.0.0.1 "TELEMETRY_PORT=$port")
  free_port
  addresses+=("OTLP_GRPC_ENDPOINT=127.0.0.1:$port")
  free_port
  addresses+=("OTLP_HTTP_ENDPOINT=127.0.0.1:$port")
  otlp_url=http://127.0.0.1:$port
  spawn "$scratch/collector.log" env "${addresses[@]}" "$collector" --config "$here/observe/collector.yaml"
  if ! wait_for 20 answers_http "http://$health/"; then
    tail -n 20 "$scratch/collector.log"
    reason='the OpenTelemetry Collector did not start'
    return 1
  fi
  prometheus_start "$metrics" "$telemetry"
}

# answers_http URL: with the status 200.
answers_http() {
  host_and_port "$1" http 80 || return
  local path=/${1#*://*/}
  [[ $(ask "$host" "$port" "GET $path HTTP/1.0\r\n\r\n") == 'HTTP/1.'?' 200 '* ]]
}
