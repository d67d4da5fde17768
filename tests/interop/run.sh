#!/usr/bin/env bash
# run.sh TOCSIN: real peers against tocsin, and what each must find.  Called by ./dev interop.
#
#   1  node_exporter is scraped, and Debian's promtool reads the series from tocsin
#   2  Debian's Prometheus writes to tocsin by remote write; both have the same samples
#   3  Debian's Prometheus sends alerts to `tocsin alertmanager`; Debian's amtool sees and silences them
#   4  Debian's Prometheus opens the directory that tocsin wrote, after kill -9, and reads the same samples
#   5  tocsin opens the directory that Debian's Prometheus wrote, after kill -9, likewise
set -euo pipefail

tocsin=$(realpath "$1")
folder=$(mktemp -d)
pids=()
passed=0
failed=0

cleanup() {
  for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
  for pid in "${pids[@]}"; do wait "$pid" 2>/dev/null || true; done
  if [ "$failed" -eq 0 ]; then rm -rf "$folder"; else printf 'logs are kept in %s\n' "$folder"; fi
}
trap cleanup EXIT

pass() { passed=$((passed + 1)); printf 'ok    %s\n' "$1"; }
flunk() { failed=$((failed + 1)); printf 'FAIL  %s: %s\n' "$1" "$2"; }
check() { if [ "$2" = "$3" ]; then pass "$1"; else flunk "$1" "expected '$3', got '$2'"; fi; }
contains() { case "$2" in *"$3"*) pass "$1" ;; *) flunk "$1" "expected '$3' in '${2:0:300}'" ;; esac; }
wait_for() {
  local end=$((SECONDS + $1))
  shift
  until "$@" >/dev/null 2>&1; do
    [ $SECONDS -lt $end ] || return 1
    sleep 0.2
  done
}
free_port() {
  local port=$1
  while (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do port=$((port + 1)); done
  echo "$port"
}
start() {  # start LOG COMMAND...
  local log=$1
  shift
  "$@" >"$folder/$log.log" 2>&1 &
  pids+=($!)
}
# The samples of a selector in ($3 - $2, $3], one line a series, without the labels that $4 matches.
samples() {  # samples URL WINDOW TIME [DROP]
  curl -fsG "$1/api/v1/query" --data-urlencode "query=$selector[$2]" --data-urlencode "time=$3" |
    python3 -c '
import json, sys
series = json.load(sys.stdin)["data"]["result"]
for s in series: s["metric"].pop(sys.argv[1], None)
print("\n".join(sorted(json.dumps([s["metric"], s["values"]], sort_keys=True) for s in series)))' "${4:-}"
}
# alike NAME OURS THEIRS: the first line that differs says more than two long texts.
alike() {
  if [ -z "$2" ]; then flunk "$1" "there are no samples"
  elif [ "$2" = "$3" ]; then pass "$1 ($(wc -l <<<"$2") series)"
  else flunk "$1" "$(diff <(echo "$2") <(echo "$3") | head -n 4 | cut -c1-300)"; fi
}
# has_passed URL TIME: up of the selected job, the last of its scrape, has a sample after TIME.
has_passed() { [ -n "$(value "$1" "timestamp(${selector/#\{/up\{}) > $2")" ]; }
value() { curl -fsG "$1/api/v1/query" --data-urlencode "query=$2" ${3:+--data-urlencode "time=$3"} | sed -n 's/.*"value":\[[^,]*,"\([^"]*\)"\].*/\1/p'; }

exporter=$(free_port 21100) web=$(free_port 21110) peer=$(free_port 21120) am=$(free_port 21130) reader=$(free_port 21140) taker=$(free_port 21150)
node_exporter=$(command -v prometheus-node-exporter)

cat >"$folder/tocsin.yml" <<TXT
global: {scrape_interval: 1s, evaluation_interval: 1s}
scrape_configs:
  - job_name: node
    static_configs: [{targets: ["127.0.0.1:$exporter"]}]
TXT
cat >"$folder/peer.yml" <<TXT
global: {scrape_interval: 1s, evaluation_interval: 1s, external_labels: {from: peer}}
scrape_configs:
  - job_name: peer_node
    static_configs: [{targets: ["127.0.0.1:$exporter"]}]
remote_write:
  - url: http://127.0.0.1:$web/api/v1/write
rule_files: [peer.rules.yml]
alerting:
  alertmanagers:
    - static_configs: [{targets: ["127.0.0.1:$am"]}]
TXT
cat >"$folder/peer.rules.yml" <<TXT
groups:
  - name: interop
    rules:
      - {alert: AlwaysThere, expr: vector(1), labels: {severity: page}, annotations: {summary: sent by a peer}}
TXT
cat >"$folder/am.yml" <<TXT
route: {receiver: none, group_wait: 1s}
receivers: [{name: none}]
TXT
printf 'scrape_configs: []\n' >"$folder/reader.yml"

start node_exporter "$node_exporter" --web.listen-address="127.0.0.1:$exporter"
start tocsin "$tocsin" serve --config.file="$folder/tocsin.yml" --storage.tsdb.path="$folder/data" \
  --web.listen-address="127.0.0.1:$web" --web.enable-remote-write-receiver
server=${pids[-1]}
start alertmanager "$tocsin" alertmanager --config.file="$folder/am.yml" --storage.path="$folder/am" \
  --web.listen-address="127.0.0.1:$am" --cluster.listen-address=
start peer prometheus --config.file="$folder/peer.yml" --storage.tsdb.path="$folder/peer" \
  --web.listen-address="127.0.0.1:$peer" --rules.alert.resend-delay=1s --storage.remote.flush-deadline=1s
other=${pids[-1]}
ours=http://127.0.0.1:$web theirs=http://127.0.0.1:$peer
for url in "$ours/-/ready" "http://127.0.0.1:$am/-/ready" "$theirs/-/ready"; do
  wait_for 30 curl -fs "$url" || { flunk "ready: $url" "not within 30 s"; exit 1; }
done

# 1
wait_for 20 bash -c "promtool query instant $ours 'up{job=\"node\"} == 1' | grep -q node" || true
contains "promtool reads up of node_exporter" "$(promtool query instant "$ours" 'up{job="node"}')" "=> 1 @"
contains "promtool lists series" "$(promtool query series --match='up{job="node"}' "$ours")" 'job="node"'
contains "promtool lists label values" "$(promtool query labels "$ours" job)" node

# 2
# The end of the window is fixed first; then both are waited for, until each has passed it.
selector='{job="peer_node"}'
wait_for 30 has_passed "$ours" 0 || flunk "remote write arrives" "no sample within 30 s"
at=$(($(date +%s) + 4))
wait_for 30 has_passed "$ours" $at && wait_for 30 has_passed "$theirs" $at || flunk "remote write goes on" "see peer.log"
alike "remote write: the samples that the peer has" "$(samples "$ours" 3s $at from)" "$(samples "$theirs" 3s $at)"
check "remote write: external labels are written" "$(value "$ours" 'count(up{job="peer_node", from="peer"})' $at)" 1

# 3
wait_for 30 bash -c "amtool --no-version-check --alertmanager.url=http://127.0.0.1:$am alert query | grep -q AlwaysThere" || true
contains "amtool sees the peer's alert" "$(amtool --no-version-check --alertmanager.url="http://127.0.0.1:$am" alert query)" "sent by a peer"
id=$(amtool --no-version-check --alertmanager.url="http://127.0.0.1:$am" silence add alertname=AlwaysThere -d 1h -c interop --author=interop)
contains "amtool silences it" "$(amtool --no-version-check --alertmanager.url="http://127.0.0.1:$am" alert query -s)" suppressed
contains "tocsin's own verb sees the silence" "$("$tocsin" silence query --alertmanager.url="http://127.0.0.1:$am")" "$id"

# 4
selector='{job="node"}'
at=$(date +%s)
wait_for 20 has_passed "$ours" $at || flunk "scrapes go on" "see tocsin.log"
before=$(samples "$ours" 10m $at)
kill -9 "$server" && wait "$server" 2>/dev/null || true
start reader prometheus --config.file="$folder/reader.yml" --storage.tsdb.path="$folder/data" \
  --web.listen-address="127.0.0.1:$reader"
wait_for 30 curl -fs "http://127.0.0.1:$reader/-/ready" || flunk "Prometheus opens tocsin's directory" "not ready: see reader.log"
alike "Prometheus reads the same samples in it" "$before" "$(samples "http://127.0.0.1:$reader" 10m $at)"

# 5
selector='{job="peer_node"}'
at=$(date +%s)
wait_for 20 has_passed "$theirs" $at || flunk "the peer's scrapes go on" "see peer.log"
before=$(samples "$theirs" 10m $at)
kill -9 "$other" && wait "$other" 2>/dev/null || true
start taker "$tocsin" serve --config.file="$folder/reader.yml" --storage.tsdb.path="$folder/peer" \
  --web.listen-address="127.0.0.1:$taker"
wait_for 30 curl -fs "http://127.0.0.1:$taker/-/ready" || flunk "tocsin opens Prometheus's directory" "not ready: see taker.log"
alike "tocsin reads the same samples in it" "$before" "$(samples "http://127.0.0.1:$taker" 10m $at)"

printf '%d passed, %d failed\n' "$passed" "$failed"
[ "$failed" -eq 0 ]
