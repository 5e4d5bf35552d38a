"""Golden numbers of src/encoding: himalaya's, scikit-learn's, and formulas written out in NumPy.

himalaya==0.4.11, scikit-learn==1.9.1, numpy==2.4.6, scipy==1.17.1. Run: python tests/golden/encoding.py

himalaya works in 64 bits here, so that its numbers carry no 32-bit noise of their own.
"""

from pathlib import Path

import numpy as np
from himalaya.backend import set_backend
from himalaya.kernel_ridge import KernelRidgeCV, MultipleKernelRidgeCV, generate_dirichlet_samples
from himalaya.ridge import RidgeCV
from himalaya.scoring import correlation_score, correlation_score_split, l2_neg_loss, r2_score, r2_score_split
from scipy.stats import gamma
from sklearn.linear_model import Ridge

SCORES = {"negative_mse": l2_neg_loss, "r2": r2_score, "pearson": correlation_score}
ALPHAS = np.logspace(-1, 4, 11)


def data(rng, n, p, t):
    x = rng.standard_normal((n, p)) * np.linspace(0.2, 2, p) + 3
    w = rng.standard_normal((p, t)) * np.logspace(-2.5, 0, t) / np.sqrt(p)
    y = x @ w + rng.standard_normal((n, t)) + 7
    return x.astype("f4").astype("f8"), y.astype("f4").astype("f8")


def ridge(rng, golden):
    train = 60
    for name, p in (("narrow", 12), ("wide", 150)):
        x, y = data(rng, 75, p, 9)
        golden[f"{name}_x"], golden[f"{name}_y"] = x, y
        for intercept in (True, False):
            for score, function in SCORES.items():
                key = f"{name}_{score}_{'intercept' if intercept else 'plain'}"
                own = dict(alphas=ALPHAS, cv=5, fit_intercept=intercept)
                model = RidgeCV(**own, solver_params=dict(score_func=function, warn=False)).fit(x[:train], y[:train])
                golden[f"{key}_alphas"], golden[f"{key}_weights"] = model.best_alphas_, model.coef_
                golden[f"{key}_cv_scores"] = model.cv_scores_
                predicted = model.predict(x[train:])
                golden[f"{key}_predicted"] = predicted
                golden[f"{key}_test_r"] = correlation_score(y[train:], predicted)
                golden[f"{key}_test_r2"] = r2_score(y[train:], predicted)
                kernel = KernelRidgeCV(kernel="linear", warn=False, **own, solver_params=dict(score_func=function)).fit(x[:train], y[:train])
                assert np.allclose(kernel.best_alphas_, model.best_alphas_)
                golden[f"{key}_dual"] = kernel.dual_coef_
                if intercept:
                    golden[f"{key}_intercept"] = model.intercept_
                    golden[f"{key}_kernel_intercept"] = kernel.intercept_
        shared = RidgeCV(alphas=ALPHAS, cv=5, fit_intercept=True, solver_params=dict(local_alpha=False, warn=False)).fit(x[:train], y[:train])
        assert len(np.unique(shared.best_alphas_)) == 1
        golden[f"{name}_shared_alpha"] = shared.best_alphas_[:1]
        golden[f"{name}_shared_weights"] = shared.coef_
        fixed = np.logspace(-1, 3, 9)
        model = Ridge(alpha=fixed).fit(x[:train], y[:train])
        golden[f"{name}_sklearn_weights"], golden[f"{name}_sklearn_intercept"] = model.coef_.T, model.intercept_
    golden["alphas"], golden["sklearn_alphas"] = ALPHAS, fixed


def banded(rng, golden):
    train, sizes, t = 60, (20, 90, 7), 8
    xs = [rng.standard_normal((75, p)).astype("f4").astype("f8") / np.sqrt(p).astype("f4") for p in sizes]
    xs = [x.astype("f4").astype("f8") for x in xs]
    gains = rng.dirichlet([0.3] * 3, t).T * 3
    y = sum(x @ rng.standard_normal((x.shape[1], t)) * g for x, g in zip(xs, gains)) + 0.7 * rng.standard_normal((75, t))
    y = (y - y[:train].mean(0)).astype("f4").astype("f8")
    gammas = generate_dirichlet_samples(24, 3, concentration=[0.1, 1.0], random_state=5)
    gammas[0] = 1 / 3
    alphas = np.logspace(-3, 2, 6)
    for s, x in enumerate(xs):
        golden[f"banded_x{s}"] = x
    golden.update(banded_y=y, banded_gammas=gammas, banded_alphas=alphas)
    kernels = np.stack([x[:train] @ x[:train].T for x in xs])
    cross = np.stack([x[train:] @ x[:train].T for x in xs])
    for name, intercept, local in (("plain", False, True), ("intercept", True, True), ("shared", False, False)):
        params = dict(n_iter=gammas, alphas=alphas, local_alpha=local, progress_bar=False)
        model = MultipleKernelRidgeCV(kernels="precomputed", solver="random_search", solver_params=params, cv=5, fit_intercept=intercept)
        model.fit(kernels, y[:train])
        key = f"banded_{name}"
        golden[f"{key}_deltas"], golden[f"{key}_dual"] = model.deltas_, model.dual_coef_
        golden[f"{key}_cv_scores"] = model.cv_scores_.max(0)
        golden[f"{key}_predicted"] = model.predict(cross)
        if intercept:
            golden[f"{key}_intercept"] = model.intercept_
        else:
            parts = model.predict(cross, split=True)
            golden[f"{key}_parts"] = parts
            centred = y[train:] - y[train:].mean(0)
            golden[f"{key}_r2_split"] = r2_score_split(centred, parts)
            golden[f"{key}_correlation_split"] = correlation_score_split(y[train:], parts)


def repeats(rng, golden):
    """Formulas as the papers have them, on NaN-padded repeats, one neuron at a time."""
    neurons, images, most = 5, 40, 6
    model = rng.standard_normal((neurons, images))
    trials = (0.8 * model + 0.5 * rng.standard_normal((neurons, images)))[:, :, None] + rng.standard_normal((neurons, images, most))
    for i in range(1, neurons):  # the first neuron has all repeats
        for j in range(images):
            trials[i, j, most - rng.integers(0, 4):] = np.nan
    trials = trials.astype("f4").astype("f8")
    er, fev, feve, snr = [], [], [], []
    for x, r in zip(model, trials):
        n = np.median(np.sum(~np.isnan(r), 1))
        mean, sigma2 = np.nanmean(r, 1), np.nanmean(np.nanvar(r, 1, ddof=1))
        m = len(mean)
        x_, y_ = x - x.mean(), mean - mean.mean()
        numerator = (x_ @ y_) ** 2 - sigma2 / n * (x_ @ x_)
        er.append(numerator / ((x_ @ x_) * (y_ @ y_) - sigma2 / n * (m - 1) * (x_ @ x_)))
        snr.append((np.var(mean) - (m - 1) / m * sigma2 / n) / sigma2)
        total = np.nanvar(r, ddof=1)
        fev.append((total - sigma2) / total)
        feve.append(1 - (np.nanmean((r - x[:, None]) ** 2) - sigma2) / (total - sigma2))
    golden.update(repeats=trials, repeats_model=model, r2_er=er, fev=fev, feve=feve, snr=snr)
    movie = rng.standard_normal((1, 50, 4)) + np.array([0.3, 0.6, 1.0, 3.0])[None, None] * rng.standard_normal((7, 50, 4)) * np.linspace(1, 2, 7)[:, None, None]
    movie = movie.astype("f4").astype("f8")
    golden["movie"] = movie
    for zscore in (True, False):
        z = (movie - movie.mean(1, keepdims=True)) / movie.std(1, keepdims=True) if zscore else movie
        ev = z.mean(0).var(0, ddof=1) / z.var(1, ddof=1).mean(0)
        golden[f"explainable_{'zscored' if zscore else 'plain'}"] = ev - (1 - ev) / (len(z) - 1)


def spm_hrf(t_r, p, micro=16):
    """SPM12's spm_hrf, with SciPy's gamma density (spm_Gpdf(x, h, l) has rate l)."""
    dt = t_r / micro
    u = np.arange(0, np.ceil(p[6] / dt) + 1) - p[5] / dt
    g = lambda h, rate: gamma.pdf(u, h, scale=1 / rate)  # noqa: E731
    hrf = g(p[0] / p[2], dt / p[2]) - g(p[1] / p[3], dt / p[3]) / p[4]
    hrf = hrf[(np.arange(0, np.floor(p[6] / t_r) + 1) * micro).astype(int)]
    return hrf / hrf.sum()


def main():
    set_backend("numpy")
    rng = np.random.default_rng(11)
    golden = {}
    ridge(rng, golden)
    banded(rng, golden)
    repeats(rng, golden)
    for name, p in (("spm", [6, 16, 1, 1, 6, 0, 32]), ("kamali", [5, 16, 1, 1, 6, 0, 32]), ("late", [6, 16, 1.2, 0.9, 4, 2, 30])):
        for t_r in (1 / 15, 2.0):
            golden[f"hrf_{name}_{'movie' if t_r < 1 else 'slow'}"] = spm_hrf(t_r, p)
    np.savez_compressed(Path(__file__).with_name("encoding.npz"), **{k: np.asarray(v, dtype="f8") for k, v in golden.items()})


if __name__ == "__main__":
    main()
