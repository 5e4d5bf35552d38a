"""Golden design matrices, betas and t of src/mapping/stats/glm: nilearn's.

nilearn==0.14.1, numpy==2.4.6, nibabel==5.4.2, pandas. Run: python tests/golden/stats_glm.py [FOLDER_OF_REAL_DATA]

stats_glm.npz holds a made-up run; with the folder of real data also stats_localizer.npz: every 100th voxel of its
localizer_4regions, and the mean explained variance over all.
"""

import sys
from pathlib import Path

import nibabel
import numpy as np
import pandas as pd
from nilearn.glm.first_level import make_first_level_design_matrix
from nilearn.glm.first_level.first_level import FirstLevelModel, run_glm

HERE = Path(__file__).parent
MODELS = {"spm": "spm", "derivative": "spm + derivative", "dispersion": "spm + derivative + dispersion"}


def glm(y, design, noise, n_conditions, step=1):
    """Betas and t of the conditions, in nilearn's way through labels and contrasts."""
    labels, results = run_glm(y, design.to_numpy(), noise_model=noise)
    p = design.shape[1]
    columns = np.arange(0, n_conditions * step, step)
    betas, t, rho = np.zeros((n_conditions, y.shape[1])), np.zeros((n_conditions, y.shape[1])), np.zeros(y.shape[1])
    for label, result in results.items():
        voxels = labels == label
        betas[:, voxels] = result.theta[columns]
        for c, column in enumerate(columns):
            t[c, voxels] = result.Tcontrast(np.eye(p)[column]).t
        rho[voxels] = float(label)
    return {"betas": betas, "t": t, "rho": rho}


def made_up():
    rng = np.random.default_rng(3)
    n, t_r = 80, 1.7
    onsets = np.sort(rng.uniform(-3, n * t_r - 8, 24))
    events = pd.DataFrame({
        "onset": onsets,
        "duration": np.where(np.arange(24) % 3 == 0, 0.0, rng.uniform(0.5, 4, 24)),
        "trial_type": [f"image{i % 4}" for i in range(24)],
        "modulation": np.where(np.arange(24) == 5, 2.5, 1.0),
    })
    confounds = rng.standard_normal((n, 2))
    frames = (np.arange(n) + 0.5) * t_r
    golden = {"onset": onsets, "duration": events.duration, "modulation": events.modulation, "confounds": confounds}
    y = np.zeros((n, 30))
    noise = rng.standard_normal((n, 30))
    for v in range(30):
        for k in range(1, n):
            noise[k, v] += (v / 40) * noise[k - 1, v]
    for name, model in MODELS.items():
        design = make_first_level_design_matrix(
            frames, events, hrf_model=model, high_pass=0.02, add_regs=confounds, add_reg_names=["x", "y"])
        golden[f"{name}_design"] = design.to_numpy()
        golden[f"{name}_names"] = np.frombuffer("\n".join(design.columns).encode(), dtype=np.uint8)
        if name == "spm":
            y = (1000 + design.to_numpy()[:, :4] @ rng.standard_normal((4, 30)) * 3 + noise).astype(np.float32)
            golden["series"] = y
        for kind in ("ols", "ar1"):
            for key, value in glm(y.astype(np.float64), design, kind, 4, model.count("+") + 1).items():
                golden[f"{name}_{kind}_{key}"] = value
    np.savez_compressed(HERE / "stats_glm.npz", **golden)


def localizer(folder):
    bold = nibabel.load(folder / "bold.nii.gz")
    regions = np.asarray(nibabel.load(folder / "regions.nii.gz").dataobj) > 0
    series = np.asarray(bold.dataobj)[regions].T.astype(np.float64)
    events = pd.read_csv(folder / "events_10conditions.tsv", sep="\t")
    frames = np.arange(series.shape[0]) * 2.4
    design = make_first_level_design_matrix(frames, events, hrf_model="spm", high_pass=0.01)
    n = events.trial_type.nunique()
    nuisance = design.to_numpy()[:, n:]
    rest = series - nuisance @ np.linalg.lstsq(nuisance, series, rcond=None)[0]
    full = series - design.to_numpy() @ np.linalg.lstsq(design.to_numpy(), series, rcond=None)[0]
    r2 = 1 - (full**2).sum(0) / (rest**2).sum(0)
    print("explained by the conditions: mean", r2.mean(), "best", r2.max(), "columns", list(design.columns))
    golden = {"r2": r2[::100], "mean_r2": np.array([r2.mean(), r2.max()])}
    for kind in ("ols", "ar1"):
        for key, value in glm(series, design, kind, n).items():
            golden[f"{kind}_{key}"] = value[..., ::100]
    # The same through the class that users call.
    mask = nibabel.Nifti1Image(regions.astype(np.uint8), bold.affine)
    model = FirstLevelModel(t_r=2.4, hrf_model="spm", mask_img=mask, noise_model="ols", signal_scaling=False,
                            high_pass=0.01, minimize_memory=True, standardize=False)
    model.fit(bold, events=events)
    conditions = sorted(events.trial_type.unique())
    effect = model.compute_contrast(conditions[2], output_type="effect_size")
    golden["class_beta2"] = np.asarray(effect.dataobj)[regions].astype(np.float64)[::100]
    np.savez_compressed(HERE / "stats_localizer.npz", **golden)


if __name__ == "__main__":
    made_up()
    if len(sys.argv) > 1:
        localizer(Path(sys.argv[1]) / "localizer_4regions")
