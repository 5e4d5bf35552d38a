"""Golden trajectories of the `cowley` method (src/synthesis): PyTorch autograd and SciPy. numpy==2.4.6, scipy==1.17.1, torch==2.15.0.

    python tests/golden/synthesis_cowley.py                       writes synthesis_cowley.npz (a made-up network, no other data)
    python tests/golden/synthesis_cowley.py --model FILE.pt --out TRAJECTORY.json [--start IMAGE.npy | --seed 1] [--direction min]
                                                                  the same for a published compact model; writes no golden file
A network of this size is chaotic: one ReLU that flips within the rounding error of f32 moves the trajectory, by 1e-2 of the response after 20
steps in some published models. So TRAJECTORY.json also holds f64_forced, whose steps each begin at an image of TRAJECTORY.npz (`from`:
(steps, 3, h, w), centred, float32): one step at a time is what an implementation can be compared in.

The loop (facts of Cowley et al.'s published procedure), for image x (3, h, w) in 0..255 minus MEANS, sign s = +1 (max) or -1 (min):

    best = -inf * s;                      the start image itself is no candidate
    for i = 0 .. steps-1:
        g = dr/dx at x
        g = g / (sqrt(mean g^2) + 1e-5)   mean over the 3 h w values of this image
        g = Gaussian(g)                   over y and x of each channel, after the division
        x = clip(x + s 10 g, 0 - MEANS, 255 - MEANS)
        r_i = r(x)                        measured after the clip and before the blur
        if s r_i > s best: keep r_i and x
        if i > 0 and i mod blur_every == 0: x = Gaussian(x)     so for 50: after the updates 51, 101, ... (i = 50, 100, ...)

The response after a blur is never a candidate; it is stored as the next step's `entry`. (The published script begins with best = 0 for a
maximum and 1e5 for a minimum, so that it returns the start image for a unit that stays below 0. Not imitated.)
Gaussian: scipy.ndimage.gaussian_filter, sigma 1 pixel, its defaults: 4 sigma = radius 4, mode "reflect" (d c b a | a b c d | d c b a).

Network: names and axes as in the published .pt files. Batch normalisation: epsilon 1e-3 in layer 0 and none in layers 1 to 4, whose
stored variance contains it. SAME padding: 2 on each side for stride 1, 1 before and 2 after for stride 2. Readout (row, column, channel).

Arrays of the archive, RUN being max, min or max_blur8: `RUN:entry` (steps,) response before each step's update; `RUN:response` (steps,) r_i;
`RUN:response_f32` the same loop in 32 bits; `RUN:rms` (steps,) of the gradient; `RUN:gradient_K` dr/dx of step K, raw; `RUN:image_K` the image
after step K (after its blur), in 0..255; `RUN:best` the kept image, `RUN:best_step`. `start` (3, h, w) in 0..255; `layers.*` the weights.
Responses are float64, images and gradients rounded to float32 at the end; all arithmetic is in 64 bits but for *_f32.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import scipy.ndimage as ndi
import torch
import torch.nn.functional as F

MEANS = np.array([116.222, 109.270, 100.381])[:, None, None]
STRIDES = (1, 2, 2, 1, 1)


def normalise(state, name, x, epsilon):
    p = {k: state[f"{name}.{k}"][:, None, None] for k in ("running_mean", "running_var", "weight", "bias")}
    return (x - p["running_mean"]) / torch.sqrt(p["running_var"] + epsilon) * p["weight"] + p["bias"]


def respond(state, x):
    """x: 1 x 3 x h x w, centred. One number."""
    for i, stride in enumerate(STRIDES):
        name = f"layers.layer{i}"
        x = F.pad(x, (2, 2, 2, 2) if stride == 1 else (1, 2, 1, 2))
        if i == 0:
            x = F.conv2d(x, state[f"{name}_conv.weight"], state[f"{name}_conv.bias"])
        else:
            x = F.conv2d(x, state[f"{name}_conv_depth.weight"], stride=stride, groups=x.shape[1])
            x = F.conv2d(x, state[f"{name}_conv_point.weight"], state[f"{name}_conv_point.bias"])
        x = F.relu(normalise(state, f"{name}_bn", x, 1e-3 if i == 0 else 0.0))
    return (x.permute(0, 2, 3, 1).reshape(-1) * state["layers.Beta.weight"][0]).sum() + state["layers.Beta.bias"][0]


def gaussian(x):
    return ndi.gaussian_filter(x, (0, 1, 1))


def update(state, x, sign, dtype):
    """One step from the centred image x: response at x, gradient, its RMS, the clipped next image, response there."""
    real = np.float64 if dtype == torch.float64 else np.float32
    as_torch = lambda x: torch.from_numpy(x)[None].to(dtype)  # noqa: E731
    means = MEANS.astype(real)
    x = x.astype(real)
    leaf = as_torch(x).requires_grad_(True)
    entry = respond(state, leaf)
    gradient = torch.autograd.grad(entry, leaf)[0][0].numpy()
    rms = np.sqrt(np.mean(gradient**2))
    x = x + real(sign * 10) * gaussian(gradient / (rms + real(1e-5)))
    x = np.clip(x, 0 - means, 255 - means).astype(real)
    with torch.no_grad():
        return entry.item(), gradient, float(rms), x, respond(state, as_torch(x)).item()


def cowley(state, start, sign, steps, blur_every, dtype, forced=None):
    """start: (3, h, w) in 0..255. The trajectory as a dictionary of arrays; with `forced`, every step begins at the given centred image."""
    state = {k: v.to(dtype) for k, v in state.items()}
    x = start.astype(np.float64) - MEANS
    out = {"entry": [], "response": [], "rms": [], "from": []}
    best = None
    for i in range(steps):
        x = x if forced is None else forced[i]
        out["from"].append(x)
        entry, gradient, rms, x, after = update(state, x, sign, dtype)
        if best is None or sign * after > sign * best:
            best, out["best"], out["best_step"] = after, x + MEANS, np.int64(i)
        if i > 0 and i % blur_every == 0:
            x = gaussian(x)
        for key, value in ("entry", entry), ("response", after), ("rms", rms):
            out[key].append(value)
        if i in (0, 9):
            out[f"gradient_{i}"] = gradient
        if i in (9, steps - 1):
            out[f"image_{i}"] = x + MEANS
    return out


def made_up(rng, filters=(8, 8, 4, 4, 3), size=32):
    """A network of the compact form with normalised activations, and a start image."""
    state, c = {}, 3
    for i, n in enumerate(filters):
        name = f"layers.layer{i}"
        if i == 0:
            state[f"{name}_conv.weight"] = rng.normal(size=(n, c, 5, 5)) / np.sqrt(25 * c) / 20
            state[f"{name}_conv.bias"] = rng.normal(size=n) / 10
        else:
            state[f"{name}_conv_depth.weight"] = rng.normal(size=(c, 1, 5, 5)) / 5
            state[f"{name}_conv_point.weight"] = rng.normal(size=(n, c, 1, 1)) / np.sqrt(c)
            state[f"{name}_conv_point.bias"] = rng.normal(size=n) / 10
        state[f"{name}_bn.weight"] = rng.uniform(0.7, 1.3, n)
        state[f"{name}_bn.bias"] = rng.normal(size=n) / 5 + 0.3
        state[f"{name}_bn.running_mean"] = rng.normal(size=n) / 5
        state[f"{name}_bn.running_var"] = rng.uniform(0.3, 1.5, n)
        c = n
    state["layers.Beta.weight"] = rng.normal(size=(1, (size // 4) ** 2 * c)) / 10
    state["layers.Beta.bias"] = rng.normal(size=1) / 10
    start = rng.uniform(128, 178, (3, size, size)).astype(np.float32)
    return {k: v.astype(np.float32) for k, v in state.items()}, start


def spread(a, b):
    """Largest difference of two trajectories over each response, and over the largest response."""
    a, b = np.array(a), np.array(b)
    return np.max(np.abs(a - b) / np.abs(a)), np.max(np.abs(a - b)) / np.max(np.abs(a))


def golden():
    state, start = made_up(np.random.default_rng(3))
    out = state | {"start": start}
    tensors = {k: torch.from_numpy(v) for k, v in state.items()}
    for run, sign, blur_every in [("max", 1, 50), ("min", -1, 50), ("max_blur8", 1, 8)]:
        double = cowley(tensors, start, sign, 20, blur_every, torch.float64)
        single = cowley(tensors, start, sign, 20, blur_every, torch.float32)
        for key, value in double.items():
            if key == "from":
                continue
            value = np.asarray(value)
            out[f"{run}:{key}"] = value.astype(np.float32) if value.ndim == 3 else value
        out[f"{run}:response_f32"] = np.array(single["response"])
        each, largest = spread(double["response"], single["response"])
        final = double["image_19"]
        print(f"{run}: {double['entry'][0]:.4f} -> {double['response'][-1]:.4f}, best step {double['best_step']}, rms {double['rms'][0]:.3g}"
              f" .. {double['rms'][-1]:.3g}, at the limits {np.mean((final == 0) | (final == 255)):.2%}, f32: {each:.1e} of each, {largest:.1e}"
              f" of the largest, image {np.max(np.abs(single['image_19'] - final)):.1e}")
    np.savez_compressed(Path(__file__).with_suffix(".npz"), **out)


def trajectory(args):
    state = {k: v for k, v in torch.load(args.model, weights_only=True).items() if v.dtype.is_floating_point}
    if args.start:
        start = np.load(args.start)
        start = start.transpose(2, 0, 1) if start.shape[-1] == 3 else start
    else:
        start = np.random.default_rng(args.seed).uniform(128, 178, (3, 112, 112)).astype(np.float32)
        np.save(Path(args.out).with_suffix(".start.npy"), start)
    sign = 1 if args.direction == "max" else -1
    double = cowley(state, start, sign, args.steps, args.blur_every, torch.float64)
    np.savez_compressed(Path(args.out).with_suffix(".npz"), **{"from": np.array(double["from"]).astype(np.float32)})
    forced = [x.astype(np.float32) for x in double["from"]]
    runs = {"f64": double}
    runs["f64_forced"] = cowley(state, start, sign, args.steps, args.blur_every, torch.float64, forced)
    runs["f32"] = cowley(state, start, sign, args.steps, args.blur_every, torch.float32)
    runs["f32_forced"] = cowley(state, start, sign, args.steps, args.blur_every, torch.float32, forced)
    about = {"model": Path(args.model).name, "direction": args.direction, "steps": args.steps, "blur_every": args.blur_every}
    about["f32"] = spread(double["response"], runs["f32"]["response"])
    about["f32_forced"] = spread(runs["f64_forced"]["response"], runs["f32_forced"]["response"])
    rows = {k: {n: v[n] for n in ("entry", "response", "rms")} | {"best_step": int(v["best_step"])} for k, v in runs.items()}
    Path(args.out).write_text(json.dumps(about | {"runs": rows}, indent=1, default=float))
    print(f"{about['model']} {args.direction}: {double['entry'][0]:.5f} -> {double['response'][-1]:.5f}; f32 against f64, largest difference"
          f" of each response, of the largest: free {about['f32'][0]:.1e} {about['f32'][1]:.1e},"
          f" step by step {about['f32_forced'][0]:.1e} {about['f32_forced'][1]:.1e}", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--model")
    parser.add_argument("--out")
    parser.add_argument("--start", help=".npy, (3, h, w) or (h, w, 3), 0..255; else noise from --seed, saved as OUT.start.npy")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--direction", choices=["max", "min"], default="max")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--blur-every", type=int, default=50)
    options = parser.parse_args()
    torch.set_num_threads(1)
    trajectory(options) if options.model else golden()
