#!/usr/bin/env bash
# Students of V4 neurons: a fitted model of a recording teaches one core for ten neurons, which is pruned for each.
# ORTHOSCOPE_DATA is the folder with `v4` and `squeezenet_v11`; OUT where runs go; UNITS the neurons.
set -euo pipefail
D=$ORTHOSCOPE_DATA; V=$D/v4/data_V4_responses; OUT=${OUT:-outputs/v4-distilled}; HERE=$(dirname "$0")
mkdir -p "$OUT"

# The teacher: ridge models on all layers of SqueezeNet, fitted on the first half of the recording.
orthoscope fit --model "$D/squeezenet_v11/squeezenet_v11.onnx" --preprocess caffe --taps fires10 --reduction pca --combine both \
    --match order --test last --test-share 0.5 --images "$V/images/images_190923.zip" --axes targets,rows \
    --targets "$V/responses_repeat_averaged/responses_190923.npy" --force --quiet --out "$OUT/teacher"

# Ten neurons; the second half's images are test images, which the distillation leaves out of what it learns from by their
# pixels.
python3 "$HERE/table.py" halves "$V/images/images_190923.zip" "$V/responses_repeat_averaged/responses_190923.npy" "$OUT"
images=()
for session in 190923 190925 190927 201025; do images+=("$V/images/images_$session.zip"); done
orthoscope distill --config "$HERE/distill.toml" --teacher "$OUT/teacher" --unit "${UNITS:-0-9}" --images "${images[@]}" \
    --test-images "$OUT/test" --targets "$OUT/tested.npy" --axes targets,rows --match order --resume --force --out "$OUT/students"

# The authors' own models of the same neurons on the same images.
orthoscope maximize --model "$D/v4/data_compact_models/models_torch" --arch cowley-compact --unit 'compact_model_190923_*' \
    --method natural --natural "$OUT/test" --force --quiet --out "$OUT/authors"
python3 "$HERE/table.py" all "$OUT"
