"""The `cowley` maximising images of compact models in PyTorch, as fast as PyTorch makes them without kernels of one's own. torch==2.15.0.

    ORTHOSCOPE_DATA=... python benches/peers/maximize_torch.py [--models 6] [--restarts 9] [--steps 100] [--threads 1] [--processes 1]
        [--batch 9] [--form folded|written] [--memory channels_last|contiguous] [--pad kernel|layer] [--first autograd|columns] [--compile]
        [--blur matrix|conv] [--pages huge|small] [--check]

One model after another, its restarts in one batch; the weights need no gradient; the response of an image is that of the next step's forward
pass, so that one forward and one backward pass are made a step (and one more forward pass before a blur and at the end).
`--form folded` puts the batch normalisation into the convolutions, `written` leaves it a layer. `--pad layer` pads by ZeroPad2d before the strided
convolutions (1 before, 2 after), `kernel` by a leading row and column of zeros in a 6 x 6 kernel with symmetric padding: equal, and no copy.
`--first columns`: the image's gradient in the first layer, which oneDNN computes for 16 channels where 3 are needed, as a convolution with 1 x 5
kernels to 15 channels (3 colours x 5 rows) and a sum of 5 shifted slices; `autograd` leaves it to PyTorch. `--compile` compiles each network and
the update. `--pages huge` sets PyTorch's THP_MEM_ALLOC_ENABLE. `--batch` splits the restarts.
`--models N` takes N of the models (by name, evenly spaced; all without it) and extrapolates the time of all by multiply-adds.
`--processes 2` splits the models between processes. `--check` compares 5 steps with tests/golden/synthesis_cowley.py.
Reads every model before the clock starts. Prints seconds of wall and CPU time a model, the total of all models, and images a second.
"""

import argparse
import os
import sys
import time
from pathlib import Path

import numpy as np
import scipy.ndimage as ndi
import torch
import torch._dynamo
import torch.multiprocessing as mp
import torch.nn.functional as F
from torch import nn

MEANS = torch.tensor([116.222, 109.270, 100.381]).view(1, 3, 1, 1)
SIZE = 112
KERNEL = ndi.gaussian_filter1d(np.eye(9)[4], 1.0, mode="constant")


class FirstLayer(torch.autograd.Function):
    """5 x 5 convolution with padding 2 and its gradient with respect to the image."""

    @staticmethod
    def forward(ctx, x, weight, bias, columns):
        ctx.columns = columns
        return F.conv2d(x, weight, bias, padding=2)

    @staticmethod
    def backward(ctx, g):
        t = F.conv2d(g, ctx.columns, padding=(2, 2))
        return sum(t[:, 3 * k:3 * k + 3, k:k + SIZE] for k in range(5)), None, None, None


class First(nn.Conv2d):
    def prepare(self):
        flipped = self.weight.flip(2, 3).transpose(0, 1)
        columns = flipped.permute(2, 0, 1, 3).reshape(15, self.out_channels, 1, 5)
        self.register_buffer("columns", columns.contiguous(memory_format=torch.channels_last))

    def forward(self, x):
        return FirstLayer.apply(x, self.weight, self.bias, self.columns)


class Compact(nn.Module):
    """x (n, 3, 112, 112) -> (n,)."""

    def __init__(self, state, args):
        super().__init__()
        form = args.form
        self.strides, layers = (1, 2, 2, 1, 1), []
        for i in range(5):
            name = f"layers.layer{i}"
            last = f"{name}_conv" if i == 0 else f"{name}_conv_point"
            weight, bias = state[f"{last}.weight"], state[f"{last}.bias"]
            norm = {k: state[f"{name}_bn.{k}"] for k in ("weight", "bias", "running_mean", "running_var")}
            epsilon = 1e-3 if i == 0 else 0.0
            if form == "folded":
                gain = norm["weight"] / torch.sqrt(norm["running_var"] + epsilon)
                weight, bias = weight * gain[:, None, None, None], (bias - norm["running_mean"]) * gain + norm["bias"]
            parts = []
            if i > 0:
                deep = state[f"{name}_conv_depth.weight"]
                strided, padding = self.strides[i] == 2, 2
                if strided and args.pad == "kernel":
                    deep = F.pad(deep, (1, 0, 1, 0))
                elif strided:
                    parts, padding = [nn.ZeroPad2d((1, 2, 1, 2))], 0
                parts.append(nn.Conv2d(len(deep), len(deep), deep.shape[-1], self.strides[i], padding, groups=len(deep), bias=False))
                parts[-1].weight.data = deep
            n_out, n_in, k, _ = weight.shape
            parts.append((First if i == 0 and args.first == "columns" else nn.Conv2d)(n_in, n_out, k, padding=k // 2))
            parts[-1].weight.data, parts[-1].bias.data = weight, bias
            if isinstance(parts[-1], First):
                parts[-1].prepare()
            if form == "written":
                parts.append(nn.BatchNorm2d(n_out, eps=epsilon))
                parts[-1].load_state_dict(norm, strict=False)
            layers += parts + [nn.ReLU(inplace=True)]
        self.layers = nn.Sequential(*layers)
        beta = state["layers.Beta.weight"]
        self.readout = nn.Parameter(beta.view(SIZE // 4, SIZE // 4, -1).permute(2, 0, 1).contiguous()[None])
        self.bias = nn.Parameter(state["layers.Beta.bias"])

    def forward(self, x):
        return (self.layers(x) * self.readout).sum((1, 2, 3)) + self.bias


def load(path, args):
    state = {k: v.float() for k, v in torch.load(path, weights_only=True).items()}
    model = Compact(state, args).eval().float().requires_grad_(False)
    return model.to(memory_format=torch.channels_last) if args.memory == "channels_last" else model


def multiply_adds(path):
    """Of one forward pass."""
    state = torch.load(path, weights_only=True)
    total, place = 0, SIZE * SIZE
    for i, stride in enumerate((1, 2, 2, 1, 1)):
        place //= stride * stride
        for part in ("conv",) if i == 0 else ("conv_depth", "conv_point"):
            total += place * state[f"layers.layer{i}_{part}.weight"].numel()
    return total + state["layers.Beta.weight"].numel()


def blur_matrix():
    return torch.from_numpy(ndi.gaussian_filter1d(np.eye(SIZE), 1.0, axis=0).astype(np.float32))


def blur_by_matrix(x, g=blur_matrix()):
    return g @ x @ g.T


MIRROR = torch.tensor([3, 2, 1, 0, *range(SIZE), *range(SIZE - 1, SIZE - 5, -1)])
TAPS = torch.from_numpy(KERNEL.astype(np.float32))


def blur_by_conv(x):
    x = x[:, :, MIRROR][:, :, :, MIRROR]
    x = F.conv2d(x, TAPS.view(1, 1, 9, 1).expand(3, 1, 9, 1), groups=3)
    return F.conv2d(x, TAPS.view(1, 1, 1, 9).expand(3, 1, 1, 9), groups=3)


def climb(x, g, blur):
    rms = g.square().mean((1, 2, 3), keepdim=True).sqrt()
    return torch.clamp(x + 10 * blur(g / (rms + 1e-5)), -MEANS, 255 - MEANS)


def keep(r, x, best_r, best_x):
    better = r > best_r
    return torch.where(better, r, best_r), torch.where(better[:, None, None, None], x, best_x)


def synthesise(model, x, steps, blur, climb, trace=None):
    """x: (n, 3, 112, 112), centred. Best responses and images."""
    best_r, best_x = torch.full((len(x),), -torch.inf), x
    for i in range(steps):
        x = x.detach().requires_grad_(True)
        r = model(x)
        (g,) = torch.autograd.grad(r.sum(), x)
        with torch.no_grad():
            blurred = i > 1 and (i - 1) % 50 == 0
            if i > 0 and not blurred:
                best_r, best_x = keep(r, x, best_r, best_x)
            x = climb(x.detach(), g, blur)
            if (i > 0 and i % 50 == 0) or i == steps - 1 or trace is not None:
                after = model(x)
                best_r, best_x = keep(after, x, best_r, best_x)
                if trace is not None:
                    trace.append(after)
            if i > 0 and i % 50 == 0:
                x = blur(x)
    return best_r, best_x


def starts(seed, n, memory):
    x = torch.rand(n, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(seed)) * 50 + 128 - MEANS
    return x.to(memory_format=torch.channels_last) if memory == "channels_last" else x


def paths():
    return sorted((Path(os.environ["ORTHOSCOPE_DATA"]) / "v4/data_compact_models/models_torch").glob("*.pt"))


def work(rank, args, files, queue, barrier):
    torch.set_num_threads(args.threads)
    blur = {"matrix": blur_by_matrix, "conv": blur_by_conv}[args.blur]
    torch._dynamo.config.recompile_limit = 10_000
    step = torch.compile(climb) if args.compile else climb
    models = [load(f, args) for f in files]
    synthesise(load(paths()[0], args), starts(0, args.restarts, args.memory), 2, blur, step)
    barrier.wait()
    for i, (file, model) in enumerate(zip(files, models)):
        t, c = time.perf_counter(), time.process_time()
        model = torch.compile(model) if args.compile else model
        x = starts(i, args.restarts, args.memory)
        r = torch.cat([synthesise(model, part, args.steps, blur, step)[0] for part in x.split(args.batch or len(x))])
        queue.put((file.stem, time.perf_counter() - t, time.process_time() - c, r.max().item()))
    barrier.wait()


def check(args):
    sys.path.insert(0, str(Path(__file__).parents[2] / "tests/golden"))
    import synthesis_cowley as golden
    blur = {"matrix": blur_by_matrix, "conv": blur_by_conv}[args.blur]
    file, x, trace = paths()[0], starts(0, 1, args.memory), []
    synthesise(load(file, args), x, 5, blur, climb, trace)
    state = {k: v for k, v in torch.load(file, weights_only=True).items() if v.dtype.is_floating_point}
    expected = golden.cowley(state, (x + MEANS)[0].numpy(), 1, 5, 50, torch.float64)["response"]
    print("golden", expected, "here", [round(t.item(), 7) for t in trace])
    assert np.allclose(expected, [t.item() for t in trace], rtol=1e-4)


def main():
    parser = argparse.ArgumentParser()
    for name, default in ("--models", 0), ("--restarts", 9), ("--steps", 100), ("--threads", 1), ("--processes", 1), ("--batch", 0):
        parser.add_argument(name, type=int, default=default)
    parser.add_argument("--form", choices=["folded", "written"], default="folded")
    parser.add_argument("--memory", choices=["channels_last", "contiguous"], default="channels_last")
    parser.add_argument("--pad", choices=["kernel", "layer"], default="kernel")
    parser.add_argument("--first", choices=["autograd", "columns"], default="autograd")
    parser.add_argument("--pages", choices=["huge", "small"], default="huge")
    parser.add_argument("--blur", choices=["matrix", "conv"], default="matrix")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--check", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    os.environ["THP_MEM_ALLOC_ENABLE"] = str(int(args.pages == "huge"))
    if args.check:
        return check(args)
    every = paths()
    chosen = [every[i] for i in np.unique(np.linspace(0, len(every) - 1, args.models or len(every)).round().astype(int))]
    context = mp.get_context("spawn")
    queue, barrier = context.Queue(), context.Barrier(args.processes + 1)
    workers = [context.Process(target=work, args=(k, args, chosen[k::args.processes], queue, barrier)) for k in range(args.processes)]
    for w in workers:
        w.start()
    barrier.wait()
    begun = time.perf_counter()
    rows = [queue.get() for _ in chosen]
    wall = time.perf_counter() - begun
    barrier.wait()
    for w in workers:
        w.join()
    ratio = sum(map(multiply_adds, every)) / sum(map(multiply_adds, chosen))
    for name, seconds, cpu, best in sorted(rows):
        print(f"{name}: {seconds:.2f} s, CPU {cpu:.2f} s, best {best:.4f}")
    cpu, images = sum(r[2] for r in rows), len(chosen) * args.restarts
    print(f"{args.form} {args.memory} pad {args.pad} first {args.first} blur {args.blur} pages {args.pages} batch {args.batch or args.restarts}"
          f" compile {args.compile}, {args.processes} x {args.threads} threads, {len(chosen)} models x"
          f" {args.restarts} x {args.steps}: wall {wall:.2f} s, CPU {cpu:.2f} s, {images / wall:.2f} images/s ({images / cpu:.2f} a CPU second),"
          f" {images * args.steps / wall:.0f} image steps/s; all {len(every)} models: wall {wall * ratio:.0f} s, CPU {cpu * ratio:.0f} s", flush=True)


if __name__ == "__main__":
    main()
