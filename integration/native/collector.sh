# shellcheck shell=bash
# The OpenTelemetry Collector, built from its Go modules: there is no Debian package.

collector_parts=$here/native/collector-builder.yaml
collector_release=$(sed -n 's/.*otlpreceiver //p' "$collector_parts")
collector_folder=$build/collector
collector=$collector_folder/otelcol

collector_prepare() {
  go_built "$collector_folder" "$collector_parts" ||
    go_build 'the OpenTelemetry Collector' "$collector_folder" collector_make
}

equip_collector() {
  collector_prepare || return
  free_port
  settings+=("OTLP_PORT=$port" "OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:$port")
  against+="; OpenTelemetry Collector $collector_release"
}

collector_make() {
  GOBIN=$collector_folder go install "go.opentelemetry.io/collector/cmd/builder@$collector_release" || return
  # It makes a folder in the temporary one, whether it uses that or not, and leaves it there.
  (cd "$collector_folder" && TMPDIR=$scratch ./builder --config "$collector_parts") || return
  mv "$collector_folder/sources/otelcol" "$collector"
}

# example_exported EXAMPLE SERVICES KEYS: the example, and then whether the collector has spans and metrics of these
# services, and renamed attributes, these among them, under their old names too. It is set up by the page that tells
# users how to have both.
example_exported() {
  local page=src/semconv/renamed.md processor=$scratch/renamed.yaml log=$scratch/collector-$1.log
  # shellcheck disable=SC2016 # the backticks of Markdown
  sed -n '/^```yaml$/,/^```$/ { /^```/! p }' "$page" >"$processor"
  # Ends with the suite: it is in the suite's process group.
  "$collector" --config "$here/otlp/collector.yaml" --config "$processor" >"$log" 2>&1 &
  if ! wait_for 20 grep -q 'Everything is ready' "$log"; then
    tail -n 20 "$log"
    echo 'the collector did not start'
    return 1
  fi
  example "$1" || return
  wait_for 20 collector_has "$page" "$log" "$2" "$3" >/dev/null && return
  collector_has "$page" "$log" "$2" "$3"
}

collector_has() { awk -v services="$3" -v keys="$4" -f "$here/otlp/renamed.awk" "$1" "$2"; }
