#!/usr/bin/env bash
# A kernel object compiled for AVX2 or AVX-512 may define nothing outside of its instruction set's namespace that the
# linker could keep for everybody: no weak or global symbol but those in tern::cpu::avx2 / avx512 / amx.
#   isa_symbols.sh BUILD_FOLDER        exit 77: no such objects (another architecture)
set -euo pipefail
shopt -s globstar nullglob
bad=0 seen=0
for isa in avx2 avx512 amx; do
  for object in "$1"/CMakeFiles/tern_kernels_$isa.dir/**/*.o; do
    seen=1
    leaks=$(nm -C --defined-only "$object" | awk '$2 ~ /^[WVuTDBR]$/' | grep -v "tern::cpu::$isa::" | grep -vE ' (DW\.ref|guard variable|__clang|asan|___|__odr_asan)' || true)
    if [ -n "$leaks" ]; then echo "$object:"; echo "$leaks"; bad=1; fi
  done
done
[ $seen = 1 ] || exit 77
exit $bad
