#!/usr/bin/env bash
# Filters of the network in the program removed by what its classification loses without them (CAR), and by four other rules.
# OUT is where runs go; PROGRAM and EXAMPLES say where the built program and its examples are.
set -euo pipefail
OUT=${OUT:-outputs/car-mini-inception} PROGRAM=${PROGRAM:-target/release/orthoscope} EXAMPLES=${EXAMPLES:-target/release/examples}

# Scenes that the training never drew: some to judge channels on, others to test.
"$EXAMPLES/labelled_scenes" --out "$OUT/judged" --each 5 --seed 101
"$EXAMPLES/labelled_scenes" --out "$OUT/tested" --each 20 --seed 3

common=(--images "$OUT/judged" --test-images "$OUT/tested" --batch 64 --minimum 2 --resume --quiet)
for layer in conv1/7x7_s2 inception_3b/3x3; do
    name=${layer//\//-}
    # Nearly all filters, in steps of two: the whole curve.
    for by in car l1 taylor variance random; do
        for seed in $([ $by = random ] && echo 1 2 3 || echo 1); do
            "$PROGRAM" compress "${common[@]}" --layers "$layer" --by $by --keep 0.1 --at-once 2 --seed "$seed" --out "$OUT/$name-$by-$seed"
        done
    done
    # Half of the filters, one by one, before and after five passes through the images that they were judged on.
    for by in car l1; do
        "$PROGRAM" compress "${common[@]}" --layers "$layer" --by $by --keep 0.5 --at-once 1 --fine-tune 5 --rate 0.0003 \
            --out "$OUT/$name-$by-half"
    done
    runs=()
    for by in car taylor variance l1 random; do
        for dir in "$OUT/$name-$by"-[0-9]; do runs+=("$by=$dir"); done
    done
    "$EXAMPLES/compression_curves" --out "$OUT/$name" --title "$layer of mini-inception" --reference chance=0.0145 "${runs[@]}"
done
python3 "$(dirname "$0")/table.py" "$OUT"
