#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Trains a class-conditional model and a judge, then measures the model over its training: the figures of docs/results.md.
# usage: scripts/results.sh mnist|cifar10 DATA OUT [BUILD]      DATA: folder of the data set; OUT: folder of the runs; BUILD: default build
# A second call goes on where the first was stopped. Ends with a table; OUT/NAME/training/evaluation.jsonl and OUT/NAME.jsonl have every figure.
# N=IMAGES of the measurements over time (default 256), FINAL=IMAGES of the last ones of mnist (default 1000).
set -eu
name=${1:?usage: results.sh mnist|cifar10 DATA OUT [BUILD]} data=${2:?DATA: folder of the data set} out=${3:?OUT: folder of the runs} build=${4:-build}
brume=$build/brume n=${N:-256}
case $name in
mnist)
    model=(--preset mnist --lr 1e-3 --lr-schedule cosine --lr-end 1e-5 --steps 5000 --keep-every 500)
    judge=(--preset mnist --steps 1500 --lr-schedule cosine) at='500 1000 2000 3000 5000'
    final=${FINAL:-1000} last=50 ;;
cifar10)
    model=(--model examples/unet_cifar10_small.json --batch 32 --flip --lr 1e-3 --lr-schedule cosine --lr-end 1e-5 --steps 2400 --keep-every 400)
    judge=(--model examples/unet_cifar10_small.json --batch 32 --flip --steps 300 --lr-schedule cosine) at='400 1200 2400'
    final=$n last=20 ;;
*) echo "results.sh: '$name': expected mnist or cifar10" >&2; exit 2 ;;
esac

# train FOLDER OPTIONS...: to its end, from wherever it is
train() {
    local run=$1; shift
    if [ -d "$run/training" ]; then "$brume" train --out "$run" --resume; else "$brume" train --data "$data" --out "$run" "$@"; fi
}
# A judge is asked about clean images: it learns with very little noise.
train "$out/$name-judge" --task classifier --beta-start 1e-6 --beta-end 2e-4 "${judge[@]}"
train "$out/$name" "${model[@]}"

# measure STEP MODEL N OPTIONS...: one line of JSON, once
measure() {
    local key=$1 folder=$2; shift 2
    grep -q "^{\"key\": \"$key\"" "$out/$name.jsonl" 2>/dev/null && return
    local answer
    answer=$("$brume" eval "$folder" --data "$data" --json --quiet "$@" | tr -d '\n' | tr -s ' ')
    echo "{\"key\": \"$key\", \"answer\": $answer}" >>"$out/$name.jsonl"
}
samples=(--metrics fid,kid,prdc,class-accuracy --classifier "$out/$name-judge" --sampler ddim)
for step in $at; do
    folder=$out/$name/steps/$(printf %06d "$step")
    measure "$step bound" "$folder" --metrics vlb --n 64 --steps 50 --conditional
    measure "$step samples" "$folder" "${samples[@]}" --steps 20 --n "$n"
done
[ "$last" = 20 ] || measure "end" "$out/$name" "${samples[@]}" --steps "$last" --n "$final"
measure "end guided" "$out/$name" "${samples[@]}" --steps "$last" --n "$final" --guidance 2
python3 scripts/results_table.py "$out/$name.jsonl"
