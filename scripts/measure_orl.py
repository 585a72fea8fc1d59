#!/usr/bin/env python3
"""ORL faces: trains on s1-s20, judges s21-s40, and the reverse; then the three-photo check on 1,000 trios.

    python3 scripts/measure_orl.py ORL_FOLDER [--trios-only RUN_A RUN_B] [-- flags of tern train]

Runs build/release/tern; writes its runs under runs/orl. Prints a Markdown table for docs/measurements/orl.md.
"""
import json
import os
import random
import subprocess
import sys
import time

TERN = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "build", "release", "tern")
RECIPE = ("--channels 1 --image-size 64 --crop 1.2174 --batch-p 16 --batch-k 4 --mining batch-all --max-steps 800 --lr 1e-3 "
          "--weight-decay 0.3 --val-split 0").split()


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


def main():
    data, flags = sys.argv[1], sys.argv[2:] or RECIPE
    os.makedirs("runs/orl", exist_ok=True)
    halves = {"a": list(range(1, 21)), "b": list(range(21, 41))}
    lists = {side: people(numbers, f"runs/orl/{side}.txt") for side, numbers in halves.items()}
    print(f"`tern train {' '.join(flags)}`\n")
    print("| trained on | judged on | seconds | AUC | rank-1 | accuracy | raw pixels AUC / rank-1 | d_ap < d_an | same_person right"
          " | negative_is_other right | satisfied | satisfied when swapped |\n" + "|---" * 12 + "|")
    rows = []
    for side, other in (("a", "b"), ("b", "a")):
        begin = time.time()
        name = f"orl-{side}-{int(begin)}"
        result = tern("train", "--data", data, "--identities", lists[side], "--out", "runs/orl", "--name", name, *flags)
        seconds = time.time() - begin
        model = result["last_checkpoint"]
        e = tern("evaluate", model, "--data", data, "--identities", lists[other])
        t = trios(data, halves[other], model)
        rows.append((e["auc"], e["rank1"]))
        base = e["pixel_baseline"]
        print(f"| s{halves[side][0]}-s{halves[side][-1]} | s{halves[other][0]}-s{halves[other][-1]} | {seconds:.0f} | {e['auc']:.4f} |"
              f" {e['rank1']:.4f} | {e['accuracy_mean']:.4f} | {base['auc']:.4f} / {base['rank1']:.4f} | {t[0]:.3f} | {t[1]:.3f} |"
              f" {t[2]:.3f} | {t[3]:.3f} | {t[4]} |", flush=True)
    print(f"\nAverage: AUC {sum(r[0] for r in rows) / 2:.4f}, rank-1 {sum(r[1] for r in rows) / 2:.4f}.")


if __name__ == "__main__":
    main()
