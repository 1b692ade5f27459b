#!/bin/sh
# Prints the table of GPU times in under 8 minutes: our layers in bfloat16 beside T dense passes under torch.compile.
#
#     python -m benchmarks.speed --make FOLDER --steps 16      (where spikec is installed whole)
#     sh benchmarks/gpu.sh FOLDER                              (where the GPU is)
#
# The machine with the GPU needs Python 3.11 or newer, torch, triton, timm, onnx, onnxruntime and numpy; of spikec the
# sources alone, and spikingjelly if it is to be timed too. BATCH and LIMIT (seconds for each contender) can be set from outside.
set -eu
cd "$(dirname "$0")/.."
folder=${1:?usage: sh benchmarks/gpu.sh FOLDER, with artifacts made by python -m benchmarks.speed --make FOLDER --steps 16}
python=${PYTHON:-python3}
if ! "$python" -c 'import spikec.runtime' 2>/dev/null; then
    # not installed here: the sources under the package's name, without what the compiler alone needs
    sources=$(mktemp -d)
    trap 'rm -rf "$sources"' EXIT
    cp -R compiler "$sources/spikec"
    cp -R passes runtime "$sources/spikec/"
    PYTHONPATH=$sources${PYTHONPATH:+:$PYTHONPATH}
    export PYTHONPATH
fi
# four networks, of which SpikingJelly takes one; each contender has LIMIT seconds at most: 18 * 25 s and the starts
"$python" -m benchmarks.speed --device "${DEVICE:-cuda}" --artifacts "$folder" --anew --output "${OUTPUT:-build/gpu/speed.md}" \
    --network resnet50 --network convnext_t --network mixer_s --network vit_s \
    --batch "${BATCH:-64}" --steps 16 --runs "${RUNS:-5}" --limit "${LIMIT:-25}" \
    --contender "dense torch.compile" --contender "dense torch.compile bfloat16" --contender "layers bfloat16" --contender "layers" \
    --contender "SpikingJelly multi-step" --contender "SpikingJelly single-step"
