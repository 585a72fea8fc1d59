"""Timing and memory, shared by the peers' programs. Each program measures the cases it is given, one JSON line a case.

    program.py --mode MODE --threads T --seconds S --rounds R CASE...
"""
import argparse
import gc
import json
import statistics
import time


def arguments(modes):
    parser = argparse.ArgumentParser()
    parser.add_argument("cases", nargs="+")
    parser.add_argument("--mode", choices=modes, default=modes[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--rounds", type=int, default=5)
    return parser.parse_args()


def process_mib(key):
    """VmRSS (memory of this process now) or VmHWM (the most so far)."""
    with open("/proc/self/status") as status:
        for line in status:
            if line.startswith(key + ":"):
                return int(line.split()[1]) / 1024
    return 0.0


def forget_peak():
    with open("/proc/self/clear_refs", "w") as refs:
        refs.write("5")


def time_calls(call, seconds, rounds, warm_up=2):
    """Times of single calls in ms. Calls shorter than half a millisecond are repeated within a round."""
    for _ in range(warm_up):
        begin = time.perf_counter()
        call()
        once = time.perf_counter() - begin
    repeat = max(1, int(0.0005 / max(once, 1e-8)))
    times, begin = [], time.perf_counter()
    while len(times) < rounds or time.perf_counter() - begin < seconds:
        start = time.perf_counter()
        for _ in range(repeat):
            call()
        times.append((time.perf_counter() - start) * 1e3 / repeat)
        if len(times) >= 10000:
            break
    return times


def report(case, times, **more):
    print(json.dumps({"case": case, "median_ms": statistics.median(times), "min_ms": min(times),
                      "max_ms": max(times), "rounds": len(times), **more}), flush=True)


def run(options, make):
    """make(case) gives the function to measure, or (function, extra values to report after it ran)."""
    for case in options.cases:
        try:
            made = make(case)
            call, more = made if isinstance(made, tuple) else (made, dict)
            times = time_calls(call, options.seconds, options.rounds)
            report(case, times, **more())
            del made, call, more
        except Exception as error:  # the comparison says why a row was not measured
            text = f"{type(error).__name__}: {error}".splitlines()[0]
            print(json.dumps({"case": case, "error": text[:200]}), flush=True)
        gc.collect()
