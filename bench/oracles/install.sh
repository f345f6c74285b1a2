#!/usr/bin/env bash
# Installs the independent readers that the tests here ask: bench/oracles/install.sh DIR
# Then: BUGCHECK_ORACLES=DIR go test ./bench/oracles
# Needs cargo, python3 with venv and pip, and libusb-1.0 for leechcorepyc.
set -euo pipefail
mkdir -p "${1:?a folder}"
dir=$(cd "$1" && pwd)
cd "$(dirname "$0")"
cargo build --quiet --release --manifest-path kdmp/Cargo.toml --target-dir "$dir/target"
cp "$dir/target/release/kdmp" "$dir/kdmp"
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install --quiet --disable-pip-version-check --requirement requirements.txt
