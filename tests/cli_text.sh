#!/bin/sh
# SPDX-License-Identifier: MIT
# Captions and prompts from outside: training with them, drawing what they say, refusals. Usage: tests/cli_text.sh path/to/brume.
# Exit status: 0 all passed, 1 something failed, 77 skipped (a build without libutf8proc).
models=$(cd "${BRUME_SHARED:-../shared}/golden/models" 2>/dev/null && pwd)
. "$(dirname "$0")/cli_check.sh"

runs() { if "$brume" "$@" >out 2>&1; then pass; else bad "$*: exit $?"; fi; }

cat >tiny.json <<'JSON'
{"_class_name": "UNet2DConditionModel", "sample_size": 16, "in_channels": 3, "out_channels": 3, "block_out_channels": [8, 16], "norm_num_groups": 4,
 "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D"], "up_block_types": ["CrossAttnUpBlock2D", "UpBlock2D"], "layers_per_block": 1,
 "attention_head_dim": 2, "cross_attention_dim": 16}
JSON
cat >plain.json <<'JSON'
{"_class_name": "UNet2DModel", "sample_size": 16, "in_channels": 3, "out_channels": 3, "block_out_channels": [8, 16], "norm_num_groups": 4,
 "down_block_types": ["DownBlock2D", "AttnDownBlock2D"], "up_block_types": ["AttnUpBlock2D", "UpBlock2D"], "layers_per_block": 1, "attention_head_dim": 8}
JSON
tiny="--model tiny.json --count 64 --batch 4 --samples 0 --device cpu --quiet"

# shellcheck disable=SC2086 # words
"$brume" train --data shapes --cond text --out run --steps 2 $tiny >out 2>&1
if grep -q libutf8proc out; then
    echo "0 passed, 0 failed, 1 skipped: no libutf8proc"
    exit 77
fi
if [ -d run/tokenizer ] && [ -d run/text_encoder ]; then pass; else bad "training with captions"; fi

# shellcheck disable=SC2086 # words, here and below
# Training: built-in data by either name, a resumed run, previews, a frozen encoder that stays as it is.
runs train --data shapes-text --out whole --steps 4 $tiny
runs train --out run --steps 4 --resume --quiet
same run/unet/diffusion_pytorch_model.safetensors whole/unet/diffusion_pytorch_model.safetensors
same run/text_encoder/model.safetensors whole/text_encoder/model.safetensors
same run/tokenizer/vocab.json whole/tokenizer/vocab.json
expect 0 "done: brume sample frozen" train --data shapes-text --text-encoder run --out frozen --steps 2 --model tiny.json --count 64 --batch 4 --samples 4 --device cpu
same frozen/text_encoder/model.safetensors run/text_encoder/model.safetensors
differ frozen/unet/diffusion_pytorch_model.safetensors run/unet/diffusion_pytorch_model.safetensors
if [ -s frozen/training/samples/step-00000002.png ]; then pass; else bad "no preview"; fi
runs train --out frozen --steps 3 --resume --quiet
same frozen/text_encoder/model.safetensors run/text_encoder/model.safetensors

# A folder of pictures: captions beside them, or in one file; both mean the same.
draw="--steps 2 --device cpu --quiet"
mkdir pictures lines
for i in 1 2 3; do
    runs sample run --prompt "a red circle" --seed $i --out pictures/$i.png $draw
    cp pictures/$i.png lines
    echo "picture number $i" >pictures/$i.txt
    echo "{\"file_name\": \"$i.png\", \"text\": \"picture number $i\"}" >>lines/metadata.jsonl
done
expect 0 "picture number 2" info pictures
runs train --data pictures --cond text --out folder1 --steps 2 $tiny
runs train --data lines --cond text --out folder2 --steps 2 $tiny
same folder1/unet/diffusion_pytorch_model.safetensors folder2/unet/diffusion_pytorch_model.safetensors
runs sample folder1 --prompt "picture number 2" --out p.png $draw
rm pictures/2.txt
expect 1 "1 of 3 pictures have no caption, the first is pictures/2.png: write it into a text file beside the picture (cat1.txt beside cat1.png)" \
    train --data pictures --cond text --out x --steps 1 $tiny
rm lines/metadata.jsonl
expect 1 "3 of 3 pictures have no caption, the first is lines/1.png" train --data lines --cond text --out x --steps 1 $tiny

# Prompts: the same draws the same; text, negative text, guidance and seed each matter; one image unless asked for more.
expect 0 "guidance e = e_u + 7.5 (e_c - e_u) = 7.5 e_c - 6.5 e_u" sample run --prompt "a red circle" --out a.png --steps 2 --device cpu
runs sample run --prompt "a red circle" --out b.png --guidance 7.5 --threads 1 $draw
same a.png b.png
for o in "--negative blurry" "--guidance 2" "--guidance 1" "--seed 1" "--n 2"; do
    runs sample run --prompt "a red circle" --out b.png $o $draw
    differ a.png b.png
done
runs sample run --prompt "a blue square" --out b.png $draw
differ a.png b.png
runs sample run --prompt "a red circle" --negative "" --save-tensors a.st $draw
runs sample run --prompt "a red circle" --save-tensors b.st $draw
same a.st b.st
runs sample run --prompt "" --out b.png $draw
long="red red red red red red red red"
expect 0 "tokens of the prompt do not fit and were cut off" sample run --prompt "$long $long" --out b.png --steps 1 --device cpu
expect 0 "tokens of the negative prompt do not fit and were cut off" sample run --prompt a --negative "$long $long" --out b.png --steps 1 --device cpu

# Refusals.
expect 2 "brume sample: this model draws what a text says: give --prompt TEXT" sample run --out x.png
expect 2 "brume sample: --negative needs --prompt" sample run --negative a --out x.png
expect 2 "brume sample: --class: this model knows no classes" sample run --prompt a --class 1 --out x.png
expect 2 "brume sample: --negative-class: this model knows no classes" sample run --prompt a --negative-class 1 --out x.png
expect 2 "--guidance S and --guidance-w W say the same, S = 1 + W; give one" sample run --prompt a --guidance 2 --guidance-w 1 --out x.png
expect 2 "did you mean --prompt?" sample run --promt a --out x.png
"$brume" train --data shapes --model plain.json --out plain --steps 1 $tiny --model plain.json >out 2>&1 || bad "training without text"
expect 2 "brume sample: --prompt: this model reads no text" sample plain --prompt a --out x.png
expect 1 "captions need a network with cross-attention: a UNet2DConditionModel, as that of preset shapes-text" train --data shapes --cond text --out x --steps 1 $tiny --model plain.json
for cond in none class; do
    expect 1 "the network reads a context of width 16: train it with captions (--cond text)" train --data shapes-text --cond $cond --out x --steps 1 $tiny
done
expect 2 "brume train: --text-encoder reads captions: it needs --cond text" train --data shapes --text-encoder run --out x --steps 1 $tiny
expect 2 "brume train: --cond text is for networks that draw images, not for --task classifier" train --task classifier --cond text --out x
expect 2 "brume train: --cond text is for networks that draw images, not for --task autoencoder" train --task autoencoder --cond text --out x
expect 1 "nowhere/config.json: cannot open" train --cond text --text-encoder nowhere --out x --steps 1 $tiny
sed 's/"cross_attention_dim": 16/"cross_attention_dim": 32/' tiny.json >wide.json
expect 1 "the text encoder gives vectors of width 16, the network's cross_attention_dim is 32" train --cond text --text-encoder run --out x --steps 1 $tiny --model wide.json
if [ -e x ] || [ -e x.png ]; then bad "a refused command left something behind"; else pass; fi

# From a model on: its tokenizer and encoder go on learning; --cond text goes without saying. A pipeline for many uses keeps its encoder.
expect 0 "told by captions" train --data shapes-text --init run --out on --steps 2 --count 64 --batch 4 --samples 0 --device cpu
if grep -q "^init" out; then bad "nothing is new"; else pass; fi
same on/tokenizer/vocab.json run/tokenizer/vocab.json
differ on/text_encoder/model.safetensors run/text_encoder/model.safetensors
expect 0 "init    run/unet: new: text_encoder.text_model.embeddings" train --init run/unet --out bare --steps 1 --count 64 --batch 4 --samples 0 --device cpu

# A pipeline that diffusers wrote: latents, decoded.
if [ -n "$models" ] && [ -d "$models/pipeline-sd-tiny" ]; then
    sd=$models/pipeline-sd-tiny
    expect 0 "wrote   a.png" sample "$sd" --prompt "a red fox" --out a.png --steps 2 --device cpu
    runs sample "$sd" --prompt "a red fox" --negative "blurry" --out b.png $draw
    differ a.png b.png
    runs sample "$sd" --prompt "a red fox" --n 2 --batch 1 --out b.png $draw
    expect 0 "latents of 8x8x4" train --init "$sd" --data shapes-text --out sd --steps 1 --count 64 --batch 4 --samples 2 --device cpu
    if grep -q "^init" out; then bad "nothing is new"; else pass; fi
    cp sd/text_encoder/model.safetensors encoder1
    expect 0 "checkpoint of step 2" train --out sd --resume --steps 2
    same sd/text_encoder/model.safetensors encoder1
    if grep -q StableDiffusionPipeline sd/model_index.json; then pass; else bad "the class of a tuned pipeline"; fi
    runs sample sd --prompt "a red circle" --out a.png $draw
    expect 2 "this model draws what a text says" sample "$sd" --out x.png
    expect 2 "--size: this model's images are multiples of" sample "$sd" --prompt a --out x.png --size 33
else
    skipped=$((skipped + 1))
fi
finish
