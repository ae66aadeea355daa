#!/usr/bin/env bash
# Everything that is to be known of a GPU, by one command: `bash benches/gpu.sh TRAIN DEVICE [OUT] [DATA]`.
#
# TRAIN is the program, built with the feature of DEVICE (`vulkan`, `wgpu`, `cuda`); what is found goes into the folder OUT.
# First whether it computes what the CPU does, with Burn's fusion of operations and without it; then the race against
# PyTorch, where `python3` has one; then, where DATA has CIFAR-10, five runs of cifar10-fast.toml.
set -uo pipefail

train=$(realpath "$1")
device=$2
out=$(realpath -m "${3:-gpu-$device}")
data=${4:+$(realpath "$4")}
here=$(dirname "$(realpath "${BASH_SOURCE[0]}")")
mkdir -p "$out"
failed=()

step() {
    local name=$1
    shift
    printf '\n== %s: %s\n' "$name" "$*"
    "$@" 2>&1 | tee "$out/$name.txt" || failed+=("$name")
}

step parity "$train" parity --device "$device"
step parity-unfused env BURN_FUSION_MAX_EXPLORATIONS=0 "$train" parity --device "$device"
step parity-f16 "$train" parity --device "$device" --precision f16 --tolerance 0.5
if [[ $device == cuda* ]]; then # the others have no arithmetic in bf16
    step parity-bf16 "$train" parity --device "$device" --precision bf16 --tolerance 0.5
fi
if python3 -c 'import torch, torchvision, timm' 2> /dev/null; then
    step race python3 "$here/race_gpu.py" "$train" --device "$device"
else
    echo 'no race: python3 lacks PyTorch, torchvision or timm'
fi
if [[ -n $data ]]; then
    for seed in 0 1 2 3 4; do
        step "cifar10-fast-s$seed" "$train" --config cifar10-fast.toml --seed "$seed" --device "$device" \
            --data-dir "$data" --run-dir "$out/cifar10-fast-s$seed"
    done
fi
if ((${#failed[@]})); then
    printf '\n== FAILED: %s\n' "${failed[*]}"
    exit 1
fi
