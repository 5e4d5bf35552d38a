"""Responses of one shared compact model of macaque V4 to the probe image: PyTorch in 64 bits, weights by h5py, without Keras.

torch==2.15.0, h5py==3.16.0, numpy==2.4.6. Reads the folder of real data, writes shared_compact.json.

    ORTHOSCOPE_DATA=... python tests/golden/shared_compact.py
"""

import io
import json
import os
import pathlib
import zipfile

import h5py
import numpy as np
import torch
import torch.nn.functional as F

name = "v4/data_shared_compact_models/from_resnet50/shared_compact_model_25filters.keras"
archive = zipfile.ZipFile(pathlib.Path(os.environ["ORTHOSCOPE_DATA"]) / name)
h = h5py.File(io.BytesIO(archive.read("model.weights.h5")))
var = lambda layer, i: torch.tensor(h[f"layers/{layer}/vars/{i}"][()].astype(np.float64))
kernel = lambda layer, i: var(layer, i).permute(3, 2, 0, 1)

c, y, x = np.meshgrid(np.arange(1, 4), np.arange(112), np.arange(112), indexing="ij")
p = (0.5 + 0.3 * np.sin(2 * np.pi * (x * c / 32 + y / 48)) + 0.1 * np.cos(2 * np.pi * y * c / 19)).astype(np.float32)
t = torch.tensor(255 * p.astype(np.float64) - np.array([116.222, 109.270, 100.381])[:, None, None])[None]


def norm(t, i):
    layer = "batch_normalization" + (f"_{i}" if i else "")
    gamma, beta, mean, variance = (var(layer, k)[:, None, None] for k in range(4))
    return F.relu((t - mean) / torch.sqrt(variance + 1e-3) * gamma + beta)


t = norm(F.conv2d(F.pad(t, (2, 2, 2, 2)), kernel("conv2d", 0), var("conv2d", 1)), 0)
for i, stride in enumerate((2, 2, 1, 1)):
    layer = "separable_conv2d" + (f"_{i}" if i else "")
    deep = var(layer, 0).permute(2, 3, 0, 1)
    t = F.conv2d(F.pad(t, (1, 2, 1, 2) if stride == 2 else (2, 2, 2, 2)), deep, stride=stride, groups=deep.shape[0])
    t = norm(F.conv2d(t, kernel(layer, 1), var(layer, 2)), i + 1)
t = F.conv2d(t, kernel("conv2d_1", 0), var("conv2d_1", 1))
pool = var("depthwise_conv2d", 0)  # rows, columns, channels, 1
t = (t[0] * pool[..., 0].permute(2, 0, 1)).sum((1, 2)) + var("depthwise_conv2d", 1)
out = pathlib.Path(__file__).with_name("shared_compact.json")
out.write_text(json.dumps({"model": name, "responses": [float(f"{v:.8g}") for v in t]}))
print(out, t.shape, t[:5])
