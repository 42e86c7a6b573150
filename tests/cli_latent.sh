#!/bin/sh
# SPDX-License-Identifier: MIT
# Latent diffusion from outside: an autoencoder, a denoiser of its latents, pictures drawn by both. Usage: tests/cli_latent.sh path/to/brume.
# Exit status: 0 all passed, 1 something failed.
. "$(dirname "$0")/cli_check.sh"

# size FILE.png WIDTH HEIGHT
size() {
    "$brume" info "$1" >out 2>&1
    if grep -q "^width *$2\$" out && grep -q "^height *$3\$" out; then pass; else bad "$1 is not $2 x $3"; fi
}
# finite FILE: tensors without NaN or infinities
finite() { if od -An -v -tf4 -w4 -j "$(od -An -td8 -N8 "$1" | awk '{ print $1 + 8 }')" "$1" | grep -qi 'nan\|inf'; then bad "$1 is not finite"; else pass; fi; }

cat >ae.json <<'JSON'
{"_class_name": "AutoencoderKL", "block_out_channels": [8, 16], "down_block_types": ["DownEncoderBlock2D", "DownEncoderBlock2D"],
 "up_block_types": ["UpDecoderBlock2D", "UpDecoderBlock2D"], "norm_num_groups": 4, "layers_per_block": 1}
JSON
cat >unet.json <<'JSON'
{"_class_name": "UNet2DModel", "block_out_channels": [8, 16], "norm_num_groups": 4, "layers_per_block": 1, "attention_head_dim": 8,
 "down_block_types": ["DownBlock2D", "AttnDownBlock2D"], "up_block_types": ["AttnUpBlock2D", "UpBlock2D"]}
JSON
cat >text.json <<'JSON'
{"_class_name": "UNet2DConditionModel", "block_out_channels": [8, 16], "norm_num_groups": 4, "layers_per_block": 1, "attention_head_dim": 2,
 "cross_attention_dim": 16, "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D"], "up_block_types": ["CrossAttnUpBlock2D", "UpBlock2D"]}
JSON

expect 0 "scaling factor" train --task autoencoder --data shapes --size 16 --count 32 --model ae.json --batch 4 --steps 10 --device cpu --samples 3 --out ae
size ae/training/samples/step-00000010.png 392 262 # 3 originals above 3 reconstructions, 8 times enlarged

# The same autoencoder in two parts.
expect 0 "scaling factor" train --task autoencoder --data shapes --size 16 --count 32 --model ae.json --batch 4 --steps 4 --device cpu --samples 0 --out ae2
mv ae.json ae.json.away # the run has its own
expect 0 "scaling factor" train --resume --steps 10 --out ae2
mv ae.json.away ae.json
same ae/diffusion_pytorch_model.safetensors ae2/diffusion_pytorch_model.safetensors
same ae/config.json ae2/config.json
expect 1 "you asked for autoencoder, l1, KL weight 2" train --resume --kl-weight 2 --steps 12 --out ae2

# Classes: a run, the same run in two parts, and what they draw.
latent="--data shapes --count 32 --batch 4 --samples 4 --device cpu"
expect 0 "latents of 8x8x4" train $latent --vae ae --model unet.json --steps 4 --out whole
expect 0 "brume sample parts" train $latent --vae ae --model unet.json --steps 2 --out parts
mv ae ae.away # the run has its own
expect 0 "brume sample parts" train $latent --resume --steps 4 --out parts
mv ae.away ae
same whole/unet/diffusion_pytorch_model.safetensors parts/unet/diffusion_pytorch_model.safetensors
same whole/vae/diffusion_pytorch_model.safetensors ae/diffusion_pytorch_model.safetensors
same whole/training/samples/step-00000004.png parts/training/samples/step-00000004.png
expect 2 "--vae is for denoisers" train --task classifier --vae ae --out x
expect 1 "sides are multiples of 2" train $latent --vae ae --model unet.json --size 15 --out x
expect 1 "for latents give" train $latent --vae ae --schedule ve --cond none --steps 1 --out x
expect 1 "this is no autoencoder" train $latent --vae nothing --out x
expect 0 "wrote   s.st" sample whole --n 3 --steps 3 --save-tensors s.st --out s.png --columns 3 --scale 1
finite s.st
size s.png 56 20 # 3 x (16 + 2) + 2

# Pictures and ways: latents are encoded and decoded.
expect 0 "wrote" sample whole --n 2 --steps 4 --sampler ddim --columns 2 --scale 1 --out a.png --strip strip.png --x0-strip x0.png --forward-strip f.png \
    --strip-columns 3
size a.png 38 20
differ strip.png x0.png
differ strip.png f.png
for f in strip x0 f; do # 2 rows of 3 pictures of 16 x 16, enlarged by a whole factor
    "$brume" info $f.png >out 2>&1
    w=$(sed -n 's/^width *//p' out) h=$(sed -n 's/^height *//p' out)
    if [ "$w" -gt 0 ] && [ $(((w - 2) % 3)) -eq 0 ] && [ $(((h - 2) % 2)) -eq 0 ] && [ $(((w - 2) / 3)) -eq $(((h - 2) / 2)) ]; then pass; else bad "$f.png is $w x $h"; fi
done
expect 0 "2 network calls" sample whole --n 2 --steps 4 --sampler ddim --init-image s.png --strength 0.5 --out b.png --columns 2 --scale 1
size b.png 38 20
expect 0 "wrote" sample whole --n 2 --steps 4 --sampler ddim --init-image s.png --strength 0.5 --batch 1 --out c.png --columns 2 --scale 1 --save-tensors c.st
finite c.st
expect 0 "wrote" sample whole --n 2 --steps 4 --sampler ddim --init-image s.png --mask a.png --out d.png --columns 2 --scale 1 --save-tensors d.st
finite d.st
differ a.png d.png
expect 0 "wrote" sample whole --n 2 --init-image s.png --mask a.png --sampler repaint --respacing 6 --jump-length 2 --jump-samples 2 --out e.png
expect 0 "wrote" sample whole --n 3 --init-image s.png --interpolate a.png --steps 3 --out e.png --columns 3 --scale 1 --save-tensors e.st
size e.png 56 20
finite e.st
expect 2 "give neither" sample whole --init-image s.png --interpolate a.png --strength 0.5 --out x.png
expect 0 "wrote   t.html" sample whole --n 2 --samplers ddim,heun --steps 2,3 --table t.html --reference-steps 4
if [ "$(grep -c '<img' t.html)" -eq 5 ]; then pass; else bad "the table has $(grep -c '<img' t.html) pictures, expected 5"; fi
if "$brume" sample whole --n 1 --steps 2 --out x.png --film f.gif >out 2>&1 && [ "$(head -c 6 f.gif)" = GIF89a ]; then pass
elif grep -q "writes no GIF" out; then pass
else bad "film"; fi
expect 2 "multiples of 2" sample whole --size 15 --out x.png
expect 1 "decoding in tiles of" sample whole --n 1 --steps 2 --memory-limit 1000 --out x.png
expect 0 "wrote" sample whole --n 1 --steps 2 --memory-limit 1G --out x.png
expect 2 "expected bytes" sample whole --memory-limit much --out x.png

# Captions: a StableDiffusionPipeline.
"$brume" train --data shapes-text --cond text --count 32 --batch 2 --samples 2 --device cpu --vae ae --model text.json --steps 2 --out text >out 2>&1
if grep -q libutf8proc out; then
    skipped=1
else
    if grep -q "told by captions" out; then pass; else bad "training with captions"; fi
    if grep -q '"StableDiffusionPipeline"' text/model_index.json; then pass; else bad "model_index.json"; fi
    expect 0 "wrote   t.png" sample text --prompt "a red circle" --n 2 --steps 3 --out t.png --columns 2 --scale 1 --save-tensors t.st
    size t.png 38 20
    expect 0 "wrote" sample text --prompt "a red circle" --negative "a blue ring" --init-image s.png --strength 0.6 --mask a.png --steps 4 --n 2 --out x.png
    finite t.st
fi
finish
