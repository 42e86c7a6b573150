#!/bin/sh
# SPDX-License-Identifier: MIT
# Cuts off what a run has written, one file at a time, and goes on: usage: cut_files.sh LENGTHS BRUME
# LENGTHS: how many of each file's lengths are tried, spread evenly, 0: all of them. Right is: a resume ends with the bits of an uninterrupted
# run, or it and what reads the model end with status 1 and a message with the file's name.
lengths=$1
shift
. "$(dirname "$0")/../cli_check.sh"
export BRUME_CACHE=off BRUME_SELF_TEST=off
cpu="--device cpu --threads 1 --quiet"
cat >config.json <<'EOT'
{"_class_name": "UNet2DModel", "sample_size": 8, "in_channels": 1, "out_channels": 1, "block_out_channels": [8],
 "down_block_types": ["DownBlock2D"], "up_block_types": ["UpBlock2D"], "layers_per_block": 1, "norm_num_groups": 4}
EOT
train="train --data shapes --model config.json --count 8 --batch 2 --samples 0 --save-every 1 --cond none $cpu"
# shellcheck disable=SC2086 # words
{
    ok "a run" "$brume" $train --steps 3 --out whole
    ok "its beginning" "$brume" $train --steps 2 --out begun
    ok "goes on" "$brume" train --out begun --resume --steps 2 --quiet
}

for file in training/state.safetensors unet/diffusion_pytorch_model.safetensors training/log.jsonl training/run.json unet/config.json \
            scheduler/scheduler_config.json model_index.json; do
    bytes=$(wc -c <begun/$file) on=0 told=0 at=0
    step=$((lengths ? bytes / lengths + 1 : 1))
    while [ $at -lt $((bytes - 1)) ]; do # without its last line break a file of text says the same
        rm -rf cut && cp -r begun cut && head -c $at begun/$file >cut/$file
        lines=$(($(wc -l <cut/training/log.jsonl) + 1)) # what is lost stays lost, but a part of a line does not stay
        # shellcheck disable=SC2086
        case $file in unet/* | scheduler/* | model_index.json)
            "$brume" sample cut --n 1 --steps 1 $cpu --out cut.png >out 2>&1
            got=$?
            if [ $got = 1 ] && grep -q "brume: .*${file##*/}" out; then pass; else bad "sample with $at bytes of $file: exit status $got"; fi ;;
        esac
        # shellcheck disable=SC2086
        "$brume" train --out cut --resume --steps 3 $cpu >out 2>&1
        got=$?
        if [ $got = 0 ] && cmp cut/training/state.safetensors whole/training/state.safetensors >>out &&
           cmp cut/unet/diffusion_pytorch_model.safetensors whole/unet/diffusion_pytorch_model.safetensors >>out &&
           [ "$(wc -l <cut/training/log.jsonl)" = $lines ] && [ "$(grep -c '^{"step": [123], .*}$' cut/training/log.jsonl)" = $lines ]; then
            pass
            on=$((on + 1))
        elif [ $got = 1 ] && grep -q "brume: .*${file##*/}" out; then
            pass
            told=$((told + 1))
        else
            bad "resume with $at bytes of $file: exit status $got"
        fi
        at=$((at + step))
    done
    echo "$file, cut off at $((on + told)) of its $bytes lengths: $on resumes went on, $told told"
done
finish
