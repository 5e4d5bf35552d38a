"""Golden values for src/image (parametrisations, transforms, constraint). Needs numpy==2.4.6, scipy==1.17.1, torch==2.15.0.
Run: python tests/golden/param.py

fourier_*: Lucent's fft_image + to_valid_rgb(decorrelate=True), in float64: coefficients x 1/max(f, 1/max(w, h))^decay, irfft2 (ortho) / 4,
  colour matrix over its largest column norm, sigmoid. With a band limit B: times a raised cosine from B to 1.5 B, and only the rows and
  columns with |f| < 1.5 B are handed over.
blur, shift: scipy.ndimage, mode "nearest", order 1. rescale: torch interpolate, antialias, down to 95 % and back up.
laplacian: DeepDream's lap_normalize with torch convolutions (padding 2, stride 2), 3 levels.
constraint: gain and offset by scipy.optimize.root on the statistics after the soft limit.
"""

from pathlib import Path

import numpy as np
import scipy.ndimage as ndi
import scipy.optimize as opt
import torch
import torch.nn.functional as F

COLOUR = np.array([[0.26, 0.09, 0.02], [0.27, 0.00, -0.05], [0.27, -0.09, 0.03]])


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def fourier(rng, h, w, decay, band):
    fy, fx = np.fft.fftfreq(h)[:, None], np.fft.rfftfreq(w)[None, :]
    f = np.sqrt(fy**2 + fx**2)
    scale = 1.0 / np.maximum(f, 1.0 / max(w, h)) ** decay
    window = np.ones_like(f)
    rows, columns = np.arange(h), np.arange(w // 2 + 1)
    if band is not None:
        t = np.clip((f - band) / (0.5 * band), 0, 1)
        window = 0.5 * (1 + np.cos(np.pi * t))
        rows = np.flatnonzero(np.abs(fy[:, 0]) < 1.5 * band)
        columns = np.flatnonzero(np.abs(fx[0]) < 1.5 * band)
    stored = rng.normal(size=(2, 3, 2, len(rows), len(columns))).astype(np.float32)
    full = np.zeros((2, 3, h, w // 2 + 1), complex)
    full[np.ix_(range(2), range(3), rows, columns)] = stored[:, :, 0].astype(float) + 1j * stored[:, :, 1]
    planes = torch.fft.irfft2(torch.from_numpy(full * scale * window), s=(h, w), norm="ortho").numpy() / 4.0
    matrix = COLOUR / np.max(np.linalg.norm(COLOUR, axis=0))
    rgb = np.einsum("ck,nkyx->ncyx", matrix, planes)
    return stored.reshape(2, -1), sigmoid(rgb)


def lap_normalize(g, levels):
    """g: 1 x 3 x h x w."""
    k = np.array([1.0, 4, 6, 4, 1]) / 16
    kernel = torch.from_numpy(np.outer(k, k))[None, None].repeat(3, 1, 1, 1)
    g = torch.from_numpy(g)
    up = lambda x, like: F.conv_transpose2d(  # noqa: E731
        x, 4 * kernel, stride=2, padding=2, groups=3,
        output_padding=tuple(int(n % 2 == 0) for n in like.shape[2:]))
    norm = lambda x: x / max(float((x**2).mean().sqrt()), 1e-10)  # noqa: E731
    bands = []
    for _ in range(levels):
        low = F.conv2d(g, kernel, stride=2, padding=2, groups=3)
        bands.append(g - up(low, g))
        g = low
    out = norm(g)
    for band in bands[::-1]:
        out = up(out, band) + norm(band)
    return out.numpy()


def limit(u, knee):
    inside = np.clip(u, knee, 1 - knee)
    d = u - inside
    return inside + d / (1 + np.abs(d) / knee)


def constrain(x, weights, mean, contrast, knee=0.05, background=0.5):
    def shown(p):
        return weights * limit(p[0] * x + p[1], knee) + (1 - weights) * background

    def miss(p):
        y = np.tensordot([0.2126, 0.7152, 0.0722], shown(p), 1)
        m = np.average(y, weights=weights)
        return [m - mean, np.sqrt(np.average((y - m) ** 2, weights=weights)) - contrast]

    found = opt.root(miss, [contrast / x.std(), mean - contrast / x.std() * x.mean()], tol=1e-12)
    assert found.success
    return shown(found.x)


def main():
    rng = np.random.default_rng(7)
    out = {}
    for name, args in {"even": (12, 14, 1.0, None), "odd": (11, 15, 0.7, None), "band": (24, 20, 1.0, 0.18)}.items():
        out[f"fourier_{name}_leaf"], out[f"fourier_{name}"] = fourier(rng, *args)

    x = rng.random((2, 3, 20, 22)).astype(np.float32)
    out["images"] = x
    out["blur"] = np.stack([[ndi.gaussian_filter(p.astype(float), 1.3, mode="nearest") for p in i] for i in x])
    out["shift"] = np.stack([[ndi.shift(p.astype(float), (1.25, -0.6), order=1, mode="nearest") for p in i] for i in x])
    t = torch.from_numpy(x.astype(float))
    small = F.interpolate(t, size=(19, 21), mode="bilinear", antialias=True)
    out["rescale"] = F.interpolate(small, size=(20, 22), mode="bilinear", antialias=True).numpy()
    out["laplacian"] = np.concatenate([lap_normalize(i[None].astype(float) - 0.5, 3) for i in x])

    y, xx = np.mgrid[:20, :22]
    inside = 0.5 * 0.9 * 20 - np.hypot(y - 9.5, xx - 10.5)
    disc = np.where(inside <= 0, 0, np.where(inside >= 3, 1, 0.5 * (1 - np.cos(np.pi * inside / 3))))
    out["constraint"] = np.stack([constrain(i.astype(float), np.ones((20, 22)), 0.45, 0.22) for i in x])
    out["constraint_disc"] = np.stack([constrain(i.astype(float), disc, 0.5, 0.2) for i in x])
    out = {k: v.astype(np.float32) for k, v in out.items()}
    np.savez_compressed(Path(__file__).with_suffix(".npz"), **out)


if __name__ == "__main__":
    main()
