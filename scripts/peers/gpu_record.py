#!/usr/bin/env python3
"""The record of scripts/gpu_check.sh: Markdown from the files that its steps left in a folder."""
import argparse
import json
from pathlib import Path


def read(path):
    return path.read_text().strip() if path.exists() else ""


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return lines + ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows]


def bench_lines(folder):
    lines = []
    for precision in ("f32", "tf32", "bf16"):
        text = read(folder / f"bench-{precision}.json")
        if not text:
            lines += [f"`tern bench --device cuda --precision {precision}` did not get to its end.", ""]
            continue
        bench = json.loads(text)
        lines += [f"### {precision}", "", f"Yardsticks: {bench['peak_gflops']:.0f} GFLOP/s (largest product), "
                  f"{bench['peak_gbps']:.0f} GB/s (copy within its memory).", ""]
        rows = []
        for r in bench["results"]:
            if "missing" in r:
                rows.append([r["name"], "not measured: " + r["missing"], "", ""])
                continue
            rate = next((f"{r[k]:.0f} {unit}" for k, unit in (("images_per_s", "img/s"), ("gflops", "GFLOP/s"),
                                                               ("gbps", "GB/s")) if k in r), "")
            rows.append([r["name"], f"{r['median_ms']:.4g} ({r['min_ms']:.4g} to {r['max_ms']:.4g})", rate,
                         f"{100 * r['of_peak']:.0f}%" if "of_peak" in r else ""])
        lines += table(["row", "ms: median (least to most)", "rate", "of the yardstick"], rows) + [""]
    return lines


def peer_lines(folder):
    """tern's steps beside PyTorch's five modes, one table a model."""
    ours = {}
    for precision in ("f32", "tf32", "bf16"):
        text = read(folder / f"bench-{precision}.json")
        for r in json.loads(text)["results"] if text else []:
            if r["suite"] == "train" and "median_ms" in r:
                ours[r["name"].split()[1], precision] = r["median_ms"]
    theirs, versions = {}, ""
    for path in sorted(folder.glob("peer-*.jsonl")):
        mode = path.stem.removeprefix("peer-")
        for line in read(path).splitlines():
            if line.startswith("{"):
                r = json.loads(line)
                theirs[r["case"], mode] = f"{r['median_ms']:.4g}" if "median_ms" in r else "failed: " + r["error"]
                versions = f"PyTorch {r['torch']}, cuDNN {r['cudnn']}" if "torch" in r else versions
    if not theirs:
        return ["Not compared: " + (read(folder / "peers-missing.txt") or "no answer from PyTorch"), ""]
    modes = ["eager", "amp_bf16", "compile", "compile_cuda_graphs", "tf32"]
    names = sorted({name for name, _ in theirs} | {name for name, _ in ours})
    rows = [[name] + [f"{ours[name, p]:.4g}" if (name, p) in ours else "-" for p in ("f32", "tf32", "bf16")]
            + [theirs.get((name, mode), "-") for mode in modes] for name in names]
    return [versions + ". Milliseconds of a training step, B=64, median.", "",
            *table(["model", "tern f32", "tern tf32", "tern bf16"] + ["PyTorch " + m.replace("_", " ") for m in modes], rows), ""]


def losses(folder, device):
    lines = [json.loads(line) for line in read(folder / f"train-{device}.jsonl").splitlines()]
    return [line["loss"] for line in lines if line.get("type") == "step"]


def training_lines(folder):
    cpu, gpu = losses(folder, "cpu"), losses(folder, "cuda")
    if not cpu or len(cpu) != len(gpu):
        return [f"The runs do not match: {len(cpu)} steps on the CPU, {len(gpu)} on the GPU.", ""]
    apart = [abs(a - b) for a, b in zip(cpu, gpu)]
    return [f"{len(cpu)} steps from one seed: losses differ by at most {max(apart):.2e} "
            f"({apart[0]:.2e} at the first step; last losses {cpu[-1]:.6f} and {gpu[-1]:.6f}).", ""]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="what the steps left")
    parser.add_argument("out", type=Path)
    options = parser.parse_args()
    folder = options.folder
    lines = ["# The CUDA backend on a GPU", "", "Made by `./scripts/gpu_check.sh`.", "",
             *table(["what", "is"], [line.split("\t") for line in read(folder / "machine.tsv").splitlines()]), "",
             "## Tests", "", "```", read(folder / "tests.txt"), "```", "",
             "## The same seed on CPU and GPU", "", *training_lines(folder),
             "## Beside PyTorch", "", *peer_lines(folder), "## tern bench --device cuda", "", *bench_lines(folder)]
    options.out.write_text("\n".join(lines).rstrip() + "\n")
    print(f"wrote {options.out}")


main()
