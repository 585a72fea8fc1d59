#!/usr/bin/env python3
"""The least time that a training step of ResNet-18 (112x112, B=64) can take on a GPU, kernel by kernel: the larger of
FLOPs over the peak and bytes over the bandwidth of the data sheet. Prints the tables of docs/roofline.md, or
checks that the file it is given has them. Measures nothing.

Layers are those of models/resnet.cpp: the sums of parameters and multiply-adds must be what `tern info --arch resnet18` says.
"""
import sys
from dataclasses import dataclass

B = 64
PARAMETERS, MULTIPLY_ADDS = 11_242_176, 484_913_152


@dataclass
class Gpu:
    name: str
    tflops: dict  # dense
    gbps: float


GPUS = [Gpu("A100", {"f32": 19.5, "tf32": 156, "bf16": 312}, 2039),
        Gpu("H100", {"f32": 67, "tf32": 494.5, "bf16": 989.5}, 3350),
        Gpu("H200", {"f32": 67, "tf32": 494.5, "bf16": 989.5}, 4800),
        Gpu("B200", {"f32": 80, "tf32": 1100, "bf16": 2250}, 8000)]


@dataclass
class Kernel:
    kind: str
    flops: float = 0
    activations: float = 0  # elements read and written: 4 bytes, or 2 in bf16
    bytes: float = 0  # whatever has a fixed size
    only_bf16: bool = False

    def moved(self, precision):
        return self.activations * (2 if precision == "bf16" else 4) + self.bytes

    def parts(self, gpu, precision):
        """Seconds of its arithmetic and of its bytes; it takes the longer of the two."""
        return self.flops / gpu.tflops[precision] / 1e12, self.moved(precision) / gpu.gbps / 1e9

    def seconds(self, gpu, precision):
        return max(self.parts(gpu, precision))


class Step:
    def __init__(self):
        self.kernels, self.parameters, self.multiply_adds = [], 0, 0

    def add(self, kind, **work):
        self.kernels.append(Kernel(kind, **work))

    def conv(self, i, o, kernel, side, stride=1, photo=False):
        """Returns the side of the result."""
        out = (side - 1) // stride + 1
        x, y, w = B * side * side * i, B * out * out * o, o * kernel * kernel * i
        flops = 2.0 * B * out * out * w
        self.parameters += w
        self.multiply_adds += flops / 2 / B
        self.add("convolution forward", flops=flops, activations=x + y + w)
        if not photo:
            self.add("convolution dx", flops=flops, activations=x + y + w)
        self.add("convolution dw", flops=flops, activations=x + y + w)
        # A bf16 convolution reads a copy of the f32 filters, made at each call; dw is f32.
        for _ in range(1 if photo else 2):
            self.add("filters to bf16", bytes=6 * w, only_bf16=True)
        return out

    def norm(self, c, side, residual=False):
        n = B * side * side * c
        self.parameters += 2 * c
        mask = n / 8 if residual else 0
        self.add("batch norm statistics", activations=n)
        self.add("batch norm apply", activations=2 * n + (n if residual else 0), bytes=mask)
        self.add("batch norm backward sums", activations=2 * n, bytes=mask)
        self.add("batch norm backward apply", activations=3 * n + (n if residual else 0), bytes=mask)

    def block(self, i, o, side, stride):
        out = self.conv(i, o, 3, side, stride)
        self.norm(o, out)
        self.conv(o, o, 3, out)
        self.norm(o, out, residual=True)
        if stride != 1 or i != o:
            self.conv(i, o, 1, side, stride)
            self.norm(o, out)
        self.add("gradients that meet", activations=3 * B * side * side * i)
        return out


def training_step():
    s = Step()
    photo = B * 112 * 112 * 3
    s.add("augmentation", activations=photo, bytes=photo)
    side = s.conv(3, 64, 7, 112, 2, photo=True)
    s.norm(64, side)
    n = B * side * side * 64
    s.add("pooling", activations=n + n / 4, bytes=n / 4)
    s.add("pooling", activations=n + n / 4, bytes=n / 4)
    side //= 2
    before = 64
    for width, stride in ((64, 1), (128, 2), (256, 2), (512, 2)):
        side = s.block(before, width, side, stride)
        side = s.block(width, width, side, 1)
        before = width
    s.add("pooling", activations=B * (side * side + 1) * 512)
    s.add("pooling", activations=B * (side * side + 1) * 512)
    s.parameters += 512 * 128 + 128
    s.multiply_adds += 512 * 128
    for _ in range(3):
        s.add("linear, normalise, loss", flops=2.0 * B * 512 * 128, activations=B * (512 + 128), bytes=4 * 512 * 128)
    for _ in range(3):  # Gram matrix, mining, gradient: [64,64] and [64,128]
        s.add("linear, normalise, loss", flops=2.0 * B * B * 128, bytes=4 * (B * B + 2 * B * 128))
    assert (s.parameters, s.multiply_adds) == (PARAMETERS, MULTIPLY_ADDS), (s.parameters, s.multiply_adds)
    s.add("optimizer", bytes=20 * s.parameters)
    s.add("optimizer", bytes=4 * s.parameters)  # gradients: the norm
    return s


def table(step, precision):
    kernels = [k for k in step.kernels if precision == "bf16" or not k.only_bf16]
    h100 = GPUS[1]

    def longest_first(kind):
        return -sum(k.seconds(h100, precision) for k in kernels if k.kind == kind)

    kinds = sorted(dict.fromkeys(k.kind for k in kernels), key=longest_first)
    lines = ["| kernels | launches | GFLOP | MB | " + " | ".join(f"{g.name}, us" for g in GPUS) + " | of it FLOPs, H100 |",
             "|---|" + "---|" * (len(GPUS) + 4)]
    for kind in [*kinds, "all"]:
        chosen = [k for k in kernels if kind in (k.kind, "all")]
        parts = [k.parts(h100, precision) for k in chosen]
        share = sum(a for a, b in parts if a > b) / sum(max(p) for p in parts)
        times = [sum(k.seconds(g, precision) for k in chosen) * 1e6 for g in GPUS]
        lines.append(f"| {kind} | {len(chosen)} | {sum(k.flops for k in chosen) / 1e9:.1f} | "
                     f"{sum(k.moved(precision) for k in chosen) / 1e6:.0f} | "
                     + " | ".join(f"{t:.0f}" for t in times) + f" | {100 * share:.0f}% |")
    return lines


def page():
    step = training_step()
    lines = []
    for precision in ("f32", "tf32", "bf16"):
        lines += [f"### {precision}", "", *table(step, precision), ""]
    lines += ["### Photos a second, at most", "", "| precision | " + " | ".join(g.name for g in GPUS) + " |",
              "|---|" + "---|" * len(GPUS)]
    for precision in ("f32", "tf32", "bf16"):
        kernels = [k for k in step.kernels if precision == "bf16" or not k.only_bf16]
        rates = [B / sum(k.seconds(g, precision) for k in kernels) for g in GPUS]
        lines.append(f"| {precision} | " + " | ".join(f"{round(r, -2):,.0f}" for r in rates) + " |")
    return "\n".join(lines) + "\n"


def main():
    if len(sys.argv) == 1:
        print(page(), end="")
    elif page() not in open(sys.argv[1]).read():
        raise SystemExit(f"{sys.argv[1]}: its tables are not what {sys.argv[0]} prints")


main()
