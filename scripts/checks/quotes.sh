#!/usr/bin/env bash
# Code that a page of docs/ quotes is the code: after a line "`path`:" each line of the ```cpp block must follow the one before
# in that file; "..." leaves lines out.
set -euo pipefail
command -v python3 >/dev/null || { echo "python3 is not installed"; exit 77; }
cd "$(dirname "$0")/../.."
python3 - docs/*.md <<'PYTHON'
import re
import sys

quote = re.compile(r"^`([^`\n]+)`:\n```cpp\n(.*?)^```$", re.M | re.S)
bad = count = 0
for page in sys.argv[1:]:
    for path, block in quote.findall(open(page).read()):
        source = open(path).read()
        for part in block.split("...\n"):
            count += 1
            if part not in source:
                print(f"{page}: this is not in {path}:\n{part}")
                bad = 1
if count < 10:
    print(f"only {count} quotes found: has their spelling changed?")
    bad = 1
sys.exit(bad)
PYTHON
