#!/usr/bin/env bash
# Everything that waits for a GPU, in one command: builds tern for the GPU of this machine, runs the CUDA tests on it, measures,
# trains from one seed on CPU and GPU, compares with PyTorch's modes, and writes the record docs/measurements/gpu.md.
#   ./scripts/gpu_check.sh [--out FILE] [--seconds S] [--no-peers]
# Without a GPU it says what it would do and ends with code 77. TERN_PEERS names an existing Python environment with PyTorch.
set -euo pipefail
source "$(dirname "$0")/common.sh"

record=docs/measurements/gpu.md seconds=1 peers_wanted=yes
while [ $# -gt 0 ]; do
  case $1 in
    --out) record=$2; shift 2 ;;
    --seconds) seconds=$2; shift 2 ;;
    --no-peers) peers_wanted=no; shift ;;
    *) sed -n 2,5p "$0"; exit 2 ;;
  esac
done

plan() {
  cat <<TEXT
On a machine with an NVIDIA GPU this would
  1. configure build/gpu for that GPU's architecture and build tern and gpu_tests
  2. run gpu_tests: the parity tests of tests/nogpu on the GPU; under compute-sanitizer, too, where it is installed
  3. run tern bench --device cuda in f32, tf32 and bf16
  4. train 20 steps from one seed on the CPU and on the GPU and compare the losses
  5. run PyTorch's five modes: eager channels-last, AMP bf16, compiled, compiled with CUDA graphs, TF32
  6. write $record with the GPU's name, driver and versions
TEXT
}
skip() { plan; echo "skipped: $1"; exit 77; }
command -v nvidia-smi >/dev/null || skip "no NVIDIA driver (nvidia-smi is not there)"
nvidia-smi -L 2>/dev/null | grep -q GPU || skip "no NVIDIA GPU is visible to nvidia-smi"
command -v nvcc >/dev/null || [ -x "${CUDACXX:-/usr/local/cuda/bin/nvcc}" ] || skip "no CUDA toolkit (nvcc is not there)"

ask() { nvidia-smi --query-gpu="$1" --format=csv,noheader -i 0; }
architecture=$(ask compute_cap | tr -d .)
say "building for sm_$architecture"
install_packages "${build_packages[@]}" libgtest-dev
cmake --preset cuda -B build/gpu -DCMAKE_CUDA_ARCHITECTURES="$architecture-real" -DTERN_TESTS=ON >/dev/null
cmake --build build/gpu -j "$jobs" --target tern_app gpu_tests -- --quiet
tern=$root/build/gpu/tern left=$root/build/gpu/check
rm -rf "$left"; mkdir -p "$left"

version_of() { "$tern" info 2>/dev/null | awk -v key="$1" '$1 == "cuda" && $2 == key { $1 = $2 = ""; sub(/^ +/, ""); print }'; }
{
  printf 'date (UTC)\t%s\n' "$(date -u '+%Y-%m-%d %H:%M')"
  printf 'commit\t%s\n' "$(git describe --always --dirty)"
  printf 'GPU\t%s, sm_%s, %s\n' "$(ask name)" "$architecture" "$(ask memory.total)"
  printf 'driver\t%s\n' "$(ask driver_version)"
  for part in driver cuDNN cuBLAS; do printf 'tern info: %s\t%s\n' "$part" "$(version_of $part)"; done
  printf 'compilers\t%s; %s\n' "$(c++ --version | head -n 1)" "$("${CUDACXX:-nvcc}" --version | sed -n 's/.*release //p')"
} >"$left/machine.tsv"

say "tests"
status=0
build/gpu/tests/nogpu/gpu_tests >"$left/gpu_tests.log" 2>&1 || status=$?
{ grep -E '^\[ +(PASSED|SKIPPED|FAILED) +\]' "$left/gpu_tests.log" || echo "gpu_tests ended with code $status"; } >"$left/tests.txt"
if sanitizer=$(command -v compute-sanitizer); then
  for tool in memcheck racecheck; do
    "$sanitizer" --tool $tool build/gpu/tests/nogpu/gpu_tests --gtest_filter='NoGpuBatchNorm*:NoGpuReduce*:NoGpuSoftmax*:NoGpuPool*' \
      >"$left/$tool.log" 2>&1 || true
    echo "compute-sanitizer $tool: $(grep -E 'ERROR SUMMARY|RACECHECK SUMMARY' "$left/$tool.log" | tail -n 1)" >>"$left/tests.txt"
  done
fi
cat "$left/tests.txt"

for precision in f32 tf32 bf16; do
  say "tern bench, $precision"
  "$tern" bench --device cuda --precision $precision --seconds "$seconds" --json >"$left/bench-$precision.json" ||
    rm -f "$left/bench-$precision.json"
done

for device in cpu cuda; do
  say "20 steps on $device"
  "$tern" train --device $device --deterministic --synthetic-identities 32 --max-steps 20 --log-every 1 --seed 1 --val-split 0 \
    --out "$left" --name "$device" --quiet && cp "$left/$device/metrics.jsonl" "$left/train-$device.jsonl" || true
done

if [ $peers_wanted = yes ]; then
  peers=${TERN_PEERS:-$root/build/peers}
  [ -x "$peers/bin/python" ] || ./scripts/peers/setup.sh "$peers"
  if "$peers/bin/python" -c 'import torch; raise SystemExit(not torch.cuda.is_available())' 2>"$left/peers-missing.txt"; then
    for mode in eager amp_bf16 compile compile_cuda_graphs tf32; do
      say "PyTorch, $mode"
      "$peers/bin/python" scripts/peers/gpu.py --mode $mode --seconds "$seconds" resnet18 iresnet18 mobilefacenet tiny \
        >"$left/peer-$mode.jsonl" || true
    done
  else
    [ -s "$left/peers-missing.txt" ] || echo "PyTorch sees no GPU" >"$left/peers-missing.txt"
  fi
else
  echo "--no-peers was given" >"$left/peers-missing.txt"
fi
python3 scripts/peers/gpu_record.py "$left" "$record"
exit $status
