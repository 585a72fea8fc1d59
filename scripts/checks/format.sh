#!/usr/bin/env bash
# Every source file is formatted by .clang-format (clang-format 14). Exit 77: the tool is not installed.
set -euo pipefail
cd "$(dirname "$0")/../.."
tool=$(command -v clang-format-14 || command -v clang-format || true)
[ -n "$tool" ] || { echo "clang-format is not installed"; exit 77; }
"$tool" --version | grep -q 'version 14' || { echo "clang-format 14 is not installed"; exit 77; }
find core ops cpu cuda nn data metrics models train apps tests \( -name '*.h' -o -name '*.cpp' -o -name '*.cu' -o -name '*.cuh' \) -print0 2>/dev/null |
  xargs -0 -n 32 "$tool" --dry-run -Werror
