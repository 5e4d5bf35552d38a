"""Golden dissimilarities and comparisons for src/rdm. Needs numpy==2.4.6, scipy==1.17.1. Run: python tests/golden/rdm.py

Patterns are a formula that the test repeats (float32); all arithmetic here is float64.
"""

from pathlib import Path

import numpy as np
from scipy.spatial.distance import pdist
from scipy.stats import pearsonr, spearmanr

N_CONDITIONS, N_UNITS = 7, 20_000


def tau_a(x, y):
    """rsatoolbox's tau-a: ties count 0."""
    i, j = np.triu_indices(len(x), k=1)
    return np.mean(np.sign(x[i] - x[j]) * np.sign(y[i] - y[j]))


def main():
    i, j = np.mgrid[:N_CONDITIONS, :N_UNITS]
    patterns = (((i * 7919 + j * 104_729) % 1009) / 64 + i).astype(np.float32).astype(np.float64)
    golden = {
        "correlation": pdist(patterns, "correlation"),
        "cosine": pdist(patterns, "cosine"),
        "euclidean": pdist(patterns, "euclidean"),
        "squared euclidean": pdist(patterns, "sqeuclidean"),
    }
    rng = np.random.default_rng(7)
    x = np.round(rng.uniform(0, 2, 45), 1)  # rounded: ties
    y = np.round(0.5 * x + rng.uniform(0, 1, 45), 1)
    golden |= {
        "x": x,
        "y": y,
        "x-y pearson": np.array([pearsonr(x, y).statistic]),
        "x-y spearman": np.array([spearmanr(x, y).statistic]),
        "x-y kendall_tau_a": np.array([tau_a(x, y)]),
        "x-y cosine": np.array([x @ y / np.sqrt((x @ x) * (y @ y))]),
        "corrcoef": np.corrcoef([x, y]),
    }
    np.savez(Path(__file__).with_name("rdm.npz"), **golden)


if __name__ == "__main__":
    main()
