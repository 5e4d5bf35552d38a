"""Golden numbers of src/encoding/receptive_fields.rs: a loop over candidate windows with scikit-learn.

scikit-learn==1.9.1, numpy==2.4.6. Run: python tests/golden/receptive_fields.py
"""

from pathlib import Path

import numpy as np
from sklearn.linear_model import Ridge
from sklearn.model_selection import KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

SAMPLES, TRAIN, CHANNELS, CANDIDATES, TARGETS = 90, 72, 5, 14, 11
ALPHAS = np.logspace(0, 4, 7)


def score(y, p):
    """Of each target: scikit-learn's scorers mean over targets."""
    return -((y - p) ** 2).mean(0), 1 - ((y - p) ** 2).sum(0) / ((y - y.mean(0)) ** 2).sum(0)


def search(x, y, model):
    """Mean scores over 4 folds: two kinds of score x penalties x targets."""
    out = np.zeros((2, len(ALPHAS), y.shape[1]))
    for train, test in KFold(4).split(x):
        for a, alpha in enumerate(ALPHAS):
            p = model(alpha).fit(x[train], y[train]).predict(x[test])
            out[:, a] += np.array(score(y[test], p)) / 4
    return out


def main():
    rng = np.random.default_rng(31)
    # Maps of 14 places on a line, smooth in space; windows are what one place sees. Heavy tails: statistics of
    # a few samples are not those of all.
    maps = rng.standard_t(2.5, (SAMPLES, CANDIDATES + 6, CHANNELS))
    weights = np.exp(-0.5 * ((np.arange(CANDIDATES)[:, None] + 3 - np.arange(CANDIDATES + 6)) / 1.5) ** 2)
    x = np.einsum("gp,npc->ngc", weights, maps) * np.logspace(-1, 1, CHANNELS) + 3
    x[:, 4, 2] = 1.5  # a channel that does not vary under one window
    x = x.astype("f4").astype("f8")
    true = rng.integers(0, CANDIDATES, TARGETS)
    z = (x - x.mean(0)) / np.where(x.std(0) > 1e-9, x.std(0), 1)
    noise = np.linspace(0.3, 4, TARGETS)
    y = np.einsum("ntc,ct->nt", z[:, true], rng.standard_normal((CHANNELS, TARGETS))) + noise * rng.standard_normal((SAMPLES, TARGETS)) + 2
    y = y.astype("f4").astype("f8")
    golden = dict(x=x.reshape(SAMPLES, -1), y=y, alphas=ALPHAS, true=true)
    honest = np.stack([search(x[:TRAIN, g], y[:TRAIN], lambda a: make_pipeline(StandardScaler(), Ridge(a))) for g in range(CANDIDATES)])
    # As fwRF does it: one z-score of all training samples, whose statistics the held-out ones are in.
    scaled = [StandardScaler().fit_transform(x[:TRAIN, g]) for g in range(CANDIDATES)]
    leaky = np.stack([search(s, y[:TRAIN], lambda a: Ridge(a)) for s in scaled])
    for s, name in enumerate(("negative_mse", "r2")):
        scores = honest[:, s]
        window = scores.max(1).argmax(0)
        alpha = ALPHAS[scores[window, :, np.arange(TARGETS)].argmax(1)]
        golden.update({f"{name}_windows": window, f"{name}_alphas": alpha, f"{name}_scores": scores.max(1).max(0)})
        golden[f"{name}_leaky_scores"] = leaky[:, s].max(1).max(0)
        coef, intercept, predicted = [], [], []
        for t in range(TARGETS):
            model = make_pipeline(StandardScaler(), Ridge(alpha[t])).fit(x[:TRAIN, window[t]], y[:TRAIN, t])
            coef.append(model[-1].coef_)
            intercept.append(model[-1].intercept_)
            predicted.append(model.predict(x[TRAIN:, window[t]]))
        golden.update({f"{name}_weights": np.stack(coef, 1), f"{name}_intercept": intercept, f"{name}_predicted": np.stack(predicted, 1)})
        print(name, "windows", window, "true", true, "alphas", alpha)
        print("honest", golden[f"{name}_scores"], "leaky", golden[f"{name}_leaky_scores"])
    np.savez_compressed(Path(__file__).with_name("receptive_fields.npz"), **{k: np.asarray(v, dtype="f8") for k, v in golden.items()})


if __name__ == "__main__":
    main()
