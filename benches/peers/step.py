"""One synthesis step in PyTorch: frozen network, loss on the tapped layers, gradient at the pixels.

Prepares the step, then runs it once for each line on standard input and answers with its wall time in milliseconds;
`rss` answers with the peak memory in MiB. See compare.py.
"""

import argparse
import resource
import sys
import time

import torch

from networks import NETWORKS


def correlated(rdms):
    """Mean squared correlation between the layers' triangles."""
    n = rdms[0].shape[0]
    i, j = torch.triu_indices(n, n, 1)
    r = torch.corrcoef(torch.stack([m[i, j] for m in rdms]))
    return (r.triu(1) ** 2).sum() / (len(rdms) * (len(rdms) - 1) / 2)


def user_loss(taps):
    """As a user writes it: centred, normalised patterns, their products."""
    rdms = []
    for t in taps:
        x = t.flatten(1).float()
        x = x - x.mean(1, keepdim=True)
        x = x / x.norm(dim=1, keepdim=True)
        rdms.append(x @ x.T)
    return correlated(rdms)


def moment_loss(taps):
    """From raw second moments: centring and normalising happen to n x n numbers."""
    rdms = []
    for t in taps:
        x = t.reshape(t.shape[0], -1) if t.is_contiguous() else t.permute(0, 2, 3, 1).reshape(t.shape[0], -1)
        d = x.shape[1]
        gram, sums = (x @ x.T).double(), x.float().sum(1).double()
        gram = gram - sums[:, None] * sums[None, :] / d
        scale = gram.diagonal().rsqrt()
        rdms.append(gram * scale[:, None] * scale[None, :])
    return correlated(rdms).float()


def main():
    p = argparse.ArgumentParser()
    p.add_argument("network", choices=NETWORKS)
    p.add_argument("n_images", type=int)
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--layout", choices=["nchw", "nhwc"], default="nchw")
    p.add_argument("--compile", action="store_true")
    p.add_argument("--bf16", action="store_true")
    p.add_argument("--loss", choices=["user", "moment", "sum"], default="user")
    a = p.parse_args()
    torch.set_num_threads(a.threads)
    torch.manual_seed(0)
    layout = torch.channels_last if a.layout == "nhwc" else torch.contiguous_format
    net = NETWORKS[a.network]().eval().requires_grad_(False).to(memory_format=layout)
    loss = {"user": user_loss, "moment": moment_loss, "sum": lambda taps: sum(t.sum() for t in taps)}[a.loss]
    run = torch.compile(net) if a.compile else net
    images = torch.rand(a.n_images, 3, net.size, net.size).contiguous(memory_format=layout).requires_grad_()

    def step():
        images.grad = None
        with torch.autocast("cpu", torch.bfloat16, enabled=a.bf16):
            taps = run(images)
        loss(taps).backward()

    for _ in range(2):
        step()
    print("ready", torch.__version__, torch.backends.cpu.get_cpu_capability(), flush=True)
    for line in sys.stdin:
        if line.strip() == "rss":
            print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, flush=True)
            continue
        start = time.perf_counter()
        step()
        print((time.perf_counter() - start) * 1e3, flush=True)


if __name__ == "__main__":
    main()
