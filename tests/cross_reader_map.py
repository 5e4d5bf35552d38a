"""Betas written by nibabel, mapped by the program, its maps opened by nibabel; and a group of maps tested by the program and SciPy.

    python tests/cross_reader_map.py PROGRAM FOLDER      (numpy, scipy, nibabel)

The betas are scaled 16-bit integers on an oblique grid, big-endian in one of two runs. The Pearson map of one layer is computed again
from what nibabel reads. Ends with exit code 1 when something differs.
"""

import json
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
from scipy.spatial.distance import pdist
from scipy.stats import ttest_1samp

program, folder = sys.argv[1], Path(sys.argv[2])
folder.mkdir(parents=True, exist_ok=True)
rng = np.random.default_rng(5)
shape, n = (7, 6, 5), 10
turn = np.deg2rad(20)
affine = np.array([[-3 * np.cos(turn), 3 * np.sin(turn), 0, 40], [3 * np.sin(turn), 3 * np.cos(turn), 0, -30], [0, 0, 4, -20], [0, 0, 0, 1]])
names = [f"image{i + 1}" for i in range(n)]
for run, endianness in enumerate("<>"):
    image = nib.Nifti1Image(rng.standard_normal((*shape, n)), affine, nib.Nifti1Header(endianness=endianness))
    image.set_data_dtype(np.dtype(endianness + "i2"))
    image.to_filename(folder / f"sub-1_run-{run + 1}_betas.nii.gz")
    (folder / f"run-{run + 1}.tsv").write_text("\n".join(["condition", *names]) + "\n")
mask = rng.random(shape) < 0.9
nib.Nifti2Image(mask.astype("u1"), affine).to_filename(folder / "mask.nii.gz")
layers = {"a": rng.random(n * (n - 1) // 2), "b": rng.random(n * (n - 1) // 2)}
np.savez(folder / "rdms.npz", **layers)
(folder / "conditions.txt").write_text("\n".join(["condition", *names]) + "\n")
command = [program, "map", "--mask", folder / "mask.nii.gz", "--fingerprints", folder / "rdms.npz", "--fingerprint-conditions", folder / "conditions.txt"]
for run in (1, 2):
    command += ["--betas", folder / f"sub-1_run-{run}_betas.nii.gz", "--labels", folder / f"run-{run}.tsv"]
command += ["--statistic", "pearson", "--radius", "6", "--min-voxels", "5", "--permutations", "99", "--progress", "none", "--quiet", "--out", folder / "run"]
subprocess.run([str(c) for c in command], check=True)

failures = 0
arrays = folder / "run" / "arrays"
for path in sorted(arrays.glob("*.nii.gz")):
    image = nib.load(path)
    same = image.shape == shape and np.allclose(image.affine, affine, atol=1e-4) and np.allclose(image.get_qform(), affine, atol=1e-3)
    finite = np.isfinite(np.asarray(image.dataobj)[mask]).mean()
    if not same or finite < 0.5:
        print(f"{path}: another grid, or no numbers in the mask ({finite:.2f})")
        failures += 1
betas = np.mean([nib.load(folder / f"sub-1_run-{r}_betas.nii.gz").get_fdata() for r in (1, 2)], 0)
voxels = np.argwhere(mask)
mm = voxels @ affine[:3, :3].T
found = nib.load(arrays / "desc-a_stat-pearson_statmap.nii.gz").get_fdata()
counts = np.asarray(nib.load(arrays / "desc-searchlight_stat-nvoxels_statmap.nii.gz").dataobj)
worst = 0.0
for centre, at in zip(voxels, mm):
    near = voxels[np.linalg.norm(mm - at, axis=1) <= 6 + 1e-9]
    if len(near) < 5:
        continue
    failures += int(counts[tuple(centre)] != len(near))
    # The numbering of image1, image2, ..., image10 is natural on both sides.
    r = np.corrcoef(pdist(betas[tuple(near.T)].T, "correlation"), layers["a"])[0, 1]
    worst = max(worst, abs(found[tuple(centre)] - r))
print(f"{len(list(arrays.glob('*.nii.gz')))} maps opened; largest difference of a value {worst:.1e}")

subjects = []
for s in range(6):
    subjects.append(folder / f"sub-{s + 1}_map.nii.gz")
    values = np.where(mask, 0.5 + rng.standard_normal(shape), np.nan).astype("f4")
    nib.Nifti1Image(values, affine).to_filename(subjects[-1])
command = [program, "group", "--maps", *subjects, "--progress", "none", "--quiet", "--out", folder / "group"]
subprocess.run([str(c) for c in command], check=True)
arrays = folder / "group" / "arrays"
maps = np.array([nib.load(f).get_fdata()[mask] for f in subjects])
image = nib.load(arrays / "desc-effect_stat-t_statmap.nii.gz")
failures += int(not np.allclose(image.affine, affine, atol=1e-4))
t = np.abs(image.get_fdata()[mask] - ttest_1samp(maps, 0).statistic).max()
# All 64 sign flips: p of a voxel is the share whose sum reaches its own.
flips = np.array([[1 - 2 * (k >> s & 1) for s in range(6)] for k in range(64)])
p = (flips @ maps >= maps.sum(0) - 1e-9).mean(0)
p = np.abs(nib.load(arrays / "desc-effect_stat-p_statmap.nii.gz").get_fdata()[mask] - p).max()
print(f"group: t within {t:.1e} of scipy.stats.ttest_1samp, p within {p:.1e} of all sign flips")

# Maps that nibabel scales to 16-bit integers of another range for every subject: 0 outside of the brain comes back as another number.
scaled = []
for s in range(6):
    image = nib.Nifti1Image(np.where(mask, (s + 1) * (0.5 + rng.standard_normal(shape)), 0.0), affine)
    image.set_data_dtype(np.int16)
    scaled.append(folder / f"sub-{s + 1}_scaled.nii.gz")
    image.to_filename(scaled[-1])
command = [program, "group", "--maps", *scaled, "--progress", "none", "--quiet", "--out", folder / "scaled"]
subprocess.run([str(c) for c in command], check=True)
maps = np.array([nib.load(f).get_fdata() for f in scaled])
found = nib.load(folder / "scaled" / "arrays" / "desc-effect_stat-t_statmap.nii.gz").get_fdata()
failures += int(not np.array_equal(np.isfinite(found), mask))
ts = np.abs(found[mask] - ttest_1samp(maps[:, mask], 0).statistic).max()
print(f"scaled integers: backgrounds from {maps[:, ~mask].min():.1e} to {maps[:, ~mask].max():.1e} left out, t within {ts:.1e}")

# Regions numbered as in the Allen atlas, and a mask that was smoothed a little at its edge.
ids = np.where(mask, np.array([312782546, 312782550, 312782554])[np.arange(shape[0]) % 3][:, None, None], 0)
nib.Nifti1Image(ids, affine, dtype=np.int64).to_filename(folder / "atlas.nii.gz")
nib.Nifti1Image(np.where(mask, 1.0, 1e-6).astype("f4"), affine).to_filename(folder / "dust.nii.gz")
command = [program, "map", "--mask", folder / "dust.nii.gz", "--rois", folder / "atlas.nii.gz", "--fingerprints", folder / "rdms.npz"]
command += ["--fingerprint-conditions", folder / "conditions.txt", "--statistic", "pearson", "--permutations", "0", "--no-ceiling"]
for run in (1, 2):
    command += ["--betas", folder / f"sub-1_run-{run}_betas.nii.gz", "--labels", folder / f"run-{run}.tsv"]
subprocess.run([str(c) for c in [*command, "--progress", "none", "--quiet", "--out", folder / "rois"]], check=True)
rois = {r["name"]: r["values"][0] for r in json.loads((folder / "rois" / "manifest.json").read_text())["results"]["rois"]}
right = {f"region{i}": np.corrcoef(pdist(betas[ids == i].T, "correlation"), layers["a"])[0, 1] for i in np.unique(ids[mask])}
failures += int(rois.keys() != right.keys() or any(abs(rois[k] - right[k]) > 1e-5 for k in right))
print(f"{len(rois)} regions of a 64-bit atlas within a dusty mask")
sys.exit(1 if failures or not (ts < 1e-4 and worst < 1e-5 and t < 1e-4 and p < 1e-6) else 0)
