#!/usr/bin/env bash
# Compares tern with PyTorch, ONNX Runtime and pytorch-metric-learning on this machine: alternates one process of each
# side, round by round, and writes table and plot to docs/measurements/peers.md. Rows that are not measured again keep
# their results.
#   ./scripts/compare_peers.sh [--only ROW]... [--rounds N] [--seconds S] [--threads T] [--keep-modes] [--no-compile]
#                            [--out FOLDER] [--list]
# TERN_PEERS names an existing Python environment of the peers; otherwise one is made in build/peers (a few GB).
set -euo pipefail
source "$(dirname "$0")/common.sh"
for option in "$@"; do
  case $option in --list | --help | -h) exec python3 scripts/peers/compare.py "$@" ;; esac
done

install_packages "${build_packages[@]}" python3-venv libjemalloc2
configure release
build release tern_app
peers=${TERN_PEERS:-$root/build/peers}
[ -x "$peers/bin/python" ] || { say "making the peers' environment in $peers"; ./scripts/peers/setup.sh "$peers"; }

# LibTorch comes with the Python package.
torch=$("$peers/bin/python" -c 'import os, torch; print(os.path.dirname(torch.__file__))')
overhead=$root/build/release/libtorch_overhead
if [ scripts/peers/overhead.cpp -nt "$overhead" ]; then
  say "building the LibTorch program"
  c++ -O2 -std=c++20 -I"$torch/include" -I"$torch/include/torch/csrc/api/include" scripts/peers/overhead.cpp \
    -L"$torch/lib" -ltorch_cpu -lc10 -Wl,-rpath,"$torch/lib" -o "$overhead"
fi
exec python3 scripts/peers/compare.py --tern "$root/build/release/tern" --python "$peers/bin/python" --overhead "$overhead" "$@"
