"""Golden numbers of src/encoding/stability.rs: top images and the correlations of their features in NumPy.

numpy==2.4.6. Run: python tests/golden/stability.py
"""

from pathlib import Path

import numpy as np

TOP = 10


def main():
    rng = np.random.default_rng(41)
    # Images of a few kinds: some targets prefer images of one kind, others of all.
    kinds = rng.standard_normal((6, 40)) * 2
    features = (kinds[rng.integers(0, 6, 300)] + rng.standard_normal((300, 40)) + 1).astype("f4").astype("f8")
    weights = np.concatenate([kinds.T / 10, rng.standard_normal((40, 9))], 1).astype("f4").astype("f8")
    predictions = features @ weights
    top = np.argsort(-predictions, axis=0, kind="stable")[:TOP].T
    upper = np.triu_indices(TOP, 1)
    matrices = [np.corrcoef(features[images]) for images in top]
    np.savez_compressed(
        Path(__file__).with_name("stability.npz"),
        features=features,
        weights=weights,
        top=top.astype("f8"),
        stability=[m[upper].mean() for m in matrices],
        # As the MATLAB code has it.
        triu=[np.triu(m).mean() for m in matrices],
    )
    print([round(m[upper].mean(), 3) for m in matrices])


if __name__ == "__main__":
    main()
