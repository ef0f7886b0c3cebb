# shellcheck shell=bash
# The OpenTelemetry Collector, built from its Go modules: there is no Debian package.

collector_release=v0.150.0
collector_folder=$build/collector

equip_collector() {
  local log=$scratch/collector.log
  go_built "$collector_folder" "$here/otlp/builder.yaml" ||
    go_build 'the OpenTelemetry Collector' "$collector_folder" collector_make || return
  free_port
  spawn "$log" env "OTLP_PORT=$port" "$collector_folder/otelcol" --config "$here/otlp/collector.yaml"
  wait_for 20 grep -q 'Everything is ready' "$log" || { reason='the collector did not start'; return 1; }
  settings+=("OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:$port")
  against="embedded mock cluster; OpenTelemetry Collector $collector_release"
}

collector_make() {
  GOBIN=$collector_folder go install "go.opentelemetry.io/collector/cmd/builder@$collector_release" || return
  (cd "$collector_folder" && ./builder --config "$here/otlp/builder.yaml") || return
  mv "$collector_folder/sources/otelcol" "$collector_folder/otelcol"
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
