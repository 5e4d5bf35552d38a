"""Time of one centre of an RSA searchlight in rsatoolbox and mne-rsa. Needs numpy==2.4.6, scipy==1.17.1, rsatoolbox==0.3.2, mne-rsa==1.0.

    OMP_NUM_THREADS=1 python benches/peers/searchlight.py [n_conditions=92] [n_models=1] [n_centres=200] [command of ours]

A ball of voxels of random numbers (diameter 20), neighbours at distance < 5 voxels, correlation RDM, Spearman with each model.
Where a command is given (`benches/searchlight.rs`, one thread), it is run before each of three rounds of the peers, so that a change of
the machine's clock or load meets all. Prints microseconds of CPU time a centre and the ratios.
"""

import os

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"
import contextlib
import io
import re
import subprocess
import sys
import time
import warnings

import numpy as np

warnings.filterwarnings("ignore")
from mne_rsa import rsa_array, searchlight
from rsatoolbox.inference import eval_fixed
from rsatoolbox.model import ModelFixed
from rsatoolbox.rdm import compare
from rsatoolbox.util.searchlight import evaluate_models_searchlight, get_searchlight_RDMs, get_volume_searchlight

n, n_models, n_centres = (int(sys.argv[i]) if len(sys.argv) > i else d for i, d in ((1, 92), (2, 1), (3, 200)))
ours = sys.argv[4:]
rng = np.random.default_rng(0)
grid = np.indices((20, 20, 20)) - 9.5
mask = (np.sqrt((grid**2).sum(0)) <= 9.5).astype(int)


def timed(f):
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        start = time.process_time()
        f()
        return (time.process_time() - start) / n_centres * 1e6


with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
    centres, neighbours = get_volume_searchlight(mask, radius=5, threshold=0.5)
pick = rng.permutation(len(centres))[:n_centres]
centres, neighbours = centres[pick], [neighbours[i] for i in pick]
data = rng.standard_normal((n, mask.size))
models = rng.random((n_models, n * (n - 1) // 2))
fixed = [ModelFixed(f"m{i}", m) for i, m in enumerate(models)]


def rsatoolbox_documented():
    rdms = get_searchlight_RDMs(data, centres, neighbours, np.arange(n), method="correlation")
    evaluate_models_searchlight(rdms, fixed, eval_fixed, method="spearman", n_jobs=1)


def rsatoolbox_bulk():
    rdms = get_searchlight_RDMs(data, centres, neighbours, np.arange(n), method="correlation")
    for model in fixed:
        compare(model.predict_rdm(), rdms, method="spearman")


def mne_rsa():
    patches = searchlight(data.shape, spatial_radius=[list(map(int, v)) for v in neighbours])
    rsa_array(data, list(models), patches=patches, data_rdm_metric="correlation", rsa_metric="spearman", verbose=False)


def orthoscope():
    environment = dict(os.environ, RAYON_NUM_THREADS="1")
    text = subprocess.run([*ours, str(n), str(n_models)], capture_output=True, text=True, check=True, env=environment).stdout
    return float(re.search(r"\(best ([0-9.]+)\)", text).group(1)), text.strip()


rows = {"rsatoolbox": [], "rsatoolbox, compare() in bulk": [], "mne-rsa": [], "orthoscope": []}
for _ in range(3):
    if ours:
        us, text = orthoscope()
        rows["orthoscope"].append(us)
        print(text, flush=True)
    for name, f in zip(rows, (rsatoolbox_documented, rsatoolbox_bulk, mne_rsa)):
        rows[name].append(timed(f))
own = np.array(rows["orthoscope"]) if ours else None
print(f"{n} conditions, {n_models} models, {np.mean([len(v) for v in neighbours]):.0f} voxels a sphere on average")
for name, us in rows.items():
    if us:
        ratio = "" if own is None or name == "orthoscope" else f"  ratio {np.min(us / own):.1f} .. {np.max(us / own):.1f}"
        print(f"{name:32} {np.median(us):10.1f} us a centre ({min(us):.1f} .. {max(us):.1f}){ratio}")
