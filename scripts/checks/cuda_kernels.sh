#!/usr/bin/env bash
# Registers, shared memory and spills of every CUDA kernel, as ptxas reported them when BUILD_FOLDER was compiled,
# against docs/measurements/cuda-kernels.txt. Refused: more than 8 registers a thread (the unit in which they are
# handed out) above the table, more shared memory, a spill or local memory, a kernel that is not in the table, or is
# only there.
#   cuda_kernels.sh BUILD_FOLDER [--write]      exit 77: no kernels there, or not the table's nvcc
set -euo pipefail
cd "$(dirname "$0")/../.."
table=docs/measurements/cuda-kernels.txt
# cmake/ptxas_report.sh writes a report beside each object.
mapfile -t reports < <(grep -oE -- '-o [^ ]*/tern_cuda_kernels\.dir/[^ ]*\.cu\.o' "$1/compile_commands.json" |
  sed -e "s#^-o #$1/#" -e 's/$/.ptxas/' | sort -u)
[ ${#reports[@]} -gt 0 ] || { echo "$1 compiles no kernels"; exit 77; }
for report in "${reports[@]}"; do
  [ -e "$report" ] || { echo "$report is missing: build it first"; exit 1; }
done
nvcc=$(sed -nE 's/^set\(CMAKE_CUDA_COMPILER_VERSION "([^"]*)"\)/\1/p' "$1"/CMakeFiles/*/CMakeCUDACompiler.cmake)
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT

# Where each kernel is written, and the threads of its blocks, from its launch bounds or kBlock: "KERNEL FILE THREADS".
for source in cuda/*.cu cuda/*.cuh; do
  tr -s ' \n' ' ' <"$source" |
    { grep -oE '__global__ void (__launch_bounds__\([^)]*\) )?[a-z0-9_]+_kernel\(' || true; } |
    while read -r kernel; do
      bound=$(sed -nE 's/.*__launch_bounds__\(([A-Za-z0-9]+).*/\1/p' <<<"$kernel")
      threads=$(grep -hoE "constexpr int ${bound:-kBlock} = [0-9]+" cuda/*.h cuda/*.cuh | grep -oE '[0-9]+$' | head -n 1)
      echo "$(sed -nE 's/.* ([a-z0-9_]+_kernel)\(/\1/p' <<<"$kernel") $(basename "$source") $threads"
    done
done | sort >"$work/kernels"

# A line an instance and architecture: "SM REGISTERS SHARED LOCAL KERNEL".
awk '
  /Compiling entry function/ { split($0, part, "\047"); name = part[2]; sm = part[4] }
  /bytes stack frame/ { bytes = $1 + $5 + $9 }
  /Used [0-9]+ registers/ {
    shared = 0
    for (i = 2; i <= NF; ++i) {
      if ($i ~ /^registers/) registers = $(i - 1)
      if ($i ~ /^smem/) shared = $(i - 2)
    }
    print sm, registers, shared, bytes, name
  }' "${reports[@]}" | c++filt |
  sed -E 's/^(([^ ]+ ){4})(.*[^a-z0-9_])?([a-z0-9_]+_kernel)[<(].*/\1\4/' | sort >"$work/instances"
if grep -vE '^([^ ]+ ){4}[a-z0-9_]+_kernel$' "$work/instances"; then
  echo "names of kernels end in _kernel"; exit 1
fi
if awk '$4 > 0 { print $5 " on " $1 ": " $4 " bytes of stack or spills"; bad = 1 } END { exit !bad }' \
  "$work/instances"; then exit 1; fi

{
  echo "# Registers, static shared memory in bytes, and occupancy: the share of the threads that a multiprocessor can"
  echo "# hold, in %. From ptxas and the limits that NVIDIA publishes: calculated, not measured. Of the instances of a"
  echo "# template the largest registers and shared memory. No kernel has dynamic shared memory, spills or local memory."
  echo "# Written by scripts/checks/cuda_kernels.sh BUILD_FOLDER --write"
  echo "# nvcc $nvcc"
  awk '
    # Of a multiprocessor: warps, blocks, bytes of shared memory. Registers are 65536 everywhere, a quarter for each
    # scheduler, given to a warp in units of 256. A block takes 1 KiB of shared memory for the system.
    function occupancy(sm, threads, registers, shared,   most, blocks, bytes, warps, n) {
      most = 48; blocks = 24; bytes = 102400
      if (sm == "sm_80") { most = 64; blocks = 32; bytes = 167936 }
      if (sm == "sm_86") blocks = 16
      if (sm == "sm_90" || sm == "sm_100") { most = 64; blocks = 32; bytes = 233472 }
      warps = threads / 32
      n = int(most / warps); if (n < blocks) blocks = n
      n = int(int(16384 / (int((registers * 32 + 255) / 256) * 256)) * 4 / warps); if (n < blocks) blocks = n
      n = int(bytes / (int((shared + 127) / 128) * 128 + 1024)); if (n < blocks) blocks = n
      return int(100 * blocks * warps / most + 0.5)
    }
    FNR == NR { file[$1] = $2; threads[$1] = $3; next }
    {
      if (!(("", $1) in seen)) { seen["", $1]; sms[++architectures] = $1 }
      if ($1 == sms[1]) ++instances[$5]
      if ($2 > registers[$5, $1]) registers[$5, $1] = $2
      if ($3 > shared[$5, $1]) shared[$5, $1] = $3
    }
    END {
      heading = sprintf("%-27s%-34s%10s%9s", "# file", "kernel", "instances", "threads")
      for (a = 1; a <= architectures; ++a) heading = heading sprintf("%10s%10s%7s%11s", sms[a], "registers", "shared", "occupancy")
      print heading
      for (k in instances) {
        line = sprintf("%-27s%-34s%10d%9d", file[k], k, instances[k], threads[k])
        for (a = 1; a <= architectures; ++a) {
          r = registers[k, sms[a]]; s = shared[k, sms[a]]
          line = line sprintf("%20d%7d%11d", r, s, occupancy(sms[a], threads[k], r, s))
        }
        print line | "sort"
      }
    }' "$work/kernels" <(sort -V "$work/instances")
} >"$work/table"
awk -v nvcc="$nvcc" '!/^#/ { ++n; all += $3 } END { print n " kernels, " all " instances, nvcc " nvcc }' "$work/table"
if [ "${2:-}" = --write ]; then cp "$work/table" $table; echo "$table written"; exit 0; fi
grep -qxF "# nvcc $nvcc" $table || { echo "$table is of another nvcc"; exit 77; }

# Columns from the fifth on come in threes, one architecture each, named in the heading.
awk -v table=$table '
  /^# file/ { n = 0; for (i = 1; i <= NF; ++i) if ($i ~ /^sm_/) sm[NR == FNR, 5 + 3 * n++] = $i; next }
  /^#/ { next }
  NR == FNR {
    old[$2]
    for (i = 5; i <= NF; i += 3) { registers[$2, sm[1, i]] = $i; shared[$2, sm[1, i]] = $(i + 1) }
    next
  }
  {
    new[$2]
    if (!($2 in old)) { print $1 ": " $2 " is not in " table; bad = 1; next }
    for (i = 5; i <= NF; i += 3) {
      k = $2 SUBSEP sm[0, i]
      if (!(k in registers)) continue  # an architecture that the table has not
      if ($i > registers[k] + 8) { print $1 ": " $2 " on " sm[0, i] ": " $i " registers, were " registers[k]; bad = 1 }
      if ($(i + 1) > shared[k]) {
        print $1 ": " $2 " on " sm[0, i] ": " $(i + 1) " bytes of shared memory, were " shared[k]; bad = 1
      }
    }
  }
  END {
    for (k in old) if (!(k in new)) { print k " is in " table " and was not compiled"; bad = 1 }
    if (bad) print "hint: what is meant to change goes into the table by scripts/checks/cuda_kernels.sh BUILD_FOLDER --write"
    exit bad
  }' $table "$work/table"
