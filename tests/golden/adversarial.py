"""Golden projections and SSIM values for adversarial images. numpy==2.4.6, scipy==1.17.1, scikit-image==0.26.0.
Run: python tests/golden/adversarial.py

Projections: the point nearest to x (Euclidean) with x0 + d in [0, 255] and d in a ball, in float64. With v = x - x0, lo = -x0, hi = 255 - x0:

    l1_mean  mean|d| <= eps             d = clip(sign(v) max(|v| - t, 0), lo, hi), the t >= 0 with mean|d| = eps (0 if clip(v) is inside)
    l2       sqrt(sum d^2) <= radius    d = clip(v / (1 + t), lo, hi), the t >= 0 with sum d^2 = radius^2 (0 if clip(v) is inside)
    linf     max|d| <= eps              d = clip(v, max(lo, -eps), min(hi, eps))

(the conditions of Karush, Kuhn and Tucker; t by bisection to the last bit). Not the same as projecting onto the ball and then clipping: the
array `l1_mean_clipped_after` has that for comparison. Each case is compared here with SciPy's SLSQP, which knows nothing of the formulas.
Cases (x0, x: (8, 6, 3) in 0..255; x0 whole numbers): see `cases`. `radius` of l2 is eps sqrt(n), n = 144, so that eps is a root mean square.
Names: `CASE:x0`, `CASE:x`, `CASE:eps`, `CASE:radius`, and `CASE:l1_mean`, `CASE:l2`, `CASE:linf` = x0 + d.

SSIM: skimage.metrics.structural_similarity(a, b, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=255,
channel_axis=-1) of float64 images: Gaussian of radius int(3.5 sigma + 0.5) = 5 (11 x 11), borders mirrored with the edge sample repeated, population
covariances, C1 = (0.01 255)^2, C2 = (0.03 255)^2, mean over the map without its 5 outermost rows and columns, mean over channels.
Names: `ssim_PAIR:a`, `ssim_PAIR:b` (uint8), `ssim_PAIR:value`; and `ssim_PAIR:channels`, the three means.
"""

from pathlib import Path

import numpy as np
import scipy.ndimage as ndi
import scipy.optimize as opt
from skimage.metrics import structural_similarity

SHAPE = (8, 6, 3)


def bisect(inside):
    """The least t >= 0 with inside(t), to the last bit; inside is false, then true."""
    low, high = 0.0, 1.0
    if inside(0.0):
        return 0.0
    while not inside(high):
        high *= 2
    while low < (middle := (low + high) / 2) < high:
        low, high = (low, middle) if inside(middle) else (middle, high)
    return high


def project(norm, x0, x, eps):
    v, lo, hi = x - x0, -x0, 255 - x0
    if norm == "linf":
        return x0 + np.clip(v, np.maximum(lo, -eps), np.minimum(hi, eps))
    if norm == "l1_mean":
        at = lambda t: np.clip(np.sign(v) * np.maximum(np.abs(v) - t, 0), lo, hi)  # noqa: E731
        return x0 + at(bisect(lambda t: np.abs(at(t)).mean() <= eps))
    at = lambda t: np.clip(v / (1 + t), lo, hi)  # noqa: E731
    return x0 + at(bisect(lambda t: np.sum(at(t) ** 2) <= eps**2 * v.size))


def solve(norm, x0, x, eps):
    """The same by a general solver: d = p - q with p, q >= 0. In units of the range, for conditioning."""
    n = x0.size
    v, lo, hi = ((x - x0) / 255).ravel(), (-x0 / 255).ravel(), (1 - x0 / 255).ravel()
    e = eps / 255
    bounds = [(0, h) for h in hi] + [(0, -l) for l in lo]
    d = lambda z: z[:n] - z[n:]  # noqa: E731
    if norm == "l1_mean":
        inside = {"type": "ineq", "fun": lambda z: e - z.sum() / n, "jac": lambda z: np.full(2 * n, -1 / n)}
    elif norm == "l2":
        square = lambda z: e - np.sum(d(z) ** 2) / n / e  # noqa: E731
        inside = {"type": "ineq", "fun": square, "jac": lambda z: np.concatenate([-d(z), d(z)]) * 2 / n / e}
    else:
        bounds = [(0, min(h, e)) for h in hi] + [(0, min(-l, e)) for l in lo]
        inside = []
    found = opt.minimize(lambda z: np.sum((d(z) - v) ** 2), np.zeros(2 * n), constraints=inside, bounds=bounds, method="SLSQP",
                         jac=lambda z: np.concatenate([d(z) - v, v - d(z)]) * 2, options={"maxiter": 2000, "ftol": 1e-15})
    return x0 + 255 * d(found.x).reshape(x0.shape)


def cases(rng):
    """name -> x0, x, eps."""
    x0 = lambda: rng.integers(0, 256, SHAPE).astype(float)  # noqa: E731
    wide = x0()
    border = np.where(rng.random(SHAPE) < 0.7, rng.choice([0.0, 255.0], SHAPE), x0())
    base = {"small": (wide, wide + rng.normal(0, 20, SHAPE), 0.5), "paper": (x0(), None, 10.0), "large": (x0(), None, 100.0),
            "border": (border, border + rng.normal(0, 60, SHAPE), 10.0), "inside": (x0(), None, 10.0)}
    out = {}
    for name, (start, x, eps) in base.items():
        scale = {"paper": 40, "large": 300, "inside": 2}.get(name)
        x = start + rng.normal(0, scale, SHAPE) if x is None else x
        if name == "inside":
            x = np.clip(x, 0, 255)
            x = np.where(np.abs(x - start) < 9.9, x, start)
        out[name] = (start, x, eps)
    sparse = x0()
    out["ties"] = (sparse, sparse + rng.choice([-30.0, 0.0, 30.0], SHAPE), 10.0)
    out["one_pixel"] = (np.full(SHAPE, 128.0), np.full(SHAPE, 128.0), 0.5)
    out["one_pixel"][1][3, 2, 1] += 5000
    out["black"] = (np.zeros(SHAPE), rng.normal(0, 80, SHAPE), 10.0)
    return out


def pictures(rng):
    """PAIR -> two uint8 images."""
    y, x = np.mgrid[:40, :33]
    smooth = np.stack([128 + 90 * np.sin(x / 5 + c) * np.cos(y / (6 + c)) for c in range(3)], axis=-1)
    noise = rng.normal(0, 12, smooth.shape)
    flat = np.full((24, 24, 3), 128.0)
    texture = ndi.gaussian_filter(rng.normal(0, 1, (32, 32, 3)), (1.5, 1.5, 0))
    texture = 128 + 60 * texture / texture.std()
    pairs = {"noise": (smooth, smooth + noise), "flat": (flat, flat + np.where(rng.random(flat.shape) < 0.5, 6, -6)),
             "shift": (texture, np.roll(texture, 1, axis=1) * 0.9 + 8)}
    return {k: tuple(np.clip(np.rint(i), 0, 255).astype(np.uint8) for i in v) for k, v in pairs.items()}


def main():
    rng = np.random.default_rng(11)
    out = {}
    for name, (x0, x, eps) in cases(rng).items():
        out[f"{name}:x0"], out[f"{name}:x"] = x0, x
        out[f"{name}:eps"], out[f"{name}:radius"] = np.float64(eps), np.float64(eps * np.sqrt(x.size))
        for norm in "l1_mean", "l2", "linf":
            found = project(norm, x0, x, eps)
            other = solve(norm, x0, x, eps)
            out[f"{name}:{norm}"] = found
            d = found - x0
            size = {"l1_mean": np.abs(d).mean(), "l2": np.sqrt(np.mean(d**2)), "linf": np.abs(d).max()}[norm]
            distance = [np.linalg.norm(p - x) for p in (found, other)]
            print(f"{name} {norm}: size {size:.6f} of {eps}, distance {distance[0]:.8f}, SLSQP {distance[1]:.8f}, apart {np.max(np.abs(found - other)):.1e}")
            assert size <= eps * (1 + 1e-12) and found.min() >= 0 and found.max() <= 255
            assert np.max(np.abs(found - other)) < 2e-3 and distance[0] <= distance[1] * (1 + 1e-7)
        v = x - x0
        soft = lambda t: np.sign(v) * np.maximum(np.abs(v) - t, 0)  # noqa: E731
        out[f"{name}:l1_mean_clipped_after"] = np.clip(x0 + soft(bisect(lambda t: np.abs(soft(t)).mean() <= eps)), 0, 255)
    for name, (a, b) in pictures(rng).items():
        options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 255}
        a_, b_ = a.astype(float), b.astype(float)
        out[f"ssim_{name}:a"], out[f"ssim_{name}:b"] = a, b
        out[f"ssim_{name}:value"] = np.float64(structural_similarity(a_, b_, channel_axis=-1, **options))
        out[f"ssim_{name}:channels"] = np.array([structural_similarity(a_[..., c], b_[..., c], **options) for c in range(3)])
        print(name, out[f"ssim_{name}:value"], out[f"ssim_{name}:channels"])
    np.savez_compressed(Path(__file__).with_suffix(".npz"), **out)


if __name__ == "__main__":
    main()
