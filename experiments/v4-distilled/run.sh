#!/usr/bin/env bash
# Students of V4 neurons: a fitted model of a recording teaches one core for all its neurons, which is pruned for each.
# ORTHOSCOPE_DATA is the folder with `v4` and `squeezenet_v11`; OUT where runs go; UNITS the neurons, EPOCHS and RETRAIN the
# passes.
set -euo pipefail
D=$ORTHOSCOPE_DATA; V=$D/v4/data_V4_responses; OUT=${OUT:-outputs/v4-distilled}
UNITS=${UNITS:-0-32}; EPOCHS=${EPOCHS:-16}; RETRAIN=${RETRAIN:-6}
mkdir -p "$OUT"

# The teacher: ridge models on all layers of SqueezeNet, fitted on the first half of the recording.
orthoscope fit --model "$D/squeezenet_v11/squeezenet_v11.onnx" --preprocess caffe --taps fires10 --reduction pca --combine both \
    --match order --test last --test-share 0.5 --images "$V/images/images_190923.zip" --axes targets,rows \
    --targets "$V/responses_repeat_averaged/responses_190923.npy" --force --quiet --out "$OUT/teacher"

# The second half's images are test images; the distillation leaves them out of what it learns from by their pixels.
python3 "$(dirname "$0")/table.py" halves "$V/images/images_190923.zip" "$OUT"
orthoscope distill --teacher "$OUT/teacher" --unit "$UNITS" --images "$V"/images/*.zip --test-images "$OUT/test" \
    --targets "$V/responses_repeat_averaged/responses_190923.npy" --axes targets,rows --ids "$OUT/ids.txt" \
    --shared --views 3 --epochs "$EPOCHS" --retrain "$RETRAIN" --rate 0.002 --retrain-rate 0.002 --resume --force --out "$OUT/students"

# The authors' own models of the same neurons on the same images.
orthoscope maximize --model "$D/v4/data_compact_models/models_torch" --arch cowley-compact --unit 'compact_model_190923_*' \
    --method natural --natural "$OUT/test" --force --quiet --out "$OUT/authors"
python3 "$(dirname "$0")/table.py" all "$OUT" "$V/responses_repeat_averaged/responses_190923.npy"
