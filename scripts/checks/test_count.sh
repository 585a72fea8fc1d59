#!/usr/bin/env bash
# The number of tests may not drop below tests/count.txt, and a skip must be in tests/skips.txt.
#   test_count.sh BUILD_FOLDER      after a run of test.sh
set -euo pipefail
cd "$(dirname "$0")/../.."
build=$1
count=$(sed -nE 's/.*tests passed.* out of ([0-9]+).*/\1/p' "$build/test.log" | tail -n 1)
[ -n "$count" ] || { echo "no closing line in $build/test.log"; exit 1; }
least=$(cat "${2:-tests/count.txt}")
echo "$count tests, at least $least expected"
[ "$count" -ge "$least" ] || { echo "tests have gone missing"; exit 1; }
bad=0
while IFS= read -r name; do
  [ -n "$name" ] || continue
  allowed=no
  while IFS='|' read -r pattern reason; do
    [[ -z "$pattern" || "$pattern" == \#* ]] && continue
    # shellcheck disable=SC2053
    [[ "$name" == $pattern ]] && allowed=yes
  done <tests/skips.txt
  [ $allowed = yes ] || { echo "skipped without permission: $name"; bad=1; }
done <"$build/skipped.txt"
exit $bad
