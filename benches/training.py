"""A training step of the student with five layers of 100 filters: `kernels::train` against PyTorch, in turn.

    cargo bench -p orthoscope-kernels --bench training --no-run        # prints where the binary is
    python benches/training.py BINARY [PAIRS] [--compile] [--widths 100,100,100,100,100]

Both sides take some steps each in turn, so that load from elsewhere hits both; the first step of either is not counted. Ratios are
PyTorch's time over ours, pair by pair: median and quartiles. CPU seconds count only what the process itself used.
"""

import argparse
import os
import subprocess
import time

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F


class Student(nn.Module):
    def __init__(self, w):
        super().__init__()
        self.conv = nn.Conv2d(3, w[0], 5, padding=2, bias=False)
        self.norms = nn.ModuleList(nn.BatchNorm2d(c, eps=1e-3, momentum=0.01) for c in w)
        pairs, strides = list(zip(w[:4], w[1:])), (2, 2, 1, 1)
        self.deep = nn.ModuleList(
            nn.Conv2d(a, a, 5, stride=s, padding=0 if s == 2 else 2, groups=a, bias=False) for (a, _), s in zip(pairs, strides)
        )
        self.point = nn.ModuleList(nn.Conv2d(a, b, 1, bias=False) for a, b in pairs)
        self.out = nn.Linear(784 * w[4], 1)

    def forward(self, x):
        x = F.relu(self.norms[0](self.conv(x)))
        for i, (deep, point) in enumerate(zip(self.deep, self.point)):
            x = F.relu(self.norms[i + 1](point(deep(F.pad(x, (1, 2, 1, 2)) if i < 2 else x))))
        return self.out(x.permute(0, 2, 3, 1).flatten(1))


def torch_step(widths, batch, compiled):
    torch.manual_seed(0)
    net = Student(widths).to(memory_format=torch.channels_last)
    x = ((torch.rand(batch, 3, 112, 112) - 0.5) * 255).to(memory_format=torch.channels_last)
    y = torch.randn(batch, 1)
    run = torch.compile(net) if compiled else net
    optimizer = torch.optim.Adam(net.parameters(), 1e-4)

    def step():
        optimizer.zero_grad()
        ((run(x) - y) ** 2).mean().backward()
        optimizer.step()

    return step


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("binary")
    parser.add_argument("pairs", nargs="?", type=int, default=5)
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--widths", default="100,100,100,100,100")
    parser.add_argument("--batch", type=int, default=64)
    args = parser.parse_args()
    torch.set_num_threads(2)
    env = dict(os.environ, RAYON_NUM_THREADS="2")
    step = torch_step([int(w) for w in args.widths.split(",")], args.batch, args.compile)
    step()
    ours, theirs, cpu = [], [], []
    for _ in range(args.pairs):
        text = subprocess.run([args.binary, args.widths, str(args.batch), "3"], env=env, capture_output=True, text=True, check=True)
        ours.append(np.mean([float(line.split()[1]) for line in text.stdout.splitlines()[1:]]))
        start, used = time.perf_counter(), time.process_time()
        step()
        theirs.append(time.perf_counter() - start)
        cpu.append(time.process_time() - used)
    ratio = np.array(theirs) / np.array(ours)
    low, middle, high = np.percentile(ratio, [25, 50, 75])
    print(f"ours {np.median(ours):.3f} s, PyTorch {np.median(theirs):.3f} s ({np.median(cpu):.2f} CPU s)")
    print(f"ratio {middle:.2f} ({low:.2f}-{high:.2f})")


if __name__ == "__main__":
    main()
