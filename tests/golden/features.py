"""Golden numbers of src/encoding/features: scikit-learn's PCA and random projections, Gaussian masses and maps of frames in NumPy and SciPy.

scikit-learn==1.9.1, numpy==2.4.6, scipy==1.17.1. Run: python tests/golden/features.py
"""

from pathlib import Path

import numpy as np
from scipy.special import erf
from scipy.stats import gamma
from sklearn.decomposition import PCA
from sklearn.random_projection import SparseRandomProjection, johnson_lindenstrauss_min_dim

TRAIN = 50


def data(rng, n, p):
    # Post-ReLU activations: a large mean, a spectrum that falls slowly.
    spectrum = 0.93 ** np.arange(min(n, p))
    x = rng.standard_normal((n, len(spectrum))) * spectrum @ rng.standard_normal((len(spectrum), p))
    return np.maximum(x + 2, 0).astype("f4")


def pca(rng, golden):
    for name, p in (("narrow", 20), ("wide", 300)):
        x = data(rng, 64, p)
        golden[f"{name}_x"] = x
        train = x[:TRAIN].astype("f8")
        sd = train.std(0, ddof=1)
        for scaling, scale in (("centred", np.ones(p)), ("zscored", np.where(sd > 0, sd, 1))):
            for keep, k in (("share", 0.9), ("most", 0.99), ("eight", 8)):
                model = PCA(n_components=k, svd_solver="full").fit(train / scale)
                scores = model.transform(x / scale)
                # The sign: the largest training score is positive.
                at = np.abs(scores[:TRAIN]).argmax(0)
                scores *= np.sign(scores[at, np.arange(scores.shape[1])])
                golden[f"{name}_{scaling}_{keep}"] = scores
                golden[f"{name}_{scaling}_{keep}_variance"] = model.explained_variance_
                golden[f"{name}_{scaling}_{keep}_share"] = model.explained_variance_ratio_.sum()


def projections(rng, golden):
    n = np.array([2, 10, 100, 1000, 1200, 10000, 73000])
    eps = np.array([0.05, 0.1, 0.3, 0.5, 0.9])
    golden["jl_n"], golden["jl_eps"] = n, eps
    golden["jl"] = np.array([[johnson_lindenstrauss_min_dim(int(a), eps=b) for b in eps] for a in n])
    # Density and size of the entries, which are the same for every seed.
    model = SparseRandomProjection(n_components=300, random_state=0).fit(np.zeros((10, 2000)))
    golden["srp_density"] = model.density_
    golden["srp_value"] = np.abs(model.components_.data).max()
    golden["srp_nonzero"] = np.array([SparseRandomProjection(300, random_state=s).fit(np.zeros((10, 2000))).components_.nnz for s in range(20)])


def masses(rng, golden):
    """A map of 12 x 12 units, 8 pixels apart, the first centred at pixel 3.5 of 96; the image is 16 x 12 degrees."""
    centre, stride, pixels = 3.5, 8.0, 96
    windows = np.array([[-4.0, 2.5, 0.3], [0.0, 0.0, 1.0], [3.3, -4.1, 2.2], [7.9, 5.9, 4.0]])
    edges = (centre + stride * (np.arange(13) - 0.5) + 0.5) / pixels - 0.5
    across, down = edges * 16, -edges * 12

    def mass(edges, at, sd):
        cdf = 0.5 * (1 + erf((edges - at) / (sd * np.sqrt(2))))
        return np.abs(np.diff(cdf))

    masks = np.stack([np.outer(mass(down, y, s), mass(across, x, s)) for x, y, s in windows], -1)
    golden["windows"] = windows
    golden["masks"] = (masks / masks.sum((0, 1))).reshape(144, -1)


def movies(rng, golden):
    """Volumes from frames: means of the frames that begin in them, single frames, and single frames after spm_hrf."""
    x = np.maximum(rng.standard_normal((400, 3)) + 1, 0).astype("f4").astype("f8")
    golden["movie"] = x
    samplings = np.array([[15.0, 1.0, 1.0], [8.0, 1.3, 0.0], [29.97, 2.0, 0.5]])
    golden["movie_sampling"] = samplings
    for i, (rate, t_r, skip) in enumerate(samplings):
        times = skip + t_r * np.arange(int((len(x) / rate - skip) / t_r))
        shown = np.arange(len(x)) / rate
        within = [(shown >= t - 1e-9) & (shown < t + t_r - 1e-9) for t in times]
        golden[f"movie_average{i}"] = np.stack([x[w].mean(0) for w in within])
        at = np.rint(times * rate).astype(int)
        golden[f"movie_downsample{i}"] = x[at]
        # spm_hrf(1 / rate, [5 16 1 1 6 0 32])
        t = np.arange(int(np.floor(32 * rate + 1e-9)) + 1) / rate
        hrf = gamma.pdf(t, 5) - gamma.pdf(t, 16) / 6
        hrf /= hrf.sum()
        golden[f"movie_convolved{i}"] = np.stack([np.convolve(c, hrf)[: len(x)] for c in x.T], 1)[at]


def main():
    rng = np.random.default_rng(7)
    golden = {}
    pca(rng, golden)
    projections(rng, golden)
    masses(rng, golden)
    movies(rng, golden)
    np.savez_compressed(Path(__file__).with_suffix(".npz"), **golden)


main()
