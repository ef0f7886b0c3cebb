# shellcheck shell=bash
# Jaeger, built from its Go module. 1.76.0 is the last release that is one; the image in docker-compose.yml is newer.

jaeger_release=v1.76.0
jaeger_package=github.com/jaegertracing/jaeger/cmd/all-in-one
jaeger_folder=$build/jaeger-$jaeger_release

jaeger_prepare() { go_built "$jaeger_folder" || go_build "Jaeger $jaeger_release" "$jaeger_folder" jaeger_make; }

# `go install` refuses it: its go.mod has a directive that holds for the main module alone.
jaeger_make() {
  mkdir -p "$jaeger_folder" && cd "$jaeger_folder" &&
    go mod init jaeger && go get "$jaeger_package@$jaeger_release" && go build -o jaeger "$jaeger_package"
}

# jaeger_start LOG: puts the address for people and for its API into $jaeger_url, those for OTLP over gRPC and HTTP into $jaeger_grpc and
# $jaeger_http.
jaeger_start() {
  local name options=()
  free_port
  jaeger_url=http://127.0.0.1:$port
  options+=("--query.http-server.host-port=127.0.0.1:$port")
  free_port
  jaeger_grpc=127.0.0.1:$port
  options+=("--collector.otlp.grpc.host-port=127.0.0.1:$port")
  free_port
  jaeger_http=http://127.0.0.1:$port
  options+=("--collector.otlp.http.host-port=127.0.0.1:$port")
  # Of no use here, but each has a well-known port that somebody else may have.
  for name in query.grpc-server collector.grpc-server collector.http-server admin.http; do
    free_port
    options+=("--$name.host-port=127.0.0.1:$port")
  done
  SPAN_STORAGE_TYPE=memory spawn "$1" "$jaeger_folder/jaeger" "${options[@]}"
  wait_for 20 answers_http "$jaeger_url/api/services" && return
  tail -n 20 "$1"
  reason="Jaeger $jaeger_release did not start"
  return 1
}
