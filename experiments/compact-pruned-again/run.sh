#!/usr/bin/env bash
# The rule that made the published compact models (layer-wise variance, 0.9), applied to them once more; scores are the correlation with
# the recorded responses on the half of the photographs that nothing was chosen on. ORTHOSCOPE_DATA is the folder with `v4`.
set -euo pipefail
V=$ORTHOSCOPE_DATA/v4 OUT=${OUT:-outputs/compact-pruned-again} PROGRAM=${PROGRAM:-target/release/orthoscope}
for neuron in $(seq 0 32); do
    "$PROGRAM" compress --model "$V/data_compact_models/models_torch/compact_model_190923_neuron$neuron.pt" --arch cowley-compact \
        --images "$V/data_V4_responses/images/images_190923.zip" --outputs "$neuron" --match order --axes targets,rows \
        --targets "$V/data_V4_responses/responses_repeat_averaged/responses_190923.npy" \
        --by layerwise-variance --batch 64 --resume --quiet --out "$OUT/$neuron"
done
python3 "$(dirname "$0")/table.py" "$OUT"
