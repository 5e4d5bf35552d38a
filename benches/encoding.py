"""Ridge at voxel scale against himalaya, fit by fit in turn: prints the ratio of their times with its spread.

    cargo bench --bench encoding --no-run            # prints where the binary is
    env -u OPENBLAS_CORETYPE python benches/encoding.py BINARY [--pick REGEX] [--rounds 3]

Needs numpy, himalaya==0.4.11 and torch. Both sides read the same features and responses (1000 samples; a third of the
targets without signal, the rest with more and more of it), and fit 20 penalties (10 for banded) on 5 folds. Each line pairs us
with one backend of himalaya: both are started, warmed up with a fit, and then fit in turn. The ratio is himalaya's time over
ours: median and range. Scores and penalties chosen are printed to show that the work is the same.
"""

import argparse
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile

import numpy as np

PEER = pathlib.Path(__file__).parent / "peers" / "encoding_himalaya.py"
# (kind, features, targets, iterations, himalaya's targets at a time)
SUITE = [
    *(("kernel-ridge", p, t, 0, b) for p, t in ((2000, 10_000), (4096, 10_000), (2000, 30_000), (4096, 30_000)) for b in (0, 2000)),
    *(("ridge", p, t, 0, b) for p, t in ((2000, 10_000), (4096, 10_000), (4096, 30_000)) for b in (0,)),
    *(("banded", 4 * 500, t, n, b) for t, n in ((1000, 100), (10_000, 10)) for b in (0,)),
]


class Server:
    """A process that fits for every line that it is given."""

    def __init__(self, command):
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
        self.process.stdout.readline()

    def ask(self, what="step"):
        self.process.stdin.write(what + "\n")
        self.process.stdin.flush()
        return [float(v) for v in self.process.stdout.readline().split()]

    def stop(self):
        self.process.stdin.close()
        self.process.wait()


def write(folder, kind, p, t):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((1000, p), dtype="f4") * np.linspace(0.3, 2, p, dtype="f4")
    x -= x.mean(0)
    gain = np.clip(np.linspace(-0.5, 1, t, dtype="f4"), 0, None)
    y = (x @ rng.standard_normal((p, t), dtype="f4")) * (gain / np.sqrt(p)) + rng.standard_normal((1000, t), dtype="f4")
    y -= y.mean(0)
    np.save(folder / "y.npy", y)
    if kind == "banded":
        for s, part in enumerate(np.split(x, 4, axis=1)):
            np.save(folder / f"x{s}.npy", np.ascontiguousarray(part))
        np.save(folder / "alphas.npy", np.logspace(0, 5, 10))
    else:
        np.save(folder / "x.npy", x)
        np.save(folder / "alphas.npy", np.logspace(0, 6, 20))


def main():
    a = argparse.ArgumentParser()
    a.add_argument("binary")
    a.add_argument("--pick", default="")
    a.add_argument("--rounds", type=int, default=3)
    a = a.parse_args()
    for kind, p, t, n_iter, batch in SUITE:
        for backend in ("torch", "numpy"):
            called = f"{kind} p={p} t={t} iterations={n_iter} batch={batch} {backend}"
            if not re.search(a.pick, called):
                continue
            with tempfile.TemporaryDirectory() as folder:
                write(pathlib.Path(folder), kind, p, t)
                ours = Server([a.binary, folder, kind, str(n_iter)])
                theirs = Server([sys.executable, str(PEER), folder, kind, backend, str(n_iter), str(batch)])
                first = ours.ask(), theirs.ask()
                times = [(ours.ask()[0], theirs.ask()[0]) for _ in range(a.rounds)]
                memory = ours.ask("rss")[0], theirs.ask("rss")[0]
                ours.stop(), theirs.stop()
            ratios = sorted(b / a for a, b in times)
            print(f"{called}: ours {statistics.median(t[0] for t in times):.2f} s {memory[0]:.0f} MiB, "
                  f"theirs {statistics.median(t[1] for t in times):.2f} s {memory[1]:.0f} MiB, "
                  f"ratio {statistics.median(ratios):.2f} ({ratios[0]:.2f}-{ratios[-1]:.2f}); "
                  f"score {first[0][1]:.5f} and {first[1][1]:.5f}, log10 alpha {first[0][2]:.4f} and {first[1][2]:.4f}", flush=True)


if __name__ == "__main__":
    main()
