"""`table.py halves ZIP RESPONSES OUT` puts the second half of a recording's images and responses into OUT/test and OUT/tested.npy;
`table.py all OUT` prints the table of the page from the runs of run.sh."""

import csv
import json
import pathlib
import sys
import zipfile

import numpy as np


def halves(archive, responses, out):
    packed = zipfile.ZipFile(archive)
    names = sorted(n for n in packed.namelist() if n.endswith(".jpg") and "__MACOSX" not in n)
    test = pathlib.Path(out, "test")
    test.mkdir(parents=True, exist_ok=True)
    for name in names[len(names) // 2 :]:
        (test / pathlib.Path(name).name).write_bytes(packed.read(name))
    measured = np.load(responses)
    np.save(pathlib.Path(out, "tested.npy"), measured[:, len(names) // 2 :].copy())


def authors(out):
    """r of the authors' models with the recorded responses to the test images, by neuron."""
    run = pathlib.Path(out, "authors")
    predicted = np.load(run / "arrays/responses.npz")["natural"]
    units = [unit["unit"] for unit in json.loads((run / "manifest.json").read_text())["results"]["units"]]
    units = list(dict.fromkeys(units))
    measured = np.load(pathlib.Path(out, "tested.npy"))
    neuron = lambda unit: int(unit.split("neuron")[1])
    return {neuron(u): np.corrcoef(predicted[:, k], measured[neuron(u)])[0, 1] for k, u in enumerate(units)}


def table(out):
    own = authors(out)
    rows = list(csv.DictReader(open(pathlib.Path(out, "students/arrays/students.tsv"), newline=""), delimiter="\t"))
    units = list(dict.fromkeys(row["unit"] for row in rows))
    of = {(row["unit"], row["stage"]): row for row in rows}
    print("neuron\tteacher r\tunpruned: r, with teacher\tpruned: filters, parameters, r, with teacher\tauthors r")
    columns = {key: [] for key in ("teacher", "unpruned", "pruned", "authors", "u-teacher", "p-teacher", "parameters")}
    for unit in units:
        teacher, big, small = (of[unit, stage] for stage in ("teacher", "unpruned", "pruned"))
        r = lambda row, key="recorded_r": float(row[key])
        print(unit, f"{r(teacher):.3f}", f"{r(big):.3f}, {r(big, 'r'):.3f}",
              f"{small['filters']}, {small['parameters']}, {r(small):.3f}, {r(small, 'r'):.3f}", f"{own[int(unit)]:.3f}", sep="\t")
        for key, value in [("teacher", r(teacher)), ("unpruned", r(big)), ("pruned", r(small)), ("authors", own[int(unit)]),
                           ("u-teacher", r(big, "r")), ("p-teacher", r(small, "r")), ("parameters", int(small["parameters"]))]:
            columns[key].append(value)
    print("medians", {key: round(float(np.median(values)), 3) for key, values in columns.items()})
    filters = np.array([[int(n) for n in of[unit, "pruned"]["filters"].split(",")] for unit in units])
    print("filters, medians", np.median(filters, axis=0), "unpruned parameters", of[units[0], "unpruned"]["parameters"])


if __name__ == "__main__":
    halves(*sys.argv[2:5]) if sys.argv[1] == "halves" else table(sys.argv[2])
