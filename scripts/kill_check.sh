#!/bin/sh
# SPDX-License-Identifier: MIT
# Kills a training run again and again at random moments, goes on with --resume each time, and compares with a run that nothing happened to:
# usage: kill_check.sh BRUME [KILLS] [SEED] [OPTIONS of brume train ...]
# STEPS_PER_KILL (12): length of the run; DELAY_MS (900): longest time before the first kills, which then grows and shrinks so that the kills are spread over the whole
# run, however fast the machine is. Fails unless state, model, models kept on the way, log, validations and pictures are the same. Takes minutes; docs/reliability.md has results.
set -eu
brume=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")
kills=${2:-100} seed=${3:-1}
if [ $# -gt 3 ]; then shift 3; else set -- --device cpu; fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

cat >config.json <<'EOF'
{"_class_name": "UNet2DModel", "sample_size": 8, "in_channels": 3, "out_channels": 3, "block_out_channels": [8, 16],
 "down_block_types": ["DownBlock2D", "AttnDownBlock2D"], "up_block_types": ["AttnUpBlock2D", "UpBlock2D"], "layers_per_block": 1, "norm_num_groups": 4}
EOF
steps=$((kills * ${STEPS_PER_KILL:-12}))
set -- --data shapes --model config.json --count 512 --batch 4 --steps "$steps" --save-every 5 --sample-every 50 --keep-every 30 --samples 4 --validate-every 25 --validation 16 \
    --report-every 20 --ema 0.9,0.99 --dropout 0.1 --cond-drop 0.1 --quiet "$@"

"$brume" train "$@" --out plain

# Delays in milliseconds from a generator of its own.
last_step() { # of RUN, as far as its log has been written
    step=0
    [ ! -s "$1/training/log.jsonl" ] || step=$(tail -n 1 "$1/training/log.jsonl" | sed -n 's/.*"step": \([0-9]*\),.*/\1/p')
    step=${step:-0}
}
set -- train --out killed "$@"
done=0 began=0 finished=0 longest=${DELAY_MS:-900} quarters="0 0 0 0"
while [ $done -lt "$kills" ]; do
    seed=$(((seed * 1103515245 + 12345) % 2147483648))
    delay=$((seed / 65536 % longest + 20))
    "$brume" "$@" >out.txt 2>&1 &
    run=$!
    sleep "$(printf '%d.%03d' $((delay / 1000)) $((delay % 1000)))"
    kill -9 $run 2>/dev/null || finished=$((finished + 1))
    wait $run 2>/dev/null || true
    done=$((done + 1))
    [ -e killed/training/state.safetensors ] || began=$((began + 1))
    [ -e killed/training/run.json ] && set -- train --out killed --resume --quiet
    last_step killed
    if [ $((step * kills)) -lt $((done * steps)) ]; then longest=$((longest * 5 / 4)); else longest=$((longest * 4 / 5 + 20)); fi
    quarters=$(echo "$quarters" | awk -v q=$((step < steps ? 4 * step / steps : 3)) '{ $(q + 1)++; print }')
done
"$brume" "$@"

seq 1 "$steps" >steps.txt
for run in plain killed; do
    grep -o '"step": [0-9]*' $run/training/log.jsonl | cut -d' ' -f2 >$run.steps
    sed 's/"images_per_s.*//' $run/training/log.jsonl >$run.log
    sed 's/, "seconds.*//' $run/training/validation.jsonl >$run.validations
done
cmp killed.steps steps.txt
cmp killed.log plain.log
cmp killed.validations plain.validations
diff -r killed/training/samples plain/training/samples
diff -r killed/steps plain/steps
cmp killed/training/state.safetensors plain/training/state.safetensors
cmp killed/unet/diffusion_pytorch_model.safetensors plain/unet/diffusion_pytorch_model.safetensors
left=$(find killed -name '*.tmp' -o -name 'state.next*' -o -name '*unfinished' -o -name .replaced | wc -l)
[ "$left" = 0 ]
echo "$done kills ($began before the first checkpoint, $finished after the run had ended; in the four quarters of the run $quarters; the last one near step $step of $steps):"
echo "state, model, $(find plain/steps -mindepth 1 -maxdepth 1 | wc -l) models kept, $steps lines of the log, $(wc -l <plain.validations) validations and $(find plain/training/samples -name '*.png' | wc -l) pictures have the same bits"
