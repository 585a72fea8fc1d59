#!/usr/bin/env python3
"""ORL faces: trains on s1-s20, judges s21-s40, and the reverse; then the three-photo check on 1,000 trios.

    python3 scripts/measure_orl.py ORL_FOLDER [--seeds 1,2,3] [--from-nothing] [--no-trios]

Both sides begin with the weights of one network trained on drawn people (no photo), unless --from-nothing. Runs
build/release/tern; writes its runs under runs/orl. Prints Markdown tables for docs/measurements/orl.md.
"""
import argparse
import json
import os
import random
import subprocess
import sys
import time

TERN = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "build", "release", "tern")
DRAWN = ("--synthetic-identities 800 --channels 1 --image-size 64 --batch-p 32 --batch-k 4 --max-steps 500 --lr 2e-3 "
         "--weight-decay 0.05 --val-split 0").split()
RECIPE = ("--channels 1 --image-size 64 --crop 1.2174 --batch-p 16 --batch-k 4 --max-steps 300 --lr 1e-3 --weight-decay 0.3 "
          "--val-split 0").split()


def tern(*args):
    return json.loads(subprocess.run([TERN, *args, "--json", "-q"], check=True, capture_output=True, text=True).stdout)


def people(numbers, path):
    with open(path, "w") as f:
        f.writelines(f"s{n}\n" for n in numbers)
    return path


def trios(data, numbers, model, count=1000, seed=1):
    """Anchor and positive: two photos of one person; negative: a photo of another. Then the two swapped."""
    draw = random.Random(seed)
    closer = same = other = satisfied = false_satisfied = 0
    for _ in range(count):
        person, stranger = draw.sample(numbers, 2)
        a, p = draw.sample(range(1, 11), 2)
        photo = lambda who, which: f"{data}/s{who}/{which}.pgm"
        anchor, positive, negative = photo(person, a), photo(person, p), photo(stranger, draw.randint(1, 10))
        v = tern("triplet", model, anchor, positive, negative)
        closer += v["d_ap"] < v["d_an"]
        same += v["same_person"]
        other += v["negative_is_other"]
        if v["satisfied"]:
            satisfied += 1
            false_satisfied += tern("triplet", model, anchor, negative, positive)["satisfied"]
    return closer / count, same / count, other / count, satisfied / count, false_satisfied


def train(name, *flags):
    begin = time.time()
    result = tern("train", "--out", "runs/orl", "--name", f"{name}-{int(begin)}", *flags)
    return result["last_checkpoint"], time.time() - begin


def measure(data, seed, options):
    """One row a side; gives AUC and rank-1 of both."""
    halves = {"a": list(range(1, 21)), "b": list(range(21, 41))}
    lists = {side: people(numbers, f"runs/orl/{side}.txt") for side, numbers in halves.items()}
    begin, before = [], 0
    if not options.from_nothing:
        drawn, before = train(f"drawn-{seed}", *DRAWN, "--seed", str(seed))
        begin = ["--init-from", drawn]
    rows = []
    for side, other in (("a", "b"), ("b", "a")):
        model, seconds = train(f"{side}-{seed}", "--data", data, "--identities", lists[side], "--seed", str(seed), *RECIPE, *begin)
        e = tern("evaluate", model, "--data", data, "--identities", lists[other])
        rows.append((e["auc"], e["rank1"]))
        base = e["pixel_baseline"]
        cells = [seed, f"s{halves[side][0]}-s{halves[side][-1]}", f"{before + seconds:.0f}", f"{e['auc']:.4f}", f"{e['rank1']:.4f}",
                 f"{e['accuracy_mean']:.4f}", f"{base['auc']:.4f}, {base['rank1']:.4f}"]
        if not options.no_trios:
            t = trios(data, halves[other], model)
            cells += [f"{share:.3f}" for share in t[:4]] + [t[4]]
        print("| " + " | ".join(map(str, cells)) + " |", flush=True)
    return rows


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("data")
    parser.add_argument("--seeds", default="1")
    parser.add_argument("--from-nothing", action="store_true")
    parser.add_argument("--no-trios", action="store_true")
    options = parser.parse_args()
    os.makedirs("runs/orl", exist_ok=True)
    if not options.from_nothing:
        print(f"`tern train {' '.join(DRAWN)}`, then with `--init-from`")
    print(f"`tern train {' '.join(RECIPE)}`\n")
    columns = ["seed", "trained on", "seconds", "AUC", "rank-1", "accuracy", "raw pixels: AUC, rank-1"]
    if not options.no_trios:
        columns += ["d_ap < d_an", "same_person right", "negative_is_other right", "satisfied", "satisfied when swapped"]
    print("| " + " | ".join(columns) + " |\n" + "|---" * len(columns) + "|")
    averages = []
    for seed in options.seeds.split(","):
        rows = measure(options.data, seed, options)
        averages.append(f"seed {seed}: AUC {sum(r[0] for r in rows) / 2:.4f}, rank-1 {sum(r[1] for r in rows) / 2:.4f}")
    print("\nAverage of both sides, " + "; ".join(averages) + ".")


if __name__ == "__main__":
    main()
