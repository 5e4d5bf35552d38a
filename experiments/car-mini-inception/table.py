"""Tables of the README from the runs of run.sh: python3 table.py OUT"""

import csv
import json
import pathlib
import sys

OUT = pathlib.Path(sys.argv[1])
RULES = ["car", "taylor", "variance", "l1", "random"]


def curve(run):
    with open(run / "arrays/curve.tsv") as file:
        return [(int(row["n_removed"]), float(row["score"])) for row in csv.DictReader(file, delimiter="\t")]


def at(points, n):
    """Between neighbours, linear."""
    for (a, x), (b, y) in zip(points, points[1:]):
        if a <= n <= b:
            return x + (y - x) * (n - a) / max(b - a, 1)
    raise ValueError(f"{n} of {points}")


layers = [p.name[: -len("-car-1")] for p in sorted(OUT.glob("*-car-1"))]
print("| layer | filters | whole |", *(f"{by} |" for by in RULES))
print("|---|---|---|" + "---|" * len(RULES))
for layer in layers:
    half = json.loads((OUT / f"{layer}-car-half" / "manifest.json").read_text())["results"]
    n = next(r["filters"][0] for r in half["layers"] if r["filters"][0] != r["filters"][1])
    cells = []
    for by in RULES:
        scores = [at(curve(run), n // 2) for run in sorted(OUT.glob(f"{layer}-{by}-[0-9]"))]
        cells.append(f"{sum(scores) / len(scores):.3f}" + (f" ({min(scores):.3f}-{max(scores):.3f})" if len(scores) > 1 else ""))
    print(f"| {layer} | {n} | {half['before']['score']:.3f} |", *(f"{cell} |" for cell in cells))
print()
print("| layer | rule | filters | parameters | pruned | fine-tuned | MACs, times fewer |")
print("|---|---|---|---|---|---|---|")
for layer in layers:
    for by in ["car", "l1"]:
        r = json.loads((OUT / f"{layer}-{by}-half" / "manifest.json").read_text())["results"]
        filters = next(row["filters"] for row in r["layers"] if row["filters"][0] != row["filters"][1])
        stages = {stage["stage"]: stage for stage in r["stages"]}
        print(
            f"| {layer} | {by} | {filters[0]} to {filters[1]} | {r['before']['params']} to {r['after']['params']} |"
            f" {stages['channels pruned']['score']:.3f} | {stages['fine-tuned']['score']:.3f} | {r['ratio']['macs']:.2f} |"
        )
