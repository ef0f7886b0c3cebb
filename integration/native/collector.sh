# shellcheck shell=bash
# The OpenTelemetry Collector, built from its Go modules: there is no Debian package.

collector_release=v0.150.0
collector_folder=$build/collector

equip_collector() {
  local log=$scratch/collector.log
  collector_built || collector_build || return
  free_port
  spawn "$log" env "OTLP_PORT=$port" "$collector_folder/otelcol" --config "$here/otlp/collector.yaml"
  wait_for 20 grep -q 'Everything is ready' "$log" || { reason='the collector did not start'; return 1; }
  settings+=("OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:$port")
  against="embedded mock cluster; OpenTelemetry Collector $collector_release"
}

collector_built() { [[ $collector_folder/.complete -nt $here/otlp/builder.yaml ]]; }

collector_build() {
  local log=$scratch/collector-build.log
  if ! has go; then
    reason='missing: go, in a current release, to build the OpenTelemetry Collector'
    return 1
  fi
  echo 'building the OpenTelemetry Collector'
  rm -rf "$collector_folder"
  if ! interruptible hidden "$log" collector_make; then
    tail -n 20 "$log"
    reason='the OpenTelemetry Collector could not be built'
    return 1
  fi
}

collector_make() {
  GOBIN=$collector_folder go install "go.opentelemetry.io/collector/cmd/builder@$collector_release" || return
  (cd "$collector_folder" && ./builder --config "$here/otlp/builder.yaml") || return
  mv "$collector_folder/sources/otelcol" "$collector_folder/otelcol" && touch "$collector_folder/.complete"
}

# The example, and then whether the collector has the spans of both services.
example_exported() {
  example "$1" || return
  wait_for 20 collector_has 'service.name: Str(shop)' 'service.name: Str(billing)' 'Name .*: process orders' && return
  echo 'the collector has not received the spans of both services'
  return 1
}

collector_has() {
  local line
  for line in "$@"; do grep -q -- "$line" "$scratch/collector.log" || return; done
}

# wait_for SECONDS COMMAND...
wait_for() {
  local deadline=$((SECONDS + $1))
  shift
  until "$@"; do
    ((SECONDS < deadline)) || return
    sleep 0.1
  done
}
