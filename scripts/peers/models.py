"""The networks of tern's models/ in PyTorch, layer for layer: same parameters, same multiply-adds."""
import torch
from torch import nn
from torch.nn import functional as F


class Normalize(nn.Module):
    def forward(self, x):
        return F.normalize(x, dim=1)


def conv_bn(inputs, outputs, kernel, stride=1, groups=1, padding=None, activation=None):
    padding = kernel // 2 if padding is None else padding
    layers = [nn.Conv2d(inputs, outputs, kernel, stride, padding, groups=groups, bias=False), nn.BatchNorm2d(outputs)]
    return nn.Sequential(*layers, *([activation] if activation is not None else []))


def relu():
    return nn.ReLU(inplace=True)


class Residual(nn.Module):
    """body(x) + path around it, then what comes after the sum."""

    def __init__(self, body, around=None, after=None):
        super().__init__()
        self.body, self.around, self.after = body, around, after

    def forward(self, x):
        total = self.body(x) + (x if self.around is None else self.around(x))
        return total if self.after is None else self.after(total)


def stages(widths, strides, block):
    blocks, inputs = [], 64
    for width, stride in zip(widths, strides):
        blocks += [block(inputs, width, stride), block(width, width, 1)]
        inputs = width
    return blocks


def around(inputs, outputs, stride):
    return conv_bn(inputs, outputs, 1, stride) if stride != 1 or inputs != outputs else None


def resnet18():
    def block(inputs, outputs, stride):
        body = nn.Sequential(conv_bn(inputs, outputs, 3, stride, activation=relu()), conv_bn(outputs, outputs, 3))
        return Residual(body, around(inputs, outputs, stride), relu())

    return nn.Sequential(conv_bn(3, 64, 7, 2, activation=relu()), nn.MaxPool2d(3, 2, 1),
                         *stages((64, 128, 256, 512), (1, 2, 2, 2), block),
                         nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 128), Normalize())


def iresnet18():
    def block(inputs, outputs, stride):
        body = nn.Sequential(nn.BatchNorm2d(inputs), conv_bn(inputs, outputs, 3, activation=nn.PReLU(outputs)),
                             conv_bn(outputs, outputs, 3, stride))
        return Residual(body, around(inputs, outputs, stride))

    return nn.Sequential(conv_bn(3, 64, 3, activation=nn.PReLU(64)),
                         *stages((64, 128, 256, 512), (2, 2, 2, 2), block),
                         nn.BatchNorm2d(512), nn.Dropout(0.0), nn.Flatten(), nn.Linear(512 * 7 * 7, 128),
                         nn.BatchNorm1d(128), Normalize())


def mobilefacenet():
    def bottleneck(inputs, outputs, stride, factor):
        wide = inputs * factor
        body = nn.Sequential(conv_bn(inputs, wide, 1, activation=nn.PReLU(wide)),
                             conv_bn(wide, wide, 3, stride, groups=wide, activation=nn.PReLU(wide)),
                             conv_bn(wide, outputs, 1))
        return Residual(body) if stride == 1 and inputs == outputs else body

    layers = [conv_bn(3, 64, 3, 2, activation=nn.PReLU(64)), conv_bn(64, 64, 3, groups=64, activation=nn.PReLU(64))]
    inputs = 64
    for factor, outputs, count, stride in ((2, 64, 5, 2), (4, 128, 1, 2), (2, 128, 6, 1), (4, 128, 1, 2), (2, 128, 2, 1)):
        for i in range(count):
            layers.append(bottleneck(inputs, outputs, stride if i == 0 else 1, factor))
            inputs = outputs
    return nn.Sequential(*layers, conv_bn(128, 512, 1, activation=nn.PReLU(512)),
                         conv_bn(512, 512, 7, groups=512, padding=0), conv_bn(512, 128, 1), nn.Flatten(), Normalize())


def tiny():
    layers, inputs = [], 1
    for width in (32, 64, 128):
        layers += [conv_bn(inputs, width, 3, activation=relu()), nn.MaxPool2d(2)]
        inputs = width
    return nn.Sequential(*layers, conv_bn(128, 128, 3, activation=relu()), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
                         nn.Linear(128, 64), Normalize())


MODELS = {"resnet18": resnet18, "iresnet18": iresnet18, "mobilefacenet": mobilefacenet, "tiny": tiny}
PHOTOS = {"tiny": (1, 64, 64)}


def photos(name, batch):
    return torch.randn(batch, *PHOTOS.get(name, (3, 112, 112)))
