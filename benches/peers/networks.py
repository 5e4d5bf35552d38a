"""The layouts of crates/kernels/benches/layouts.rs in PyTorch: frozen random weights, batch norms folded, the same taps."""

import torch
import torch.nn.functional as F
from torch import nn


def conv(c, out, k, stride=1, padding=None, groups=1):
    layer = nn.Conv2d(c, out, k, stride, k // 2 if padding is None else padding, groups=groups)
    nn.init.uniform_(layer.weight, -(6 / (c // groups * k * k)) ** 0.5, (6 / (c // groups * k * k)) ** 0.5)
    nn.init.uniform_(layer.bias, -0.1, 0.1)
    return layer


class Inception(nn.Module):
    def __init__(self, c, one, r3, three, r5, five, proj):
        super().__init__()
        self.one, self.r3, self.three = conv(c, one, 1), conv(c, r3, 1), conv(r3, three, 3)
        self.r5, self.five, self.proj = conv(c, r5, 1), conv(r5, five, 5), conv(c, proj, 1)

    def forward(self, x):
        three = F.relu(self.three(F.relu(self.r3(x))))
        five = F.relu(self.five(F.relu(self.r5(x))))
        proj = F.relu(self.proj(F.max_pool2d(x, 3, 1, 1)))
        return torch.cat([F.relu(self.one(x)), three, five, proj], 1)


class GoogLeNet(nn.Module):
    """BVLC layout with local response normalisation; conv1, conv2 (both) and the nine inception blocks are tapped."""

    size = 224
    BLOCKS = [
        (64, 96, 128, 16, 32, 32), (128, 128, 192, 32, 96, 64), (192, 96, 208, 16, 48, 64),
        (160, 112, 224, 24, 64, 64), (128, 128, 256, 24, 64, 64), (112, 144, 288, 32, 64, 64),
        (256, 160, 320, 32, 128, 128), (256, 160, 320, 32, 128, 128), (384, 192, 384, 48, 128, 128),
    ]

    def __init__(self):
        super().__init__()
        self.conv1, self.reduce, self.conv2 = conv(3, 64, 7, 2), conv(64, 64, 1), conv(64, 192, 3)
        c, blocks = 192, []
        for b in self.BLOCKS:
            blocks.append(Inception(c, *b))
            c = b[0] + b[2] + b[4] + b[5]
        self.blocks = nn.ModuleList(blocks)

    def forward(self, x):
        a = F.relu(self.conv1(x))
        x = F.local_response_norm(F.max_pool2d(a, 3, 2, ceil_mode=True), 5, 1e-4, 0.75, 1.0)
        b = F.relu(self.reduce(x))
        c = F.relu(self.conv2(b))
        x = F.max_pool2d(F.local_response_norm(c, 5, 1e-4, 0.75, 1.0), 3, 2, ceil_mode=True)
        taps = [a, b, c]
        for i, block in enumerate(self.blocks):
            x = block(x)
            taps.append(x)
            if i in (1, 6):
                x = F.max_pool2d(x, 3, 2, ceil_mode=True)
        return taps


class SqueezeNet(nn.Module):
    """1.1; the eight fire modules are tapped."""

    size = 224
    FIRES = [(16, 64), (16, 64), (32, 128), (32, 128), (48, 192), (48, 192), (64, 256), (64, 256)]

    def __init__(self):
        super().__init__()
        self.stem, c, fires = conv(3, 64, 3, 2, 0), 64, []
        for s, e in self.FIRES:
            fires.append(nn.ModuleList([conv(c, s, 1), conv(s, e, 1), conv(s, e, 3)]))
            c = 2 * e
        self.fires = nn.ModuleList(fires)

    def forward(self, x):
        x, taps = F.relu(self.stem(x)), []
        for i, (squeeze, one, three) in enumerate(self.fires):
            if i in (0, 2, 4):
                x = F.max_pool2d(x, 3, 2, ceil_mode=True)
            q = F.relu(squeeze(x))
            x = torch.cat([F.relu(one(q)), F.relu(three(q))], 1)
            taps.append(x)
        return taps


class VGG16(nn.Module):
    """With its linear layers; the five pools and the last layer are tapped."""

    size = 224
    STAGES = [(2, 64), (2, 128), (3, 256), (3, 512), (3, 512)]

    def __init__(self):
        super().__init__()
        c, stages = 3, []
        for n, out in self.STAGES:
            layers = []
            for _ in range(n):
                layers += [conv(c, out, 3), nn.ReLU()]
                c = out
            stages.append(nn.Sequential(*layers, nn.MaxPool2d(2, 2)))
        self.stages = nn.ModuleList(stages)
        self.head = nn.Sequential(nn.Linear(25088, 4096), nn.ReLU(), nn.Linear(4096, 4096), nn.ReLU(), nn.Linear(4096, 1000))

    def forward(self, x):
        taps = []
        for stage in self.stages:
            x = stage(x)
            taps.append(x)
        return [*taps, self.head(x.flatten(1))]


class ResNet18(nn.Module):
    """Batch norms folded; the four stages are tapped."""

    size = 224

    def __init__(self):
        super().__init__()
        self.stem, c, blocks = conv(3, 64, 7, 2), 64, []
        for out, stride in [(64, 1), (128, 2), (256, 2), (512, 2)]:
            for s in (stride, 1):
                shortcut = conv(c, out, 1, 2, 0) if s == 2 else nn.Identity()
                blocks.append(nn.ModuleList([conv(c, out, 3, s), conv(out, out, 3), shortcut]))
                c = out
        self.blocks = nn.ModuleList(blocks)

    def forward(self, x):
        x, taps = F.max_pool2d(F.relu(self.stem(x)), 3, 2, 1), []
        for i, (first, second, shortcut) in enumerate(self.blocks):
            x = F.relu(second(F.relu(first(x))) + shortcut(x))
            if i % 2 == 1:
                taps.append(x)
        return taps


class Compact(nn.Module):
    """A compact model of one V4 neuron (48-60-3-3-3 filters, 112 x 112 pixels); its output is tapped."""

    size = 112

    def __init__(self):
        super().__init__()
        self.stem, c, layers = conv(3, 48, 5), 48, []
        for out, s in [(60, 2), (3, 2), (3, 1), (3, 1)]:
            margin = nn.ZeroPad2d((1, 2, 1, 2) if s == 2 else 2)
            layers += [margin, conv(c, c, 5, s, 0, groups=c), conv(c, out, 1), nn.ReLU()]
            c = out
        self.layers, self.readout = nn.Sequential(*layers), nn.Linear(3 * 28 * 28, 1)

    def forward(self, x):
        return [self.readout(self.layers(F.relu(self.stem(x))).flatten(1))]


NETWORKS = {
    "googlenet": GoogLeNet, "squeezenet": SqueezeNet, "vgg16": VGG16, "resnet18": ResNet18, "compact": Compact,
}
