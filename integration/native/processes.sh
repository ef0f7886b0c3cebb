# shellcheck shell=bash
# Starts and stops processes, and talks to their ports.

started=()
taken=' '
current=

# spawn LOG COMMAND...: starts it in the background, its process id goes into $spawned.
spawn() {
  local log=$1
  shift
  # Job control gives it a process group of its own: Ctrl-C then reaches this script alone, which stops in order.
  set -m
  "$@" >"$log" 2>&1 </dev/null &
  spawned=$!
  set +m
  started+=("$spawned")
}

# interruptible COMMAND...: runs it, and leaves at once when a signal comes: for a command in the foreground a trap
# would have to wait. Nothing that it started outlives it.
interruptible() {
  local status=0
  set -m
  "$@" </dev/null &
  current=$!
  set +m
  wait "$current" || status=$?
  kill -KILL -- "-$current" 2>/dev/null || true
  current=
  return "$status"
}

# The next three are for interruptible. This one ends the process group that it is in when the time is up.
limited() {
  local seconds=$1
  shift
  { sleep "$seconds" && echo "stopped after $seconds seconds" && kill -TERM 0; } &
  "$@"
}

shown() {
  local log=$1
  shift
  "$@" 2>&1 | tee "$log"
}

hidden() {
  local log=$1
  shift
  "$@" >"$log" 2>&1
}

alive() { kill -0 "$1" 2>/dev/null; }

# stop PID: asks it to end, and when it has ended, or has not after five seconds, kills what is left of its process
# group. Nobody needs the data of a broker that hangs: RabbitMQ does when asked in the first second of its life.
stop() {
  local _
  kill -TERM "$1" 2>/dev/null || true
  for _ in {1..50}; do
    alive "$1" || break
    sleep 0.1
  done
  kill -KILL -- "-$1" 2>/dev/null || true
  wait "$1" 2>/dev/null || true
}

# In the reverse order: a broker before the daemon that it was started after.
stop_all() {
  local i
  if [[ $current ]]; then
    kill -TERM -- "-$current" 2>/dev/null || true
    stop "$current"
  fi
  current=
  for ((i = ${#started[@]} - 1; i >= 0; i--)); do stop "${started[i]}"; done
  started=()
}

# Puts a free port into $port. Below 32768: a client that polls a port of the ephemeral range can connect to itself.
free_port() {
  while port=$((20000 + RANDOM % 12000)); do
    [[ $taken == *" $port "* ]] && continue
    (: <"/dev/tcp/127.0.0.1/$port") 2>/dev/null || break
  done
  taken+="$port "
}

# host_and_port URL SCHEME PORT: puts the URL's first host and port, or the given PORT, into $host and $port. False
# for another scheme, one with TLS for instance.
host_and_port() {
  local authority=$1
  [[ $authority == *://* && $authority != "$2"://* ]] && return 1
  authority=${authority#*://}
  authority=${authority%%[/?,]*}
  authority=${authority##*@}
  host=${authority%:*}
  port=$3
  [[ $authority != *:* ]] || port=${authority##*:}
}

# ask HOST PORT BYTES: what the other side answers first. BYTES are in printf's notation.
ask() {
  # shellcheck disable=SC2016 # expanded by the inner shell
  timeout 3 bash -c 'exec 3<>"/dev/tcp/$0/$1" && printf "$2" >&3 && dd bs=4096 count=1 <&3' "$@" 2>/dev/null
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
