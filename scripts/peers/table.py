#!/usr/bin/env python3
"""Turns alternated results into a table: table.py RESULTS.jsonl. Lines are {"side", "round", "name", "ms"}."""
import collections
import json
import platform
import statistics
import sys


def cpu():
    info = {}
    with open("/proc/cpuinfo") as f:
        for line in f:
            key, _, value = line.partition(":")
            info.setdefault(key.strip(), value.strip())
    wanted = [w for w in info.get("flags", "").split() if w in ("avx2", "fma", "avx512f", "avx512_bf16", "amx_tile", "amx_bf16")]
    return f"{info.get('model name', platform.processor())}, family {info.get('cpu family')} model {info.get('model')}, flags: {' '.join(wanted)}"


rounds = collections.defaultdict(dict)
for line in open(sys.argv[1]):
    row = json.loads(line)
    rounds[row["name"]].setdefault(row["round"], {})[row["side"]] = row["ms"]

print(f"Processor: {cpu()}\n")
print("| workload | rounds | tern ms (median) | PyTorch ms (median) | ratio: median | min | max |")
print("|---|---|---|---|---|---|---|")
for name, by_round in rounds.items():
    pairs = [r for r in by_round.values() if len(r) == 2]
    ratios = [r["torch"] / r["tern"] for r in pairs]
    print(f"| {name} | {len(pairs)} | {statistics.median(r['tern'] for r in pairs):.1f} | {statistics.median(r['torch'] for r in pairs):.1f}"
          f" | **{statistics.median(ratios):.2f}x** | {min(ratios):.2f} | {max(ratios):.2f} |")
print("\nEach round:\n")
for name, by_round in rounds.items():
    print(f"- {name}: " + "; ".join(f"{r['tern']:.0f} / {r['torch']:.0f} ms" for r in by_round.values() if len(r) == 2))
