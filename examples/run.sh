#!/usr/bin/env bash
# run.sh TOCSIN [--once]: node_exporter, an inbox and tocsin with the example rules, and one alert on its
# way.  Called by ./dev run.  All data goes to a temporary folder that is removed at the end.
set -euo pipefail

tocsin=$(realpath "$1")
once=no
[ "${2:-}" = --once ] && once=yes
examples=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
folder=$(mktemp -d)
pids=()
burner=

if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then bold=$'\033[1m' dim=$'\033[2m' plain=$'\033[0m'; else bold='' dim='' plain=''; fi
begin=$(date +%s.%N)
since() { awk -v a="$begin" -v b="$(date +%s.%N)" 'BEGIN { printf "%5.1f s", b - a }'; }
say() { printf '%s%s  %s%s\n' "$bold" "$(since)" "$*" "$plain"; }
fail() {
  printf 'run: %s\n' "$*" >&2
  for log in "$folder"/*.log; do printf -- '--- %s\n' "$(basename "$log")" >&2; tail -n 20 "$log" >&2; done
  exit 1
}
cleanup() {
  [ -n "$burner" ] && kill "$burner" 2>/dev/null
  for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
  for pid in "${pids[@]}"; do wait "$pid" 2>/dev/null || true; done
  rm -rf "$folder"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

# The first port from $1 on that nobody listens on.
free_port() {
  local port=$1
  while (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do
    printf '%sport %s is busy, trying %s%s\n' "$dim" "$port" $((port + 1)) "$plain" >&2
    port=$((port + 1))
  done
  echo "$port"
}

# Calls a command every 0.1 s until it succeeds or $1 seconds have passed.
wait_for() {
  local limit=$1 end
  shift
  end=$((SECONDS + limit))
  until "$@"; do
    [ $SECONDS -lt $end ] || return 1
    sleep 0.1
  done
}

web=$(free_port 9090) exporter=$(free_port 9100) smtp=$(free_port 2525) inbox=$(free_port 2580)
node_exporter=$(command -v prometheus-node-exporter || command -v node_exporter) || fail "node_exporter is not installed"

# The example files, with the ports that were free.
cp -r "$examples"/rules "$folder"/
sed "s/127.0.0.1:9100/127.0.0.1:$exporter/; s/127.0.0.1:9090/127.0.0.1:$web/" "$examples/tocsin.yml" >"$folder/tocsin.yml"
sed "s/127.0.0.1:2580/127.0.0.1:$inbox/; s/127.0.0.1:2525/127.0.0.1:$smtp/" "$examples/alertmanager.yml" >"$folder/alertmanager.yml"

"$node_exporter" --web.listen-address="127.0.0.1:$exporter" >"$folder/node_exporter.log" 2>&1 &
pids+=($!)
"$tocsin" inbox --smtp.listen-address="127.0.0.1:$smtp" --web.listen-address="127.0.0.1:$inbox" >"$folder/inbox.out" 2>"$folder/inbox.log" &
pids+=($!)
"$tocsin" serve --config.file="$folder/tocsin.yml" --alertmanager.config.file="$folder/alertmanager.yml" \
  --storage.tsdb.path="$folder/data" --web.listen-address="127.0.0.1:$web" \
  --web.external-url="http://127.0.0.1:$web" >"$folder/tocsin.log" 2>&1 &
pids+=($!)
server=http://127.0.0.1:$web

is_ready() { kill -0 "${pids[2]}" 2>/dev/null || fail "tocsin has ended"; curl -fs -o /dev/null "$server/-/ready"; }
wait_for 30 is_ready || fail "tocsin was not ready within 30 s"
begin=$(date +%s.%N)
say "tocsin is ready at $server  ${dim}(times count from here)"

scraped() { "$tocsin" query instant "$server" 'up{job="node"} == 1' | grep -q node; }
wait_for 20 scraped || fail "no sample of node_exporter within 20 s"
say "first samples of node_exporter are stored"

# One core is kept busy at the lowest priority: HostCpuCoreBusy will fire.
core=$(taskset -cp $$ | sed 's/.*: //; s/[,-].*//')
taskset -c "$core" nice -n 19 bash -c 'while :; do :; done' &
burner=$!
say "core $core is busy now: the rule HostCpuCoreBusy (busy > 75 % for 2 s) will notice"

state_is() { curl -fs "$server/api/v1/alerts" | grep -o '"alertname":"HostCpuCoreBusy"[^}]*}[^}]*}[^}]*"state":"'"$1"'"' >/dev/null || curl -fs "$server/api/v1/alerts" | tr '{' '\n' | grep -A3 HostCpuCoreBusy | grep -q "\"state\":\"$1\""; }
wait_for 60 state_is firing || fail "HostCpuCoreBusy did not fire"
say "HostCpuCoreBusy fires"

arrived() { curl -fs "http://127.0.0.1:$inbox/api/messages" | grep -q "\"kind\":\"$1\".*HostCpuCoreBusy\|HostCpuCoreBusy.*\"kind\":\"$1\""; }
wait_for 30 arrived slack || fail "no Slack message"
say "the Slack message has arrived"
wait_for 30 arrived email || fail "no email"
say "the email has arrived"
printf '\n%s\n\n' "$(cat "$folder/inbox.out")"

silence=$("$tocsin" silence add alertname=HostCpuCoreBusy --alertmanager.url="$server" \
  --duration=1h --author="${USER:-dev}" --comment="shown by dev run")
say "silenced through the API: $silence"
suppressed() { curl -fs "$server/api/v2/alerts?filter=alertname%3DHostCpuCoreBusy" | grep -q "$silence"; }
wait_for 10 suppressed || fail "the alert is not shown as silenced"
"$tocsin" silence query --alertmanager.url="$server"

say "unit tests of the example rules"
"$tocsin" test rules "$examples"/rules/*.test.yml

kill "$burner" 2>/dev/null && wait "$burner" 2>/dev/null || true
burner=
say "all shown; the core is free again"
[ "$once" = yes ] && exit 0

cat <<TXT

  ${bold}rules, alerts, targets, silences, queries${plain}   $server
  ${bold}what was delivered${plain}                          http://127.0.0.1:$inbox
  ${bold}rules and configuration${plain}                     $examples

Ctrl-C ends everything.
TXT
tail -n +1 -f "$folder/inbox.out" &
pids+=($!)
wait "${pids[2]}"
