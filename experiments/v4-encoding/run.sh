#!/usr/bin/env bash
# Encoding models of V4 neurons on two networks, and images that drive them, shown to the neurons' compact models.
# ORTHOSCOPE_DATA is the folder with `v4`, `googlenet_bvlc` and `squeezenet_v11`; OUT where runs go.
set -euo pipefail
D=$ORTHOSCOPE_DATA; V=$D/v4/data_V4_responses; OUT=${OUT:-outputs/v4-encoding}
declare -A model=([googlenet]=$D/googlenet_bvlc/googlenet_bvlc.onnx [squeezenet]=$D/squeezenet_v11/squeezenet_v11.onnx)
declare -A taps=([googlenet]=inception12 [squeezenet]=fires10)

for network in googlenet squeezenet; do
    common=(--model "${model[$network]}" --preprocess caffe --taps "${taps[$network]}" --reduction pca --combine both
        --match order --test last --test-share 0.5 --cache "$OUT/features" --force --quiet)
    for session in 190923 201025; do
        orthoscope fit "${common[@]}" --images "$V/images/images_$session.zip" --axes targets,rows \
            --targets "$V/responses_repeat_averaged/responses_$session.npy" --out "$OUT/$session-$network"
    done
    # Ten repeats, so that scores can be corrected for noise.
    orthoscope fit "${common[@]}" --images "$V/images/images_210325.zip" --axes targets,rows,repeats \
        --targets "$V/responses_raw/responses_210325.npy" --out "$OUT/210325-$network"
done

# Five neurons of 190923 that GoogLeNet predicts best: their images, and what their own compact models make of these and of
# the photographs.
for neuron in $(python3 "$(dirname "$0")/table.py" best "$OUT/190923-googlenet" 5); do
    orthoscope maximize --model "$OUT/190923-googlenet" --unit "$neuron" --direction both --restarts 3 \
        --natural "$V/images/images_190923.zip" --force --quiet --out "$OUT/driven-$neuron"
    for shown in "$OUT/driven-$neuron/images" "$V/images/images_190923.zip"; do
        orthoscope maximize --model "$D/v4/data_compact_models/models_torch/compact_model_190923_neuron$neuron.pt" \
            --arch cowley-compact --method natural --natural "$shown" --direction both --force --quiet \
            --out "$OUT/compact-$neuron-$(basename "$shown" .zip)"
    done
done
python3 "$(dirname "$0")/table.py" all "$OUT" "$D/v4/reference/fit.tsv"
