#!/usr/bin/env bash
# Installs what is missing, builds everything, runs every test that this machine can run, and names each skip.
#   ./scripts/test.sh [options of ctest]
#   ./scripts/test.sh --cuda [options of ctest]     the CUDA backend without a GPU: nvcc for three architectures, its
#                                                   kernels in the emulator, plans of cuDNN; long tests with -L long
set -euo pipefail
source "$(dirname "$0")/common.sh"

preset=release targets=(all) selection=()
if [ "${1:-}" = --cuda ]; then
  shift
  cuda_toolkit || exit 77
  preset=cuda targets=(tern_app nogpu gpu_tests) selection=(-R '^nogpu_|^gpu_|^house\.cuda_')
  [[ " $* " == *" -L "* ]] || selection+=(-LE long)
fi
install_packages "${build_packages[@]}" libgtest-dev clang-format-14 binutils git
settings=(-DTERN_TESTS=ON)
[ -z "${CI:-}" ] || settings+=(-DTERN_UNITY=ON)  # built once: a cache of objects would be empty
configure $preset "${settings[@]}"
build $preset "${targets[@]}"
say "running the tests"
status=0
log=build/$preset/test.log
export TERN_NOGPU_TALLY=$root/build/$preset/tally.txt
rm -f "$TERN_NOGPU_TALLY"
ctest --test-dir build/$preset --output-on-failure -j "$jobs" "${selection[@]}" "$@" >"$log" 2>&1 || status=$?
grep -E '\*\*\*|^[0-9]+% tests passed|tests failed out of|Total Test time' "$log" | grep -v 'Skipped' || true
if [ $status -ne 0 ]; then grep -vE '^ *[0-9]+/[0-9]+ Test +#.*Passed|^ +Start ' "$log" | tail -n 200; fi
if [ -e "$TERN_NOGPU_TALLY" ]; then
  say "what they went through"
  ./scripts/checks/cuda_kernels.sh build/cuda || true
  sort -u "$TERN_NOGPU_TALLY" | awk '
    $2 != "planted" { ++n[$1] }
    END {
      printf "%d kernels by name in the emulator, %d inputs compared with the CPU\n", n["kernel"], n["shape"]
      printf "%d planted faults found, %d forms of graph, %d graphs planned\n", n["fault"], n["form"], n["plan"]
    }'
fi
say "skipped"
sed -n 's/^ *[0-9]*\/[0-9]* Test *#[0-9]*: \(.*[^.]\) \.*\*\*\*Skipped.*/\1/p' "$log" >build/$preset/skipped.txt
if [ -s build/$preset/skipped.txt ]; then cat build/$preset/skipped.txt; else echo none; fi
exit $status
