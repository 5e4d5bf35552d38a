"""The engine against PyTorch, step by step in turn: prints the ratio of their times with its spread.

    cargo bench -p orthoscope-kernels --bench network --no-run        # prints where the bench binary is
    python benches/compare.py BINARY SUITE [--pick REGEX] [--rounds 9] [--json FILE]

SUITE is one of SUITES below, or all; --pick takes the pairs whose description matches, so that each run can be short.
Each line pairs one setting of the engine with one of PyTorch: both are started,
warmed up, and then take a step each in turn, so that other load on the machine hits both. Steps that take less than 150 ms
are taken several in a row, and their median counts: PyTorch's threads stay awake for some milliseconds after a step and
would hold the cores while ours begin. The ratio is PyTorch's time over ours, pair by pair: its median and its quartiles
are printed, with both median times and both peak memories.
"""

import argparse
import json
import os
import pathlib
import re
import statistics
import subprocess
import sys

PEER = pathlib.Path(__file__).parent / "peers" / "step.py"
EAGER = [["--layout", "nchw"], ["--layout", "nhwc"]]
COMPILED = [["--layout", "nchw", "--compile"], ["--layout", "nhwc", "--compile"]]
BF16 = [["--layout", "nhwc", "--bf16"]]


def with_loss(loss, peers):
    return [[*p, "--loss", loss] for p in peers]


# (network, images, threads, PyTorch's settings, AVX2 only, processes that work at the same time if not one)
SUITES = {
    "googlenet": [("googlenet", 16, 2, with_loss("user", EAGER + COMPILED + BF16) + with_loss("moment", EAGER + COMPILED + BF16), False)],
    "googlenet-1-thread": [("googlenet", 16, 1, with_loss("user", EAGER) + with_loss("moment", EAGER), False)],
    "googlenet-4": [("googlenet", 4, t, with_loss("user", EAGER) + with_loss("moment", EAGER), False) for t in (2, 1)],
    # one image has no correlations: the sum of its taps
    "googlenet-1": [("googlenet", 1, t, with_loss("sum", EAGER), False) for t in (2, 1)],
    "compact": [("compact", n, t, with_loss("sum", EAGER + COMPILED), False) for n in (1, 9, 16, 64) for t in (2, 1)],
    # the restarts of a neuron's image, a neuron per core
    "compact-2-processes": [("compact", 9, 1, with_loss("sum", EAGER + COMPILED), False, 2)],
    "others": [(net, n, 2, with_loss("moment", EAGER), False) for net, n in (("squeezenet", 16), ("resnet18", 16), ("vgg16", 4))],
    "others-1": [(net, 1, 2, with_loss("sum", EAGER), False) for net in ("squeezenet", "resnet18", "vgg16")],
    "avx2": [("googlenet", 16, 2, with_loss("moment", EAGER), True), ("compact", 16, 2, with_loss("sum", EAGER), True)],
}


class Server:
    """Processes that take a step each for every line that they are given, all at the same time."""

    def __init__(self, command, env, n_processes):
        env = {**os.environ, **env}
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "bufsize": 1}
        self.processes = [subprocess.Popen(command, env=env, **pipes) for _ in range(n_processes)]
        self.ready = [p.stdout.readline().strip() for p in self.processes][0]

    def ask(self, what="step"):
        """The longest of the processes' times (or the sum of their memories)."""
        for p in self.processes:
            p.stdin.write(what + "\n")
            p.stdin.flush()
        answers = [float(p.stdout.readline()) for p in self.processes]
        return sum(answers) if what == "rss" else max(answers)

    def turn(self, n_steps):
        return statistics.median(self.ask() for _ in range(n_steps))

    def stop(self):
        for p in self.processes:
            p.stdin.close()
            p.wait()


def pair(binary, network, n, threads, peer, avx2, processes, rounds):
    env = {"RAYON_NUM_THREADS": str(threads), "OMP_NUM_THREADS": str(threads)}
    if avx2:
        env |= {"ORTHOSCOPE_SIMD": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2", "MKL_ENABLE_INSTRUCTIONS": "AVX2"}
    ours = Server([binary, network, str(n), "serve"], env, processes)
    theirs = Server([sys.executable, str(PEER), network, str(n), "--threads", str(threads), *peer], env, processes)
    longest = max(ours.turn(3), theirs.turn(3))
    n_steps = min(max(int(300 / longest), 1), 9)
    times = [(ours.turn(n_steps), theirs.turn(n_steps)) for _ in range(rounds)]
    memory = ours.ask("rss"), theirs.ask("rss")
    ours.stop()
    theirs.stop()
    ratios = sorted(b / a for a, b in times)
    quartiles = statistics.quantiles(ratios, n=4) if rounds > 1 else [ratios[0]] * 3
    return {
        "network": network, "images": n, "threads": threads, "processes": processes, "peer": " ".join(peer), "ours": ours.ready, "theirs": theirs.ready,
        "ours_ms": statistics.median(a for a, _ in times), "theirs_ms": statistics.median(b for _, b in times),
        "ratio": statistics.median(ratios), "quartiles": [quartiles[0], quartiles[2]],
        "ours_mib": memory[0], "theirs_mib": memory[1],
    }


def main():
    p = argparse.ArgumentParser()
    p.add_argument("binary")
    p.add_argument("suite", choices=[*SUITES, "all"])
    p.add_argument("--pick", default="")
    p.add_argument("--rounds", type=int, default=9)
    p.add_argument("--json")
    a = p.parse_args()
    results = []
    for suite in SUITES if a.suite == "all" else [a.suite]:
        for network, n, threads, peers, avx2, *processes in SUITES[suite]:
            for peer in peers:
                if not re.search(a.pick, f"{network} n={n} threads={threads} {' '.join(peer)}"):
                    continue
                r = pair(a.binary, network, n, threads, peer, avx2, *processes or [1], a.rounds)
                results.append(r)
                print("{network:10} n={images:<3} threads={threads} processes={processes} {peer:32} ours {ours_ms:8.1f} ms {ours_mib:5.0f} MiB, "
                      "theirs {theirs_ms:8.1f} ms {theirs_mib:5.0f} MiB, ratio {ratio:.2f}".format(**r)
                      + " ({:.2f}-{:.2f})".format(*r["quartiles"]), flush=True)
    if a.json:
        pathlib.Path(a.json).write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
