#!/bin/sh
# SPDX-License-Identifier: MIT
# Pictures that say how they were drawn, and drawing them again. Usage: tests/cli_replay.sh path/to/brume path/to/png_text.
# Exit status: 0 all passed, 1 something failed.
png_text=$(cd "$(dirname "$2")" && pwd)/$(basename "$2")
models=$(cd "${BRUME_SHARED:-../shared}/golden/models" 2>/dev/null && pwd)
. "$(dirname "$0")/cli_check.sh"

says() { if grep -qE -- "$2" "$1"; then pass; else bad "no '$2' in $1"; fi; }
silent() { if grep -qF -- "$2" "$1"; then bad "'$2' in $1"; else pass; fi; }

cat >tiny.json <<'JSON'
{"_class_name": "UNet2DModel", "sample_size": 8, "in_channels": 3, "out_channels": 3, "block_out_channels": [8, 16], "norm_num_groups": 4,
 "down_block_types": ["DownBlock2D", "AttnDownBlock2D"], "up_block_types": ["AttnUpBlock2D", "UpBlock2D"], "layers_per_block": 1, "attention_head_dim": 8}
JSON
"$brume" train --data shapes --size 8 --count 64 --model tiny.json --out run --steps 3 --batch 4 --samples 0 --quiet >out 2>&1 || bad "training"
cp -r run other

# Every picture is drawn again with the same bytes, by other numbers of threads, and for options of every kind.
n=0
for o in "--steps 4" "--steps 5 --sampler dpmpp-2m --guidance 3 --sigmas karras --class 1,2" "--guidance-w 2 --steps 3 --seed 7 --n 5 --batch 2" \
         "--sampler ddim --eta 0.3 --steps 4 --clip off --use-clipped-model-output on --columns 1 --scale 3" "--sampler ode --rtol 0.1 --atol 0.1" \
         "--respacing 2,3 --size 16 --n 1" "--steps 4 --sampler pc --probability-flow --corrector none" "--steps 3 --storage f16" "--steps 2 --film f.gif" \
         "--sampler heun"; do
    n=$((n + 1))
    "$brume" sample run --n 2 --device cpu --out $n.png $o --quiet >out 2>&1 || { grep -q "no GIF" out && continue; }
    expect 0 "wrote   again.png" sample --replay $n.png --out again.png --threads 1
    silent out warning
    same $n.png again.png
done
expect 0 "wrote" sample run --n 2 --steps 3 --device cpu --out a.png --strip s.png --x0-strip x.png --forward-strip f.png --strip-columns 3
for f in a s x f; do
    expect 0 "wrote   $f-replay.png" sample --replay $f.png
    same $f.png $f-replay.png
done
expect 0 "wrote" sample run --n 2 --steps 3 --device cpu --out b.png --init-image a.png --mask 1.png --strength 0.7 --sampler ddim
expect 0 "wrote" sample --replay b.png
same b.png b-replay.png
"$brume" train --data moons --out points --steps 3 --batch 32 --samples 0 --quiet >out 2>&1 || bad "training on points"
expect 0 "wrote" sample points --n 20 --out p.png --trajectories t.png --field field.png --strip ps.png --strip-columns 3 --steps 4 --device cpu
for f in p t field ps; do
    expect 0 "wrote   again.png" sample --replay $f.png --out again.png
    same $f.png again.png
done
"$brume" train --data shapes --size 8 --count 64 --init run --lora 2 --out lora --steps 2 --batch 4 --samples 0 --quiet >out 2>&1 || bad "training adapters"
expect 0 "wrote" sample run --lora lora --lora lora:0.5 --n 2 --steps 3 --device cpu --out l.png
expect 0 "wrote" sample --replay l.png
silent out warning
same l.png l-replay.png
expect 0 "lora                  lora, lora:0.5" info l.png
if "$brume" devices | grep -q '^opencl:'; then
    expect 0 "wrote" sample run --n 2 --steps 3 --device opencl --out cl.png
    expect 0 "wrote" sample --replay cl.png
    silent out warning
    same cl.png cl-replay.png
    expect 0 "last bits may differ" sample --replay cl.png --device cpu --out x.png
else
    skipped=$((skipped + 1))
fi

# What a picture says.
expect 0 "drawn by brume sample" info 2.png
for line in "model +run" "weights +[0-9a-f]{16}$" "sampler +dpmpp_2m" "steps +5" "guidance +3$" "class +1,2" "n +2" "seed +0" "brume +[0-9.]+"; do says out "^  $line"; done
says out "guidance +e_u \+ guidance \(e_c - e_u\)"
expect 0 '"guidance": 3.0' info 3.png --json
says out '"seed": 7'
expect 0 "init-image " info b.png
printf '\211PNG' >no.png
expect 1 "no.png" sample --replay no.png
expect 1 "no.png" info no.png
expect 1 "nowhere.png" sample --replay nowhere.png

# Other options win over the picture's; another model draws with its settings.
expect 0 "wrote" sample --replay 1.png --seed 3 --out again.png
if cmp -s 1.png again.png; then bad "another seed drew the same"; else pass; fi
expect 0 "wrote   only.safetensors" sample --replay 1.png --save-tensors only.safetensors
silent out png
expect 0 "wrote" sample other --replay 1.png --save-tensors other.safetensors
silent out warning
same only.safetensors other.safetensors
expect 2 "not both" sample --replay s.png --out u.png --strip v.png

# What has changed since is told.
rm -r other
"$brume" train --data shapes --size 8 --count 64 --model tiny.json --out other --steps 4 --batch 4 --samples 0 --seed 9 --quiet >out 2>&1 || bad "training"
expect 0 "warning: the weights of other are not those that drew 1.png" sample other --replay 1.png --out again.png
sed 's/"steps_offset": 0/"steps_offset": 1/; s/"beta_end": 0.02/"beta_end": 0.03/' run/scheduler/scheduler_config.json >new.json && cp new.json run/scheduler/scheduler_config.json
expect 0 "the scheduler of run has other settings" sample --replay 1.png --out again.png
cp 2.png 1.png
expect 0 "warning: --mask: 1.png is not what it was" sample --replay b.png --out again.png
mv run gone
expect 1 "the model 'run' that drew 2.png is not here; say where it is: brume sample MODEL --replay 2.png" sample --replay 2.png
expect 0 "wrote" sample gone --replay 2.png

# Records that are damaged, or ask for what no record may.
record() { "$png_text" 2.png h.png brume "$("$png_text" 2.png brume | sed "$1")" || bad "cannot write h.png"; }
record 's/"seed": 0/"seed": "0"/'; expect 1 "options.seed: expected an integer" sample gone --replay h.png
record 's/"seed": 0/"seed": -1/'; expect 1 "that is what h.png: text 'brume': options.seed asks for" sample gone --replay h.png
record 's/"steps": 5/"steps": 1e300/'; expect 1 "options.steps: expected an integer" sample gone --replay h.png
record 's/"seed": 0/"out": "evil.png"/'; expect 1 "knows no such option of drawings" sample gone --replay h.png
record 's/"seed": 0/"save-tensors": "evil"/'; expect 1 "knows no such option of drawings" sample gone --replay h.png
record 's/"seed": 0/"replay": "h.png"/'; expect 1 "knows no such option of drawings" sample gone --replay h.png
record 's/"seed": 0/"nonsense": 1/'; expect 1 "knows no such option of drawings" sample gone --replay h.png
record 's/"guidance": 3.0/"guidance": NaN/'; expect 1 "options.guidance" sample gone --replay h.png
record 's/"format": 1/"format": 2/'; expect 1 "newer brume" sample gone --replay h.png
expect 1 "newer brume" info h.png
expect 1 "newer brume" info h.png --json
record 's/"picture": "out"/"picture": "quiet"/'; expect 1 "picture: expected" sample gone --replay h.png
record '1,3d'; expect 1 "not valid JSON" info h.png
if [ -e evil.png ] || [ -e evil ]; then bad "a record wrote where it wanted"; else pass; fi

# Prompts of any bytes.
if [ -n "$models" ] && [ -d "$models/pipeline-sd-tiny" ] && "$brume" sample "$models/pipeline-sd-tiny" --prompt a --steps 1 --device cpu --out q.png --quiet >out 2>&1; then
    for prompt in 'a "red" fox \ on
two lines' 'лиса 🦊' "$(printf 'caf\351')"; do
        expect 0 "wrote" sample "$models/pipeline-sd-tiny" --prompt "$prompt" --negative 'blurry; "bad"' --steps 2 --device cpu --out q.png
        expect 0 "wrote" sample --replay q.png
        same q.png q-replay.png
    done
    expect 0 '  negative              blurry; "bad"' info q.png
    says out "guidance +7.5"
else
    skipped=$((skipped + 1))
fi
finish
