#!/bin/sh
# SPDX-License-Identifier: MIT
# Does a model trained on shapes-text draw what it is told? Draws pictures of prompts whose pairs of colour and shape the training part does not have,
# and lets tests/shape_check.c measure colour, shape and place of what is in them.
# usage: text_check.sh RUN [BUILD] [PROMPTS] [IMAGES]    defaults: build, 40 prompts, 4 images of each
# Prints a line per prompt and the sums; fails below 8 of 10 images.
set -eu
run=${1:?usage: text_check.sh RUN [BUILD] [PROMPTS] [IMAGES]} build=${2:-build} prompts=${3:-40} images=${4:-4}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$build/tests/test_shapes_seen" prompts "$prompts" 1 >"$work/prompts"
seed=0
while read -r prompt; do
    seed=$((seed + 1000)) # images of a prompt have seeds of their own
    "$build/brume" sample "$run" --prompt "$prompt" --n "$images" --guidance 3 --sampler ddim --steps 25 --seed $seed --quiet \
        --save-tensors "$work/images.safetensors" --out "$work/images.png"
    "$build/tests/test_shapes_seen" check "$work/images.safetensors" "$prompt"
done <"$work/prompts" | tee "$work/answers"
awk '{ figures += $1; places += $2; all += $4 }
     END { printf "colour and shape right in %d of %d images (%.1f %%), place besides in %d (%.1f %%)\n", figures, all, 100 * figures / all, places,
                  100 * places / all; exit figures < 0.8 * all }' "$work/answers"
