"""Parameters and multiply-accumulates of GoogLeNet and SqueezeNet, layer by layer from the tables beside their weights; every output's
size is PyTorch's own. The numbers are in tests/all/compression.rs.

torch==2.15.0. Run: ORTHOSCOPE_DATA=... python tests/golden/compression_cost.py
"""

import csv
import os
import pathlib

import torch
import torch.nn.functional as F

for name, side in (("googlenet_bvlc", 224), ("squeezenet_v11", 227)):
    rows = csv.DictReader(open(pathlib.Path(os.environ["ORTHOSCOPE_DATA"]) / name / "layers.tsv"), delimiter="\t")
    values, parameters, macs = {"data": torch.zeros(1, 3, side, side)}, 0, 0
    number = lambda row, key: int(row[key]) if row[key] else None
    for row in rows:
        inputs = [values[i] for i in row["inputs"].split(",")]
        x, kind = inputs[0], row["type"]
        k, s, p = (number(row, key) for key in ("kernel", "stride", "pad"))
        if kind.startswith("conv"):
            w = torch.zeros(int(row["out_channels"]), int(row["in_channels"]), k, k)
            y = F.conv2d(x, w, stride=s, padding=p)
            macs += w[0].numel() * y.numel()
            parameters += w.numel() + len(w)
        elif kind.startswith(("fc", "linear", "inner")):
            w = torch.zeros(int(row["out_channels"]), x.numel())
            y = F.linear(x.flatten(1), w)
            macs += w.numel()
            parameters += w.numel() + len(w)
        elif kind.startswith("maxpool"):
            y = F.max_pool2d(x, k, s, p or 0, ceil_mode="ceil" in kind)
        elif kind.startswith(("avgpool", "globalavg")):
            y = x.mean((2, 3), keepdim=True)
        elif kind.startswith("concat"):
            y = torch.cat(inputs, 1)
        else:
            y = x
        values[row["name"]] = y
    print(name, "parameters", parameters, "MACs", macs)
