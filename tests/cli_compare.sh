#!/bin/sh
# SPDX-License-Identifier: MIT
# brume compare from outside: what it says, its exit status, planted errors that it must name.
# usage: tests/cli_compare.sh path/to/brume SOURCE_FOLDER PLANT(0|1)   Exit status: 0 all passed, 1 something failed.
. "$(dirname "$0")/cli_check.sh"
root=$2 plant=$3

tiny="$root/examples/unet_tiny28.json"
two="--a cpu --b cpu:isa=generic:threads=3"
expect 0 "equal within tolerance" compare "$tiny" $two
expect 0 "equal within tolerance" compare "$tiny" $two --train-step --steps 2 --mode drift
expect 0 "equal within tolerance" compare --preset points $two --train-step
expect 0 "adamw" compare "$tiny" $two --train-step --sample-steps 0 --batch 1
expect 0 '"equal": true' compare "$tiny" $two --sample-steps 0 --json
expect 0 "conv2d                 " compare "$tiny" --a cpu:threads=1 --b cpu:threads=2 --sample-steps 1
# threads do not change a bit
"$brume" compare "$tiny" --a cpu:threads=1 --b cpu:threads=3 --train-step --json >json
if [ $? -eq 0 ] && ! grep '"share"' json | grep -qv '"share": 0.0,'; then pass; else bad "threads change bits"; fi

# A network that is told sigma, in a folder that names no process; parts that stand alone; a network that brings no text encoder.
"$brume" train --data shapes --model "$root/examples/unet_tiny28_fourier.json" --schedule ve --steps 1 --batch 2 --quiet --out ve >out 2>&1
rm -r ve/scheduler
expect 0 "equal within tolerance" compare ve/unet $two
if grep -q NaN out; then bad "NaN of a network that is told sigma"; else pass; fi
echo '{"architectures": ["CLIPTextModel"], "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2,
       "max_position_embeddings": 12, "vocab_size": 300, "bos_token_id": 298, "eos_token_id": 299, "projection_dim": 32}' >text.json
expect 0 "layer_norm" compare text.json $two
expect 0 "a text encoder alone" compare text.json $two --train-step
echo '{"_class_name": "AutoencoderKL", "block_out_channels": [8, 8], "norm_num_groups": 4, "sample_size": 16, "in_channels": 3, "out_channels": 3,
       "down_block_types": ["DownEncoderBlock2D", "DownEncoderBlock2D"], "up_block_types": ["UpDecoderBlock2D", "UpDecoderBlock2D"]}' >vae.json
expect 0 "group_norm_grad" compare vae.json $two --train-step
echo '{"_class_name": "UNet2DConditionModel", "sample_size": 8, "in_channels": 3, "out_channels": 3, "block_out_channels": [16, 16], "layers_per_block": 1,
       "cross_attention_dim": 24, "attention_head_dim": 8, "norm_num_groups": 4, "down_block_types": ["CrossAttnDownBlock2D", "DownBlock2D"],
       "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D"]}' >condition.json
expect 0 "sdpa_grad" compare condition.json $two --train-step

expect 0 "upsample_nearest_grad" compare ops $two --html page.html
if grep -q "<svg" page.html && grep -q "<title>1: silu" page.html && ! grep -q "https\?:" page.html; then pass; else bad "the page"; fi
expect 2 "expected cpu, opencl" compare "$tiny" --b gpux
expect 2 "as in cpu:threads=3" compare "$tiny" --a cpu:thread=3 --b cpu
expect 2 "threads=1 to threads=1024" compare "$tiny" --a cpu:threads=0 --b cpu
expect 2 "kind=cpu or kind=gpu" compare "$tiny" --b opencl:kind=fpga
expect 1 "no instruction set" compare "$tiny" --a cpu:isa=avx9 --b cpu
expect 1 "expected a config.json" compare none.json $two
expect 2 "did you mean" compare "$tiny" --train-steps

if [ "$plant" = 1 ]; then
    for case in group_norm conv2d:sign conv2d_dw:nan adamw.1 ema:next sdpa_grad.2:unwritten silu:scale; do
        export BRUME_PLANT="${case%%:*}@b:$(echo "$case:off" | cut -d: -f2)"
        op=${case%%[.:]*}
        expect 1 "first beyond its tolerance: $op '" compare "$tiny" $two --train-step --sample-steps 0
        unset BRUME_PLANT
    done
    export BRUME_PLANT=elementwise@b
    expect 1 "first beyond its tolerance: " compare "$tiny" $two --sample-steps 0
    export BRUME_PLANT=no_such_op
    expect 0 "no kernel that ran has this op" compare "$tiny" $two --sample-steps 0
    unset BRUME_PLANT
fi

finish
