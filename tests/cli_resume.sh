#!/bin/sh
# SPDX-License-Identifier: MIT
# Runs that are killed, whose disk fills up, whose files are damaged: usage: cli_resume.sh BRUME
# Whatever happens, what --resume ends with must have the bits of a run that nothing happened to. The last line is "N passed, N failed, N skipped".
. "$(dirname "$0")/cli_check.sh"

# Every step, validation and picture once, in order.
whole() { # whole RUN STEPS
    ok "the log of $1" sh -c 'grep -o "\"step\": [0-9]*" "$1/training/log.jsonl" | cut -d" " -f2 | cmp - steps.txt' sh "$1"
    same "$1/training/state.safetensors" plain/training/state.safetensors
    same "$1/unet/diffusion_pytorch_model.safetensors" plain/unet/diffusion_pytorch_model.safetensors
    ok "pictures of $1" diff -r "$1/training/samples" plain/training/samples
    ok "validations of $1" sh -c 'for run in "$1" plain; do sed "s/, \"seconds.*//" "$run/training/validation.jsonl" >"$run.v"; done; cmp "$1.v" plain.v' sh "$1"
    ok "models kept in $1" diff -r "$1/steps" plain/steps
    ok "nothing unfinished in $1" sh -c '! find "$1" -name "*.tmp" -o -name "*unfinished" -o -name .replaced -o -name "state.next*" | grep .' sh "$1"
}
# Damages a file: cuts it to N bytes, or changes the byte at N.
cut_to() { head -c "$2" "$1" >cut.bin && cp cut.bin "$1"; }
change_byte() { printf '\252' | dd of="$1" bs=1 seek="$2" conv=notrunc 2>dd.txt; }

cat >config.json <<'EOF'
{"_class_name": "UNet2DModel", "sample_size": 8, "in_channels": 1, "out_channels": 1, "block_out_channels": [8, 16],
 "down_block_types": ["DownBlock2D", "AttnDownBlock2D"], "up_block_types": ["AttnUpBlock2D", "UpBlock2D"], "layers_per_block": 1, "norm_num_groups": 4}
EOF
train="--data shapes --model config.json --count 64 --batch 4 --samples 2 --device cpu --steps 60 --save-every 7 --sample-every 20 --ema 0.6,0.8 --dropout 0.1
 --time-sampling loss-second-moment --keep-every 20 --validate-every 15 --validation 20 --report-every 0 --cond none --timesteps 20"
seq 1 60 >steps.txt

# shellcheck disable=SC2086 # words
ok "an undisturbed run" "$brume" train $train --out plain
[ $failed = 0 ] || { finish; exit 1; }
whole plain

# Models of steps on the way: each a whole folder; the last is that of the run.
ok "three models" test "$(echo plain/steps/*)" = "plain/steps/000020 plain/steps/000040 plain/steps/000060"
for file in $(cd plain/steps/000060 && find . -type f); do same "plain/$file" "plain/steps/000060/$file"; done
differ plain/steps/000040/unet/diffusion_pytorch_model.safetensors plain/steps/000060/unet/diffusion_pytorch_model.safetensors
ok "draws with one" "$brume" sample plain/steps/000040 --steps 2 --n 2 --device cpu --quiet --out kept.png
ok "evaluates one" "$brume" eval plain/steps/000040 --data shapes --n 2 --steps 2 --device cpu --quiet
ok "run.json has it" grep -q '"keep-every": 20' plain/training/run.json

# Killed at moments that are spread over the run; each time it goes on by itself.
kill_often() { # kill_often RUN KILLS OPTIONS...: starts it, kills it, goes on, until it has been killed so often or is done
    run=$1 kills=$2
    shift 2
    set -- train "$@" --out "$run"
    i=0
    while [ $i -lt "$kills" ]; do
        i=$((i + 1))
        timeout -s KILL "0.$((i * 37 % 9 + 1))" "$brume" "$@" >out 2>&1 && break
        [ -e "$run/training/run.json" ] && set -- train --out "$run" --resume
    done
    ok "$run ends" "$brume" "$@"
}
# shellcheck disable=SC2086 # words
kill_often killed 8 $train
whole killed

# Killed exactly between the files of a checkpoint: the state is new, the model is not, or the first state is not there yet.
cp -r plain between && touch between/training/unfinished && cp config.json between/unet/diffusion_pytorch_model.safetensors
ok "resumed between state and model" sh -c '"$@" 2>&1 | grep "is written again"' sh "$brume" train --out between --resume
whole between
mkdir -p early/training && cp plain/training/run.json early/training && touch early/training/unfinished
mkdir -p early/steps/.unfinished/unet early/steps/.replaced early/steps/000020 && echo torn >early/steps/.unfinished/unet/config.json && echo old >early/steps/000020/old
ok "resumed before the first state" sh -c '"$@" 2>&1 | grep "begins again"' sh "$brume" train --out early --resume
whole early
refused 1 "no run that could go on" "$brume" train --out nothing --resume

# A damaged newest checkpoint, cut at any length or with a wrong byte: the one before it is used, and told.
size=$(stat -c %s plain/training/state.safetensors)
for at in 0 1 7 8 100 1000 $((size / 2)) $((size - 1)); do
    rm -rf damaged && cp -r plain damaged && cut_to damaged/training/state.safetensors "$at"
    ok "cut to $at bytes" sh -c '"$@" 2>&1 | grep "going on from the one before it"' sh "$brume" train --out damaged --resume
    same damaged/training/state.safetensors plain/training/state.safetensors
done
whole damaged
for at in 60 2000 $((size / 3)) $((size - 3)); do
    rm -rf damaged && cp -r plain damaged && change_byte damaged/training/state.safetensors "$at"
    ok "byte $at changed" sh -c '"$@" 2>&1 | grep "going on from the one before it"' sh "$brume" train --out damaged --resume
    same damaged/training/state.safetensors plain/training/state.safetensors
done
rm -rf damaged && cp -r plain damaged && rm damaged/training/state.safetensors
ok "the newest is gone" "$brume" train --out damaged --resume
whole damaged
rm -rf damaged && cp -r plain damaged && cut_to damaged/training/state.safetensors 99 && cut_to damaged/training/state.previous.safetensors 1000
refused 1 "and the checkpoint before it is damaged, too" "$brume" train --out damaged --resume

# The disk is full (a limit on the size of files stands for it): a clear error, and the last good checkpoint is still there.
size_of_state=$(($(stat -c %s plain/training/state.safetensors) / 512))
rm -rf full && cp -r plain full
cp plain/training/state.previous.safetensors full/training/state.safetensors
before=$(cksum <full/training/state.safetensors)
refused 1 "state.next.safetensors: cannot write: File too large" sh -c 'trap "" XFSZ; ulimit -f '$((size_of_state / 2))'; exec "$@"' sh "$brume" train --out full --resume
ok "and the checkpoint stays" test "$before" = "$(cksum <full/training/state.safetensors)"
ok "nothing is left behind" sh -c '! ls -A full/training | grep "tmp\|next"'
ok "with room again" "$brume" train --out full --resume
whole full
refused 1 "File too large" sh -c 'trap "" XFSZ; ulimit -f 4; exec "$@"' sh "$brume" train --out small --data shapes --model config.json --count 8 --batch 2 --steps 2 --samples 0 \
    --device cpu --save-every 1
if [ -e small/training/state.safetensors ]; then bad "a torn state"; else pass; fi

# Folders that cannot be written to. Who may write anywhere is no test of that.
refused 1 "cannot make the folder" "$brume" train --data shapes --model config.json --count 8 --batch 2 --steps 2 --out config.json/run --device cpu
cp -r plain locked
if [ "$(id -u)" != 0 ]; then
    chmod -R a-w locked
    refused 1 "Permission denied" "$brume" train --out locked --resume --steps 70
    chmod -R u+w locked
    same locked/training/state.safetensors plain/training/state.safetensors
else
    skipped=$((skipped + 2))
fi

# A loss that is not finite ends the run, says where it begins, and leaves what is needed to see it again; from there a smaller rate goes on.
# shellcheck disable=SC2086 # words
refused 1 "gave loss" "$brume" train $train --out wild --lr 1e10 --warmup 0 --clip 0
cp out wild.txt
ok "it names the tensor" grep -q "the first that is not finite: .*values are not finite" wild.txt
ok "and how to see it again" grep -q -- "--resume-from wild/training/abort.safetensors" wild.txt
step=$(sed -n 's/.*training: step \([0-9]*\) gave.*/\1/p' wild.txt)
grep "gave loss\|first that is" wild.txt >first.txt
ok "its items" grep -q '"brume.items": "[0-9]*,[0-9]*,[0-9]*,[0-9]*"' wild/training/abort.safetensors
refused 1 "gave loss" "$brume" train --config wild/training/run.json --resume-from wild/training/abort.safetensors --out again
grep "gave loss\|first that is" out >second.txt
same first.txt second.txt
ok "at once" test ! -s again/training/log.jsonl
same wild/training/abort.safetensors again/training/abort.safetensors
ok "step $step" test "$step" -ge 2

# Averages: the folder holds the first, or the one asked for; the others are in the state.
ok "draws with the other average" "$brume" sample plain --ema 0.8 --steps 2 --n 2 --device cpu --quiet --out other.png --seed 3
ok "and with the first by name" "$brume" sample plain --ema 0.6 --steps 2 --n 2 --device cpu --quiet --out named.png --seed 3
ok "which the folder holds" "$brume" sample plain --steps 2 --n 2 --device cpu --quiet --out first.png --seed 3
refused 1 "no average of decay 0.5; those of this run: 0.6,0.8" "$brume" sample plain --ema 0.5 --steps 2 --n 2 --device cpu --out none.png
# shellcheck disable=SC2086 # words
ok "train with the other written" "$brume" train $train --out written --ema-write 0.8
same written/training/state.safetensors plain/training/state.safetensors
differ written/unet/diffusion_pytorch_model.safetensors plain/unet/diffusion_pytorch_model.safetensors
ok "draws" "$brume" sample written --steps 2 --n 2 --device cpu --quiet --out written.png --seed 3
pixels() { "$brume" sample "$@" --steps 2 --n 2 --device cpu --quiet --seed 3 --out p.png --save-tensors p.safetensors && tail -c 512 p.safetensors | cksum; }
if [ "$(pixels plain --ema 0.8)" = "$(pixels written)" ] && [ "$(pixels plain --ema 0.6)" = "$(pixels plain)" ] && [ "$(pixels plain)" != "$(pixels written)" ]; then
    pass
else
    bad "averages draw the same from the state and from the folder"
fi
ok "evaluates" "$brume" eval plain --ema 0.8 --data shapes --n 2 --steps 2 --device cpu --quiet
refused 2 "none of the decays" "$brume" train --data shapes --out c --ema 0.9,0.99 --ema-write 0.999
refused 2 "decays must differ" "$brume" train --data shapes --out c --ema 0.9,0.9

# One average alone has the same bits; validation disturbs nothing.
# shellcheck disable=SC2086 # words
ok "one average" "$brume" train $train --out one --ema 0.6 --validate-every 0
same one/unet/diffusion_pytorch_model.safetensors plain/unet/diffusion_pytorch_model.safetensors
ok "validations have ten times" sh -c 'head -n 1 plain/training/validation.jsonl | grep -q "\"step\": 15, \"loss\": [0-9.e-]*, \"by_time\": \[\([0-9.e-]*, \)\{9\}[0-9.e-]*\]"'
ok "four of them" test "$(wc -l <plain/training/validation.jsonl)" = 4
ok "the report shows them" sh -c '"$@" && grep -q "Validation loss by time" plain/report.html' sh "$brume" report plain --no-pictures

# Captions: a tokenizer and an encoder are files of the run, too.
captions="--data shapes-text --count 32 --batch 4 --samples 0 --device cpu --steps 12 --save-every 3 --report-every 0"
# shellcheck disable=SC2086 # words
ok "a run with captions" "$brume" train $captions --out words
# shellcheck disable=SC2086 # words
kill_often words2 4 $captions
for file in training/state.safetensors unet/diffusion_pytorch_model.safetensors text_encoder/model.safetensors tokenizer/vocab.json; do same words/$file words2/$file; done

finish
