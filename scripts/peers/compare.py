#!/usr/bin/env python3
"""Runs tern and its peers in alternation and keeps what each round gave (scripts/compare_peers.sh calls this).

Within a round one process of each side measures the rows of a group; which side begins changes from round to round. The
peer's fastest mode is found first, by one short run of each. Results of a row replace its earlier ones in the store
(peers.json); record.py makes table and plot from it."""
import argparse
import datetime
import json
import os
import subprocess
import sys
from pathlib import Path

import record
from rows import GROUPS

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
JEMALLOC = "/usr/lib/x86_64-linux-gnu/libjemalloc.so.2"
LIMIT_S = 1200


def output_of(command):
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT).stdout.strip()


def json_lines(command, env):
    """The objects that a program printed; an error where it did not get to one."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, cwd=ROOT,
                              env={**os.environ, **env})
    except subprocess.TimeoutExpired:
        return [], f"took more than {LIMIT_S} s"
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    if done.returncode == 0:
        return lines, ""
    errors = done.stderr.strip().splitlines() or ["no message"]
    return lines, next((line for line in errors if line.startswith("error:")), errors[-1])


class Sides:
    """How each side is run."""

    def __init__(self, options):
        self.options = options

    def tern(self, group, rows, seconds):
        """{row.id: what tern bench says of it}; one process for each precision and each choice of algorithm."""
        found = {}
        for precision, winograd in sorted({(r.precision, r.winograd) for r in rows}):
            wanted = [r for r in rows if (r.precision, r.winograd) == (precision, winograd)]
            command = [self.options.tern, "bench", group.suite, "--json", "--precision", precision, "--batch", "64",
                       "--rounds", "3", "--seconds", str(seconds), "--threads", str(self.options.threads)]
            command += ["--models", group.models] if group.models else []
            command += ["--only", "|".join(sorted({r.tern for r in wanted}))]
            lines, error = json_lines(command, {} if winograd else {"TERN_WINOGRAD": "0"})
            by_name = {r["name"]: r for r in lines[0]["results"]} if lines else {}
            for row in wanted:
                result = by_name.get(row.tern, {"missing": error or "tern bench has no such row"})
                if lines and "missing" not in result:
                    result.update({k: lines[0][k] for k in ("isa", "peak_gflops", "peak_gbps")})
                found[row.id] = result
        return found

    def peer(self, group, mode, cases, seconds):
        """{case: what the peer's program says of it}"""
        plain = mode.endswith(" plain")
        if group.program == "overhead":
            command = [self.options.overhead, str(seconds), *cases]
        else:
            command = [self.options.python, str(HERE / group.program), "--mode", mode.removesuffix(" plain"), "--threads",
                       str(self.options.threads), "--seconds", str(seconds), "--rounds", "3", *cases]
        # What PyTorch's tuning guide for processors advises: jemalloc that keeps its pages, huge pages.
        env = {"OMP_NUM_THREADS": str(self.options.threads)}
        if not plain and os.path.exists(JEMALLOC):
            env.update(LD_PRELOAD=JEMALLOC, THP_MEM_ALLOC_ENABLE="1",
                       MALLOC_CONF="oversize_threshold:1,background_thread:true,metadata_thp:auto,"
                                   "dirty_decay_ms:-1,muzzy_decay_ms:-1,thp:always")
        lines, error = json_lines(command, env)
        by_case = {line["case"]: line for line in lines}
        return {case: by_case.get(case, {"error": error or "no answer"}) for case in cases}


def cost(row, result):
    """What the best mode has least of; the fastest call is what other programs disturb least."""
    return result["peak_mib"] if any(g.kind == "share" for g in row.goals) else result["min_ms"]


def best_modes(sides, group, rows, store, before):
    """{row.id: the mode that won}; what every mode gave goes into the store."""
    tried = {r.id: {} for r in rows}
    if sides.options.keep_modes:
        tried.update({r.id: before[r.id]["tried"] for r in rows if before.get(r.id, {}).get("tried")})
    modes_of = {r.id: [m for m in r.modes or group.modes if "compile" not in m or not sides.options.no_compile]
                for r in rows if r.case and not tried[r.id]}
    for mode in dict.fromkeys(m for modes in modes_of.values() for m in modes):
        asked = [r for r in rows if mode in modes_of.get(r.id, [])]
        print(f"  trying {mode}", file=sys.stderr)
        answers = sides.peer(group, mode, list(dict.fromkeys(r.case for r in asked)), max(0.3, sides.options.seconds / 3))
        for row in asked:
            tried[row.id][mode] = answers[row.case]
    best = {}
    for row in rows:
        store[row.id]["tried"] = tried[row.id]
        working = {m: a for m, a in tried[row.id].items() if "error" not in a}
        if working:
            best[row.id] = min(working, key=lambda mode: cost(row, working[mode]))
    return best


def measure(sides, group, rows, store, keep):
    options = sides.options
    commit, machine = output_of(["git", "rev-parse", "--short", "HEAD"]), record.machine(options)
    before = {row.id: store[row.id] for row in rows if row.id in store}
    for row in rows:
        store[row.id] = {"date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M"),
                         "commit": commit, "machine": machine, "seconds": options.seconds, "threads": options.threads,
                         "load": os.getloadavg()[0], "nice": os.nice(0), "rounds": []}
    # What tern does not have yet is no reason to let the peers work.
    first = sides.tern(group, rows, 0.05)
    for row in rows:
        if "missing" in first[row.id]:
            store[row.id]["rounds"].append({"tern": first[row.id], "peer": None})
    rows = [row for row in rows if "missing" not in first[row.id]]
    if not rows:
        return keep()
    best = best_modes(sides, group, rows, store, before) if group.program else {}
    for row in rows:
        store[row.id]["mode"] = best.get(row.id)
    for number in range(options.rounds):
        print(f"  round {number + 1} of {options.rounds}", file=sys.stderr)
        ours, theirs = {}, {}

        def run_tern():
            ours.update(sides.tern(group, rows, options.seconds))

        def run_peers():
            for mode in sorted(set(best.values())):
                asked = [r for r in rows if best.get(r.id) == mode]
                answers = sides.peer(group, mode, list(dict.fromkeys(r.case for r in asked)), options.seconds)
                theirs.update({r.id: answers[r.case] for r in asked})

        for side in (run_tern, run_peers) if number % 2 == 0 else (run_peers, run_tern):
            side()
        for row in rows:
            store[row.id]["rounds"].append({"tern": ours[row.id], "peer": theirs.get(row.id)})
        keep()


def parse():
    parser = argparse.ArgumentParser(prog="compare_peers.sh", description=__doc__.splitlines()[0])
    parser.add_argument("--only", action="append", default=[], help="rows whose name contains this; may be given again")
    parser.add_argument("--list", action="store_true", help="names the rows and ends")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=3, help="of measuring, for each row, side and round")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--no-compile", action="store_true", help="leaves out torch.compile, which takes minutes to begin")
    parser.add_argument("--keep-modes", action="store_true", help="the peer's fastest modes are those of the last record")
    parser.add_argument("--out", default=str(ROOT / "docs" / "measurements"), help="folder of the record")
    for name in ("tern", "python", "overhead"):
        parser.add_argument("--" + name, default="", help=argparse.SUPPRESS)
    return parser.parse_args()


def main():
    options = parse()
    wanted = [(group, [r for r in group.rows if not options.only or any(text in r.id for text in options.only)])
              for group in GROUPS]
    if options.list:
        print("\n".join(row.id for _, rows in wanted for row in rows))
        return
    path = Path(options.out) / "peers.json"
    store = json.loads(path.read_text()) if path.exists() else {"rows": {}}

    def keep():
        path.write_text(json.dumps(store, indent=1) + "\n")
        record.write(store, Path(options.out))

    sides = Sides(options)
    for group, rows in wanted:
        if not rows:
            continue
        print(f"{group.suite}: {', '.join(r.id for r in rows)}", file=sys.stderr)
        measure(sides, group, rows, store["rows"], keep)
    keep()
    print(f"wrote {path.with_name('peers.md')}")


main()
