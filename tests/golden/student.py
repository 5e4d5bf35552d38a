"""A small student of a teacher's responses, trained: PyTorch in 64 bits.

torch==2.15.0, numpy==2.4.6. Writes student.npz: weights, images and responses; the loss and its gradients at the first step
(`grad.*`); the loss of each of three steps of Adam (`losses`) and the weights and running moments after them (`after.*`).

    python tests/golden/student.py
"""

import pathlib

import numpy as np
import torch
import torch.nn.functional as F

torch.set_default_dtype(torch.float64)
rng = np.random.default_rng(31490)
WIDTHS, SIZE, N, EPSILON, KEEP, RATE = [6, 5, 4, 3, 3], 20, 5, 1e-3, 0.99, 0.01


def make(outputs, factorised):
    """Weights under the names of the library's students; sizes that differ from layer to layer."""
    w = {}

    def add(name, *shape, mean=0.0, sd=0.3):
        w[name] = (mean + sd * rng.standard_normal(shape)).astype(np.float32)

    for i, n in enumerate(WIDTHS):
        if i == 0:
            add("layer0_conv.weight", n, 3, 5, 5, sd=0.01)
        else:
            add(f"layer{i}_conv.depthwise.weight", WIDTHS[i - 1], 1, 5, 5)
            add(f"layer{i}_conv.weight", n, WIDTHS[i - 1], 1, 1)
        add(f"layer{i}_conv.bias", n)
        add(f"layer{i}_bn.scale", n, mean=1.0)
        add(f"layer{i}_bn.shift", n, mean=0.2)
        w[f"layer{i}_bn.mean"] = np.zeros(n, np.float32)
        w[f"layer{i}_bn.var"] = np.ones(n, np.float32)
    side = SIZE // 4
    if factorised:
        add("mixing_stage.weight", outputs, WIDTHS[-1], 1, 1)
        add("mixing_stage.bias", outputs)
        add("spatial_pool_stage.weight", outputs, 1, side, side)
        add("spatial_pool_stage.bias", outputs)
    else:
        add("Beta.weight", outputs, side * side * WIDTHS[-1])
        add("Beta.bias", outputs)
    return w


def forward(w, x, running):
    for i, stride in enumerate([1, 2, 2, 1, 1]):
        pad = (1, 2, 1, 2) if stride == 2 else (2, 2, 2, 2)
        x = F.pad(x, pad)
        if i == 0:
            x = F.conv2d(x, w["layer0_conv.weight"], w["layer0_conv.bias"])
        else:
            x = F.conv2d(x, w[f"layer{i}_conv.depthwise.weight"], stride=stride, groups=x.shape[1])
            x = F.conv2d(x, w[f"layer{i}_conv.weight"], w[f"layer{i}_conv.bias"])
        mean, var = running[f"layer{i}_bn.mean"], running[f"layer{i}_bn.var"]
        x = F.batch_norm(x, mean, var, w[f"layer{i}_bn.scale"], w[f"layer{i}_bn.shift"], True, 1 - KEEP, EPSILON)
        x = F.relu(x)
    if "Beta.weight" in w:
        return F.linear(x.permute(0, 2, 3, 1).flatten(1), w["Beta.weight"], w["Beta.bias"])
    x = F.conv2d(x, w["mixing_stage.weight"], w["mixing_stage.bias"])
    return F.conv2d(x, w["spatial_pool_stage.weight"], w["spatial_pool_stage.bias"], groups=x.shape[1]).flatten(1)


out = {}
for kind, outputs in [("own", 1), ("factorised", 4)]:
    start = make(outputs, kind == "factorised")
    images = rng.random((3, N, 3, SIZE, SIZE)).astype(np.float32)
    responses = rng.standard_normal((3, N, outputs)).astype(np.float32)
    w = {k: torch.tensor(v.astype(np.float64), requires_grad=not k.endswith(("mean", "var"))) for k, v in start.items()}
    running = {k: v for k, v in w.items() if k.endswith(("mean", "var"))}
    trained = {k: v for k, v in w.items() if v.requires_grad}
    optimizer = torch.optim.Adam(trained.values(), lr=RATE)
    shift = torch.tensor([116.222, 109.270, 100.381])[:, None, None]
    losses = []
    for step in range(3):
        x = 255 * torch.tensor(images[step].astype(np.float64)) - shift
        optimizer.zero_grad()
        loss = ((forward(w, x, running) - torch.tensor(responses[step].astype(np.float64))) ** 2).mean()
        loss.backward()
        for i in range(5):  # zero but for rounding, which Adam would take for a direction
            w[f"layer{i}_conv.bias"].grad.zero_()
        if step == 0:
            out.update({f"{kind}/grad.{k}": v.grad.numpy().astype(np.float32) for k, v in trained.items()})
        optimizer.step()
        losses.append(loss.item())
    out.update({f"{kind}/start.{k}": v for k, v in start.items()})
    out.update({f"{kind}/after.{k}": v.detach().numpy().astype(np.float32) for k, v in w.items()})
    out.update({f"{kind}/images": images, f"{kind}/responses": responses, f"{kind}/losses": np.array(losses)})
    print(kind, losses)
np.savez_compressed(pathlib.Path(__file__).with_name("student.npz"), **{k.replace("/", "|"): v for k, v in out.items()})
