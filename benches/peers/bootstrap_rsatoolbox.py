"""Bootstrap inference on models with rsatoolbox: 5 fixed models, 20 subjects, 92 images. rsatoolbox==0.3.2, numpy==2.4.6.

    python benches/peers/bootstrap_rsatoolbox.py [N_COSINE_CORR [N_SPEARMAN_TAU]]

CPU seconds on one thread of `eval_dual_bootstrap`, scaled from N resamples (default 40 and 10) to 1000: its time is proportional to N.
Ours: `cargo bench --bench model_comparison`.
"""

import os

for key in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[key] = "1"
import sys  # noqa: E402
import time  # noqa: E402
import warnings  # noqa: E402

import numpy as np  # noqa: E402
import rsatoolbox.inference.evaluate as evaluate  # noqa: E402
from rsatoolbox.model import ModelFixed  # noqa: E402
from rsatoolbox.rdm import RDMs  # noqa: E402

warnings.filterwarnings("ignore")
evaluate.tqdm.trange = range  # no progress bar in the timing


def main():
    n_fast = int(sys.argv[1]) if len(sys.argv) > 1 else 40
    n_slow = int(sys.argv[2]) if len(sys.argv) > 2 else 10
    rng = np.random.default_rng(0)
    n_pairs = 92 * 91 // 2
    base = rng.random(n_pairs)
    data = RDMs(base + 0.5 * rng.random((20, n_pairs)))
    models = [ModelFixed(f"m{i}", rng.random(n_pairs)) for i in range(5)]
    for method, n in (("cosine", n_fast), ("corr", n_fast), ("spearman", n_slow), ("tau-a", n_slow)):
        start = time.process_time()
        evaluate.eval_dual_bootstrap(models, data, method=method, N=n)
        print(f"{method}: {(time.process_time() - start) / n * 1000:.1f} CPU s per 1000 resamples", flush=True)


if __name__ == "__main__":
    main()
