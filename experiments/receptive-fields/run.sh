#!/usr/bin/env bash
# Voxels of four simulated regions, each on a deeper layer and with larger receptive fields, found again by their time courses'
# models. ORTHOSCOPE_DATA is the folder with `v4` and `googlenet_bvlc`; OUT where runs go.
set -euo pipefail
here=$(dirname "$0"); D=$ORTHOSCOPE_DATA; OUT=${OUT:-outputs/receptive-fields}
images=$D/v4/data_V4_responses/images/images_190923.zip
model=$D/googlenet_bvlc/googlenet_bvlc.onnx

cargo run --release --example simulated_fields -- "$OUT/voxels" "$images" "$model" caffe 20 1 60 \
    V1=conv2/3x3:0.5-1.2 V2=inception_3b/output:1-2 V4=inception_4c/output:1.7-4 IT=inception_5a/output:3-8
orthoscope fit --model "$model" --preprocess caffe --images "$images" \
    --taps conv2/3x3,inception_3b/output,inception_4c/output,inception_5a/output --reduction rf_pooled:20 --estimator gaussian_rf \
    --targets "$OUT/voxels/responses.npy" --axes rows,targets --match order --target-names "$OUT/voxels/truth.tsv" \
    --rois "$OUT/voxels/regions.tsv" --test random --force --quiet --out "$OUT/fit"
python3 "$here/compare.py" "$OUT/fit" "$OUT/voxels/truth.tsv"
