"""Tables of the README from the runs of run.sh: python3 compare.py OUT (NumPy)"""

import csv
import json
import pathlib
import sys

import numpy as np

OUT = pathlib.Path(sys.argv[1])
PRESETS = ["UC", "SC", "DC", "RC", "SRC", "DRC"]
TOP = 10


def results(run):
    return json.loads((OUT / run / "manifest.json").read_text())["results"]


def table(run, name="scores"):
    with open(OUT / run / "arrays" / f"{name}.tsv") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def number(field):
    return float("nan") if field in ("n/a", "") else float(field)


def dissimilarities():
    """1 - correlation of the whole network's last layer, of all pairs of the other photographs."""
    file = np.load(OUT / "others-rdm" / "arrays" / "rdms.npz")
    condensed = file[next(name for name in file.files if name.startswith("fire9"))]
    n = int(round((1 + (1 + 8 * len(condensed)) ** 0.5) / 2))
    full = np.zeros((n, n))
    full[np.triu_indices(n, 1)] = condensed
    return full + full.T


def stability(run, d):
    """Mean correlation of the ten photographs that a target prefers, in the features of the whole network: of every target."""
    predictions = np.load(OUT / f"{run}-others" / "arrays" / "predictions.npy")
    out = []
    for column in predictions.T:
        top = np.argsort(-column, kind="stable")[:TOP]
        out.append(1 - d[np.ix_(top, top)][np.triu_indices(TOP, 1)].mean() if np.isfinite(column).all() else np.nan)
    return np.array(out)


def main():
    d = dissimilarities()
    for preset in ("SC", "DC"):
        r = results(f"{preset}-network")
        print(preset, {k: round(v, 2) for k, v in r["ratio"].items() if k != "latency_ms"}, "score", round(r["after"]["score"], 3))
    for data in ("v4", "voxels"):
        print(f"\n{data}\n\n| preset | median r | median r of UC's better half | identified | stability | more stable than its pair |")
        print("|---|---|---|---|---|---|")
        base = np.array([number(row["r"]) for row in table(f"{data}-UC")])
        good, stable = base >= np.median(base), {}
        for preset in PRESETS:
            run = f"{data}-{preset}"
            r = np.array([number(row["r"]) for row in table(run)])
            found = results(run)["identification"]
            stable[preset] = stability(run, d)
            pair = "UC" if preset in ("SC", "DC", "RC") else "RC"
            better = np.nanmean(stable[preset] > stable[pair])
            told = "" if preset == "UC" else f"{100 * better:.0f} % (than {pair})"
            print(
                f"| {preset} | {np.median(r):.3f} | {np.median(r[good]):.3f} | {100 * found['of_measured']:.1f} % |"
                f" {np.nanmean(stable[preset]):.3f} | {told} |"
            )
    print("\nvoxels, by region: median r; size and eccentricity of the windows (degrees)\n")
    print("| region | " + " | ".join(PRESETS) + " | true size | RC | SRC | DRC |")
    print("|---|" + "---|" * (len(PRESETS) + 4))
    truth = {row["name"]: float(row["sd_deg"]) for row in csv.DictReader(open(OUT / "voxels/truth.tsv"), delimiter="\t")}
    region = {row["name"]: row["region"] for row in csv.DictReader(open(OUT / "voxels/regions.tsv"), delimiter="\t")}
    for name in dict.fromkeys(region.values()):
        own = lambda run: [row for row in table(run) if region[row["target"]] == name]
        r = [f"{np.median([number(row['r']) for row in own(f'voxels-{p}')]):.3f}" for p in PRESETS]
        sizes = [f"{np.nanmean([number(row['sd_deg']) for row in own(f'voxels-{p}')]):.2f}" for p in ("RC", "SRC", "DRC")]
        true = np.mean([truth[target] for target in region if region[target] == name])
        print(f"| {name} | " + " | ".join(r) + f" | {true:.2f} | " + " | ".join(sizes) + " |")


if __name__ == "__main__":
    main()
