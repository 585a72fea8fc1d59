"""Single operations of PyTorch: products, convolutions per pass, batch norm, PReLU, pooling, optimizer.

Cases: gemm/N, conv/CHANNELS/SIZE/PASS, bn_relu, prelu, max_pool, sgd. Modes: the layout of activations."""
import torch
from torch.nn import functional as F

import measure

BATCH = 64


def layout_of(mode):
    return torch.channels_last if mode == "channels_last" else torch.contiguous_format


def gemm(mode, n):
    a, b, c = torch.randn(int(n), int(n)), torch.randn(int(n), int(n)), torch.empty(int(n), int(n))
    return lambda: torch.mm(a, b, out=c)


def conv(mode, channels, size, which):
    channels, size = int(channels), int(size)
    x = torch.randn(BATCH, channels, size, size).contiguous(memory_format=layout_of(mode))
    w = torch.randn(channels, channels, 3, 3).contiguous(memory_format=layout_of(mode))
    if which == "y":
        return lambda: F.conv2d(x, w, padding=1)
    dy = torch.randn_like(x)
    wanted = [which == "dx", which == "dw", False]
    return lambda: torch.ops.aten.convolution_backward(dy, x, w, None, [1, 1], [1, 1], [1, 1], False, [0, 0], 1, wanted)


def both_ways(mode, function, out_size=56):
    x = torch.randn(BATCH, 64, 56, 56).contiguous(memory_format=layout_of(mode)).requires_grad_()
    dy = torch.randn(BATCH, 64, out_size, out_size).contiguous(memory_format=layout_of(mode))

    def call():
        x.grad = None
        with torch.enable_grad():
            function(x).backward(dy)
    return call


def bn_relu(mode):
    norm = torch.nn.BatchNorm2d(64, track_running_stats=False)
    return both_ways(mode, lambda x: F.relu(norm(x), inplace=True))


def prelu(mode):
    activation = torch.nn.PReLU(64)
    return both_ways(mode, activation)


def max_pool(mode):
    return both_ways(mode, lambda x: F.max_pool2d(x, 3, 2, 1), 28)


def sgd(mode):
    sizes = [n for n in (2359296, 1179648, 589824, 294912, 147456, 36864) for _ in range(2 if n == 1179648 else 3)]
    parameters = [torch.randn(n, requires_grad=True) for n in sizes + [512] * 40]
    for p in parameters:
        p.grad = torch.randn_like(p)
    return torch.optim.SGD(parameters, lr=1e-4, momentum=0.9, weight_decay=5e-4, fused=True).step


CASES = {f.__name__: f for f in (gemm, conv, bn_relu, prelu, max_pool, sgd)}


def main():
    options = measure.arguments(["channels_last", "contiguous"])
    torch.set_num_threads(options.threads)
    torch.set_grad_enabled(False)

    def make(case):
        kind, *rest = case.split("/")
        with torch.enable_grad():
            return CASES[kind](options.mode, *rest)

    measure.run(options, make)


main()
