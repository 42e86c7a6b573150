#!/bin/sh
# SPDX-License-Identifier: MIT
# Several processes from outside: training and sampling under mpirun are those of one process. Usage: tests/cli_mpi.sh path/to/brume.
# Exit status: 0 all passed, 1 something failed. Skipped, but for one check, where mpirun or the feature is missing.
set -u
brume=$(cd "$(dirname "$1")" && pwd)/$(basename "$1") # the path must survive a change of folder
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
passed=0
failed=0
skipped=0
cd "$dir" || exit 1
export BRUME_CACHE="${BRUME_CACHE:-off}" TMPDIR=/tmp # where Open MPI makes its sockets, whose paths must be short

ok() { passed=$((passed + 1)); }
bad() { failed=$((failed + 1)); echo "failed: $*"; cat out 2>/dev/null; }
end() { echo "$passed passed, $failed failed, $skipped skipped"; [ "$failed" = 0 ]; exit; }

# expect STATUS TEXT COMMAND...: the status must be STATUS (not-0: any but 0) and the output (both streams) hold TEXT.
expect() {
    want=$1 text=$2
    shift 2
    timeout 100 "$@" >out 2>&1
    got=$?
    if [ "$want" = not-0 ] && [ "$got" -ne 0 ] && [ "$got" -ne 124 ]; then want=$got; fi
    if [ "$got" = "$want" ] && { [ -z "$text" ] || grep -qF -- "$text" out; }; then ok; else bad "$*: exit $got, expected $want and '$text'"; fi
}
same() { if cmp -s "$1" "$2"; then ok; else bad "$1 and $2 differ"; fi; }
absent() { if [ -e "$1" ]; then bad "$1 is there"; else ok; fi; }
ranks() { # ranks N COMMAND...: expect's form of the command
    n=$1
    shift
    echo "mpirun --allow-run-as-root --oversubscribe --bind-to none -n $n $brume $*"
}
values() { od -An -v -tf4 -w4 -j "$(od -An -td8 -N8 "$1" | awk '{ print $1 + 8 }')" "$1"; }
# near FILE FILE TOLERANCE: tensors; of a state without the checksum at its end
near() {
    values "$1" >a && values "$2" >b
    case $1 in *state.safetensors) for f in a b; do head -n -2 $f >c && mv c $f; done ;; esac
    if [ -s a ] && paste a b | awk -v t="$3" '{ d = $1 - $2; if (NF != 2 || !(d <= t && -d <= t)) exit 1 }'; then ok; else bad "values of $1 and $2 are not within $3"; fi
}
numbers() { sed -n "s/.*\"$2\": \([-+.e0-9]*\).*/\1/p" "$1/training/log.jsonl"; }
# near_log RUN RUN KEY: within 2e-5 of the value: sums of floats in another order, printed with 7 digits
near_log() {
    numbers "$1" "$3" >a && numbers "$2" "$3" >b
    if [ -s a ] && paste a b | awk '{ d = $1 - $2; t = 2e-5 * $1; if (NF != 2 || !(d <= t && -d <= t)) exit 1 }'; then ok; else bad "$3 of $1 and $2 differ"; fi
}

cat >unet.json <<'JSON'
{"_class_name": "UNet2DModel", "block_out_channels": [8, 16], "norm_num_groups": 4, "layers_per_block": 1, "attention_head_dim": 8, "dropout": 0.1,
 "down_block_types": ["DownBlock2D", "AttnDownBlock2D"], "up_block_types": ["AttnUpBlock2D", "UpBlock2D"]}
JSON
# Plain gradient descent: Adam would divide rounding errors of gradients near 0 by their own size.
train="train --data shapes --size 16 --count 64 --model unet.json --batch 12 --device cpu --seed 3 --warmup 1 --samples 2 --quiet --optimizer sgd --lr 0.05"

if OMPI_COMM_WORLD_SIZE=2 "$brume" sample none 2>&1 | grep -qF "this build knows no MPI"; then
    ok
    skipped=$((skipped + 1))
    end
fi
if ! command -v mpirun >/dev/null 2>&1 || ! mpirun --version 2>&1 | grep -q "Open MPI"; then
    skipped=$((skipped + 1))
    end
fi

expect 0 "" "$brume" $train --steps 4 --out one
expect 0 "" $(ranks 2 $train --steps 4 --out two)
expect 0 "" $(ranks 3 $train --steps 4 --micro-batch 2 --out three)
# 1e-6: weights are of the order of 1; 4 steps of 0.05 times gradients whose sums round by some 1e-7.
for run in two three; do
    near_log one $run loss
    near_log one $run grad_norm
    near one/training/state.safetensors $run/training/state.safetensors 1e-6
done
# The sums of a step start in the backward pass, in one order: a second run has the same bits, and says how long its steps waited.
expect 0 "" $(ranks 2 $train --steps 4 --out again)
same two/training/state.safetensors again/training/state.safetensors
if [ "$(numbers two sum_wait | wc -l)" = 4 ] && ! grep -q sum_wait one/training/log.jsonl; then ok; else bad "sum_wait in the log"; fi
# A run goes on with another number of ranks.
expect 0 "" $(ranks 2 $train --steps 2 --out half)
cp -r half behind
expect 0 "" $(ranks 3 train --resume --out half --steps 4 --quiet)
near_log one half loss
near one/training/state.safetensors half/training/state.safetensors 1e-6
# f16 storage judges the gradient of all; times by loss know the losses of all; a classifier counts all.
f16="--storage f16 --time-sampling loss-second-moment --timesteps 3 --steps 7"
expect 0 "" "$brume" $train $f16 --out f1
expect 0 "" $(ranks 2 $train $f16 --out f2)
# 1e-3: activations are rounded to 11 bits, and where a sum falls on the other side of a rounding, by one unit of it.
for run in f1 f2; do numbers $run loss >$run.loss; done
if [ "$(wc -l <f1.loss)" = 7 ] && paste f1.loss f2.loss | awk '{ d = $1 - $2; t = 1e-3 * $1; if (NF != 2 || !(d <= t && -d <= t)) exit 1 }'; then ok
else bad "losses with f16 storage differ"; paste f1.loss f2.loss; fi
expect 0 "" "$brume" $train --task classifier --steps 2 --out c1
expect 0 "" $(ranks 2 $train --task classifier --steps 2 --out c2)
near_log c1 c2 loss
sed 's/.*\("seen".*\)}/\1/' c1/training/log.jsonl >c1.seen
sed 's/.*\("seen".*\)}/\1/' c2/training/log.jsonl >c2.seen
same c1.seen c2.seen

# An autoencoder: the same, and it goes on.
coder="train --task autoencoder --data shapes --size 16 --count 64 --batch 6 --device cpu --seed 3 --warmup 1 --samples 2 --quiet --optimizer sgd --lr 0.05"
expect 0 "" "$brume" $coder --steps 4 --out a1
expect 0 "" $(ranks 2 $coder --steps 4 --out a2)
expect 0 "" $(ranks 3 $coder --steps 2 --out a3)
expect 0 "" $(ranks 2 train --resume --out a3 --steps 4 --quiet)
for run in a2 a3; do
    for key in loss reconstruction kl grad_norm; do near_log a1 $run $key; done
    near a1/training/state.safetensors $run/training/state.safetensors 1e-6
done
expect not-0 "2 ranks must share the batch equally" $(ranks 2 $coder --batch 5 --out bad)

# Images: the same bits where the batches are the same.
sample="sample one --n 7 --seed 5 --steps 3 --device cpu --quiet"
expect 0 "" "$brume" $sample --batch 3 --save-tensors s1.safetensors --out s1.png
expect 0 "" $(ranks 2 $sample --batch 3 --save-tensors s2.safetensors --out s2.png)
same s1.safetensors s2.safetensors
same s1.png s2.png
expect 0 "" $(ranks 3 $sample --save-tensors s3.safetensors --out s3.png)
near s1.safetensors s3.safetensors 1e-4 # batches of other sizes are cut into other sums; 3 steps pass that on
expect 0 "" $(ranks 2 sample one --n 1 --steps 2 --device cpu --quiet --out s4.png)
# The first rank chooses for all; where OpenCL devices are processors, the cpu.
export BRUME_OPENCL_TYPE=cpu
expect 0 "device cpu" $(ranks 2 sample one --n 2 --steps 2 --device auto --out s5.png)
unset BRUME_OPENCL_TYPE

# What cannot be shared is refused, and an error of one rank ends all of them.
expect not-0 "2 ranks must share the batch equally" $(ranks 2 $train --batch 5 --out bad)
expect not-0 "must divide the share of each rank of 6, got 4" $(ranks 2 $train --micro-batch 4 --out bad)
expect not-0 "runs in one process" $(ranks 2 info one)
absent bad/training/log.jsonl
expect not-0 "already holds a run" $(ranks 2 $train --steps 9 --out one)
expect not-0 "elsewhere/none" mpirun --allow-run-as-root --oversubscribe -n 1 "$brume" $train --steps 60 --out lone : \
    -n 1 "$brume" $train --data elsewhere/none --steps 60 --out lone
expect not-0 "all ranks must see the same folder" mpirun --allow-run-as-root --oversubscribe -n 1 "$brume" train --resume --steps 60 --quiet --out one : \
    -n 1 "$brume" train --resume --steps 60 --quiet --out behind
# All find the same loss that is not finite; the state before it is whole before they end.
expect not-0 "nan/training/abort.safetensors" $(ranks 2 $train --lr 10 --clip 0 --warmup 0 --steps 60 --out nan)
if [ -s nan/training/abort.safetensors ]; then ok; else bad "no abort.safetensors"; fi
# Asked to end, all end after the same step, with a checkpoint.
expect 0 "checkpoint is in stopped" $(ranks 2 $train --steps 1000000 --minutes 0.02 --out stopped)
expect 0 "" $(ranks 3 train --resume --out stopped --steps "$(($(wc -l <stopped/training/log.jsonl) + 1))" --minutes 1 --quiet)
end
