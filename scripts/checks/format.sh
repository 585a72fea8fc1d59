#!/usr/bin/env bash
# Every source file is formatted by .clang-format (clang-format 14). Exit 77: the tool is not installed.
set -euo pipefail
cd "$(dirname "$0")/../.."
tool=$(command -v clang-format-14 || command -v clang-format || true)
[ -n "$tool" ] || { echo "clang-format is not installed"; exit 77; }
"$tool" --version | grep -q 'version 14' || { echo "clang-format 14 is not installed"; exit 77; }
rooms=()
for room in core ops cpu cuda nn data metrics models train apps tests; do [ -d $room ] && rooms+=("$room"); done
find "${rooms[@]}" \( -name '*.h' -o -name '*.cpp' -o -name '*.cu' -o -name '*.cuh' \) -print0 |
  xargs -0 -n 32 "$tool" --dry-run -Werror
