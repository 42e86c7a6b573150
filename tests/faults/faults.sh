#!/bin/sh
# SPDX-License-Identifier: MIT
# Lets calls fail, one after the other, while the program works on tiny models and files: usage: faults.sh HOW BRUME SWEEP HOST_FAULTS [CL_FAULTS]
# HOW: some   a few calls of each job, seconds; all   every call, hours; a number N   every N-th
# JOBS="NAME..." in the environment takes these alone. Each job prints a line of counts (see sweep.c); the last line is "N passed, N failed, N skipped".
how=$1 sweep=$(realpath "$3") host=$(realpath "$4") cl=${5:+$(realpath "$5")}
single=$(realpath "$(dirname "$0")/../data/lucidrains/plain.safetensors")
shift
. "$(dirname "$0")/../cli_check.sh"
# A finding of a sanitizer ends in another status than an error; drivers, compilers and their leaks are not ours.
suppressions=$(mktemp)
trap 'rm -rf "$dir" "$suppressions"' EXIT
printf 'leak:libpocl\nleak:libLLVM\nleak:libclang\nleak:libOpenCL\nleak:ld-linux\nleak:_dl_\n' >"$suppressions"
export ASAN_OPTIONS="exitcode=99:verify_asan_link_order=0:detect_leaks=${LEAKS:-1}" UBSAN_OPTIONS=print_stacktrace=1 LSAN_OPTIONS="suppressions=$suppressions:print_suppressions=0"

# faults NAME LIBRARY KIND EVERY CHECK COMMAND...: EVERY is the distance of the faults that "some" tries
faults() {
    name=$1 library=$2 kind=$3 every=$4 check=$5
    shift 5
    case $how in some) ;; all) every=1 ;; *) every=$how ;; esac
    case " ${JOBS:-$name} " in *" $name "*) ;; *) return ;; esac
    rm -rf job.start && cp -r start job.start
    "$sweep" "$library" "$kind" "${FROM:-1}" "$every" 0 "$dir/job" "$check" "$@" >out 2>&1
    got=$?
    [ $got = 0 ] || head -n 60 out
    echo "$name: $(tail -n 1 out)"
    if [ $got = 0 ]; then pass; else failed=$((failed + 1)); fi
}

# Tiny files of every kind, a model, and a run.
mkdir start && cd start || exit 1
cat >config.json <<'EOF'
{"_class_name": "UNet2DModel", "sample_size": 8, "in_channels": 1, "out_channels": 1, "block_out_channels": [8],
 "down_block_types": ["DownBlock2D"], "up_block_types": ["UpBlock2D"], "layers_per_block": 1, "norm_num_groups": 4}
EOF
cat >text.json <<'EOF'
{"_class_name": "UNet2DConditionModel", "sample_size": 16, "in_channels": 3, "out_channels": 3, "block_out_channels": [8], "cross_attention_dim": 16,
 "attention_head_dim": 4, "down_block_types": ["CrossAttnDownBlock2D"], "up_block_types": ["CrossAttnUpBlock2D"], "layers_per_block": 1,
 "norm_num_groups": 4}
EOF
mkdir -p pictures/a pictures/b cifar idx
for i in 1 2 3; do
    printf 'P5 8 8 255\n%064d' "$i" >pictures/a/$i.pgm
    printf 'P5 8 8 255\n%064d' "$((i * 7))" >pictures/b/$i.pgm
done
head -c $((3073 * 4)) /dev/zero >cifar/data_batch_1.bin
{ printf '\0\0\10\3\0\0\0\4\0\0\0\10\0\0\0\10'; printf '%0256d' 123; } >idx/train-images-idx3-ubyte
printf '\0\0\10\1\0\0\0\4\0\1\2\3' >idx/train-labels-idx1-ubyte
{ printf '\223NUMPY\1\0\166\0'; printf '%-117s\n' "{'descr': '|u1', 'fortran_order': False, 'shape': (4, 1, 8, 8), }"; printf '%0256d' 77; } >array.npy
cpu="--device cpu --threads 1 --quiet"
train="train --data shapes --model config.json --count 8 --batch 2 --samples 1 --steps 2 --save-every 1 --cond none"
# shellcheck disable=SC2086 # words
"$brume" $train $cpu --out model >../out 2>&1 || { cat ../out; exit 1; }
# shellcheck disable=SC2086
"$brume" sample model --n 2 --steps 2 $cpu --seed 1 --out pictures/a/drawn.png >../out 2>&1 || { cat ../out; exit 1; }
cd .. || exit 1

# Whatever happened to a run, going on (or beginning again, before there was a run) gives the bits of one that nothing happened to.
cat >resume.sh <<'EOF'
if [ "$STATUS" = 1 ]; then
    if [ -e run/training/run.json ]; then "$BRUME" train --out run --resume --quiet || exit 1; else exit 0; fi
fi
cmp run/training/state.safetensors "$MODEL/training/state.safetensors" || exit 1
cmp run/unet/diffusion_pytorch_model.safetensors "$MODEL/unet/diffusion_pytorch_model.safetensors" || exit 1
! find run -name '*.tmp' -o -name 'state.next*' -o -name unfinished | grep .
EOF
# A picture is there, whole and right, or it is not there. Its text names the processor, where that can be read: the pixels stand behind it.
cat >picture.sh <<'EOF'
same() { tail -c 380 a.png >a.tail && tail -c 380 pictures/a/drawn.png | cmp - a.tail; }
if [ "$STATUS" = 0 ]; then same; else ! [ -e a.png ] || same; fi && ! find . -name '.*.tmp' | grep .
EOF
export BRUME="$brume" MODEL="$dir/start/model"

# shellcheck disable=SC2086 # words
for kind in memory memory+ files threads; do
    every=499
    [ $kind = files ] && every=13
    [ $kind = threads ] && every=1
    faults "train-$kind" "$host" $kind $every "sh $dir/resume.sh" "$brume" $train $cpu --out run
    faults "resume-$kind" "$host" $kind $every "" "$brume" train --out model --resume --steps 3 $cpu
    faults "sample-$kind" "$host" $kind $every "sh $dir/picture.sh" "$brume" sample model --n 2 --steps 2 $cpu --seed 1 --out a.png
    for data in pictures cifar idx array.npy; do
        faults "data-$data-$kind" "$host" $kind 97 "" "$brume" data $data --contact-sheet sheet.png
    done
    faults "train-pictures-$kind" "$host" $kind $every "" "$brume" train --data pictures --model config.json --batch 2 --samples 0 --steps 1 $cpu --out run
    faults "train-text-$kind" "$host" $kind $every "" "$brume" train --data shapes-text --cond text --model text.json --count 8 --batch 2 --samples 0 \
        --steps 1 $cpu --out run
    faults "info-$kind" "$host" $kind 97 "" "$brume" info model
    faults "convert-$kind" "$host" $kind 397 "" "$brume" convert "$single" converted
    faults "eval-$kind" "$host" $kind 397 "" "$brume" eval model --data shapes --n 2 --steps 2 $cpu
    faults "report-$kind" "$host" $kind 97 "" "$brume" report model --steps 2 $cpu
done

# The same on an OpenCL device, by calls that fail, lie, come late, or fail after they were accepted.
if [ -n "$cl" ] && "$brume" devices | grep -q opencl; then
    export BRUME_CACHE="$dir/programs" MODEL="$dir/start/model-cl"
    opencl="--device opencl --quiet"
    cd start || exit 1
    # shellcheck disable=SC2086
    { "$brume" $train $opencl --out model-cl && "$brume" sample model-cl --n 2 --steps 2 $opencl --seed 1 --out pictures/a/drawn.png; } >../out 2>&1 || cat ../out
    cd .. || exit 1
    for kind in fail:-5 fail:-6 fail:-2 fail:-11 fail:-48 event:-14 silent:0 late:20; do
        resume="sh $dir/resume.sh" picture="sh $dir/picture.sh" every=4999
        [ $kind = silent:0 ] && resume="" picture="" # a driver that lies may be found out by a wrong result only
        [ $kind = event:-14 ] && every=97
        # shellcheck disable=SC2086
        faults "train-$kind" "$cl" $kind $every "$resume" "$brume" $train $opencl --out run
        # shellcheck disable=SC2086
        faults "sample-$kind" "$cl" $kind $every "$picture" "$brume" sample model-cl --n 2 --steps 2 $opencl --seed 1 --out a.png
    done
else
    skipped=$((skipped + 16))
fi
finish
