#!/usr/bin/env python3
"""Golden vectors: what PyTorch computes, for tests/golden/*_test.cpp.

    python3 tests/golden/generate.py        needs torch and safetensors; rewrites tests/golden/*.safetensors

Tensors keep PyTorch's layouts (NCHW, OIHW); the tests convert. Each file's metadata holds torch's version and, as
JSON, the options of its cases. Everything is drawn from fixed seeds; hinge values within 1e-5 of their kink are left
out, since the one-sided derivative there is a matter of taste.
"""
import json
import os

import torch
import torch.nn as nn
import torch.nn.functional as F
from safetensors.torch import save_file

HERE = os.path.dirname(os.path.abspath(__file__))
torch.set_num_threads(1)


def save(name, tensors, cases):
    tensors = {k: v.detach().contiguous().clone() for k, v in tensors.items()}
    meta = {"torch": torch.__version__, "cases": json.dumps(cases, separators=(",", ":"))}
    save_file(tensors, os.path.join(HERE, name + ".safetensors"), metadata=meta)
    print(name, len(cases), "cases", os.path.getsize(os.path.join(HERE, name + ".safetensors")), "bytes")


def leaf(*shape, scale=1.0):
    return (torch.randn(*shape) * scale).requires_grad_()


def conv2d():
    torch.manual_seed(1)
    grid = [(c, o, k, s, p, d, g, h, w, bias)
            for (c, o, g) in ((3, 8, 1), (4, 6, 2), (5, 5, 5), (6, 12, 6), (1, 4, 1), (8, 16, 1))
            for (k, s, p, d, h, w, bias) in ((1, 1, 0, 1, 5, 4, True), (3, 1, 1, 1, 6, 5, False), (3, 2, 1, 1, 7, 8, True),
                                             (3, 1, 2, 2, 6, 7, True), (5, 2, 2, 1, 6, 9, False), (2, 3, 0, 1, 7, 7, True))]
    out, cases = {}, []
    for i, (c, o, k, s, p, d, g, h, w, bias) in enumerate(grid):
        x, wt = leaf(2, c, h, w), leaf(o, c // g, k, k)
        b = leaf(o) if bias else None
        y = F.conv2d(x, wt, b, stride=s, padding=p, dilation=d, groups=g)
        dy = torch.randn_like(y)
        y.backward(dy)
        n = f"{i:02d}."
        out |= {n + "x": x, n + "w": wt, n + "y": y, n + "dy": dy, n + "dx": x.grad, n + "dw": wt.grad}
        if bias:
            out |= {n + "b": b, n + "db": b.grad}
        cases.append(dict(stride=s, padding=p, dilation=d, groups=g, bias=bias))
    save("conv2d", out, cases)


def layers():
    torch.manual_seed(2)
    out, cases = {}, []

    def case(kind, y, inputs, **options):
        n = f"{len(cases):02d}."
        dy = torch.randn_like(y)
        y.backward(dy)
        out[n + "y"], out[n + "dy"] = y, dy
        for key, value in inputs.items():
            out[n + key] = value
            if value.requires_grad:
                out[n + "d" + key] = value.grad
        cases.append(dict(kind=kind, **options))

    for kernel, stride, padding in ((2, 2, 0), (3, 2, 1), (3, 1, 1)):
        x = leaf(2, 5, 7, 9)
        case("max_pool2d", F.max_pool2d(x, kernel, stride, padding), dict(x=x), kernel=kernel, stride=stride, padding=padding)
        x = leaf(2, 5, 7, 9)
        case("avg_pool2d", F.avg_pool2d(x, kernel, stride, padding), dict(x=x), kernel=kernel, stride=stride, padding=padding)
    x = leaf(3, 6, 5, 4)
    case("global_avg_pool2d", F.adaptive_avg_pool2d(x, 1).flatten(1), dict(x=x))
    x, w, b = leaf(4, 7), leaf(5, 7), leaf(5)
    case("linear", F.linear(x, w, b), dict(x=x, w=w, b=b))
    for smoothing in (0.0, 0.1):
        for reduction in ("mean", "sum", "none"):
            x = leaf(6, 9, scale=3)
            labels = torch.randint(0, 9, (6,))
            case("cross_entropy", F.cross_entropy(x, labels, label_smoothing=smoothing, reduction=reduction),
                 dict(x=x, labels=labels), smoothing=smoothing, reduction=reduction)
    x, a = leaf(2, 3, 4, 5), (torch.rand(3) * 0.5).requires_grad_()
    case("prelu", F.prelu(x, a), dict(x=x, a=a))
    x = leaf(4, 6)
    case("normalize", F.normalize(x, dim=1), dict(x=x))
    save("layers", out, cases)


def batch_norm():
    torch.manual_seed(3)
    out, cases = {}, []
    bn = nn.BatchNorm2d(5)
    with torch.no_grad():
        bn.weight.copy_(torch.rand(5) + 0.5)
        bn.bias.copy_(torch.randn(5))
    out |= {"weight": bn.weight, "bias": bn.bias}
    for step in range(4):
        bn.train(step < 3)
        bn.zero_grad()
        x = (torch.randn(3, 5, 4, 6) * (step + 1) + step * 10).requires_grad_()
        y = bn(x)
        dy = torch.randn_like(y)
        y.backward(dy)
        n = f"{step:02d}."
        out |= {n + "x": x, n + "y": y, n + "dy": dy, n + "dx": x.grad, n + "dweight": bn.weight.grad, n + "dbias": bn.bias.grad,
                n + "running_mean": bn.running_mean, n + "running_var": bn.running_var}
        out = {k: v.detach().clone() for k, v in out.items()}
        cases.append(dict(training=step < 3))
    save("batch_norm", out, cases)


def instance_norm():
    torch.manual_seed(11)
    out, cases = {}, []
    for case, (shape, affine, eps) in enumerate((((2, 3, 4, 5), True, 1e-5), ((1, 6, 7, 3), False, 1e-5),
                                                 ((3, 8, 2, 2), True, 1e-2))):
        norm = nn.InstanceNorm2d(shape[1], affine=affine, eps=eps)
        n = f"{case:02d}."
        if affine:
            with torch.no_grad():
                norm.weight.copy_(torch.rand(shape[1]) + 0.5)
                norm.bias.copy_(torch.randn(shape[1]))
        x = (torch.randn(shape) * 2 + 3 * case).requires_grad_()
        y = norm(x)
        dy = torch.randn_like(y)
        y.backward(dy)
        out |= {n + "x": x, n + "y": y, n + "dy": dy, n + "dx": x.grad}
        if affine:
            out |= {n + "weight": norm.weight, n + "bias": norm.bias,
                    n + "dweight": norm.weight.grad, n + "dbias": norm.bias.grad}
        cases.append(dict(affine=affine, eps=eps))
    save("instance_norm", out, cases)


def triplet():
    torch.manual_seed(4)
    out, cases = {}, []
    for p in (1.0, 2.0, 3.0, float("inf")):
        for swap in (False, True):
            for reduction in ("mean", "sum", "none"):
                for margin in (0.3, 1.0):
                    a, pos, neg = leaf(12, 8), leaf(12, 8), leaf(12, 8)
                    with torch.no_grad():  # some satisfied, some not; none at the kink
                        value = F.triplet_margin_loss(a, pos, neg, margin=margin, p=p, swap=swap, reduction="none")
                        raw = F.pairwise_distance(a, pos, p) - F.pairwise_distance(a, neg, p) + margin
                        keep = raw.abs() > 1e-3
                        assert keep.sum() >= 8 and (value > 0).any()
                    a, pos, neg = (t.detach()[keep].requires_grad_() for t in (a, pos, neg))
                    y = F.triplet_margin_loss(a, pos, neg, margin=margin, p=p, swap=swap, reduction=reduction)
                    dy = torch.rand_like(y) + 0.5
                    y.backward(dy)
                    n = f"{len(cases):02d}."
                    out |= {n + "a": a, n + "p": pos, n + "n": neg, n + "y": y, n + "dy": dy, n + "da": a.grad, n + "dp": pos.grad, n + "dn": neg.grad}
                    cases.append(dict(p="inf" if p == float("inf") else p, swap=swap, reduction=reduction, margin=margin))
    save("triplet", out, cases)


def triplet_f64():
    """Losses of one small batch in double, with coincident points: what eps does shows in the last digits."""
    torch.manual_seed(3)
    points = [torch.randn(5, 4, dtype=torch.float64).round(decimals=3) for _ in range(3)]
    points[1][1] = points[0][1]  # anchor and positive coincide: the gradient is that of eps
    points[2][2] = points[0][2]
    out, cases = dict(zip("apn", points)), []
    weights = torch.arange(1, 6, dtype=torch.float64)
    for p in (1.0, 2.0, 3.0, 1.5, float("inf")):
        for swap in (False, True):
            for margin in (1.0, 4.0):
                a, pos, neg = (x.clone().requires_grad_() for x in points)
                y = F.triplet_margin_loss(a, pos, neg, margin=margin, p=p, swap=swap, reduction="none")
                (y * weights).sum().backward()
                n = f"{len(cases):02d}."
                out |= {n + "y": y, n + "da": a.grad, n + "dp": pos.grad, n + "dn": neg.grad}
                cases.append(dict(p="inf" if p == float("inf") else p, swap=swap, margin=margin))
    save("triplet_f64", out | {"dy": weights}, cases)


def optimizers():
    torch.manual_seed(5)
    settings = [("sgd", dict(lr=0.1)), ("sgd", dict(lr=0.1, momentum=0.9, weight_decay=0.01)),
                ("sgd", dict(lr=0.05, momentum=0.8, nesterov=True, weight_decay=0.001)),
                ("adamw", dict(lr=0.01)), ("adamw", dict(lr=0.02, betas=(0.8, 0.95), eps=1e-6, weight_decay=0.1))]
    out, cases = {}, []
    for i, (kind, options) in enumerate(settings):
        w = [torch.randn(7, 3).requires_grad_(), torch.randn(5).requires_grad_()]
        opt = torch.optim.SGD(w, **options) if kind == "sgd" else torch.optim.AdamW(w, **options)
        for j, t in enumerate(w):
            out[f"{i:02d}.{j}.start"] = t.detach().clone()
        for step in range(10):
            for j, t in enumerate(w):
                t.grad = torch.randn_like(t)
                out[f"{i:02d}.{j}.grad.{step}"] = t.grad.clone()
            opt.step()
            for j, t in enumerate(w):
                out[f"{i:02d}.{j}.after.{step}"] = t.detach().clone()
        cases.append(dict(kind=kind, **options))
    save("optimizers", out, cases)


class SmallNet(nn.Module):
    """conv 3->8, BN, ReLU, max pool, conv 8->16 stride 2, BN, ReLU, flatten, linear 16."""

    def __init__(self):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8)
        self.conv2, self.bn2 = nn.Conv2d(8, 16, 3, stride=2, padding=1), nn.BatchNorm2d(16)
        self.fc = nn.Linear(16 * 3 * 3, 16)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(x))), 2)
        return F.normalize(self.fc(F.relu(self.bn2(self.conv2(x))).flatten(1)), dim=1)


def siamese_training():
    torch.manual_seed(6)
    net = SmallNet()
    out = {"start." + k: v.clone() for k, v in net.state_dict().items()}
    a, p, n = torch.randn(4, 3, 12, 12), torch.randn(4, 3, 12, 12), torch.randn(4, 3, 12, 12)
    out |= {"a": a, "p": p, "n": n}
    opt = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9, weight_decay=5e-4)
    losses = []
    for _ in range(10):
        opt.zero_grad()
        ea, ep, en = net(torch.cat([a, p, n])).split(4)
        loss = F.triplet_margin_loss(ea, ep, en, margin=0.5)
        loss.backward()
        opt.step()
        losses.append(loss.detach())
    out["losses"] = torch.stack(losses)
    save("siamese_training", out, [dict(lr=0.05, momentum=0.9, weight_decay=5e-4, margin=0.5)])


def hashed(name, count, scale, offset=0.0):
    """Numbers from an integer hash of (name, index): FNV-1a of the name, then a multiply-xorshift mix. Both sides
    compute it, so the weights need not be stored."""
    h = 2166136261
    for byte in name.encode():
        h = ((h ^ byte) * 16777619) & 0xFFFFFFFF
    i = torch.arange(count, dtype=torch.int64)
    z = (i * 2654435761 + h) & 0xFFFFFFFF
    z = ((z ^ (z >> 16)) * 0x7FEB352D) & 0xFFFFFFFF
    z = ((z ^ (z >> 15)) * 0x846CA68B) & 0xFFFFFFFF
    z = z ^ (z >> 16)
    return ((z >> 8).double() * 2.0 ** -23 - 1.0) * scale + offset


class Block(nn.Module):
    def __init__(self, i, o, stride):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(i, o, 3, stride, 1, bias=False), nn.BatchNorm2d(o)
        self.conv2, self.bn2 = nn.Conv2d(o, o, 3, 1, 1, bias=False), nn.BatchNorm2d(o)
        self.downsample = nn.Sequential(nn.Conv2d(i, o, 1, stride, bias=False), nn.BatchNorm2d(o)) if stride != 1 or i != o else None

    def forward(self, x):
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(y + (self.downsample(x) if self.downsample is not None else x))


class ResNet18(nn.Module):
    """torchvision's names."""

    def __init__(self, embedding=128):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64)
        width = 64
        for i, out in enumerate((64, 128, 256, 512)):
            setattr(self, f"layer{i + 1}", nn.Sequential(Block(width, out, 1 if i == 0 else 2), Block(out, out, 1)))
            width = out
        self.fc = nn.Linear(512, embedding)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(x))), 3, 2, 1)
        for i in range(4):
            x = getattr(self, f"layer{i + 1}")(x)
        return F.normalize(self.fc(F.adaptive_avg_pool2d(x, 1).flatten(1)), dim=1)


def conv_bn(i, o, kernel, stride=1, padding=0, groups=1):
    return [nn.Conv2d(i, o, kernel, stride, padding, groups=groups, bias=False), nn.BatchNorm2d(o)]


class Tiny(nn.Module):
    def __init__(self, embedding=64):
        super().__init__()
        for k, (i, o) in enumerate(((1, 32), (32, 64), (64, 128), (128, 128))):
            conv, bn = conv_bn(i, o, 3, 1, 1)
            setattr(self, f"conv{k + 1}", conv), setattr(self, f"bn{k + 1}", bn)
        self.fc = nn.Linear(128, embedding)

    def forward(self, x):
        for k in range(4):
            x = F.relu(getattr(self, f"bn{k + 1}")(getattr(self, f"conv{k + 1}")(x)))
            x = F.max_pool2d(x, 2) if k < 3 else F.adaptive_avg_pool2d(x, 1).flatten(1)
        return F.normalize(self.fc(x), dim=1)


class IBlock(nn.Module):
    def __init__(self, i, o, stride):
        super().__init__()
        self.bn1 = nn.BatchNorm2d(i)
        self.conv1, self.bn2 = conv_bn(i, o, 3, 1, 1)
        self.prelu = nn.PReLU(o)
        self.conv2, self.bn3 = conv_bn(o, o, 3, stride, 1)
        self.downsample = nn.Sequential(*conv_bn(i, o, 1, stride)) if stride != 1 or i != o else None

    def forward(self, x):
        y = self.bn3(self.conv2(self.prelu(self.bn2(self.conv1(self.bn1(x))))))
        return y + (self.downsample(x) if self.downsample is not None else x)


class IResNet18(nn.Module):
    """InsightFace's names."""

    def __init__(self, size=112, embedding=128):
        super().__init__()
        self.conv1, self.bn1 = conv_bn(3, 64, 3, 1, 1)
        self.prelu = nn.PReLU(64)
        width = 64
        for i, out in enumerate((64, 128, 256, 512)):
            setattr(self, f"layer{i + 1}", nn.Sequential(IBlock(width, out, 2), IBlock(out, out, 1)))
            width = out
        self.bn2 = nn.BatchNorm2d(512)
        self.fc = nn.Linear(512 * ((size + 15) // 16) ** 2, embedding)
        self.features = nn.BatchNorm1d(embedding)

    def forward(self, x):
        x = self.prelu(self.bn1(self.conv1(x)))
        for i in range(4):
            x = getattr(self, f"layer{i + 1}")(x)
        return F.normalize(self.features(self.fc(self.bn2(x).flatten(1))), dim=1)


class ConvBlock(nn.Module):
    def __init__(self, i, o, kernel, stride=1, padding=0, groups=1, linear=False):
        super().__init__()
        self.conv, self.bn = conv_bn(i, o, kernel, stride, padding, groups)
        self.prelu = nn.Identity() if linear else nn.PReLU(o)

    def forward(self, x):
        return self.prelu(self.bn(self.conv(x)))


class Bottleneck(nn.Module):
    def __init__(self, i, o, stride, expansion):
        super().__init__()
        e = i * expansion
        self.residual = stride == 1 and i == o
        self.conv = nn.Sequential(*conv_bn(i, e, 1), nn.PReLU(e), *conv_bn(e, e, 3, stride, 1, e), nn.PReLU(e), *conv_bn(e, o, 1))

    def forward(self, x):
        return x + self.conv(x) if self.residual else self.conv(x)


class MobileFaceNet(nn.Module):
    def __init__(self, size=112, embedding=128):
        super().__init__()
        self.conv1, self.dw_conv1 = ConvBlock(3, 64, 3, 2, 1), ConvBlock(64, 64, 3, 1, 1, 64)
        blocks, i = [], 64
        for t, o, n, s in ((2, 64, 5, 2), (4, 128, 1, 2), (2, 128, 6, 1), (4, 128, 1, 2), (2, 128, 2, 1)):
            for k in range(n):
                blocks.append(Bottleneck(i, o, s if k == 0 else 1, t))
                i = o
        self.blocks = nn.Sequential(*blocks)
        self.conv2 = ConvBlock(128, 512, 1)
        self.linear7 = ConvBlock(512, 512, (size + 15) // 16, groups=512, linear=True)
        self.linear1 = ConvBlock(512, embedding, 1, linear=True)

    def forward(self, x):
        return F.normalize(self.linear1(self.linear7(self.conv2(self.blocks(self.dw_conv1(self.conv1(x)))))).flatten(1), dim=1)


def fill_hashed(net):
    for name, t in net.state_dict().items():
        if name.endswith("num_batches_tracked"):
            continue
        if name.endswith("running_var") or (name.endswith(".weight") and t.dim() == 1):
            value = hashed(name, t.numel(), 0.25, 1.0)
        elif t.dim() == 1:
            value = hashed(name, t.numel(), 0.1)
        else:
            value = hashed(name, t.numel(), (3.0 / t[0].numel()) ** 0.5)
        t.copy_(value.float().double().view_as(t))


class Kinks:
    """While it is held, keeps the values whose rounding decides which way a gradient goes: what activations compare
    with 0, and the lead of a pooling window's maximum."""

    def __enter__(self):
        self.leads, self.before = [], (F.relu, F.prelu, F.max_pool2d)
        relu, prelu, max_pool2d = self.before

        def noted_relu(x, *rest):
            self.leads.append(x.detach().abs().flatten())
            return relu(x, *rest)

        def noted_prelu(x, *rest):
            self.leads.append(x.detach().abs().flatten())
            return prelu(x, *rest)

        def noted_max_pool2d(x, kernel, stride=None, padding=0):
            border = F.pad(x.detach(), [padding] * 4, value=-1e9)
            windows = F.unfold(border.flatten(0, 1).unsqueeze(1), kernel, stride=stride or kernel)
            first, second = windows.topk(2, dim=1).values.unbind(1)
            self.leads.append((first - second)[first > 0].flatten())  # behind a ReLU, zeros tie without harm
            return max_pool2d(x, kernel, stride, padding)

        F.relu, F.prelu, F.max_pool2d = noted_relu, noted_prelu, noted_max_pool2d
        return self

    def __exit__(self, *_):
        F.relu, F.prelu, F.max_pool2d = self.before


def clearance(make, x):
    """How far the nearest kink of a training pass is, in multiples of the largest error of f32 in that layer."""
    passes = []
    for dtype in (torch.float64, torch.float32):
        net = make().double()
        fill_hashed(net)
        with torch.no_grad(), Kinks() as kinks:
            net.to(dtype).train()(x.to(dtype))
        passes.append([lead.double() for lead in kinks.leads])
    return min((exact.min() / (exact[:n] - rounded[:n]).abs().max()).item()
               for exact, rounded in zip(*passes) for n in [min(len(exact), len(rounded))])


def hashed_photos(name, count, channels, size):
    return hashed(name, count * channels * size**2, 1.0).float().double().view(count, channels, size, size)


def find_photos(make, channels, size, attempts=200):
    """The name of hashed photos on which rounding turns no gradient another way, as far as there are any."""
    names = [f"photos{i}" for i in range(attempts)]
    return max(names, key=lambda name: clearance(make, hashed_photos(name, 8, channels, size)))


def embeddings(name, make, channels, size, training_size, photos, watched):
    """Hashed weights and photos: the embedding of two photos at the native size; in training mode, on 8 small photos,
    the embedding and the gradients of some parameters."""
    net = make(size).double().eval()
    fill_hashed(net)
    with torch.no_grad():
        out = {"y": net(hashed_photos("input", 2, channels, size))}
    net = make(training_size).double().train()
    fill_hashed(net)
    x = hashed_photos(photos, 8, channels, training_size)
    print(f"{name}: the nearest kink is {clearance(lambda: make(training_size), x):.2g} times the error of f32 away")
    y = net(x)
    dy = hashed("dy", y.numel(), 1.0).float().double().view_as(y)
    y.backward(dy)
    out["training.y"] = y.float()
    parameters = dict(net.named_parameters())
    for p in watched:
        out["training.d." + p] = parameters[p].grad.float()
    case = dict(size=size, training_size=training_size, training_photos=photos,
                parameters=sum(p.numel() for p in make(size).parameters()))
    save(name, out, [case])


def networks():
    # The photos of training passes: find_photos.
    embeddings("resnet18", lambda _: ResNet18(), 3, 112, 48, "photos86",
               ("bn1.weight", "bn1.bias", "layer2.0.bn2.weight", "layer4.1.bn2.bias", "fc.bias"))
    embeddings("iresnet18", IResNet18, 3, 112, 48, "photos31",
               ("bn1.weight", "prelu.weight", "layer2.0.prelu.weight", "layer2.0.downsample.1.weight",
                "layer4.1.bn1.weight", "layer4.1.bn3.weight", "features.weight"))
    embeddings("mobilefacenet", MobileFaceNet, 3, 112, 48, "photos35",
               ("conv1.conv.weight", "conv1.prelu.weight", "dw_conv1.conv.weight", "blocks.0.conv.3.weight",
                "blocks.6.conv.5.weight", "blocks.14.conv.7.weight", "linear7.conv.weight"))
    embeddings("tiny", lambda _: Tiny(), 1, 64, 32, "photos17", ("conv1.weight", "bn1.weight", "bn4.bias", "fc.bias"))


if __name__ == "__main__":
    for make in (conv2d, layers, batch_norm, instance_norm, triplet, triplet_f64, optimizers, siamese_training, networks):
        make()
