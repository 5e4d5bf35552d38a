"""Golden group statistics for src/mapping/stats/group.rs and tfce.rs: nilearn's.

nilearn==0.14.1, numpy==2.4.6, scipy==1.17.1, nibabel==5.4.2. Run: python tests/golden/stats_group.py

Twelve voxels of signal in noise, 8 subjects; nulls over all 2^8 sign flips, made one by one with nilearn's own functions.
"""

from pathlib import Path

import nibabel
import numpy as np
from nilearn.maskers import NiftiMasker
from nilearn.mass_univariate import permuted_ols
from nilearn.mass_univariate._utils import calculate_cluster_measures, calculate_tfce
from scipy import ndimage, stats

N_SUBJECTS, SHAPE, CLUSTER_P = 8, (7, 6, 5), 0.02


def exhaustive(maps, mask, two_sided, threshold):
    """Maxima of t, cluster size, cluster mass and TFCE over every flip of signs."""
    maxima = []
    structure = ndimage.generate_binary_structure(3, 1)
    for flip in range(2**N_SUBJECTS):
        signs = np.array([1 - 2 * (flip >> s & 1) for s in range(N_SUBJECTS)])
        t = stats.ttest_1samp(maps * signs[:, None], 0).statistic
        volume = np.zeros((*SHAPE, 1))
        volume[mask, 0] = t
        size, mass = calculate_cluster_measures(volume, threshold, structure, two_sided_test=two_sided)
        tfce = np.abs(calculate_tfce(volume, structure, two_sided_test=two_sided)).max()
        maxima.append([np.abs(t).max() if two_sided else t.max(), size[0], mass[0], tfce])
    return np.array(maxima)


def main():
    rng = np.random.default_rng(5)
    mask = rng.random(SHAPE) < 0.85
    volumes = rng.standard_normal((N_SUBJECTS, *SHAPE))
    volumes[:, 2:5, 2:4, 1:3] += 1.3
    volumes[:, 0:2, 4:6, 3:5] -= 1.0
    maps = volumes[:, mask]
    masker = NiftiMasker(nibabel.Nifti1Image(mask.astype(np.uint8), np.eye(4)), standardize=False).fit()
    golden = {"mask": mask.astype(np.uint8), "maps": maps, "ttest_1samp": stats.ttest_1samp(maps, 0).statistic}
    golden["p_parametric"] = stats.ttest_1samp(maps, 0).pvalue
    for name, two_sided in (("greater", False), ("two_sided", True)):
        result = permuted_ols(
            np.ones((N_SUBJECTS, 1)), maps, model_intercept=False, n_perm=2, two_sided_test=two_sided, masker=masker,
            tfce=True, threshold=CLUSTER_P, random_state=0,
        )
        threshold = stats.t.isf(CLUSTER_P / (2 if two_sided else 1), df=N_SUBJECTS - 1)
        maxima = exhaustive(maps, mask, two_sided, threshold)
        for key in ("t", "tfce", "size", "mass"):
            golden[f"{name}_{key}"] = result[key][0].astype(np.float64)
        golden[f"{name}_threshold"] = np.array([threshold])
        golden[f"{name}_maxima"] = maxima
        observed = [golden[f"{name}_{key}"] for key in ("t", "tfce")]
        for key, values, column in (("t", observed[0], 0), ("tfce", observed[1], 3)):
            values = np.abs(values) if two_sided else values
            golden[f"{name}_p_{key}"] = (maxima[:, column] >= values[:, None] - 1e-9).mean(axis=1)
    np.savez_compressed(Path(__file__).with_name("stats_group.npz"), **golden)


if __name__ == "__main__":
    main()
