"""Model RDMs of the eight categories of Haxby et al. (2001), in natural order of their names. numpy==2.4.6.

    python experiments/map-haxby/make.py OUT
"""
import pathlib
import sys

import numpy as np

CATEGORIES = ["bottle", "cat", "chair", "face", "house", "scissors", "scrambledpix", "shoe"]
GROUPS = {
    "animate": {"cat": 1, "face": 1},
    "tools": {"bottle": 1, "scissors": 1, "shoe": 1},
    "domains": {"cat": 1, "face": 1, "house": 2, "scrambledpix": 3},
}

out = pathlib.Path(sys.argv[1])
out.mkdir(parents=True, exist_ok=True)
models = {}
for name, group in GROUPS.items():
    g = np.array([group.get(c, 0) for c in CATEGORIES])
    models[name] = (g[:, None] != g[None]).astype(float)
np.savez(out / "rdms.npz", **models)
(out / "conditions.txt").write_text("condition\n" + "\n".join(CATEGORIES) + "\n")
