"""Opens what orthoscope wrote with the usual readers and recomputes what can be recomputed.

    python tests/cross_reader.py RUN_DIR [RUN_DIR ...]      (numpy, Pillow)

Every .npz and .npy must load in numpy without pickle and every .png in Pillow as 8-bit RGB; `second_order` of rdms.npz must
be numpy.corrcoef of the condensed RDMs; the manifest must be JSON. Ends with exit code 1 and one line a failure.
"""

import json
import sys
from pathlib import Path

import numpy as np
from PIL import Image

# Both sides compute in float64; what is left is another order of additions.
TOLERANCE = 1e-6
NUMBERS = "fiub"


class Checks:
    def __init__(self):
        self.failures, self.n_checks = [], 0

    def that(self, condition, message):
        self.n_checks += 1
        if not condition:
            self.failures.append(message)


def n_conditions(n_pairs):
    n = round((1 + np.sqrt(1 + 8 * n_pairs)) / 2)
    return n if n * (n - 1) // 2 == n_pairs else None


def load(path):
    loaded = np.load(path, allow_pickle=False)
    return {key: loaded[key] for key in loaded.files} if path.suffix == ".npz" else {path.stem: loaded}


def check_arrays(path, arrays, checks):
    checks.that(arrays, f"{path}: no arrays")
    for key, array in arrays.items():
        checks.that(array.dtype.kind in NUMBERS, f"{path}: `{key}` has dtype {array.dtype}")
        checks.that(array.dtype.byteorder in "=|<", f"{path}: `{key}` is not little-endian")
        checks.that("/" not in key, f"{path}: the key `{key}` would be a folder")


def check_rdms(path, arrays, checks, n_images):
    arrays = dict(arrays)
    second_order = arrays.pop("second_order", None)
    checks.that(second_order is not None, f"{path}: no second_order")
    sizes = {n_conditions(rdm.size) if rdm.ndim == 1 else None for rdm in arrays.values()}
    checks.that(len(sizes) == 1 and None not in sizes, f"{path}: not all condensed RDMs of one size: {sizes}")
    for key, rdm in arrays.items():
        checks.that(rdm.dtype == np.float64, f"{path}: `{key}` is {rdm.dtype}, not float64")
        checks.that(not (rdm < 0).any(), f"{path}: `{key}` has negative dissimilarities")
    if n_images:
        checks.that(sizes == {n_images}, f"{path}: RDMs of {sizes} conditions, but {n_images} images")
    if second_order is None or len(sizes) != 1 or None in sizes:
        return
    shape = (len(arrays), len(arrays))
    checks.that(second_order.shape == shape, f"{path}: second_order is {second_order.shape}, not {shape}")
    rdms = np.stack(list(arrays.values()))
    if second_order.shape == shape and np.isfinite(rdms).all() and (rdms.std(axis=1) > 0).all():
        worst = np.abs(np.atleast_2d(np.corrcoef(rdms)) - second_order).max()
        checks.that(worst <= TOLERANCE, f"{path}: second_order is {worst:.2e} away from numpy.corrcoef")
        print(f"{path}: {len(rdms)} RDMs of {sizes.pop()} conditions; second_order within {worst:.1e} of numpy.corrcoef")


def check_images(folder, checks):
    images = sorted(folder.glob("*.png"))
    sizes = set()
    for path in images:
        with Image.open(path) as image:
            image.load()
            checks.that(image.format == "PNG" and image.mode == "RGB", f"{path}: {image.format}, mode {image.mode}")
            pixels = np.asarray(image)
        checks.that(pixels.dtype == np.uint8, f"{path}: {pixels.dtype}")
        sizes.add(pixels.shape)
    checks.that(len(sizes) <= 1, f"{folder}: images of different sizes {sizes}")
    return len(images)


def check_run(run, checks):
    manifest = run / "manifest.json"
    checks.that(manifest.is_file(), f"{run}: no manifest.json")
    if manifest.is_file():
        status = json.loads(manifest.read_text(encoding="utf-8")).get("status")
        checks.that(status == "complete", f"{manifest}: status {status}")
    n_images = check_images(run / "images", checks)
    for path in sorted(run.rglob("*.png")):
        if path.parent != run / "images":
            with Image.open(path) as image:
                image.load()
            checks.n_checks += 1
    for path in sorted([*run.rglob("*.npz"), *run.rglob("*.npy")]):
        arrays = load(path)
        check_arrays(path, arrays, checks)
        if path.name == "rdms.npz":
            check_rdms(path, arrays, checks, n_images)


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    checks = Checks()
    for run in map(Path, sys.argv[1:]):
        try:
            check_run(run, checks)
        except Exception as error:  # a file that its reader refuses is the finding, whatever the reader raises
            checks.failures.append(f"{run}: {type(error).__name__}: {error}")
    for failure in checks.failures:
        print(f"FAILED {failure}", file=sys.stderr)
    print(f"{checks.n_checks} checks, {len(checks.failures)} failures")
    sys.exit(1 if checks.failures or not checks.n_checks else 0)


if __name__ == "__main__":
    main()
