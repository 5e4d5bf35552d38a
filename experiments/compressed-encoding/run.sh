#!/usr/bin/env bash
# One encoding pipeline with a network that is whole (UC), with fewer channels (SC), and with fewer and shared weights (DC); on layers as
# they are, and through Gaussian receptive fields (RC, SRC, DRC). On V4 neurons, and on simulated voxels whose layers and fields are known.
# ORTHOSCOPE_DATA is the folder with `v4` and `squeezenet_v11`; OUT where runs go.
set -euo pipefail
here=$(dirname "$0") D=$ORTHOSCOPE_DATA V=$ORTHOSCOPE_DATA/v4/data_V4_responses
OUT=${OUT:-outputs/compressed-encoding} PROGRAM=${PROGRAM:-target/release/orthoscope} EXAMPLES=${EXAMPLES:-target/release/examples}
network=$D/squeezenet_v11/squeezenet_v11.onnx
photographs=$V/images/images_190923.zip
# Photographs of another recording: networks are compressed on them, preferred images are found among them.
others=$V/images/images_210621.zip
taps=fire3/concat,fire5/concat,fire7/concat,fire9/concat

# Networks.
common=(--model "$network" --preprocess caffe --images "$others" --resume --quiet)
"$PROGRAM" compress "${common[@]}" --by variance --keep 0.8 --scope layer --at-once 0.05 --out "$OUT/SC-network"
"$PROGRAM" compress "${common[@]}" --connections 0.5 --codebook 6 --out "$OUT/DC-network"
declare -A model=([UC]=$network [SC]=$OUT/SC-network/model [DC]=$OUT/DC-network/model)

# How alike the whole network finds the photographs among which preferred ones are sought.
"$PROGRAM" rdm --model "$network" --preprocess caffe --images "$others" --taps fire9/concat --resume --quiet --out "$OUT/others-rdm"

# Simulated voxels of four regions, seen by the whole network.
[ -e "$OUT/voxels/responses.npy" ] || "$EXAMPLES/simulated_fields" "$OUT/voxels" "$photographs" "$network" caffe 20 1 20 \
    V1=fire3/concat:0.5-1.2 V2=fire5/concat:1-2 V4=fire7/concat:1.7-4 IT=fire9/concat:3-8

declare -A targets=([v4]="--targets $V/responses_repeat_averaged/responses_190923.npy --axes targets,rows"
    [voxels]="--targets $OUT/voxels/responses.npy --axes rows,targets --target-names $OUT/voxels/truth.tsv --rois $OUT/voxels/regions.tsv")
for data in v4 voxels; do
    for preset in UC SC DC; do
        # The whole network's preprocessing is in the cards of those that were made of it.
        fit=("$PROGRAM" fit --model "${model[$preset]}" --images "$photographs" --taps $taps --match order --test last --test-share 0.5
            --resume --quiet)
        [ $preset = UC ] && fit+=(--preprocess caffe)
        "${fit[@]}" ${targets[$data]} --reduction pca --combine both --out "$OUT/$data-$preset"
        rf=$([ $preset = UC ] && echo RC || echo "${preset:0:1}RC")
        "${fit[@]}" ${targets[$data]} --reduction rf_pooled:20 --estimator gaussian_rf --out "$OUT/$data-$rf"
        for fitted in "$data-$preset" "$data-$rf"; do
            "$PROGRAM" predict --model "$OUT/$fitted" --images "$others" --resume --quiet --out "$OUT/$fitted-others"
        done
    done
done
python3 "$here/compare.py" "$OUT"
