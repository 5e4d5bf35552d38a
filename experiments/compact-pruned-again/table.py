"""The table of the README from the runs of run.sh: python3 table.py OUT"""

import json
import pathlib
import statistics
import sys

runs = [json.loads(p.read_text())["results"] for p in pathlib.Path(sys.argv[1]).glob("*/manifest.json")]
runs = [results for results in runs if results is not None]
median = statistics.median
print(f"{len(runs)} models")
# Output channels of the five layers: the first convolution, and the pointwise halves of the separable ones.
names = ["layer0_conv"] + [f"layer{i}_conv" for i in range(1, 5)]
for k, when in enumerate(["before", "after"]):
    filters = [[next(l["filters"][k] for l in r["layers"] if l["layer"].removesuffix(".pre_relu") == n) for n in names] for r in runs]
    print(when, "filters", [median(f[i] for f in filters) for i in range(5)], "all", median(map(sum, filters)))
for stage in ["original", "channels pruned"]:
    found = [next(s for s in r["stages"] if s["stage"] == stage) for r in runs]
    scores = [s["score"] for s in found]
    print(
        f"{stage}: parameters {median(s['params'] for s in found):.0f}, r {median(scores):.3f} "
        f"({min(scores):.3f} to {max(scores):.3f})"
    )
unchanged = sum(r["before"]["filters"] == r["after"]["filters"] for r in runs)
left = [r["after"]["filters"] / r["before"]["filters"] for r in runs]
print(f"unchanged: {unchanged}; share of filters left, median {median(left):.2f}, least {min(left):.2f}")
