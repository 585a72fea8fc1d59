#!/usr/bin/env bash
# Every differentiable operation has a gradient check: a tape node of name OP needs TEST(GradCheck, OP) in tests/ops/.
# The pointwise formulas have one node template, and one test that runs over their typelists.
set -euo pipefail
cd "$(dirname "$0")/../.."
# Moving between devices needs a second device.
exempt=" to "
library="core ops nn data metrics models train"
bad=0
# shellcheck disable=SC2086
nodes=$(grep -rhE ': (public )?OpNode<' --include='*.cpp' $library | wc -l)
# shellcheck disable=SC2086
names=$(grep -rhoE 'string_view kName = "[a-z0-9_]+"' --include='*.cpp' $library | sed -E 's/.*"(.*)"/\1/' | sort -u)
count=$(wc -w <<<"$names")
[ "$count" -gt 20 ] || { echo "only $count tape nodes found: has their spelling changed?"; bad=1; }
[ "$count" -eq "$nodes" ] || { echo "$nodes tape nodes, but $count names of them"; bad=1; }
for op in $names; do
  [[ "$exempt" == *" $op "* ]] && continue
  grep -qE "^TEST\(GradCheck, $op\)" tests/ops/*_test.cpp || { echo "$op: no TEST(GradCheck, $op) in tests/ops/"; bad=1; }
done
for list in UnaryFormulas BinaryFormulas; do
  grep -q "for_each_formula($list{}" tests/ops/pointwise_test.cpp ||
    { echo "tests/ops/pointwise_test.cpp: no gradient checks over $list"; bad=1; }
done
exit $bad
