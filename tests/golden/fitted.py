"""Golden numbers of src/encoding/fitted.rs: scikit-learn's pipelines, which fit what learns in every fold.

scikit-learn==1.9.1, numpy==2.4.6. Run: python tests/golden/fitted.py
"""

from pathlib import Path

import numpy as np
from sklearn.decomposition import PCA
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

TRAIN, TARGETS = 60, 6
ALPHAS = np.logspace(-1, 4, 9)
SCORES = {"negative_mse": "neg_mean_squared_error", "r2": "r2"}


def pipeline(name):
    if name == "zscore":
        return make_pipeline(StandardScaler(), Ridge())
    return make_pipeline(PCA(0.9, svd_solver="full"), Ridge())


def main():
    rng = np.random.default_rng(23)
    golden = {"alphas": ALPHAS}
    for size, p in (("narrow", 14), ("wide", 130)):
        # Heavy tails: means and scales of a few rows are not those of all.
        x = rng.standard_t(2.5, (75, p)) * np.logspace(-1, 1, p) + 4
        w = rng.standard_normal((p, TARGETS)) / np.logspace(-1, 1, p)[:, None] / np.sqrt(p)
        y = x @ w + np.linspace(0.2, 3, TARGETS) * rng.standard_normal((75, TARGETS)) + 7
        x, y = x.astype("f4").astype("f8"), y.astype("f4").astype("f8")
        golden[f"{size}_x"], golden[f"{size}_y"] = x, y
        for name in ("zscore", "pca"):
            for score, scoring in SCORES.items():
                key = f"{size}_{name}_{score}"
                found = [
                    GridSearchCV(pipeline(name), {"ridge__alpha": ALPHAS}, cv=KFold(5), scoring=scoring).fit(x[:TRAIN], y[:TRAIN, t])
                    for t in range(TARGETS)
                ]
                golden[f"{key}_scores"] = np.stack([f.cv_results_["mean_test_score"] for f in found], 1)
                golden[f"{key}_alphas"] = [f.best_params_["ridge__alpha"] for f in found]
                golden[f"{key}_predicted"] = np.stack([f.predict(x[TRAIN:]) for f in found], 1)
                # Fitted on all training rows before the folds are made, scores are others.
                steps = pipeline(name)[:-1].fit(x[:TRAIN]).transform(x[:TRAIN])
                leaky = GridSearchCV(Ridge(), {"alpha": ALPHAS}, cv=KFold(5), scoring=scoring).fit(steps, y[:TRAIN, 0])
                golden[f"{key}_leaky"] = leaky.cv_results_["mean_test_score"]
    np.savez_compressed(Path(__file__).with_name("fitted.npz"), **{k: np.asarray(v, dtype="f8") for k, v in golden.items()})


if __name__ == "__main__":
    main()
