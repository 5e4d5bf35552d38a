"""Windows that a fit found beside those that were simulated: python compare.py RUN TRUTH.TSV [WIDTH CENTRES]

Per region: voxels whose best layer is the region's most frequent one, share of centres closer than half a grid step, share of
radii within one step, both, and true and found mean radius in degrees.
"""

import csv
import math
import pathlib
import sys
from collections import Counter, defaultdict

run, truth = pathlib.Path(sys.argv[1]), sys.argv[2]
width, n = (float(sys.argv[3]), int(sys.argv[4])) if len(sys.argv) > 3 else (20.0, 8)
step, ratio = width / n, (8.0 / 0.5) ** (1 / 7)
rows = lambda path: list(csv.DictReader(open(path, newline=""), delimiter="\t"))  # noqa: E731
true = {row["name"]: row for row in rows(truth)}
regions = defaultdict(list)
for row in rows(run / "arrays/scores.tsv"):
    own = true[row["target"]]
    error = math.hypot(*(float(row[k]) - float(own[k]) for k in ("x_deg", "y_deg")))
    found, sd = float(row["sd_deg"]), float(own["sd_deg"])
    steps = abs(math.log(found / sd)) / math.log(ratio)
    regions[row["region"]].append((row["layer"], error < step / 2, steps < 1 + 1e-9, sd, found, float(row["r"])))

mean = lambda values: sum(values) / len(values)  # noqa: E731
print("region\tvoxels\tlayer\tof them\tcentre\tradius\tboth\ttrue deg\tfound deg\tr")
for name, found in regions.items():
    layers, near, alike, sds, founds, r = zip(*found)
    layer, count = Counter(layers).most_common(1)[0]
    both = [a and b for a, b in zip(near, alike)]
    print(f"{name}\t{len(found)}\t{layer}\t{count / len(found):.3f}\t{mean(near):.3f}\t{mean(alike):.3f}\t{mean(both):.3f}"
          f"\t{mean(sds):.2f}\t{mean(founds):.2f}\t{mean(r):.3f}")
