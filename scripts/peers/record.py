"""The record of a comparison: docs/measurements/peers.md and peers.svg, made from what compare.py kept."""
import html
import statistics
import subprocess

from rows import GROUPS

FLAGS = ("avx2", "fma", "avx512f", "avx512_bf16", "amx_tile", "amx_bf16")


def first_line(command):
    try:
        return subprocess.run(command, capture_output=True, text=True).stdout.splitlines()[0].strip()
    except (OSError, IndexError):
        return "unknown"


def machine(options):
    info = {}
    with open("/proc/cpuinfo") as lines:
        for line in lines:
            key, _, value = line.partition(":")
            info.setdefault(key.strip(), value.strip())
    versions = ("import torch, onnxruntime, pytorch_metric_learning as p; "
                "print('PyTorch', torch.__version__ + ', ONNX Runtime', onnxruntime.__version__ + "
                "', pytorch-metric-learning', p.__version__)")
    return {"processor": f"{info.get('model name')}, family {info.get('cpu family')}, model {info.get('model')}",
            "flags": " ".join(f for f in info.get("flags", "").split() if f in FLAGS),
            "compiler": first_line(["c++", "--version"]), "peers": first_line([options.python, "-c", versions])}


def middle(values):
    return statistics.median(values), min(values), max(values)


def rates(row, kept):
    """Of each round: what tern's fastest call reached and the peak its process found, in the unit of the row's share."""
    for r in kept["rounds"]:
        tern = r["tern"]
        if "of_peak" in tern:
            unit = "gflops" if "gflops" in tern else "gbps"
            yield unit, tern[unit] * tern["median_ms"] / tern["min_ms"], tern["peak_" + unit]


def highest_peaks(store):
    """{(processor, precision, unit): the highest peak that any process found there}"""
    found = {}
    for row in (row for group in GROUPS for row in group.rows if row.id in store["rows"]):
        kept = store["rows"][row.id]
        for unit, _, peak in rates(row, kept):
            place = (kept["machine"]["processor"], row.precision, unit)
            found[place] = max(found.get(place, 0), peak)
    return found


class Result:
    """One row with everything that was computed from its rounds; error: why there is nothing."""

    def __init__(self, row, kept, peaks):
        self.row, self.kept, self.error, self.fastest = row, kept, "", {}
        rounds = [r for r in kept["rounds"] if "missing" not in r["tern"]]
        if not rounds:
            self.error = kept["rounds"][0]["tern"]["missing"] if kept["rounds"] else "no round"
            return
        self.count = len(rounds)
        self.tern_ms = middle([r["tern"]["median_ms"] for r in rounds])
        self.values = {"ms": self.tern_ms}
        if all("ns_per_op" in r["tern"] for r in rounds):
            self.values["ns"] = middle([r["tern"]["ns_per_op"] for r in rounds])
        if all("of_peak" in r["tern"] for r in rounds):
            self.values["of_peak"] = middle([r["tern"]["of_peak"] for r in rounds])
            self.fastest["of_peak"] = max(rate / peaks[kept["machine"]["processor"], row.precision, unit]
                                          for unit, rate, _ in rates(row, kept))
        if all("tensors_mib" in r["tern"] for r in rounds):
            self.values["mib"] = middle([r["tern"]["tensors_mib"] for r in rounds])
            self.values["process_mib"] = middle([r["tern"]["process_mib"] for r in rounds])
            self.values["allocations"] = middle([r["tern"]["system_allocations"] for r in rounds])
        both = [r for r in rounds if r["peer"] and "error" not in r["peer"]]
        if both:
            self.peer_ms = middle([r["peer"]["median_ms"] for r in both])
            self.values["ratio"] = middle([r["peer"]["median_ms"] / r["tern"]["median_ms"] for r in both])
            self.fastest["ratio"] = min(r["peer"]["min_ms"] for r in both) / min(r["tern"]["min_ms"] for r in both)
            if any(g.kind == "share" for g in row.goals):
                self.peer_mib = middle([r["peer"]["peak_mib"] for r in both])
                self.values["share"] = middle([r["tern"]["process_mib"] / r["peer"]["peak_mib"] for r in both])


HIGHER_IS_BETTER = {"ratio", "of_peak"}
FORMAT = {"ratio": "{:.2f}x", "of_peak": "{:.0%}", "ms": "{:.3g} ms", "ns": "{:.0f} ns", "share": "{:.2f}x",
          "mib": "{:.0f} MiB", "allocations": "{:.3g}"}
MEANING = {"ratio": "of the peer's speed", "of_peak": "of peak", "share": "of the peer's memory", "allocations": "per step"}


def text(kind, value):
    return FORMAT[kind].format(value)


def reached(goal, value, limit):
    return limit is not None and (value >= limit if goal.kind in HIGHER_IS_BETTER else value <= limit)


def verdict(result, goal):
    if goal.kind not in result.values:
        return "not measured"
    value = result.values[goal.kind][0]
    if goal.kind in result.fastest:  # a busy machine slows one side more than the other: both measures must agree
        value = min(value, result.fastest[goal.kind])
    return "aim met" if reached(goal, value, goal.aim) else "met" if reached(goal, value, goal.must) else "**below**"


def peer_cell(result):
    kept = result.kept
    if not result.row.case:
        return ""
    if "ratio" not in result.values:
        tried = [f"{mode}: {answer['error']}" for mode, answer in kept.get("tried", {}).items() if "error" in answer]
        return "not measured: " + "; ".join(tried or ["failed in every round"])
    if "share" in result.values:
        return f"{result.peer_mib[0]:.0f} MiB ({kept['mode']})"
    if "ns" in result.values:  # the peer's case is a chain of a thousand
        return f"{result.peer_ms[0] * 1e3:.0f} ns/op ({kept['mode']})"
    return f"{milliseconds(result.peer_ms[0])} ({kept['mode']})"


def milliseconds(value):
    return f"{value:.3g} ms" if value < 1000 else f"{value:.0f} ms"


def our_cell(result):
    if "share" in result.values:
        return f"{result.values['process_mib'][0]:.0f} MiB"
    if "ns" in result.values:
        return f"{result.values['ns'][0]:.0f} ns/op"
    return milliseconds(result.tern_ms[0])


def main_table(results):
    lines = ["| workload | tern | best peer | result | must | aim | |", "|---|---|---|---|---|---|---|"]
    measured = {result.row.id: result for result in results}
    for row in (row for group in GROUPS for row in group.rows):
        title = f"{row.title} (`{row.id}`)"
        if row.id not in measured:
            goal = row.goals[0]
            lines.append(f"| {title} | | | | {text(goal.kind, goal.must)} | "
                         f"{text(goal.kind, goal.aim) if goal.aim is not None else ''} | not measured |")
            continue
        result = measured[row.id]
        if result.error:
            lines.append(f"| {title} | not measured: {result.error} | | | | | |")
            continue
        for i, goal in enumerate(result.row.goals):
            found = result.values.get(goal.kind)
            fastest = f"; fastest calls {text(goal.kind, result.fastest[goal.kind])}" if goal.kind in result.fastest else ""
            shown = (f"**{text(goal.kind, found[0])}** ({text(goal.kind, found[1])} to {text(goal.kind, found[2])}) "
                     f"{MEANING.get(goal.kind, '')}".strip() + fastest if found else "not measured")
            lines.append(f"| {title if i == 0 else ''} | {our_cell(result) if i == 0 else ''} | "
                         f"{peer_cell(result) if i == 0 else ''} | {shown} | {text(goal.kind, goal.must)} | "
                         f"{text(goal.kind, goal.aim) if goal.aim is not None else ''} | {verdict(result, goal)} |")
    return lines


def letter(i):
    return chr(ord("A") + i)


def details(results, machines):
    lines = ["| row | processor | date (UTC) | commit | rounds x seconds | threads | load at start | nice | peer's modes tried, ms |",
             "|---|---|---|---|---|---|---|---|---|"]
    for result in results:
        kept = result.kept
        tried = ", ".join(f"{mode} {answer['median_ms']:.3g}" if "error" not in answer else f"{mode} failed"
                          for mode, answer in kept.get("tried", {}).items())
        lines.append(f"| `{result.row.id}` | {letter(machines.index(kept['machine']))} | {kept['date']} | {kept['commit']} | {len(kept['rounds'])} x {kept['seconds']:g} | "
                     f"{kept['threads']} | {kept['load']:.1f} | {kept['nice']} | {tried} |")
    return lines


def peaks_line(store):
    f32 = [row.id for group in GROUPS for row in group.rows if row.precision == "f32"]
    seen = [r["tern"] for id in f32 for r in store["rows"].get(id, {"rounds": []})["rounds"] if "peak_gflops" in r["tern"]]
    if not seen:
        return ""
    flops, bytes_ = middle([s["peak_gflops"] for s in seen]), middle([s["peak_gbps"] for s in seen])
    return (f"Peaks (f32) as each process found them: {flops[0]:.0f} GFLOP/s ({flops[1]:.0f} to {flops[2]:.0f}), "
            f"{bytes_[0]:.1f} GB/s ({bytes_[1]:.1f} to {bytes_[2]:.1f}). Where they lie far apart, other programs ran beside.")


def write(store, folder):
    peaks = highest_peaks(store)
    results = [Result(row, store["rows"][row.id], peaks) for group in GROUPS for row in group.rows if row.id in store["rows"]]
    machines = []
    for result in results:
        if result.kept["machine"] not in machines:
            machines.append(result.kept["machine"])
    lines = ["# tern and its peers on this machine", "",
             "How fast are training, inference and single operations beside PyTorch, ONNX Runtime and pytorch-metric-learning,",
             "on the same processors, row by row? Command: `./scripts/compare_peers.sh` (rows one by one: `--only ROW`). Each round runs one",
             "process of each side, in alternation; a result is the median over rounds, in brackets the smallest and the",
             "largest. Beside them stands what the fastest call of all rounds gives: against the peer's fastest call, or as a share of",
             "the highest peak that any process on that processor found. A speed counts as met only if both do. The peer runs in the",
             "fastest of the modes tried. Medians of shares are of the peaks that `tern bench peaks` finds in the same process, which",
             "other programs may have kept low; convolutions count direct operations, and memory rows the bytes that must move.", "",
             *(f"Processor {letter(i)}: {m['processor']}; flags: {m['flags']}. {m['compiler']}. {m['peers']}."
               + ("  " if i + 1 < len(machines) else "") for i, m in enumerate(machines)),
             peaks_line(store), "", "![Speed as a multiple of the best peer's](peers.svg)", "", *main_table(results), "",
             "## How each row was measured", "", *details(results, machines), ""]
    (folder / "peers.md").write_text("\n".join(lines))
    (folder / "peers.svg").write_text(plot([r for r in results if not r.error and "ratio" in r.values
                                            and not any(g.kind == "share" for g in r.row.goals)]))


def plot(results):
    """Bars of the ratio on a logarithmic axis, a whisker from the smallest to the largest round, marks at must and aim."""
    import math
    left, right, top, step = 310, 700, 46, 22
    height = top + step * len(results) + 34
    goals = [(next((g for g in r.row.goals if g.kind == "ratio"), None)) for r in results]
    most = max([r.values["ratio"][2] for r in results] + [g.aim or g.must for g in goals if g] + [4])
    least = min([r.values["ratio"][1] for r in results] + [0.5])

    def x(value):
        return left + (right - left) * math.log(value / least) / math.log(most / least)

    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="780" height="{height}" viewBox="0 0 780 {height}" '
           'font-family="sans-serif" font-size="12"><rect width="780" height="100%" fill="#fff"/>',
           '<text x="12" y="20" font-size="14" fill="#222">Speed as a multiple of the best peer\'s (higher is better)</text>']
    for tick in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000):
        if least <= tick <= most:
            out.append(f'<line x1="{x(tick):.1f}" y1="{top - 8}" x2="{x(tick):.1f}" y2="{height - 28}" '
                       f'stroke="{"#444" if tick == 1 else "#ddd"}"/>'
                       f'<text x="{x(tick):.1f}" y="{height - 14}" text-anchor="middle" fill="#555">{tick:g}x</text>')
    for i, (result, goal) in enumerate(zip(results, goals)):
        ratio, low, high = result.values["ratio"]
        y = top + i * step
        a, b = sorted((x(1) if least <= 1 else left, x(ratio)))
        color = "#2a7f62" if ratio >= (goal.must if goal else 1) else "#b5543b"
        out.append(f'<text x="{left - 8}" y="{y + 13}" text-anchor="end" fill="#222">{html.escape(result.row.title)}</text>'
                   f'<rect x="{a:.1f}" y="{y + 3}" width="{b - a:.1f}" height="12" fill="{color}" fill-opacity="0.75"/>'
                   f'<line x1="{x(low):.1f}" y1="{y + 9}" x2="{x(high):.1f}" y2="{y + 9}" stroke="#222"/>'
                   f'<text x="{right + 10}" y="{y + 13}" fill="#222">{ratio:.2f}x</text>')
        for value, dash in ((goal.must, ""), (goal.aim, ' stroke-dasharray="2 2"')) if goal else ():
            if value is not None:
                out.append(f'<line x1="{x(value):.1f}" y1="{y}" x2="{x(value):.1f}" y2="{y + 18}" stroke="#1b4f9c" '
                           f'stroke-width="2"{dash}/>')
    out.append(f'<text x="{left}" y="36" fill="#1b4f9c">| must   &#8942; aim</text></svg>')
    return "\n".join(out) + "\n"
