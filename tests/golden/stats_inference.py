"""Golden model comparisons for src/rdm/inference: rsatoolbox's, in recorded resamples.

rsatoolbox==0.3.2, numpy==2.4.6, scipy==1.17.1. Run: python tests/golden/stats_inference.py
"""

import warnings
from pathlib import Path

import numpy as np
import rsatoolbox.inference.evaluate as evaluate
from rsatoolbox.model import ModelFixed
from rsatoolbox.rdm import RDMs
from rsatoolbox.util.inference_util import extract_variances

warnings.filterwarnings("ignore")
N_CONDITIONS, N_RDMS, N_MODELS, N = 9, 6, 3, 30


def recorded(name, record):
    """Replaces a sampler of rsatoolbox by one that keeps what it drew."""
    original = getattr(evaluate, name)

    def sampler(rdms, *args, **kwargs):
        drawn = original(rdms, *args, **kwargs)
        record.append([np.asarray(d) for d in drawn[1:]])
        return drawn

    setattr(evaluate, name, sampler)
    return original


def main():
    rng = np.random.default_rng(11)
    n_pairs = N_CONDITIONS * (N_CONDITIONS - 1) // 2
    base = rng.random(n_pairs)
    models = np.round(np.stack([base + s * rng.random(n_pairs) for s in (0.3, 1.0, 3.0)]), 1)  # ties
    models[2] = base > 0.5  # a model of two values
    rdms = np.round(base + 0.6 * rng.random((N_RDMS, n_pairs)), 2)
    golden = {"models": models, "rdms": rdms}
    data = RDMs(rdms)
    fixed = [ModelFixed(f"m{i}", m) for i, m in enumerate(models)]

    def keep(key, result):
        golden[f"{key}_models"] = result.evaluations.reshape(result.evaluations.shape[0], N_MODELS, -1)
        golden[f"{key}_ceiling"] = result.noise_ceiling
        golden[f"{key}_mean"] = result.get_means()
        golden[f"{key}_variance"] = result.model_var
        golden[f"{key}_difference"] = result.diff_var
        golden[f"{key}_ceiling_variance"] = result.noise_ceil_var
        pairwise, zero, noise = result.test_all()
        golden.update({f"{key}_p_pairwise": pairwise, f"{key}_p_zero": zero, f"{key}_p_noise": noise})
        golden[f"{key}_interval"] = np.stack(result.get_ci(0.95))
        if result.variances.shape[-1] == N_MODELS + 2:
            # The bounds of the ceiling as if they were models.
            # Only the number of what was resampled corrects them, as rsatoolbox says.
            n_rdm = None if key.endswith("_patterns") else result.n_rdm
            own = extract_variances(result.variances, False, n_rdm, result.n_pattern)[0]
            golden[f"{key}_bound_variance"] = own[-2:]

    for method in ("cosine", "corr", "spearman", "tau-a"):
        for kind, function, sampler in (
            ("dual", evaluate.eval_dual_bootstrap, "bootstrap_sample"),
            ("both", evaluate.eval_bootstrap, "bootstrap_sample"),
            ("patterns", evaluate.eval_bootstrap_pattern, "bootstrap_sample_pattern"),
            ("rdms", evaluate.eval_bootstrap_rdm, "bootstrap_sample_rdm"),
        ):
            np.random.seed(5)
            record = []
            original = recorded(sampler, record)
            keep(f"{method}_{kind}", function(fixed, data, method=method, N=N))
            setattr(evaluate, sampler, original)
            drawn = [np.stack(d) for d in zip(*record)]
            rdm_idx = drawn[0] if kind != "patterns" else np.tile(np.arange(N_RDMS), (N, 1))
            pattern_idx = drawn[-1] if kind != "rdms" else np.tile(np.arange(N_CONDITIONS), (N, 1))
            golden[f"{method}_{kind}_rdm_idx"] = rdm_idx.astype(np.int64)
            golden[f"{method}_{kind}_pattern_idx"] = pattern_idx.astype(np.int64)
        keep(f"{method}_fixed", evaluate.eval_fixed(fixed, data, method=method))
    np.savez_compressed(Path(__file__).with_name("stats_inference.npz"), **golden)


if __name__ == "__main__":
    main()
