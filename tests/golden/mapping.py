"""Golden values of src/mapping. Needs numpy==2.4.6, scipy==1.17.1, rsatoolbox==0.3.2, mne-rsa==1.0, nibabel==5.4.2, scikit-learn==1.9.1.

RDMs, comparisons, noise ceilings and searchlights come from rsatoolbox; partial correlations, regressions and a second searchlight
from mne-rsa; non-negative least squares from scipy. The searchlights run on two of the real data sets, whose folder is the argument.

    python tests/golden/mapping.py DATA_FOLDER
"""

import csv
import sys
import warnings
from pathlib import Path

import nibabel as nib
import numpy as np
from mne_rsa import rsa, rsa_array, searchlight
from rsatoolbox.data import Dataset
from rsatoolbox.data.noise import prec_from_unbalanced
from rsatoolbox.inference import boot_noise_ceiling
from rsatoolbox.rdm import RDMs, calc_rdm, compare
from rsatoolbox.rdm.calc import _calc_rdm_crossnobis_single
from rsatoolbox.rdm.calc_unbalanced import calc_rdm_unbalanced
from rsatoolbox.util.searchlight import get_searchlight_RDMs, get_volume_searchlight
from scipy.optimize import nnls
from scipy.spatial import cKDTree
from scipy.spatial.distance import pdist
from scipy.stats import rankdata

warnings.filterwarnings("ignore")
DATA = Path(sys.argv[1])
rng = np.random.default_rng(7)
out = {}

# ---- RDMs of one set of voxels
n, n_runs, p = 12, 4, 30
signal = rng.standard_normal((n, p))
noise = rng.standard_normal((p, p)) * 0.3 + np.eye(p)
conditions = np.tile(np.repeat(np.arange(n), 2), n_runs)
runs = np.repeat(np.arange(n_runs), 2 * n)
x = (signal[conditions] + rng.standard_normal((len(conditions), p)) @ noise).astype(np.float32)
keep = np.ones(len(x), bool)
keep[[0, 25, 26, 27, 60]] = False  # repeats are lost; condition 1 is absent from run 1
out.update(patterns=x, conditions=conditions.astype("i8"), runs=runs.astype("i8"), kept=keep)


def dataset(which):
    return Dataset(x[which].astype("f8"), obs_descriptors={"c": conditions[which], "r": runs[which]})


whole, holed = dataset(slice(None)), dataset(keep)
out["correlation"] = calc_rdm(whole, method="correlation", descriptor="c").dissimilarities[0]
out["euclidean"] = calc_rdm(whole, method="euclidean", descriptor="c").dissimilarities[0]
means = np.array([x[conditions == c].astype("f8").mean(0) for c in range(n)])
out["cosine"] = pdist(means, "cosine")
for kind in ("diag", "shrinkage_diag", "shrinkage_eye"):
    precision = prec_from_unbalanced(whole, "c", method=kind)
    out["mahalanobis_" + kind] = calc_rdm(whole, method="mahalanobis", descriptor="c", noise=precision).dissimilarities[0]
    crossed = calc_rdm(whole, method="crossnobis", descriptor="c", noise=precision, cv_descriptor="r")
    out["crossnobis_" + kind] = crossed.dissimilarities[0]
    folds = []
    for run in range(n_runs):  # the noise of each fold from its training runs
        train = Dataset(x[runs != run].astype("f8"), obs_descriptors={"c": conditions[runs != run]})
        precision = prec_from_unbalanced(train, "c", method=kind)
        a, b = (np.array([x[which & (conditions == c)].astype("f8").mean(0) for c in range(n)]) for which in (runs != run, runs == run))
        folds.append(_calc_rdm_crossnobis_single(a, b, precision))
    out["fold_" + kind] = np.mean(folds, 0)
out["crossnobis_identity"] = calc_rdm(whole, method="crossnobis", descriptor="c", cv_descriptor="r").dissimilarities[0]
unequal = np.ones(len(x), bool)
unequal[[0, 30, 31 + 30]] = False  # every condition in every run, with different numbers of repeats
out["unequal"] = unequal
ds = dataset(unequal)
out["crossnobis_unequal"] = calc_rdm(ds, method="crossnobis", descriptor="c", cv_descriptor="r").dissimilarities[0]
pairs = calc_rdm_unbalanced(holed, method="crossnobis", descriptor="c", cv_descriptor="r")
out["crossnobis_pairs"] = pairs.dissimilarities[0]
precision = prec_from_unbalanced(holed, "c", method="shrinkage_diag")
pairs = calc_rdm_unbalanced(holed, method="crossnobis", descriptor="c", cv_descriptor="r", noise=precision)
out["crossnobis_pairs_shrinkage_diag"] = pairs.dissimilarities[0]

# ---- comparisons
n_layers = 5
shared = rng.random(n * (n - 1) // 2)
models = 0.6 * shared + 0.4 * rng.random((n_layers, len(shared)))
models[4] = np.round(models[4] * 4) / 4  # ties
brain = out["correlation"]
out["models"] = models
for name in ("corr", "spearman", "tau-a", "cosine", "corr_cov", "cosine_cov"):
    out["compare_" + name] = compare(RDMs(brain), RDMs(models), method=name)[0]


def standardised(v):
    return (v - v.mean()) / np.linalg.norm(v - v.mean())


vs, b = np.array([standardised(m) for m in models]), standardised(brain)
weights = np.linalg.lstsq(vs.T, b, rcond=None)[0]
out["ols"] = np.r_[weights, 1 - np.sum((b - weights @ vs) ** 2)]
weights, residual = nnls(vs.T, b)
out["nnls"] = np.r_[weights, 1 - residual**2]
out["partial"] = rsa(brain, list(models), metric="partial")
out["partial_spearman"] = rsa(brain, list(models), metric="partial-spearman")


def cleaned(v, others):
    return v - np.linalg.lstsq(others.T, v, rcond=None)[0] @ others


others = [np.delete(vs, l, 0) for l in range(n_layers)]
out["semi_partial"] = np.array([standardised(cleaned(vs[l], others[l])) @ b for l in range(n_layers)])
r2 = lambda design: 1 - np.sum(cleaned(b, design) ** 2)
out["unique_variance"] = np.r_[[r2(vs) - r2(o) for o in others], r2(vs)]
out["ordered"] = np.array([standardised(cleaned(vs[l], vs[:l]) if l else vs[0]) @ b for l in range(n_layers)])
values, vectors = np.linalg.eigh(vs @ vs.T)
out["symmetric"] = (vectors / np.sqrt(values)) @ vectors.T @ vs @ b
out["vif"] = np.diag(np.linalg.inv(vs @ vs.T))
out["condition_number"] = np.linalg.cond(vs)
ranks = np.array([standardised(rankdata(m)) for m in models])
others = [np.delete(ranks, l, 0) for l in range(n_layers)]
rb = standardised(rankdata(brain))
out["semi_partial_spearman"] = np.array([standardised(cleaned(ranks[l], others[l])) @ rb for l in range(n_layers)])

# ---- noise ceilings
subjects = brain + 0.3 * rng.random((6, len(brain)))
out["subjects"] = subjects
for name in ("corr", "spearman", "tau-a", "cosine", "corr_cov", "cosine_cov"):
    out["ceiling_" + name] = np.array(boot_noise_ceiling(RDMs(subjects), method=name))

# ---- searchlight: 24 blocks of the localizer, each a condition, whole brain
folder = DATA / "visual_categories_12mm"
mask = nib.load(folder / "mask.nii.gz").get_fdata() > 0
betas = [nib.load(folder / f"localizer_run{r}_betas.nii.gz").get_fdata() for r in (1, 2, 3)]
blocks = np.concatenate(betas, 3).reshape(-1, 24).T
labels = []
for r in (1, 2, 3):
    with open(folder / f"localizer_run{r}_events.tsv") as f:
        labels += [row["BlockType"] for row in csv.DictReader(f, delimiter="\t")]
model_category = pdist(np.array([[float(l == k) for k in sorted(set(labels))] for l in labels]), "sqeuclidean") / 2
model_random = rng.random((2, 276))
centres, neighbours = get_volume_searchlight(mask, radius=2, threshold=1.0)
rdms = get_searchlight_RDMs(blocks, centres, neighbours, np.arange(24), method="correlation", verbose=False)
three = np.vstack([model_category, model_random])
out["vc_models"], out["vc_centres"] = three, np.array(centres, "i8")
out["vc_counts"] = np.array([len(v) for v in neighbours], "i8")
out["vc_rdms"] = rdms.dissimilarities[::40].astype("f8")
for name in ("corr", "spearman", "cosine"):
    out["vc_" + name] = compare(rdms, RDMs(three), method=name)

# the same by mne-rsa, with all voxels of the mask within 24 mm (<=), at least 10 of them
voxels = np.argwhere(mask)
mm = voxels @ nib.load(folder / "mask.nii.gz").affine[:3, :3].T
near = cKDTree(mm).query_ball_point(mm, 24.0 * (1 + 1e-9))
enough = [i for i, v in enumerate(near) if len(v) >= 10]
patches = searchlight((24, len(voxels)), spatial_radius=[sorted(near[i]) for i in enough])
inside = blocks[:, np.ravel_multi_index(voxels.T, mask.shape)]
found = rsa_array(inside, list(three), patches=patches, data_rdm_metric="correlation", rsa_metric="spearman", verbose=False)
out["vc_mm_centres"] = np.ravel_multi_index(voxels[enough].T, mask.shape).astype("i8")
out["vc_mm_spearman"] = np.asarray(found, "f8")

# ---- searchlight with noise and runs: raw BOLD of ventral temporal cortex, 8 categories, 10 runs
folder = DATA / "haxby2001_s1"
mask = nib.load(folder / "vt_mask.nii.gz").get_fdata() > 0
bold = nib.load(folder / "vt_bold.nii.gz").get_fdata().astype(np.float32).reshape(-1, 720).T.astype("f8")
with open(folder / "vt_labels.tsv") as f:
    rows = list(csv.DictReader(f, delimiter="\t"))
category, run = np.array([r["category"] for r in rows]), np.array([int(r["run"]) for r in rows])
centres, neighbours = get_volume_searchlight(mask, radius=3, threshold=0.0, truncate_at_boundary=True)
some = np.arange(0, len(centres), 37)
out["haxby_centres"] = np.array(centres, "i8")[some]
averages = np.array([bold[category == c].mean(0) for c in sorted(set(category))])
rdms = get_searchlight_RDMs(averages, centres[some], [neighbours[i] for i in some], np.arange(8), method="correlation", verbose=False)
out["haxby_correlation"] = rdms.dissimilarities
crossed, whitened = [], []
for i in some:
    data = Dataset(bold[:, neighbours[i]], obs_descriptors={"c": category, "r": run})
    crossed.append(calc_rdm(data, method="crossnobis", descriptor="c", cv_descriptor="r").dissimilarities[0])
    precision = prec_from_unbalanced(data, "c", method="shrinkage_diag")
    whitened.append(calc_rdm(data, method="crossnobis", descriptor="c", cv_descriptor="r", noise=precision).dissimilarities[0])
out["haxby_crossnobis"], out["haxby_whitened"] = np.array(crossed), np.array(whitened)

path = Path(__file__).with_suffix(".npz")
np.savez_compressed(path, **{k: np.asarray(v) for k, v in out.items()})
print(path, path.stat().st_size // 1000, "kB", len(out), "arrays")
