"""Golden activations of models/mini-inception, from its card and weights alone. Needs numpy==2.4.6, torch==2.15.0.

Everything runs in 64 bits on the stored 16-bit weights. Writes tests/golden/mini.npz (values of all twelve taps, the logits and the
probabilities for the probe image) and the [golden] table of the card. Run: python tests/golden/mini.py
"""

import re
import tomllib
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

MODEL = Path(__file__).parents[2] / "models" / "mini-inception"
DTYPES = {"F16": np.float16, "F32": np.float32}


def safetensors(path):
    import json

    raw = path.read_bytes()
    n = int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8 : 8 + n])
    out = {}
    for name, entry in header.items():
        if name != "__metadata__":
            low, high = entry["data_offsets"]
            values = np.frombuffer(raw[8 + n + low : 8 + n + high], DTYPES[entry["dtype"]]).reshape(entry["shape"])
            out[name] = torch.from_numpy(values.astype(np.float64))
    return out


def waves(height, width):
    """The probe image, rounded to 32 bits as the program holds it."""
    c, y, x = np.meshgrid(np.arange(1, 4), np.arange(height), np.arange(width), indexing="ij")
    p = 0.5 + 0.3 * np.sin(2 * np.pi * (x * c / 32 + y / 48)) + 0.1 * np.cos(2 * np.pi * y * c / 19)
    return torch.from_numpy(p.astype(np.float32).astype(np.float64))[None]


def run(op, inputs, weights):
    x = inputs[0]
    match op["kind"]:
        case "conv2d":
            top, left, bottom, right = op.get("padding", [0] * 4)
            x = F.pad(x, (left, right, top, bottom))
            return F.conv2d(x, weights[op["weight"]], weights[op["bias"]], stride=op.get("stride", [1, 1]))
        case "relu":
            return F.relu(x)
        case "max-pool":
            pad = op.get("padding", [0] * 4)
            return F.max_pool2d(x, op["kernel"], op["stride"], pad[:2], ceil_mode=op.get("ceil", False))
        case "lrn":
            return F.local_response_norm(x, op["size"], op["alpha"], op["beta"], op["k"])
        case "concat":
            return torch.cat(inputs, 1)
        case "global-avg-pool":
            return x.mean((2, 3), keepdim=True)
        case "linear":
            return F.linear(x.flatten(1), weights[op["weight"]], weights[op["bias"]])[..., None, None]
        case "softmax":
            return F.softmax(x, 1)
    raise ValueError(op["kind"])


def golden_table(values):
    rows = ["[golden]", 'input = "waves-1"', "tolerance = 1e-4", ""]
    for name, value in values.items():
        flat = value.numpy().ravel()
        step = max(1, len(flat) // 12)
        indices = list(range(step // 2, len(flat), step))[:12]
        rows += ["[[golden.tap]]", f'name = "{name}"', f"indices = {indices}"]
        numbers = ", ".join(f"{float(np.float32(flat[i]))!r}" for i in indices)
        rows += [f"values = [{numbers}]", f"max = {float(np.float32(np.abs(flat).max()))!r}", ""]
    return "\n".join(rows)


def main():
    text = (MODEL / "card.toml").read_text()
    card = tomllib.loads(text)
    spec, weights = card["input"], safetensors(MODEL / card["weights"]["file"])
    assert spec.get("order", "rgb") == "rgb"
    mean, std = (torch.tensor(spec[k], dtype=torch.float64).view(1, 3, 1, 1) for k in ("mean", "std"))
    tensors = {"data": (spec["range"] * waves(spec["height"], spec["width"]) - mean) / std}
    for node in card["node"]:
        tensors[node["name"]] = run(node["op"], [tensors[i] for i in node["inputs"]], weights)
    names = [*card["presets"]["inception12"], "loss3/classifier", "prob"]
    golden = {name: tensors[name] for name in names}
    # About 6000 values of each tap, at even steps, in 32 bits: the file stays small, and the test allows 1e-4.
    thinned = {name: v.numpy().ravel().astype(np.float32) for name, v in golden.items()}
    arrays = {name.replace("/", "|"): v[:: -(-len(v) // 6000)] for name, v in thinned.items()}
    np.savez_compressed(Path(__file__).with_suffix(".npz"), **arrays)
    # The table goes before the first node; one that is there already is replaced.
    text = re.sub(r"(?ms)^\[golden\].*?(?=^\[\[node\]\])", "", text)
    head, tail = text.split("[[node]]", 1)
    (MODEL / "card.toml").write_text(head + golden_table(golden) + "\n[[node]]" + tail)


if __name__ == "__main__":
    with torch.no_grad():
        main()
