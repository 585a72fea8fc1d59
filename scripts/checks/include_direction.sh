#!/usr/bin/env bash
# Includes point one way:  core <- ops <- cpu, cuda   ops <- nn   core, ops <- data, metrics
#                          nn, data <- models         nn, data, metrics <- train   everything <- apps, tests
# and are spelled as users spell them, "tern/room/file.h". Prints each include that breaks the rule.
set -euo pipefail
cd "$(dirname "$0")/../.."

declare -A may=(
  [core]="core"
  [ops]="core ops"
  [cpu]="core ops cpu"
  [cuda]="core ops cuda"
  [nn]="core ops nn"
  [data]="core ops data"
  [metrics]="core ops data metrics"
  [models]="core ops nn data metrics models"
  [train]="core ops nn data metrics models train"
)
bad=0
for room in "${!may[@]}"; do
  while IFS=: read -r file line text; do
    target=$(sed -E 's/.*#include *["<]tern\/([a-z_]+)\/.*/\1/' <<<"$text")
    [[ " ${may[$room]} " == *" $target "* ]] && continue
    echo "$file:$line: $room/ may not include $target/"; bad=1
  done < <(grep -rnE '#include *["<]tern/[a-z_]+/' --include='*.h' --include='*.cpp' --include='*.cu' --include='*.cuh' "$room" 2>/dev/null || true)
  while IFS= read -r hit; do
    echo "$hit: spell it \"tern/room/file.h\""; bad=1
  done < <(grep -rnE '#include *"' --include='*.h' --include='*.cpp' "$room" 2>/dev/null | grep -v '"tern/' || true)
done
exit $bad
