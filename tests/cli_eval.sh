#!/bin/sh
# SPDX-License-Identifier: MIT
# Metrics of samples, as a user asks for them: usage: cli_eval.sh BRUME JUDGED_SAMPLES
# Trains a tiny model and a tiny classifier, which are bad at what they do. The last line is "N passed, N failed, N skipped".
judged=$(cd "$(dirname "$2")" && pwd)/$(basename "$2")
. "$(dirname "$0")/cli_check.sh"
BRUME_CACHE=$dir/cache
export BRUME_CACHE

says() { # says TEXT: the output of the command before
    cp out said.txt
    ok "output says $1" grep -q -- "$1" said.txt
    cp said.txt out
}
number() { # number FILE KEY TEST: awk's test of the value x of "KEY": x
    ok "$2 $3" awk "match(\$0, /\"$2\": [-+0-9.eE]+/) { split(substr(\$0, RSTART, RLENGTH), p, \": \"); x = p[2] + 0; seen = 1; bad = !($3) } END { exit !seen || bad }" "$1"
}

cat >config.json <<'END'
{"_class_name": "UNet2DModel", "sample_size": 8, "in_channels": 3, "out_channels": 3, "block_out_channels": [8, 16],
 "down_block_types": ["DownBlock2D", "DownBlock2D"], "up_block_types": ["UpBlock2D", "UpBlock2D"], "layers_per_block": 1, "norm_num_groups": 4}
END
ok "train a model" "$brume" train --data shapes --model config.json --count 64 --batch 8 --steps 4 --samples 6 --device cpu --out run --quiet
ok "train a classifier" "$brume" train --task classifier --data shapes --model config.json --count 64 --batch 8 --steps 40 --lr 1e-2 --device cpu --out judge --quiet

eval="$brume eval --device cpu --quiet"
# shellcheck disable=SC2086 # words
{
draw="run --data shapes --sampler ddim --steps 3 --n 24 --reference-n 50"
ok "everything at once" $eval $draw --metrics kid,prdc,class-accuracy,neighbours --classifier judge
says "^kid .*N = 24"
says "before the last layer of the classifier judge"
says "^class-accuracy .*judged by judge"
says "^of real images .*of the test part"
says "by class: 0: "
says "test images, never trained with"
ok "a picture of neighbours" test -s run/training/neighbours.png
ok "one line for the run's page" test "$(wc -l <run/training/evaluation.jsonl)" = 1
number run/training/evaluation.jsonl class_accuracy "x >= 0 && x <= 1"
number run/training/evaluation.jsonl real_accuracy "x >= 0 && x <= 1"
number run/training/evaluation.jsonl k "x == 5"
ok "the page" "$brume" report run --out page.html
ok "which shows it" grep -q class_accuracy page.html
ok "likelihoods in the page's file, too" $eval run --data shapes --n 4 --steps 2
ok "a second line" test "$(wc -l <run/training/evaluation.jsonl)" = 2

# The features of the data set are kept, per network, data and number; damaged, they are made again, with the same figures.
ok "one file of features" test "$(ls cache/features | wc -l)" = 1
ok "kid" $eval $draw --metrics kid --features judge --json
cp out first.json
ok "the same file" test "$(ls cache/features | wc -l)" = 1
printf x >>"cache/features/$(ls cache/features)"
ok "from a damaged file" "$brume" eval --device cpu $draw --metrics kid --features judge
says "damaged, computed again"
ok "from a mended one" "$brume" eval --device cpu $draw --metrics kid --features judge
says "data set: read, "
ok "again" $eval $draw --metrics kid --features judge --json --threads 1
cp out again.json
ok "the same figures" cmp again.json first.json
ok "a file of one's own" $eval $draw --metrics kid --features pixels --reference own.safetensors
refused 1 "another network" $eval $draw --metrics kid --features judge --reference own.safetensors
refused 1 "no file of features" $eval $draw --metrics kid --features judge --reference run/unet/diffusion_pytorch_model.safetensors

# Given samples: pictures of the data themselves are as near as can be.
ok "draw to a file" "$brume" sample run --sampler ddim --steps 3 --n 24 --save-tensors drawn.safetensors --device cpu --quiet
ok "drawn ones and given ones" $eval --samples drawn.safetensors --data shapes --reference-n 50 --metrics kid --features judge --json
grep '"kid"' out >given.txt
ok "give the same" grep -q -F "$(cat given.txt)" first.json
refused 2 "has no 'labels'" $eval --samples drawn.safetensors --metrics class-accuracy --classifier judge
refused 2 "drawn already" $eval --samples drawn.safetensors --data shapes --metrics kid --features judge --guidance 2
ok "neighbours by features" $eval --samples drawn.safetensors --data shapes --metrics neighbours --by features --features judge --out near.png --k 2
says "by features"

# Images with the labels that the judge gives them, in batches that do not divide their number.
ok "judged" "$judged" judge 0 right.safetensors
ok "judged and shifted" "$judged" judge 1 wrong.safetensors
ok "all are right" $eval --samples right.safetensors --metrics class-accuracy --classifier judge --json
cp out all.txt
number all.txt class_accuracy "x == 1"
ok "the first ones, too" $eval --samples right.safetensors --metrics class-accuracy --classifier judge --json --n 7 --batch 3
cp out first.txt
number first.txt class_accuracy "x == 1"
ok "none is right" $eval --samples wrong.safetensors --metrics class-accuracy --classifier judge --json
cp out none.txt
number none.txt class_accuracy "x == 0"

if $eval $draw --metrics fid --features judge --json >fid.json 2>out; then
    number fid.json fid "x > 0"
    number fid.json fid_rank_of_samples "x <= 23"
    ok "a singular covariance is told" $eval $draw --metrics fid --features pixels
    says "covariance of the samples is singular: rank 23 of 192"
elif grep -q "needs LAPACK" out; then
    skipped=$((skipped + 1))
else
    bad "fid"
fi

refused 2 "in two commands" $eval $draw --metrics fid,vlb --features judge
refused 2 "give --features" $eval $draw --metrics kid
refused 2 "needs --classifier" $eval $draw --metrics class-accuracy --features judge
refused 2 "did you mean fid" $eval $draw --metrics fit
refused 2 "argument is missing" $eval --data shapes
refused 1 "neither a classifier" $eval $draw --metrics kid --features run
refused 1 "is no classifier" $eval $draw --metrics class-accuracy --classifier run
refused 2 "needs more samples than that" $eval $draw --metrics prdc --features judge --k 24
refused 1 "more than that many images" $eval --samples drawn.safetensors --data shapes --metrics prdc --features judge --k 24
refused 2 "kid needs 2" $eval run --data shapes --metrics kid --features judge --n 1
refused 1 "no such folder" $eval run --data nowhere --metrics kid --features judge
refused 2 "8 x 8 with 3" $eval run --data moons --metrics kid --features judge
refused 2 "give --data" $eval run --metrics kid --features judge
}
finish
