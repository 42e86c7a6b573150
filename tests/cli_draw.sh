#!/bin/sh
# SPDX-License-Identifier: MIT
# brume sample from outside: samplers, guidance, pictures given, films, tables, points of the plane. Usage: tests/cli_draw.sh path/to/brume.
# Exit status: 0 all passed, 1 something failed.
. "$(dirname "$0")/cli_check.sh"

# draws STATUS TEXT ARGUMENTS...: expect of brume sample
draws() {
    want=$1 text=$2
    shift 2
    expect "$want" "$text" sample "$@"
}

# starts FILE BYTES: the file begins with these characters
starts() { if [ "$(head -c ${#2} "$1" 2>/dev/null)" = "$2" ]; then pass; else bad "$1 does not begin with $2"; fi; }

cat >tiny.json <<'JSON'
{"_class_name": "UNet2DModel", "sample_size": 8, "in_channels": 3, "out_channels": 3, "block_out_channels": [8, 16], "norm_num_groups": 4,
 "down_block_types": ["DownBlock2D", "AttnDownBlock2D"], "up_block_types": ["AttnUpBlock2D", "UpBlock2D"], "layers_per_block": 1, "attention_head_dim": 8}
JSON
"$brume" train --data shapes --size 8 --count 64 --model tiny.json --out run --steps 3 --batch 4 --samples 0 --quiet >out 2>&1 || bad "training"

# Every sampler that says it is for such models draws; those that are not say which are.
for s in ddpm ddim pndm plms euler euler-ancestral heun dpm2 dpm2-ancestral lms dpmpp-2m dpmpp-3m dpmpp-2m-sde dpmpp-2s dpmpp-3s dpmpp-sde dpmpp-3m-sde \
         dpmpp-2s-ancestral unipc deis lcm pc ode; do
    draws 0 "wrote   $s.png" run --n 2 --out $s.png --sampler $s --steps 6 --class 1
    starts $s.png "$(printf '\211PNG')"
done
draws 1 "is not for models of the process" run --out x.png --sampler ald
draws 1 "there are ddpm" run --out x.png --sampler nonsense
draws 1 "1 .. 1000" run --out x.png --steps 2000

# The same command draws the same bytes; seeds, guidance and its variants change them.
draws 0 "wrote" run --n 2 --out a.png --steps 5 --sampler dpmpp-2m --guidance 3
draws 0 "e = e_u + 3 (e_c - e_u) = 3 e_c - 2 e_u" run --n 2 --out b.png --steps 5 --sampler dpmpp-2m --guidance-w 2
same a.png b.png
draws 0 "wrote" run --n 2 --out b.png --steps 5 --sampler dpmpp-2m --guidance 3 --seed 1
differ a.png b.png
for o in "--guidance-rescale 0.7" "--guidance-interval 0.1,1" "--negative-class 2" "--threshold 0.9 --threshold-max 2" "--sigmas karras"; do
    draws 0 "wrote" run --n 2 --out b.png --steps 5 --sampler dpmpp-2m --guidance 3 $o
    differ a.png b.png
done
draws 2 "two noise levels" run --out x.png --guidance-interval 3
draws 2 "--negative-class" run --out x.png --guidance 2 --negative-class 99

# From a picture; inpainting keeps what the mask shows, bit for bit where the last step is exact.
draws 0 "6 network calls" run --n 2 --out b.png --init-image a.png --strength 0.6 --steps 10 --sampler ddim
draws 0 "wrote" run --n 2 --out b.png --init-image a.png --mask a.png --steps 5 --sampler ddim
draws 0 "wrote" run --n 2 --out b.png --init-image a.png --mask a.png --sampler repaint --respacing 8 --jump-length 3 --jump-samples 2
draws 0 "wrote" run --n 5 --out b.png --init-image a.png --interpolate b.png --steps 4
draws 2 "needs --init-image" run --out x.png --mask a.png
draws 1 "it needs an image and a mask" run --out x.png --sampler repaint
draws 1 "nothing.png" run --out x.png --init-image nothing.png --strength 0.5

# Films, strips, tables.
if "$brume" sample run --n 2 --out b.png --steps 3 --film f.gif --x0-strip x0.png --strip s.png --forward-strip w.png >out 2>&1; then
    starts f.gif GIF89a
    starts x0.png "$(printf '\211PNG')"
elif grep -q "writes no GIF" out; then pass
else bad "film"; fi
draws 0 "wrote   t.html" run --n 2 --samplers ddpm,ddim,heun,dpmpp-2m,unipc --steps 2,5 --table t.html --reference-steps 10
starts t.html "<!DOCTYPE html>"
if [ "$(grep -c '<img' t.html)" -eq 11 ]; then pass; else bad "the table has $(grep -c '<img' t.html) pictures, expected 11"; fi
draws 2 "there is no sampler 'nix'" run --n 2 --samplers ddpm,nix --steps 2 --table t.html
draws 2 "go together" run --n 2 --samplers ddpm --out x.png

# Points of the plane.
"$brume" train --data moons --out points --steps 3 --batch 32 --samples 0 --quiet >out 2>&1 || bad "training on points"
draws 0 "wrote   field.svg" points --n 50 --out p.svg --trajectories t.svg --field field.svg --strip s.svg --strip-columns 3 --steps 4 --sampler ddim
for f in p t field s; do starts $f.svg "<svg"; done
draws 0 "wrote   p.png" points --n 50 --out p.png --steps 4 --sampler heun
starts p.png "$(printf '\211PNG')"
draws 2 "points of the plane" run --out x.png --field f.svg
draws 2 "is for images" points --out x.png --x0-strip f.png
finish
