"""Channels of a layer judged by what a network loses without them: ours against PyTorch, in turn.

    cargo bench --bench ablation --no-run                     # prints where the binary is
    python benches/ablation.py BINARY GOOGLENET.onnx [--images 8] [--rounds 5]

Both run what lies before the layer once, mask the kept activations channel by channel and run the rest; a step is all
64 channels of inception_4c/5x5. PyTorch's time over ours, pair by pair: median and quartiles.
"""

import argparse
import pathlib
import statistics
import subprocess
import sys

PEER = pathlib.Path(__file__).parent / "peers" / "ablation_torch.py"
SETTINGS = [
    ["--layout", "nchw"],
    ["--layout", "nhwc"],
    ["--layout", "nchw", "--at-once", "4"],
    ["--layout", "nhwc", "--at-once", "4"],
    ["--layout", "nhwc", "--compile"],
]


class Server:
    def __init__(self, command):
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "bufsize": 1}
        self.process = subprocess.Popen(command, **pipes)

    def step(self):
        self.process.stdin.write("step\n")
        return float(self.process.stdout.readline())

    def end(self):
        self.process.stdin.close()
        self.process.wait()


def main():
    p = argparse.ArgumentParser()
    p.add_argument("binary")
    p.add_argument("model")
    p.add_argument("--images", type=int, default=8)
    p.add_argument("--rounds", type=int, default=5)
    a = p.parse_args()
    for setting in SETTINGS:
        ours = Server([a.binary, a.model, "inception_4c/5x5", str(a.images)])
        theirs = Server([sys.executable, str(PEER), str(a.images), *setting])
        ours.step(), theirs.step()
        pairs = [(ours.step(), theirs.step()) for _ in range(a.rounds)]
        ours.end(), theirs.end()
        ratios = sorted(t / o for o, t in pairs)
        low, _, high = statistics.quantiles(ratios, n=4)
        medians = [statistics.median(x) for x in zip(*pairs)]
        print(
            f"{' '.join(setting)}: ours {medians[0]:.0f} ms, PyTorch {medians[1]:.0f} ms, "
            f"ratio {statistics.median(ratios):.2f} ({low:.2f}-{high:.2f})",
            flush=True,
        )


if __name__ == "__main__":
    main()
