#!/usr/bin/env bash
# Compares whole networks with PyTorch's on the ways that the test stage does not take: older instruction sets of this
# processor, and convolutions by direct sums. They add in other orders, and the golden vectors must hold in each.
#   golden_paths.sh BUILD_FOLDER
set -euo pipefail
build=$1
ways=("TERN_ISA=baseline" "TERN_WINOGRAD=0")
if grep -qw avx2 /proc/cpuinfo; then ways+=("TERN_ISA=avx2" "TERN_ISA=avx2 TERN_WINOGRAD=0"); fi
for way in "${ways[@]}"; do
  read -ra settings <<<"$way"
  if ! env "${settings[@]}" timeout 300 "$build/tests/golden_tests" >"$build/golden.log" 2>&1; then
    tail -n 40 "$build/golden.log"; echo "golden_tests with $way failed"; exit 1
  fi
  echo "$way: $(sed -nE 's/^\[  PASSED  \] ([0-9]+) tests?\.$/\1/p' "$build/golden.log") golden tests passed"
done
