#!/usr/bin/env bash
# Installs what is missing, builds everything, runs every test that this machine can run, and names each skip.
#   ./scripts/test.sh [options of ctest]
set -euo pipefail
source "$(dirname "$0")/common.sh"

install_packages "${build_packages[@]}" libgtest-dev clang-format-14 binutils git
configure release -DTERN_TESTS=ON
build release all
say "running the tests"
status=0
log=build/release/test.log
ctest --test-dir build/release --output-on-failure -j "$jobs" "$@" >"$log" 2>&1 || status=$?
grep -E '\*\*\*|^[0-9]+% tests passed|tests failed out of|Total Test time' "$log" | grep -v 'Skipped' || true
if [ $status -ne 0 ]; then grep -vE '^ *[0-9]+/[0-9]+ Test +#.*Passed|^ +Start ' "$log" | tail -n 200; fi
say "skipped"
sed -n 's/^ *[0-9]*\/[0-9]* Test *#[0-9]*: \(.*[^.]\) \.*\*\*\*Skipped.*/\1/p' "$log" >build/release/skipped.txt
if [ -s build/release/skipped.txt ]; then cat build/release/skipped.txt; else echo none; fi
exit $status
