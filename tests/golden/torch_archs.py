"""Activations of torchvision's architectures with weights that the test can make itself.

torch==2.15.0, torchvision==0.29.2, numpy==2.4.6. Weight k of a tensor is a hash of (name, k), see `numbers`. Hidden classifier layers of AlexNet and VGG
are 32 wide here, to keep the test small. Writes torch_archs.json, and state_zip.pth and state_legacy.pth: the same small state dict in both formats
of torch.save.

    python tests/golden/torch_archs.py
"""

import json
import pathlib

import numpy as np
import torch
import torchvision

here = pathlib.Path(__file__).parent
MASK = np.uint64(0xFFFFFFFFFFFFFFFF)


def numbers(name, n):
    """Uniform in [-1, 1): splitmix64 of FNV-1a(name) + index, upper 24 bits."""
    seed = 0xCBF29CE484222325
    for byte in name.encode():
        seed = ((seed ^ byte) * 0x100000001B3) % 2**64
    with np.errstate(over="ignore"):
        x = (np.arange(n, dtype=np.uint64) + np.uint64(seed)) * np.uint64(0x9E3779B97F4A7C15)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        x = x ^ (x >> np.uint64(31))
    return (x >> np.uint64(40)).astype(np.float64) / 2**23 - 1


def weights(name, shape):
    u = numbers(name, int(np.prod(shape)))
    if name.endswith("running_var"):
        u = 1 + 0.5 * np.abs(u)
    elif len(shape) > 1:
        u = u * np.sqrt(6 / np.prod(shape[1:]))
    elif name.endswith("weight"):
        u = 1 + 0.25 * u
    else:
        u = 0.1 * u
    return torch.tensor(u.astype(np.float32).reshape(shape))


def waves(size=224):
    c, y, x = np.meshgrid(np.arange(1, 4), np.arange(size), np.arange(size), indexing="ij")
    p = 0.5 + 0.3 * np.sin(2 * np.pi * (x * c / 32 + y / 48)) + 0.1 * np.cos(2 * np.pi * y * c / 19)
    return torch.tensor(p.astype(np.float32))[None]


taps = {
    "googlenet": ["conv1", "maxpool1", "maxpool2", "inception3a", "inception3b.branch3.1", "inception4a.branch4.0", "inception4e", "maxpool4", "inception5b", "fc"],
    "alexnet": ["features.1", "features.2", "features.12", "classifier.2", "classifier.6"],
    "vgg16": ["features.3", "features.16", "features.30", "classifier.6"],
    "vgg19": ["features.18", "features.36", "classifier.6"],
    "resnet18": ["maxpool", "layer1.0", "layer2.0", "layer3.1", "layer4.1", "fc"],
    "resnet50": ["layer1.0.bn2", "layer1.0", "layer2.0", "layer2.3", "layer4.2", "fc"],
    "squeezenet1_1": ["features.1", "features.3", "features.8", "features.12", "classifier.3"],
}

results = {}
for arch, names in taps.items():
    options = {"init_weights": False} if arch == "googlenet" else {}
    if arch == "googlenet":
        options |= {"aux_logits": False, "transform_input": True}
    model = getattr(torchvision.models, arch)(weights=None, num_classes=20, **options)
    if arch in ("alexnet", "vgg16", "vgg19"):
        wide = [i for i, m in enumerate(model.classifier) if isinstance(m, torch.nn.Linear)]
        sizes = [model.classifier[wide[0]].in_features, 32, 32, 20]
        for i, place in enumerate(wide):
            model.classifier[place] = torch.nn.Linear(sizes[i], sizes[i + 1])
    state = {n: v if v.dtype == torch.int64 else weights(n, tuple(v.shape)) for n, v in model.state_dict().items()}
    model.load_state_dict(state)
    model.eval()
    seen = {}
    modules = dict(model.named_modules())
    for name in names:
        modules[name].register_forward_hook(lambda m, i, o, name=name: seen.__setitem__(name, o.detach().clone()))
    with torch.no_grad():
        model(waves())
    results[arch] = {
        "tensors": {n: list(v.shape) for n, v in state.items() if v.dtype != torch.int64},
        "taps": [],
    }
    for name in names:
        v = seen[name].double().reshape(-1).numpy()
        index = [int(i) for i in np.linspace(0, len(v) - 1, 8)] + [int(np.argmax(np.abs(v)))]
        results[arch]["taps"].append({"name": name, "length": len(v), "mean": float(v.mean()), "max": float(np.abs(v).max()), "index": index, "value": [float(f"{v[i]:.7g}") for i in index]})
        print(arch, name, seen[name].shape, "mean", v.mean(), "max", np.abs(v).max())
(here / "torch_archs.json").write_text(json.dumps({"torch": torch.__version__, "torchvision": torchvision.__version__, "architectures": results}, separators=(",", ":")))

base = torch.arange(24, dtype=torch.float32).reshape(4, 6) / 8 - 1
state = {
    "module.plain": base,
    "module.transposed": base.T,
    "module.part": base[1:3, ::2],
    "module.half": base.half(),
    "module.double": base.double() / 3,
    "module.bfloat": base.bfloat16(),
    "module.counter.num_batches_tracked": torch.tensor(7),
    "module.scalar": torch.tensor(0.5),
}
torch.save({"epoch": 3, "best": 0.25, "state_dict": state}, here / "state_zip.pth")
torch.save({"epoch": 3, "best": 0.25, "state_dict": state}, here / "state_legacy.pth", _use_new_zipfile_serialization=False)
for f in ("torch_archs.json", "state_zip.pth", "state_legacy.pth"):
    print(f, (here / f).stat().st_size)
