"""Adversarial images of compact models in PyTorch: 20 natural images x 20 neurons, up and down, mean |d| <= 10. torch==2.15.0, pillow.

    ORTHOSCOPE_DATA=... python benches/peers/adversarial_torch.py [--neurons 20] [--images 20] [--epsilon 10] [--steps 40] [--step 10]
        [--smooth 1|0] [--threads 1] [--batch 5] [--first autograd|columns] [--form folded|written] [--natural STATISTICS.json]

Neurons: evenly spaced among the 122 whose natural images are at hand; base images: evenly spaced among the 1200 of the neuron's recording.
A step from x, begun at the base image x0: g = +-dr/dx divided by (its RMS in that image + 1e-5), blurred with a Gaussian of 1 px (`--smooth`),
x += step g, then the exact projection onto {mean|x - x0| <= epsilon} within [0, 255] (soft threshold, bracketed Newton for its level).
The best of all x is kept. Images x 2 directions run in batches of `--batch`; otherwise as maximize_torch.py with its defaults.
Prints seconds a neuron, pairs a second (a pair: one image and one neuron, both directions), and the mean change of the response: of the best
image, of the 8-bit image (d cut towards 0, so that it keeps the budget), of white noise of mean |d| = epsilon, and of another image's
perturbation turned by 180 degrees; in SDs of the natural responses with `--natural` (JSON, {"190923_neuron0": {"sd": ...}}).
"""

import argparse
import io
import json
import os
import time
import zipfile
from pathlib import Path

import numpy as np
os.environ["THP_MEM_ALLOC_ENABLE"] = "1"
import torch  # noqa: E402
from maximize_torch import MEANS, blur_by_matrix, load, paths  # noqa: E402
from PIL import Image  # noqa: E402


def pictures(session, n):
    archive = zipfile.ZipFile(Path(os.environ["ORTHOSCOPE_DATA"]) / f"v4/data_V4_responses/images/images_{session}.zip")
    names = sorted(name for name in archive.namelist() if name.endswith(".jpg"))
    chosen = [names[i] for i in np.linspace(0, len(names) - 1, n).round().astype(int)]
    pixels = np.stack([np.asarray(Image.open(io.BytesIO(archive.read(name))).convert("RGB")) for name in chosen])
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).float().contiguous(memory_format=torch.channels_last)


def project(x, x0, epsilon, iterations=40):
    """The nearest image to x with mean|x - x0| <= epsilon and values in 0..255. Axes (n, 3, h, w), not centred."""
    v = x - x0
    size, cap = v.abs(), torch.where(v > 0, 255 - x0, x0)
    level = lambda t: torch.minimum((size - t).clamp_(min=0), cap)  # noqa: E731
    low = torch.zeros(len(x), 1, 1, 1)
    high = size.amax((1, 2, 3), keepdim=True)
    t = low
    for _ in range(iterations):
        d = level(t)
        over = d.mean((1, 2, 3), keepdim=True) - epsilon
        if bool(((over <= 0) & ((over > -1e-5 * epsilon) | (t == 0))).all()):
            break
        low, high = torch.where(over > 0, t, low), torch.where(over <= 0, t, high)
        slope = ((d > 0) & (d < cap)).float().mean((1, 2, 3), keepdim=True)
        newton = t + (over + 5e-6 * epsilon) / slope.clamp(min=1e-9)
        t = torch.where((newton > low) & (newton < high), newton, (low + high) / 2)
        t = torch.where((over <= 0) & (low == 0) & (high == 0), torch.zeros_like(t), t)
    else:
        t = high
    return x0 + torch.copysign(level(t), v)


def attack(model, base, sign, args):
    """base (n, 3, 112, 112) in 0..255, sign (n,). Best responses and images."""
    x, best_x = base, base
    best_r = torch.full((len(base),), -torch.inf)
    for i in range(args.steps + 1):
        leaf = (x - MEANS).requires_grad_(i < args.steps)
        r = model(leaf)
        better = (r * sign).detach() > best_r
        best_r, best_x = torch.where(better, (r * sign).detach(), best_r), torch.where(better[:, None, None, None], x, best_x)
        if i == args.steps:
            return best_r * sign, best_x
        (g,) = torch.autograd.grad((r * sign).sum(), leaf)
        with torch.no_grad():
            g = g / (g.square().mean((1, 2, 3), keepdim=True).sqrt() + 1e-5)
            x = project(x + args.step * (blur_by_matrix(g) if args.smooth else g), base, args.epsilon)


def noise(base, epsilon, seed):
    """White noise with mean|d| = epsilon after the clip."""
    z = torch.randn(base.shape, generator=torch.Generator().manual_seed(seed))
    low, high = torch.zeros(len(base), 1, 1, 1), torch.full((len(base), 1, 1, 1), 10 * epsilon)
    for _ in range(40):
        middle = (low + high) / 2
        over = ((base + middle * z).clamp(0, 255) - base).abs().mean((1, 2, 3), keepdim=True) > epsilon
        low, high = torch.where(over, low, middle), torch.where(over, middle, high)
    return (base + low * z).clamp(0, 255)


def main():
    parser = argparse.ArgumentParser()
    for name, default in ("--neurons", 20), ("--images", 20), ("--steps", 40), ("--threads", 1), ("--smooth", 1), ("--batch", 5):
        parser.add_argument(name, type=int, default=default)
    for name, default in ("--epsilon", 10.0), ("--step", 10.0):
        parser.add_argument(name, type=float, default=default)
    parser.add_argument("--form", choices=["folded", "written"], default="folded")
    parser.add_argument("--first", choices=["autograd", "columns"], default="autograd")
    parser.add_argument("--natural")
    args = parser.parse_args()
    args.memory, args.pad = "channels_last", "kernel"
    torch.set_num_threads(args.threads)
    natural = json.loads(Path(args.natural).read_text()) if args.natural else {}
    files = [p for p in paths() if "211022" not in p.stem]
    files = [files[i] for i in np.linspace(0, len(files) - 1, args.neurons).round().astype(int)]
    bases = {s: pictures(s, args.images) for s in ("190923", "201025")}
    models = [load(f, args) for f in files]
    sign = torch.tensor([1.0, -1.0]).repeat_interleave(args.images)
    attack(models[0], torch.cat([bases["190923"]] * 2), sign, argparse.Namespace(**vars(args) | {"steps": 1}))
    rows, achieved = [], []
    for k, (file, model) in enumerate(zip(files, models)):
        base = bases[file.stem.split("_")[2]]
        double = torch.cat([base, base])
        t, c = time.perf_counter(), time.process_time()
        parts = [attack(model, b, s, args) for b, s in zip(double.split(args.batch), sign.split(args.batch))]
        r, x = torch.cat([p[0] for p in parts]), torch.cat([p[1] for p in parts])
        seconds = time.perf_counter() - t, time.process_time() - c
        with torch.no_grad():
            start = model(double - MEANS)
            written = double + torch.trunc(x - double)
            turned = (double + (x - double).flip(2, 3).roll(1, 0)).clamp(0, 255)
            shown = [written, noise(double, args.epsilon, k), turned]
            changes = [r - start, *(model(image - MEANS) - start for image in shown)]
        achieved += [(x - double).abs().mean((1, 2, 3)).max().item(), (written - double).abs().mean((1, 2, 3)).max().item()]
        sd = natural.get(file.stem.removeprefix("compact_model_"), {}).get("sd", 1.0)
        rows.append([*seconds, *(c[half].mean().item() / sd for c in changes for half in (slice(args.images), slice(args.images, None)))])
        print(f"{file.stem}: {seconds[0]:.2f} s, CPU {seconds[1]:.2f} s, up, down: best {rows[-1][2]:+.2f} {rows[-1][3]:+.2f}, 8 bits"
              f" {rows[-1][4]:+.2f} {rows[-1][5]:+.2f}, noise {rows[-1][6]:+.3f} {rows[-1][7]:+.3f}, turned {rows[-1][8]:+.3f} {rows[-1][9]:+.3f}", flush=True)
    rows = np.array(rows)
    wall, cpu = rows[:, 0].sum(), rows[:, 1].sum()
    pairs = args.neurons * args.images
    print(f"{args.form} first {args.first} smooth {args.smooth}, {args.threads} threads, {args.neurons} neurons x {args.images} images x 2 x"
          f" {args.steps} steps: wall {wall:.2f} s, CPU {cpu:.2f} s, {pairs / wall:.2f} pairs/s, {2 * pairs * args.steps / wall:.0f} image steps/s;"
          f" largest mean|d| {max(achieved[::2]):.6f}, in 8 bits {max(achieved[1::2]):.6f}; mean change up {rows[:, 2].mean():+.2f}, down"
          f" {rows[:, 3].mean():+.2f}, 8 bits {rows[:, 4].mean():+.2f} {rows[:, 5].mean():+.2f}, noise {rows[:, 6].mean():+.3f}"
          f" {rows[:, 7].mean():+.3f}, turned {rows[:, 8].mean():+.3f} {rows[:, 9].mean():+.3f}; least up {rows[:, 2].min():+.2f}, down {rows[:, 3].max():+.2f}")


if __name__ == "__main__":
    main()
