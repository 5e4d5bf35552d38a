"""Golden values of src/mapping/image_bootstrap: comparisons in recorded resamples of the images.

Resampled RDMs and comparisons are rsatoolbox's; residual fingerprints and regressions are numpy's and scipy's on its resampled
vectors, pairs of two copies of an image left out. rsatoolbox==0.3.2, numpy==2.4.6, scipy==1.17.1.

    python tests/golden/image_bootstrap.py
"""

import warnings
from pathlib import Path

import numpy as np
from rsatoolbox.inference.bootstrap import bootstrap_sample_pattern
from rsatoolbox.rdm import RDMs, compare
from scipy.optimize import nnls
from scipy.stats import rankdata

warnings.filterwarnings("ignore")
N, N_RDMS, N_LAYERS, N_SAMPLES = 9, 2, 4, 20


def standardised(v):
    return (v - v.mean()) / np.linalg.norm(v - v.mean())


def cleaned(v, others):
    return v - np.linalg.lstsq(others.T, v, rcond=None)[0] @ others


def combined(b, vs):
    """Values of one brain vector and the layers' vectors, all standardised."""
    others = [np.delete(vs, l, 0) for l in range(len(vs))]
    r2 = lambda design: 1 - np.sum(cleaned(b, design) ** 2)
    ols = np.linalg.lstsq(vs.T, b, rcond=None)[0]
    positive, rest = nnls(vs.T, b)
    residuals = [standardised(cleaned(v, o)) for v, o in zip(vs, others)]
    return {
        "semi_partial": [e @ b for e in residuals],
        "partial": [e @ standardised(cleaned(b, o)) for e, o in zip(residuals, others)],
        "unique_variance": [r2(vs) - r2(o) for o in others] + [r2(vs)],
        "ordered": [standardised(cleaned(v, vs[:l]) if l else v) @ b for l, v in enumerate(vs)],
        "ols": np.r_[ols, r2(vs)],
        "nnls": np.r_[positive, 1 - rest**2],
    }


def main():
    rng = np.random.default_rng(23)
    n_pairs = N * (N - 1) // 2
    shared = rng.random(n_pairs)
    models = 0.4 * shared + 0.6 * rng.random((N_LAYERS, n_pairs))
    models[3] = np.round(models[3] * 4) / 4  # ties
    brains = np.stack([shared + 0.7 * rng.random(n_pairs), np.round(shared + rng.random(n_pairs), 1)])
    np.random.seed(7)
    drawn = [bootstrap_sample_pattern(RDMs(brains))[1] for _ in range(N_SAMPLES)]
    out = {"models": models, "brains": brains, "drawn": np.array(drawn, np.int64)}
    for sample in drawn:
        b, v = (RDMs(x).subsample_pattern("index", sample) for x in (brains, models))
        found = {method: compare(b, v, method=method) for method in ("corr", "cosine", "spearman", "tau-a")}
        kept = ~np.isnan(b.dissimilarities[0])
        vs = v.dissimilarities[:, kept]
        for brain in b.dissimilarities[:, kept]:
            rows = combined(standardised(brain), np.array([standardised(x) for x in vs]))
            ranks = combined(standardised(rankdata(brain)), np.array([standardised(rankdata(x)) for x in vs]))
            rows["semi_partial_spearman"] = ranks["semi_partial"]
            for name, row in rows.items():
                found.setdefault(name, []).append(row)
        for name, rows in found.items():
            out.setdefault("value_" + name, []).append(np.array(rows))
    path = Path(__file__).with_suffix(".npz")
    np.savez_compressed(path, **{k: np.asarray(v) for k, v in out.items()})
    print(path, path.stat().st_size, {k: np.shape(v) for k, v in out.items()})


if __name__ == "__main__":
    main()
