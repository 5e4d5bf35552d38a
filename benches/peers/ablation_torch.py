"""GoogLeNet without each channel of inception_4c/5x5 in PyTorch, as one writes it well: what lies before is run once,
masks are applied to the kept activations, the rest is run. Answers as benches/ablation.rs does.
"""

import argparse
import sys
import time

import torch
import torch.nn.functional as F
from torch import nn

from networks import GoogLeNet

# The block of the layer, and its channels in the concatenation: behind those of 1x1 and 3x3.
BLOCK, FIRST, WIDTH = 4, 128 + 256, 64


class Tail(nn.Module):
    """From the output of block 4c on, with the classifier."""

    def __init__(self, net):
        super().__init__()
        self.blocks, self.classifier = net.blocks[BLOCK + 1 :], nn.Linear(1024, 1000)

    def forward(self, x):
        for i, block in enumerate(self.blocks, BLOCK + 1):
            x = block(x)
            if i == 6:
                x = F.max_pool2d(x, 3, 2, ceil_mode=True)
        return self.classifier(x.mean((2, 3)))


def before(net, x):
    """Up to the output of block 4c."""
    x = F.relu(net.conv1(x))
    x = F.local_response_norm(F.max_pool2d(x, 3, 2, ceil_mode=True), 5, 1e-4, 0.75, 1.0)
    x = F.relu(net.conv2(F.relu(net.reduce(x))))
    x = F.max_pool2d(F.local_response_norm(x, 5, 1e-4, 0.75, 1.0), 3, 2, ceil_mode=True)
    for i, block in enumerate(net.blocks[: BLOCK + 1]):
        x = block(x)
        if i == 1:
            x = F.max_pool2d(x, 3, 2, ceil_mode=True)
    return x


def main():
    p = argparse.ArgumentParser()
    p.add_argument("n_images", type=int)
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--layout", choices=["nchw", "nhwc"], default="nchw")
    p.add_argument("--at-once", type=int, default=1, help="channels whose networks go together")
    p.add_argument("--compile", action="store_true")
    a = p.parse_args()
    torch.set_num_threads(a.threads)
    torch.manual_seed(0)
    layout = torch.channels_last if a.layout == "nhwc" else torch.contiguous_format
    net = GoogLeNet().eval().to(memory_format=layout)
    tail = Tail(net).eval().to(memory_format=layout)
    tail = torch.compile(tail) if a.compile else tail
    images = torch.rand(a.n_images, 3, 224, 224).to(memory_format=layout)

    @torch.inference_mode()
    def step():
        x = before(net, images)
        whole, scores = tail(x), []
        for start in range(0, WIDTH, a.at_once):
            many = x.repeat(a.at_once, 1, 1, 1) if a.at_once > 1 else x.clone()
            for k in range(a.at_once):
                many[k * a.n_images : (k + 1) * a.n_images, FIRST + start + k] = 0
            scores.append(tail(many.contiguous(memory_format=layout)))
        return whole, torch.cat(scores)

    for _ in sys.stdin:
        start = time.perf_counter()
        step()
        print((time.perf_counter() - start) * 1e3, flush=True)


if __name__ == "__main__":
    main()
