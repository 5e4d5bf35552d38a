"""Surfaces, grayordinates and MATLAB's HDF5, small, as nibabel and h5py write them; read in tests/all/targets.rs.

    python tests/golden/surfaces.py       (numpy==2.4.6, nibabel==5.4.2, h5py==3.16.0)

Writes tests/golden/surfaces/. Numbers are formulas that the tests repeat: of row t and target v, 10 t + v + 0.25.
"""

from pathlib import Path

import h5py
import nibabel as nib
import numpy as np
from nibabel import cifti2

OUT = Path(__file__).parent / "surfaces"
N_ROWS = 3
SIDES = {"L": ("CortexLeft", 6), "R": ("CortexRight", 4)}


def values(n_targets, first=0):
    t, v = np.meshgrid(np.arange(N_ROWS), np.arange(first, first + n_targets), indexing="ij")
    return (10 * t + v + 0.25).astype("f4")


def gifti(name, rows, structure, encoding="GIFTI_ENCODING_B64GZ", endian="little", intent="NIFTI_INTENT_TIME_SERIES", labels=None):
    image = nib.gifti.GiftiImage(meta=nib.gifti.GiftiMetaData({"AnatomicalStructurePrimary": structure}), labeltable=labels)
    for t, row in enumerate(rows):
        array = nib.gifti.GiftiDataArray(row, intent=intent, encoding=encoding, endian=endian,
                                         meta=nib.gifti.GiftiMetaData({"Name": f"map {t}"}))
        image.add_gifti_data_array(array)
    (OUT / name).write_bytes(image.to_bytes())


def label_table():
    table = nib.gifti.GiftiLabelTable()
    for key, name in [(0, "???"), (1, "V1"), (70000, "V4 <dorsal>")]:
        label = nib.gifti.GiftiLabel(key, 0.5, 0.5, 0.5, 1.0)
        label.label = name
        table.labels.append(label)
    return table


def giftis():
    first = 0
    for side, (structure, n) in SIDES.items():
        rows = values(n, first)
        gifti(f"bold_hemi-{side}.func.gii", rows, structure)
        first += n
    left = values(6)
    gifti("plain_hemi-L.func.gii", left, "CortexLeft", encoding="GIFTI_ENCODING_B64BIN")
    gifti("ascii_hemi-L.func.gii", left, "CortexLeft", encoding="GIFTI_ENCODING_ASCII")
    gifti("whole_hemi-L.func.gii", [left.T.copy()], "CortexLeft")
    gifti("areas_hemi-L.label.gii", [np.array([0, 1, 1, 70000, 0, 1], "i4")], "CortexLeft", intent="NIFTI_INTENT_LABEL",
          labels=label_table())
    gifti("areas_hemi-R.label.gii", [np.array([1, 0, 70000, 0], "i4")], "CortexRight", intent="NIFTI_INTENT_LABEL",
          labels=label_table())


def brain_models():
    affine = np.array([[-2, 0, 0, 90], [0, 2, 0, -126], [0, 0, 2, -72], [0, 0, 0, 1.0]])
    voxels = np.zeros((3, 4, 5), bool)
    voxels[1, 2, 3] = voxels[0, 0, 1] = voxels[2, 3, 4] = True
    return (cifti2.BrainModelAxis.from_surface([0, 2, 3], 6, "CortexLeft")
            + cifti2.BrainModelAxis.from_surface([1], 4, "CortexRight")
            + cifti2.BrainModelAxis.from_mask(voxels, affine=affine, name="ThalamusLeft"))


def ciftis():
    models = brain_models()
    rows = values(len(models))
    axes = {
        "betas.dscalar.nii": cifti2.ScalarAxis(["face 1", "house <2>", "chair"]),
        "bold.dtseries.nii": cifti2.SeriesAxis(0.0, 0.72, N_ROWS),
    }
    for name, axis in axes.items():
        image = cifti2.Cifti2Image(rows, (axis, models))
        image.update_headers()
        (OUT / name).write_bytes(image.to_bytes())
    table = {0: ("???", (0, 0, 0, 0)), 1: ("V1", (1, 0, 0, 1)), 7: ("LGN", (0, 0, 1, 1))}
    labels = cifti2.Cifti2Image(np.array([[1, 0, 1, 1, 7, 0, 7]], "f4"), (cifti2.LabelAxis(["areas"], [table]), models))
    labels.update_headers()
    (OUT / "areas.dlabel.nii").write_bytes(labels.to_bytes())
    parcels = cifti2.ParcelsAxis.from_brain_models([("V1", models[:3]), ("V2", models[3:4])])
    image = cifti2.Cifti2Image(rows[:, :2], (axes["betas.dscalar.nii"], parcels))
    image.update_headers()
    (OUT / "betas.pscalar.nii").write_bytes(image.to_bytes())


def matlab():
    """As MATLAB's -v7.3 writes: a header of 512 bytes before, classes as attributes, axes in reverse."""
    path = OUT / "responses.mat"
    with h5py.File(path, "w", userblock_size=512, libver="earliest", track_order=False) as f:
        def put(where, name, data, kind):
            data = where.create_dataset(name, data=data, track_times=False)
            data.attrs["MATLAB_class"] = np.bytes_(kind)
            return data

        # In MATLAB rt is 3 x 6 (size(rt)), rva 3 x 2 x 6 with a repeat that was not made.
        rt = values(6).T.copy()
        rt[4, :] = np.nan
        put(f, "rt", rt, "single")
        rva = np.stack([rt, rt + 2], axis=1)
        rva[:, 1, 2] = np.nan
        put(f, "rva", rva.astype("f8"), "double")
        roi = f.create_group("roi")
        for name, inside in [("v1lh", [0, 1]), ("v1rh", [5]), ("none", [])]:
            mask = np.zeros((3, 2, 1))
            mask.flat[inside] = 1
            put(roi, name, mask, "double")
        cell = put(f, "names", np.zeros((1, 2), "u4"), "cell")
        assert cell.shape == (1, 2)
        put(f, "text", np.array([[86], [49]], "u2"), "char")
    with open(path, "r+b") as f:
        f.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(116) + bytes(8) + b"\x00\x02IM")


if __name__ == "__main__":
    OUT.mkdir(exist_ok=True)
    giftis()
    ciftis()
    matlab()
