#!/usr/bin/env bash
# tsdb.sh TOCSIN [DIR...]: the verbs of `tsdb` against Debian's promtool, on blocks that both make of one file and on
# the data directories given.  Called by ./dev interop.
set -euo pipefail

tocsin=$(realpath "$1")
shift
folder=$(mktemp -d)
passed=0
failed=0
trap 'rm -rf "$folder"' EXIT

same() {  # same NAME OURS THEIRS (files)
  if [ ! -s "$2" ]; then failed=$((failed + 1)); printf 'FAIL  %s: nothing printed\n' "$1"
  elif cmp -s "$2" "$3"; then passed=$((passed + 1)); printf 'ok    %s (%s lines)\n' "$1" "$(wc -l <"$2")"
  else failed=$((failed + 1)); printf 'FAIL  %s: %s\n' "$1" "$(diff "$2" "$3" | head -n 4 | cut -c1-300)"; fi
}
# Names and sizes differ by nature: promtool 2.42 also writes label indices, which nothing reads.
table() { sed -E 's/^[0-9A-Z]{26} +/ID /; s/ +[0-9]+$//'; }
# promtool replays the log of every folder, also of one without.
dump() { mkdir -p "$2/wal"; "$1" tsdb dump "$2"; }

awk 'BEGIN {
  print "# TYPE made gauge"
  for (s = 0; s < 20; s++) for (t = 0; t < 700; t++)
    printf "made{s=\"%d\",path=\"/a \\\"b\\\"\"} %s %d\n", s, (t % 50 == 7 ? "NaN" : s * 1000 + t / 8), 1795125600 + t * 30
  print "# EOF" }' >"$folder/in.om"
"$tocsin" tsdb create-blocks-from openmetrics "$folder/in.om" "$folder/ours" | table >"$folder/a"
promtool tsdb create-blocks-from openmetrics "$folder/in.om" "$folder/theirs" | table >"$folder/b"
same "create-blocks-from openmetrics: the blocks" "$folder/a" "$folder/b"
dump promtool "$folder/ours" >"$folder/a"
dump promtool "$folder/theirs" >"$folder/b"
same "create-blocks-from openmetrics: the samples, read by promtool" "$folder/a" "$folder/b"
dump "$tocsin" "$folder/theirs" >"$folder/a"
same "tocsin dumps promtool's blocks" "$folder/a" "$folder/b"
"$tocsin" tsdb dump-openmetrics "$folder/ours" >"$folder/again.om"
"$tocsin" tsdb create-blocks-from openmetrics -q "$folder/again.om" "$folder/twice"
dump "$tocsin" "$folder/twice" >"$folder/a"
same "a dump as OpenMetrics makes the same blocks again" "$folder/a" "$folder/b"

for dir in "$folder/ours" "$@"; do
  name=$(basename "$(dirname "$dir")")/$(basename "$dir")
  cp -r "$dir" "$folder/copy"
  chmod -R u+w "$folder/copy"
  for flag in "" -r; do
    # shellcheck disable=SC2086  # the flag may be none
    "$tocsin" tsdb list $flag "$folder/copy" >"$folder/a"
    # shellcheck disable=SC2086
    promtool tsdb list $flag "$folder/copy" >"$folder/b"
    same "list $flag $name" "$folder/a" "$folder/b"
  done
  block=$(awk 'END { print $1 }' <("$tocsin" tsdb list "$folder/copy"))
  # Equal counts have no order in promtool's lists; the head line was renamed after 2.42.
  "$tocsin" tsdb analyze --limit=1000000 "$folder/copy" "$block" | sort >"$folder/a"
  promtool tsdb analyze --limit=1000000 "$folder/copy" "$block" | sed 's/^Series:/Total Series:/' | sort >"$folder/b"
  same "analyze $name" "$folder/a" "$folder/b"
  if "$tocsin" tsdb verify "$folder/copy" >"$folder/a"; then passed=$((passed + 1)); printf 'ok    verify %s\n' "$name"
  else failed=$((failed + 1)); printf 'FAIL  verify %s: %s\n' "$name" "$(head -n 3 "$folder/a")"; fi
  rm -rf "$folder/copy"
done

printf '%d passed, %d failed\n' "$passed" "$failed"
[ "$failed" -eq 0 ]
