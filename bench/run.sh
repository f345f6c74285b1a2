#!/usr/bin/env bash
# Measures the program on this machine: bench/run.sh [benchmark pattern]
set -euo pipefail
cd "$(dirname "$0")/.."
exec go test -run '^$' -bench "${1:-.}" -benchtime "${BENCHTIME:-2s}" ./bench
