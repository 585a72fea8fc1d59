#!/bin/sh
# Runs a compilation by nvcc and keeps what ptxas says of each kernel (-Xptxas=-v) beside the object, as
# OBJECT.ptxas, for scripts/checks/cuda_kernels.sh. Everything else that is said goes on.
#   ptxas_report.sh [ccache] nvcc ... -o OBJECT ...
object='' previous=''
for argument; do
  [ "$previous" = -o ] && object=$argument
  previous=$argument
done
[ -n "$object" ] || exec "$@"

said=$object.said report='^ptxas info|^ +[0-9]+ bytes (stack frame|cumulative stack)'
"$@" 2>"$said"; status=$?
grep -vE "$report" "$said" >&2
grep -E "$report" "$said" >"$object.ptxas"
rm -f "$said"
exit $status
