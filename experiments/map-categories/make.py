"""Fingerprints and labels of the category searchlight. Needs numpy==2.4.6, scipy==1.17.1.

    python experiments/map-categories/make.py $ORTHOSCOPE_DATA/visual_categories_12mm outputs/map-categories-input

Each of the 24 blocks is a condition. `category` is 0 for two blocks of one category and 1 otherwise; `faces`, `scenes`, `objects` and
`bodies` are 1 for a block of that category and one of another, 0 otherwise.
"""

import csv
import sys
from pathlib import Path

import numpy as np
from scipy.spatial.distance import pdist

source, out = Path(sys.argv[1]), Path(sys.argv[2])
out.mkdir(parents=True, exist_ok=True)
labels = []
for run in (1, 2, 3):
    with open(source / f"localizer_run{run}_events.tsv") as f:
        labels += [row["BlockType"] for row in csv.DictReader(f, delimiter="\t")]
names = [f"block{i:02d}" for i in range(len(labels))]
for run in (1, 2, 3):
    (out / f"run-{run}_labels.tsv").write_text("\n".join(["condition", *names[8 * (run - 1) : 8 * run]]) + "\n")
(out / "conditions.txt").write_text("\n".join(["condition", *names]) + "\n")
belongs = np.array([[float(label == kind) for kind in sorted(set(labels))] for label in labels])
rdms = {"category": pdist(belongs, "sqeuclidean") / 2}
for kind, column in zip(sorted(set(labels)), belongs.T):
    rdms[kind.lower()] = pdist(column[:, None], "cityblock")
np.savez(out / "rdms.npz", **rdms)
