"""Tables of the runs of run.sh: `table.py best RUN N` names targets, `table.py all OUT FIT.TSV` prints what the page shows."""

import csv
import json
import pathlib
import statistics
import sys


def rows(path):
    return list(csv.DictReader(open(path, newline=""), delimiter="\t"))


def results(run):
    return json.loads((pathlib.Path(run) / "manifest.json").read_text())["results"]


def best(run, n):
    scores = sorted(rows(pathlib.Path(run) / "arrays/scores.tsv"), key=lambda row: -float(row["r"]))
    print("\n".join(row["target"] for row in scores[:n]))


def number(summary, key):
    return "" if summary[key] is None else f"{summary[key]['median']:.3f}"


def layers(out):
    print("session-network\tlayer\tfeatures\tneurons that prefer it\tmedian r\tmedian r2_er")
    for run in sorted(out.glob("[0-9]*-*net")):
        found = results(run)
        chosen = {layer["name"]: layer for layer in found["layers"]}
        for layer in found["scores"]["by_layer"]:
            about = chosen[layer["layer"]]
            print(run.name, layer["layer"], about["n_features"], about["n_best"], number(layer, "r"), number(layer, "r2_er"), sep="\t")
        every = found["scores"]["all"]
        print(run.name, "best, nested", "", found["n_targets"], number(every, "r"), number(every, "r2_er"), sep="\t")
        print(f"  {found['seconds']:.0f} s, {found['peak_rss_mb']:.0f} MiB, identification {found['identification']['all']}")


def beside_compact(out, reference):
    own = {(row["id"], row["neuron"]): float(row["r"]) for row in rows(reference)}
    print("session-network\tmedian r\tcompact models' median r\tcorrelation over neurons\tneurons where the fit is better")
    for run in sorted(out.glob("[0-9]*-*net")):
        session = run.name.split("-")[0]
        pairs = [(float(row["r"]), own[key]) for row in rows(run / "arrays/scores.tsv") if (key := (session, row["target"])) in own]
        if pairs:
            ours, theirs = zip(*pairs)
            print(run.name, f"{statistics.median(ours):.3f}", f"{statistics.median(theirs):.3f}",
                  f"{statistics.correlation(ours, theirs):.2f}", sum(a > b for a, b in pairs), sep="\t")


def driven(out):
    print("neuron\tdirection\tfitted model: z, percentile\tcompact model: z, percentile of the photographs")
    for run in sorted(out.glob("driven-*")):
        neuron = run.name.split("-")[1]
        shown, photographs = (results(out / f"compact-{neuron}-{name}")["units"] for name in ("images", "images_190923"))
        of = {unit["direction"]: unit["natural_max" if unit["direction"] == "max" else "natural_min"] for unit in shown}
        scale = photographs[0]
        for unit in results(run)["units"]:
            response, best = of[unit["direction"]], scale["natural_max" if unit["direction"] == "max" else "natural_min"]
            beyond = "beyond all" if (response > best) == (unit["direction"] == "max") else "within"
            print(neuron, unit["direction"], f"{unit['z']:.1f}, {unit['percentile']:.1f}",
                  f"{(response - scale['natural_mean']) / scale['natural_sd']:.1f}, {beyond}", sep="\t")


if sys.argv[1] == "best":
    best(sys.argv[2], int(sys.argv[3]))
else:
    folder = pathlib.Path(sys.argv[2])
    layers(folder)
    beside_compact(folder, sys.argv[3])
    driven(folder)
