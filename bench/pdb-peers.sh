#!/usr/bin/env bash
# Opens one large PDB with this project and with other readers, and looks a
# million addresses up: bench/pdb-peers.sh
# Needs clang-19 and lld-link-19 for the PDB. Peers that are absent are left out:
# llvm-symbolizer-19, llvm-pdbutil-19, cargo (crates pdb 0.8, pdb-addr2line 0.11),
# python3 with the package symbolic (or $PYTHON).
set -euo pipefail
cd "$(dirname "$0")/.."
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python=${PYTHON:-python3}
go test -c -o "$dir/ours" ./bench
pdb=$(PDB_PEER=build "$dir/ours" -test.run '^TestPDBProcess$' | grep '[.]pdb$')
size=$(stat -c %s "$pdb")
echo "$((size >> 20)) MiB: $pdb"
seq 0 999999 | awk '{printf "0x%x\n", 4096 + ($1 * 7919 % 150000) * 16 + 1}' > "$dir/million"
head -n 1 "$dir/million" > "$dir/one"
head -n 100000 "$dir/million" > "$dir/many"

# measure NAME COMMAND...: milliseconds and MiB of a whole process for the address
# on standard input, the best of ten.
measure() {
  local name=$1 best= start end
  shift
  for _ in 1 2 3 4 5 6 7 8 9 10; do
    start=$EPOCHREALTIME
    /usr/bin/time -f '%M' -o "$dir/time" "$@" < "$dir/one" > /dev/null 2>&1
    end=$EPOCHREALTIME
    best=$(printf '%s\n%d %s\n' "$best" $((${end/./} - ${start/./})) "$(tail -n 1 "$dir/time")" | grep . | sort -n | head -n 1)
  done
  awk -v name="$name" -v ours="${ours:-$best}" '{split(ours, o, " ");
    printf "%-28s %7.1f ms  %6.1f MiB   %6.1f times our time, %5.1f times our memory\n", name, $1 / 1000, $2 / 1024, $1 / o[1], $2 / o[2]}' <<< "$best"
  last=$best
}

echo "== a process that opens the PDB and looks one address up"
measure "bugcheck" env PDB_PEER="$pdb" "$dir/ours" -test.run '^TestPDBProcess$'
ours=$last
if command -v llvm-symbolizer-19 > /dev/null; then
  measure "llvm-symbolizer" llvm-symbolizer-19 --obj="${pdb%.pdb}.dll" --relative-address
fi
if command -v llvm-pdbutil-19 > /dev/null; then
  measure "llvm-pdbutil dump --publics" llvm-pdbutil-19 dump --publics "$pdb"
fi
if "$python" -c 'import symbolic' 2> /dev/null; then
  cat > "$dir/peer.py" <<'PY'
import sys
from symbolic.debuginfo import Archive
cache = next(Archive.open(sys.argv[1]).iter_objects()).make_symcache()
for line in sys.stdin:
    assert cache.lookup(int(line, 16))
PY
  measure "symbolic (symcache)" "$python" "$dir/peer.py" "$pdb"
fi
if command -v cargo > /dev/null; then
  mkdir -p "$dir/peer/src"
  cat > "$dir/peer/Cargo.toml" <<'TOML'
[package]
name = "peer"
version = "0.1.0"
edition = "2021"
[dependencies]
pdb-addr2line = "=0.11.2"
TOML
  cat > "$dir/peer/src/main.rs" <<'RS'
use std::io::BufRead;
fn cpu() -> f64 {
    let s = std::fs::read_to_string("/proc/self/schedstat").unwrap();
    s.split(' ').next().unwrap().parse::<f64>().unwrap() / 1e9
}
fn main() {
    let path = std::env::args().nth(1).unwrap();
    let rvas: Vec<u32> = std::io::stdin().lock().lines()
        .map(|l| u32::from_str_radix(l.unwrap().trim_start_matches("0x"), 16).unwrap()).collect();
    let start = std::time::Instant::now();
    let pdb = pdb_addr2line::pdb::PDB::open(std::fs::File::open(path).unwrap()).unwrap();
    let data = pdb_addr2line::ContextPdbData::try_from_pdb(pdb).unwrap();
    let context = data.make_context().unwrap();
    context.find_function(rvas[0]).unwrap();
    let first = start.elapsed();
    let before = cpu();
    let found = rvas.iter().filter(|rva| matches!(context.find_function(**rva), Ok(Some(_)))).count();
    println!("first {:.1} ms, then {:.0} look-ups/s of processor time, {} found",
        first.as_secs_f64() * 1e3, rvas.len() as f64 / (cpu() - before), found);
}
RS
  if (cd "$dir/peer" && CARGO_TARGET_DIR="$dir/target" cargo build -q --release); then
    measure "pdb-addr2line" "$dir/target/release/peer" "$pdb"
  fi
fi

echo "== a million addresses"
printf 'bugcheck        '
PDB_PEER="$pdb" "$dir/ours" -test.run '^TestPDBProcess$' < "$dir/million" | grep first
if [ -x "$dir/target/release/peer" ]; then
  printf 'pdb-addr2line   '
  "$dir/target/release/peer" "$pdb" < "$dir/million"
fi
if command -v llvm-symbolizer-19 > /dev/null; then
  printf 'llvm-symbolizer '
  /usr/bin/time -f '%U s of processor time for 100,000 addresses' -o "$dir/time" \
    llvm-symbolizer-19 --obj="${pdb%.pdb}.dll" --relative-address < "$dir/many" > /dev/null
  cat "$dir/time"
fi
