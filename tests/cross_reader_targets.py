"""Opens the maps of targets that orthoscope wrote with nibabel and compares them with what they should hold.

    python tests/cross_reader_targets.py FOLDER betas.dscalar.nii      (numpy, nibabel)

FOLDER holds `scores.dscalar.nii` of the places of betas.dscalar.nii and `scores_hemi-{L,R}.func.gii` of 6 and 4 vertices, two
maps each: of map m and target t 10 m + t, NaN for target 1. Ends with an assertion where something differs.
"""

import sys
from pathlib import Path

import nibabel as nib
import numpy as np


def expected(n_targets):
    scores = np.add.outer(10 * np.arange(2), np.arange(n_targets)).astype("f4")
    scores[:, 1] = np.nan
    return scores


def main(folder, original):
    names = ["r", "R2 <all>"]
    image, original = nib.load(folder / "scores.dscalar.nii"), nib.load(original)
    assert isinstance(image, nib.Cifti2Image), type(image)
    assert image.nifti_header.get_intent()[0] == "ConnDenseScalar", image.nifti_header.get_intent()
    assert image.header.get_axis(0).name.tolist() == names
    assert image.header.get_axis(1) == original.header.get_axis(1)
    np.testing.assert_array_equal(np.asarray(image.dataobj), expected(7))
    scores, first = expected(10), 0
    for side, structure, n in [("L", "CortexLeft", 6), ("R", "CortexRight", 4)]:
        image = nib.load(folder / f"scores_hemi-{side}.func.gii")
        assert image.meta["AnatomicalStructurePrimary"] == structure
        assert [array.meta["Name"] for array in image.darrays] == names
        found = np.stack([array.data for array in image.darrays])
        np.testing.assert_array_equal(found, scores[:, first : first + n])
        first += n
    print("3 files are read as they were written")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
