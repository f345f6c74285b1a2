#!/usr/bin/env bash
# Opens sparse whole-memory dumps of several sizes with this project and with
# kdmp-parser, and compares the times: bench/whole-peers.sh [GIB...]
# Then reads a dump of 1 GiB as a scan does, beside cat. Needs cargo for the peer.
set -euo pipefail
cd "$(dirname "$0")/.."
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
sizes=("${@:-}")
[ -n "${sizes[0]}" ] || sizes=(1 16 64)
go test -c -o "$dir/ours" ./bench
peer=
if command -v cargo > /dev/null; then
  cargo build --quiet --release --manifest-path bench/oracles/kdmp/Cargo.toml --target-dir "$dir/target"
  peer="$dir/target/release/kdmp"
fi

# best COMMAND...: the smallest value of each line "name value" over three runs, and MiB.
best() {
  for _ in 1 2 3; do
    /usr/bin/time -f 'memory %M' -o "$dir/time" "$@" < "$dir/questions"
    cat "$dir/time"
  done | awk '$2 ~ /^[0-9.]+$/ && (!($1 in low) || $2 + 0 < low[$1]) {low[$1] = $2 + 0} END {for (name in low) print name, low[name]}'
}

# compare: ours and theirs of the dump at hand, line by line.
compare() {
  WHOLE_PEER="time $dir/dump" best "$dir/ours" -test.run '^TestWholePeer$' > "$dir/times"
  if [ -n "$peer" ]; then best "$peer" --time "$dir/dump" > "$dir/peer"; else : > "$dir/peer"; fi
  awk 'function show(name, what, unit, by) {
         printf "  %-36s %10.2f %s", what, ours[name] / by, unit
         if (name in theirs) printf "   kdmp-parser %10.2f %s, %7.1f times ours", theirs[name] / by, unit, theirs[name] / ours[name]
         print ""
       }
       FILENAME == ARGV[1] {ours[$1] = $2; next} {theirs[$1] = $2}
       END {show("alone", "open, map of pages", "ms", 1e6); show("open", "open, modules", "ms", 1e6); show("modules", "modules found", "  ", 1)
             show("memory", "largest resident set", "MiB", 1024)
            show("lookup", "find a page in the file", "ns", 1); show("physical", "read 8 bytes at a physical address", "ns", 1); show("translate", "translate a virtual address", "ns", 1)
            show("read", "read 4 KiB of virtual memory", "ns", 1)}' "$dir/times" "$dir/peer"
}

for format in kernel active full; do
  for gib in "${sizes[@]}"; do
    WHOLE_PEER="make $dir/dump $format $gib" "$dir/ours" -test.run '^TestWholePeer$' > /dev/null
    mv "$dir/dump.questions" "$dir/questions"
    echo "== $format dump of a machine with $gib GiB: $(($(stat -c %s "$dir/dump") >> 20)) MiB"
    compare
    rm "$dir/dump"
  done
done

echo "== reading a kernel dump of 1 GiB without holes, warm"
WHOLE_PEER="make $dir/dump kernel 16" "$dir/ours" -test.run '^TestWholePeer$' > /dev/null
cp --sparse=never "$dir/dump" "$dir/solid"
for _ in 1 2 3; do
  cat "$dir/solid" > /dev/null
  start=$EPOCHREALTIME
  cat "$dir/solid" > /dev/null
  end=$EPOCHREALTIME
  echo "cat $(($(stat -c %s "$dir/solid") * 1000000 / 1048576 / (${end/./} - ${start/./}))) MiB/s"
  WHOLE_PEER="scan $dir/solid" "$dir/ours" -test.run '^TestWholePeer$' | grep scan
done
