"""Ridge at voxel scale with himalaya, one problem that is solved when asked for. himalaya==0.4.11, torch==2.15.0, numpy==2.4.6.

    python benches/peers/encoding_himalaya.py FOLDER KIND BACKEND [ITERATIONS [TARGETS_AT_A_TIME]]

KIND: ridge, kernel-ridge, banded; BACKEND: numpy or torch. Lines on standard input and output as in benches/encoding.rs.
Refits of `ridge` are batched (500 targets): himalaya makes the weights of every penalty, which is 80 times the weights at once.
"""

import resource
import sys
import time

import numpy as np
from himalaya.backend import set_backend
from himalaya.kernel_ridge import KernelRidgeCV, MultipleKernelRidgeCV
from himalaya.ridge import RidgeCV


def main():
    folder, kind, name = sys.argv[1:4]
    n_iter = int(sys.argv[4]) if len(sys.argv) > 4 else 100
    batch = int(sys.argv[5]) if len(sys.argv) > 5 and int(sys.argv[5]) else None
    backend = set_backend(name)
    load = lambda file: backend.asarray(np.load(f"{folder}/{file}.npy").astype("f4"))  # noqa: E731
    y, alphas = load("y"), np.load(f"{folder}/alphas.npy").astype("f4")
    xs = [load(f"x{s}") for s in range(4)] if kind == "banded" else [load("x")]
    params = dict(n_targets_batch=batch, n_targets_batch_refit=batch)
    own = dict(alphas=alphas, cv=5)
    print(name, flush=True)
    for line in sys.stdin:
        if line.strip() == "rss":
            print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, flush=True)
            continue
        start = time.perf_counter()
        if kind == "ridge":
            model = RidgeCV(**own, solver_params=dict(n_targets_batch=batch, n_targets_batch_refit=500, warn=False)).fit(xs[0], y)
        elif kind == "kernel-ridge":
            model = KernelRidgeCV(**own, kernel="linear", solver_params=params, warn=False).fit(xs[0], y)
        else:
            kernels = backend.stack([x @ x.T for x in xs])
            params |= dict(n_iter=n_iter, alphas=alphas, progress_bar=False)
            model = MultipleKernelRidgeCV(kernels="precomputed", solver="random_search", solver_params=params, cv=5, random_state=0)
            model.fit(kernels, y)
        seconds = time.perf_counter() - start
        scores = np.asarray(model.cv_scores_)
        scores = scores.max(0) if scores.ndim == 2 else scores
        chosen = np.asarray(model.best_alphas_) if kind != "banded" else 1 / np.exp(np.asarray(model.deltas_)).sum(0)
        print(seconds, float(scores.mean()), float(np.log10(chosen).mean()), flush=True)


if __name__ == "__main__":
    main()
