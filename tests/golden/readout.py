"""Golden loss, gradient and Adam trajectory of src/encoding/readout: PyTorch in 64 bits.

torch==2.15.0, numpy==2.4.6. For both losses and all penalties: the loss and its gradient at some maps, channels and intercepts, and
those after each of five full-batch steps of torch.optim.Adam with the rate along half a cosine. Run: python tests/golden/readout.py
"""

import math
from pathlib import Path

import numpy as np
import torch

# Rows and penalties exact in 32 bits, as burn takes scalars.
TRAIN, C, H, W, T = 16, 5, 4, 3, 3
EPOCHS, RATE, STEPS = 8, 0.02, 5
L2_MAP, L2_CHANNELS, SMOOTHNESS, HOYER = 1 / 32, 3 / 64, 1 / 16, 1 / 128


def laplacian(m):
    """For each place the sum over its neighbours of their difference to it."""
    out = torch.zeros_like(m)
    for dy, dx in ((1, 0), (-1, 0), (0, 1), (0, -1)):
        for y in range(H):
            for x in range(W):
                if 0 <= y + dy < H and 0 <= x + dx < W:
                    out[y, x] = out[y, x] + m[y + dy, x + dx] - m[y, x]
    return out


def loss(m, f, b, a, y, kind):
    u = torch.einsum("ct,yxt,ncyx->nt", f, m, a) + b
    if kind == "mse":
        data = ((y - u) ** 2).mean(0)
    else:
        rate = 1 + torch.nn.functional.elu(u)
        data = torch.nn.functional.poisson_nll_loss(rate, y, log_input=False, eps=0, reduction="none").mean(0)
    smooth = (laplacian(m) ** 2).sum((0, 1))
    hoyer = f.abs().sum(0) ** 2 / (f**2).sum(0)
    return (data + L2_MAP * (m**2).sum((0, 1)) + L2_CHANNELS * (f**2).sum(0) + SMOOTHNESS * smooth + HOYER * hoyer).sum()


def main():
    rng = np.random.default_rng(3)
    golden = {}
    x = np.maximum(rng.standard_normal((TRAIN, C, H, W)) + 0.4 * np.arange(C)[:, None, None], 0).astype("f4")
    mean, scale = x.astype("f8").mean((0, 2, 3)), x.astype("f8").std((0, 2, 3))
    a = torch.tensor((x - mean[:, None, None]) / scale[:, None, None])
    y = rng.poisson(1.5, (TRAIN, T)).astype("f4")
    start = [(0.3 * rng.standard_normal(s)).astype("f4") for s in ((H, W, T), (C, T), (1, T))]
    golden["x"], golden["y"] = x.reshape(TRAIN, -1), y
    for name, s in zip(("map", "channels", "intercept"), start):
        golden[name] = s.reshape(-1, T)
    for kind in ("mse", "poisson"):
        wide = y.astype("f8")
        z = torch.tensor((wide - wide.mean(0)) / wide.std(0) if kind == "mse" else wide)
        leaves = [torch.tensor(s.astype("f8"), requires_grad=True) for s in start]
        adam = torch.optim.Adam(leaves, lr=RATE)
        for step in range(STEPS + 1):
            adam.zero_grad()
            value = loss(*leaves, a, z, kind)
            value.backward()
            flat = np.concatenate([leaf.detach().numpy().reshape(-1) for leaf in leaves])
            golden[f"{kind}_loss{step}"], golden[f"{kind}_values{step}"] = value.item(), flat
            if step == 0:
                golden[f"{kind}_gradient"] = np.concatenate([leaf.grad.numpy().reshape(-1) for leaf in leaves])
            adam.param_groups[0]["lr"] = RATE * (1 + math.cos(math.pi * step / EPOCHS)) / 2
            adam.step()
    np.savez_compressed(Path(__file__).with_suffix(".npz"), **golden)


main()
