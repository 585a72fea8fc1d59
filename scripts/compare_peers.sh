#!/usr/bin/env bash
# Compares tern with PyTorch on this machine: alternates one tern process and one PyTorch process, takes the ratio of
# each round, and writes the table to docs/measurements/. So far: the f32 training step of ResNet-18, 112x112, B=64,
# against PyTorch's best f32 mode (channels-last, fused optimizer, tuned allocator).
#   ./scripts/compare_peers.sh [--rounds N] [--seconds S] [--threads T] [--out FILE]
# TERN_PEERS names an existing virtual environment; otherwise one is made in build/peers (a few GB).
set -euo pipefail
source "$(dirname "$0")/common.sh"
rounds=7 seconds=12 threads=2 out=docs/measurements/train-resnet18.md
while [ $# -gt 0 ]; do
  case $1 in
    --rounds) rounds=$2 ;; --seconds) seconds=$2 ;; --threads) threads=$2 ;; --out) out=$2 ;;
    *) echo "error: unknown option $1"; sed -n 5,6p "$0"; exit 2 ;;
  esac
  shift 2
done

install_packages "${build_packages[@]}" python3-venv libjemalloc2
configure release
build release tern_app
peers=${TERN_PEERS:-$root/build/peers}
[ -x "$peers/bin/python" ] || { say "making the peers' environment in $peers"; ./scripts/peers/setup.sh "$peers"; }

results=$(mktemp)
json() { python3 -c "import json,sys; d=json.load(sys.stdin); print(json.dumps($1))"; }
for round in $(seq "$rounds"); do
  say "round $round of $rounds"
  ./build/release/tern bench train --models resnet18 --batch 64 --rounds 5 --seconds "$seconds" --threads "$threads" --json |
    json "{'side': 'tern', 'round': $round, 'name': 'train resnet18 112x112 B=64 f32', 'ms': d['results'][-1]['median_ms']}" |
    tee -a "$results"
  (cd scripts/peers && ./tuned.sh "$peers/bin/python" torch_train.py --model resnet18 --threads "$threads" --modes cl --budget "$seconds") |
    json "{'side': 'torch', 'round': $round, 'name': 'train resnet18 112x112 B=64 f32', 'ms': d['median_ms']}" |
    tee -a "$results"
done
{
  echo "# Training step, ResNet-18, tern against PyTorch"
  echo
  echo "$(date -u +%Y-%m-%d). Command: \`./scripts/compare_peers.sh --rounds $rounds --seconds $seconds --threads $threads\`."
  echo "One process of each side per round, alternating; PyTorch $("$peers/bin/python" -c 'import torch; print(torch.__version__)') in its best f32 mode (channels-last, fused SGD, jemalloc)."
  echo
  python3 scripts/peers/table.py "$results"
} >"$out"
rm -f "$results"
cat "$out"
