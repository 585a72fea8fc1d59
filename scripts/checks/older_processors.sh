#!/usr/bin/env bash
# Runs the tests of the kernels and a training step under an emulated Nehalem (SSE4.2) and Haswell (AVX2): a kernel
# that leaks newer instructions dies there.
#   older_processors.sh BUILD_FOLDER
set -euo pipefail
build=$1
for cpu in Nehalem Haswell; do
  for run in "ops_tests --gtest_filter=GradCheck.*:*Exact*" "train_tests --gtest_filter=TrainStep.*"; do
    read -r program filter <<<"$run"
    # The emulator warns about features it does not model; what counts is that every test passes.
    if ! timeout 300 qemu-x86_64 -cpu $cpu "$build/tests/$program" "$filter" >"$build/qemu.log" 2>&1; then
      tail -n 20 "$build/qemu.log"; echo "$program on $cpu failed"; exit 1
    fi
    # A filter that no test matches passes too.
    passed=$(sed -nE 's/^\[  PASSED  \] ([0-9]+) tests?\.$/\1/p' "$build/qemu.log")
    [ "${passed:-0}" -gt 0 ] || { echo "$program on $cpu: no test matches $filter"; exit 1; }
    echo "$cpu: $passed tests of $program passed"
  done
done
