"""Golden numbers of src/compression: importances of a small network's channels, from PyTorch's autograd, from masking one by one,
and from each channel's contribution written out; code lengths by heapq; k-means by scikit-learn.

torch==2.15.0, numpy==2.4.6, scikit-learn==1.9.1. Run: python tests/golden/compression.py
"""

import heapq
from collections import Counter
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.cluster import KMeans

torch.set_default_dtype(torch.float64)
rng = np.random.default_rng(20)
golden = {}


def draw(name, *shape, low=-0.5, high=0.5):
    golden[name] = rng.uniform(low, high, shape).astype("f4")
    return torch.tensor(golden[name].astype("f8"))


def norm(name, n):
    return draw(f"{name}.scale", n, low=0.5, high=1.5), draw(f"{name}.shift", n), draw(f"{name}.mean", n), draw(f"{name}.var", n, low=0.5, high=1.5)


# 8 x 8 RGB -> a: 5x5 conv to 5, norm, ReLU -> deep: depthwise 3x3, stride 2 -> p: pointwise to 6, norm, ReLU
#           -> q: 3x3 conv to 3, ReLU, and r: 1x1 conv to 4 -> concat -> flatten (channels slowest) -> linear to 4 classes.
w = {
    "a.w": draw("a.w", 5, 3, 5, 5), "a.b": draw("a.b", 5), "deep.w": draw("deep.w", 5, 1, 3, 3), "deep.b": draw("deep.b", 5),
    "p.w": draw("p.w", 6, 5, 1, 1), "p.b": draw("p.b", 6), "q.w": draw("q.w", 3, 6, 3, 3), "q.b": draw("q.b", 3),
    "r.w": draw("r.w", 4, 6, 1, 1), "r.b": draw("r.b", 4), "out.w": draw("out.w", 4, 7 * 16), "out.b": draw("out.b", 4),
}
norms = {"a": norm("a.bn", 5), "p": norm("p.bn", 6)}
GROUPS = {"a": 5, "p": 6, "q": 3, "r": 4}
N = 40
images = rng.uniform(0, 1, (N, 3, 8, 8)).astype("f4")
golden["images"] = images
X = torch.tensor(images.astype("f8"))
labels = rng.integers(0, 4, N)
golden["labels"] = labels.astype("i8")
teacher = rng.standard_normal((N, 4))
golden["teacher"] = teacher


def bn(x, name):
    scale, shift, mean, var = (v[:, None, None] for v in norms[name])
    return (x - mean) / torch.sqrt(var + float(np.float32(1e-3))) * scale + shift


def forward(x, m, keep=None):
    """m: factors of the channels where they are read, group -> N x channels (or channels)."""
    f = lambda name: m[name].reshape(-1, GROUPS[name], 1, 1)
    at = keep if keep is not None else {}
    x = F.relu(bn(F.conv2d(x, w["a.w"], w["a.b"], padding=2), "a"))
    at["a"] = x = F.conv2d(x, w["deep.w"], w["deep.b"], stride=2, padding=1, groups=5) * f("a")
    x = F.relu(bn(F.conv2d(x, w["p.w"], w["p.b"]), "p"))
    at["p"] = x = x * f("p")
    q, r = F.relu(F.conv2d(x, w["q.w"], w["q.b"], padding=1)), F.conv2d(x, w["r.w"], w["r.b"])
    at["q"], at["r"] = q, r = q * f("q"), r * f("r")
    return F.linear(torch.cat([q, r], 1).flatten(1), w["out.w"], w["out.b"])


ones = {name: torch.ones(n) for name, n in GROUPS.items()}

# Taylor: the gradient of each image's loss at a factor per image and channel.
factors = {name: torch.ones(N, n, requires_grad=True) for name, n in GROUPS.items()}
loss = F.cross_entropy(forward(X, factors), torch.tensor(labels), reduction="sum")
loss.backward()
for name in GROUPS:
    golden[f"taylor.{name}"] = (factors[name].grad ** 2).mean(0).numpy()

# CAR: accuracy without each channel, and of each class.
def accuracy(m):
    right = forward(X, m).argmax(1).numpy() == labels
    return np.array([right.mean(), *(right[labels == c].mean() for c in range(4))])


golden["logits"] = forward(X, ones).numpy()
golden["car.whole"] = accuracy(ones)
for name, n in GROUPS.items():
    masked = []
    for c in range(n):
        m = {k: v.clone() for k, v in ones.items()}
        m[name][c] = 0
        masked.append(accuracy(m))
    golden[f"car.{name}"] = np.array(masked)

# Variance of activations where they are read.
at = {}
forward(X, ones, at)
for name in GROUPS:
    golden[f"variance.{name}"] = at[name].numpy().var((0, 2, 3))

# What each channel contributes to the next layer's output: channels x N x outputs x positions.
def contributions(name):
    x = at[name]
    one = lambda c: x[:, c:c + 1]
    conv = lambda weight, pad: torch.stack([F.conv2d(one(c), weight[:, c:c + 1], padding=pad).flatten(2) for c in range(GROUPS[name])]).numpy()
    if name == "a":
        return [conv(w["p.w"], 0)]
    if name == "p":
        return [conv(w["q.w"], 1), conv(w["r.w"], 0)]
    start = 0 if name == "q" else 3
    weight = w["out.w"].reshape(4, 7, 16)[:, start:start + GROUPS[name]]
    return [torch.einsum("ncp,kcp->cnk", x.flatten(2), weight).numpy()[..., None]]


def about(d):  # sum of squares about each output's mean over images and positions
    return ((d - d.mean((0, 2), keepdims=True)) ** 2).sum()


for name in GROUPS:
    parts = contributions(name)
    importance = sum(((d - d.mean(1, keepdims=True)) ** 2).sum((1, 2, 3)) for d in parts)
    order = np.argsort(importance, kind="stable")
    golden[f"layer.{name}"] = importance
    if name in ("a", "p"):
        whole = sum(about(d.sum(0)) for d in parts)
        left = [1 - sum(about(d[order[:k]].sum(0)) for d in parts) / whole for k in range(len(order))]
        golden[f"left.{name}"] = np.array(left)
    else:
        logits = golden["logits"]
        r2 = lambda y, t: np.mean([np.corrcoef(y[:, k], t[:, k])[0, 1] ** 2 for k in range(4)])
        for which, t in (("teacher", teacher), ("own", logits)):
            kept = [logits - parts[0][order[:k], ..., 0].sum(0) for k in range(len(order))]
            golden[f"left.{name}.{which}"] = np.array([r2(y, t) for y in kept]) / r2(logits, t)

# Huffman: total bits and the multiset of code lengths that heapq's algorithm gives.
def code_lengths(counts):
    heap = [(n, i, (s,)) for i, (s, n) in enumerate(sorted(counts.items()))]
    length = Counter()
    heapq.heapify(heap)
    i = len(heap)
    while len(heap) > 1:
        a, b = heapq.heappop(heap), heapq.heappop(heap)
        for s in a[2] + b[2]:
            length[s] += 1
        heapq.heappush(heap, (a[0] + b[0], i, a[2] + b[2]))
        i += 1
    return length


for i, probabilities in enumerate((np.ones(9), 0.5 ** np.arange(12), 1 / np.arange(1, 40))):
    symbols = rng.choice(len(probabilities), 4000, p=probabilities / probabilities.sum())
    counts = Counter(symbols.tolist())
    lengths = code_lengths(counts)
    golden[f"huffman.{i}.counts"] = np.array([counts.get(s, 0) for s in range(len(probabilities))])
    golden[f"huffman.{i}.bits"] = np.array(sum(lengths[s] * n for s, n in counts.items()))

# k-means in one dimension, from equally spaced starts; the optimum by dynamic programming written out.
values = np.concatenate([rng.normal(-0.4, 0.1, 60), rng.normal(0.3, 0.2, 90)]).astype("f4")
golden["kmeans.values"] = values
x = values.astype("f8")
for k in (4, 7, 16):
    start = np.linspace(x.min(), x.max(), k)[:, None]
    model = KMeans(k, init=start, n_init=1, max_iter=1000, tol=0, algorithm="lloyd").fit(x[:, None])
    golden[f"kmeans.{k}.centres"] = np.sort(model.cluster_centers_[:, 0])
    s = np.sort(x)
    cost = lambda i, j: ((s[i:j] - s[i:j].mean()) ** 2).sum()
    best = np.full((k + 1, len(s) + 1), np.inf)
    best[0, 0] = 0
    for c in range(1, k + 1):
        for j in range(c, len(s) + 1):
            best[c, j] = min(best[c - 1, i] + cost(i, j) for i in range(c - 1, j))
    golden[f"kmeans.{k}.least"] = np.array(best[k, -1])

out = Path(__file__).with_suffix(".npz")
np.savez_compressed(out, **golden)
print(out, out.stat().st_size, {k: v for k, v in golden.items() if k.startswith(("taylor", "left", "layer", "car.whole", "huffman"))})
