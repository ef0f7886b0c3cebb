# shellcheck shell=bash
# Prometheus from its Debian package, which has promtool too.

prometheus_prepare() {
  need prometheus has prometheus promtool
  provide
}

prometheus_release() { prometheus --version 2>&1 | sed -n '1s/^prometheus, version \([^+ ]*\).*/\1/p'; }

# prometheus_start SERVICES COLLECTOR: scrapes these two. Puts its address into $prometheus_url.
prometheus_start() {
  local folder=$scratch/prometheus
  mkdir "$folder"
  cp "$here/observe/prometheus/prometheus.yml" "$folder/"
  echo "[{ \"targets\": [\"$1\"] }]" >"$folder/services.json"
  echo "[{ \"targets\": [\"$2\"] }]" >"$folder/collector.json"
  free_port
  prometheus_url=http://127.0.0.1:$port
  spawn "$scratch/prometheus.log" prometheus --config.file="$folder/prometheus.yml" \
    --storage.tsdb.path="$folder/data" --web.listen-address="127.0.0.1:$port"
  wait_for 20 answers_http "$prometheus_url/-/ready" && return
  tail -n 20 "$scratch/prometheus.log"
  reason='Prometheus did not start'
  return 1
}
