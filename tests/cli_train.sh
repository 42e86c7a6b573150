#!/bin/sh
# SPDX-License-Identifier: MIT
# The program's way from data to pictures, as a user goes it: usage: cli_train.sh BRUME
# Trains a tiny model, resumes, samples, and compares devices. The last line is "N passed, N failed, N skipped".
. "$(dirname "$0")/cli_check.sh"

# Equal but for roundings: which convolution kernel is fastest, and so the order of its sums, may depend on the batch.
near() { # near FILE FILE [TOLERANCE]
    od -An -v -tf4 -w4 "$1" >near1.txt
    od -An -v -tf4 -w4 "$2" >near2.txt
    ok "$1 and $2 are nearly the same" sh -c \
        "paste near1.txt near2.txt | awk '\$1 != \$2 { d = \$1 - \$2; n++; if (!(d <= ${3:-2e-4} && d >= -${3:-2e-4})) bad++ } END { exit bad || NR < 100 }'"
}

cat >config.json <<'EOF'
{"_class_name": "UNet2DModel", "sample_size": 8, "in_channels": 1, "out_channels": 1, "block_out_channels": [8, 16],
 "down_block_types": ["DownBlock2D", "AttnDownBlock2D"], "up_block_types": ["AttnUpBlock2D", "UpBlock2D"], "layers_per_block": 1, "norm_num_groups": 4}
EOF
train="--data shapes --model config.json --count 64 --batch 4 --samples 6 --device cpu"

# Training: a run of 6 steps equals 4, Ctrl-C's kind of end, and 2 more; other threads, same bits.
ok "train" "$brume" train $train --out a --steps 6
ok "train a part" "$brume" train $train --out b --steps 4
ok "resume" "$brume" train $train --out b --steps 6 --resume --threads 1
same a/unet/diffusion_pytorch_model.safetensors b/unet/diffusion_pytorch_model.safetensors
ok "six lines of log" test "$(wc -l <b/training/log.jsonl)" = 6
ok "a preview" test -s a/training/samples/step-00000006.png
# Previews work in the arena of the training step and read its weights where they are: neither may disturb the other.
ok "train with previews" "$brume" train $train --out e --steps 6 --sample-every 2
same a/unet/diffusion_pytorch_model.safetensors e/unet/diffusion_pytorch_model.safetensors
same a/training/samples/step-00000006.png e/training/samples/step-00000006.png
# Pictures have the same bits for any number of threads, and once more.
for threads in 1 2 3 8 8; do
    ok "draw with $threads threads" "$brume" sample a --sampler dpmpp-2m --steps 4 --n 3 --device cpu --threads $threads --quiet --out "threads-$threads.png"
    same threads-1.png "threads-$threads.png"
done
ok "another preview before" sh -c '! cmp -s e/training/samples/step-00000002.png e/training/samples/step-00000006.png'
# A folder that a run has is refused while it runs; flock here is that run.
refused 1 "is in use by" flock a/training/lock "$brume" train $train --out a --steps 9 --resume
refused 2 "cosine, inverse-sqrt" "$brume" train $train --out c --lr-schedule step
ok "a schedule of the learning rate" "$brume" train $train --out f --steps 5 --warmup 1 --lr 1e-3 --lr-schedule cosine --lr-end 1e-5
ok "its last step" grep -q '"step": 5, .*"lr": 1e-05,' f/training/log.jsonl
refused 1 "already holds a run" "$brume" train $train --out a --steps 6
refused 2 "--out is needed" "$brume" train $train
refused 1 "multiples of" "$brume" train --data shapes --preset shapes --size 18 --out c --device cpu
refused 2 "did you mean --steps" "$brume" train $train --out c --step 3
refused 2 "did you mean cosine" "$brume" train $train --out c --schedule cosin
for more in "--objective v --schedule cosine" "--objective x0 --optimizer sgd --lr 0.01" "--cond none" "--timesteps 50 --beta-end 0.1 --dropout 0.2"; do
    # shellcheck disable=SC2086 # words
    ok "train $more" "$brume" train $train --out "c$(echo "$more" | tr -d ' ./')" --steps 2 $more
done

# Every process trains, goes on, and is drawn from as its own files say; networks for scores divide by sigma.
for process in flow edm ncsn ve vp subvp; do
    ok "train $process" "$brume" train --data shapes --count 64 --batch 4 --device cpu --out "p-$process" --schedule $process --steps 2 --samples 2 --cond none --channels 1 --size 8
    ok "resume $process" "$brume" train --data shapes --count 64 --batch 4 --device cpu --out "p-$process" --steps 3 --samples 2 --cond none --channels 1 --size 8 --resume
    ok "sample $process" "$brume" sample "p-$process" --steps "$(case $process in ncsn) echo 0 ;; *) echo 25 ;; esac)" --langevin-steps 2 --n 2 --device cpu --quiet --out "p-$process.png"
done
ok "the ladder's file" grep -q '"_class_name": "NCSNScheduler"' p-ncsn/scheduler/scheduler_config.json
ok "the score's network" grep -q '"time_embedding_type": "fourier"' p-ncsn/unet/config.json
ok "learned variance" "$brume" train $train --out learned --steps 2 --samples 2 --variance learned-range
ok "goes on" "$brume" train $train --out learned --steps 3 --samples 2 --resume
ok "predicts twice the channels" grep -q '"out_channels": 2' learned/unet/config.json
ok "and draws with it" "$brume" sample learned --sampler ddpm --steps 5 --n 2 --device cpu --quiet --out learned.png
ok "weights and times" "$brume" train $train --out weighed --steps 2 --samples 0 --objective v --weighting min-snr --time-sampling stratified --offset-noise 0.1
refused 1 "trained with weighting min-snr" "$brume" train --out weighed --steps 3 --resume --weighting simple
# A run knows how it was asked for: no option is needed to go on, and another run is the same when asked for by its file.
ok "go on without options" "$brume" train --out weighed --steps 4 --resume
ok "the same from its options" "$brume" train --config weighed/training/run.json --out again
same weighed/unet/diffusion_pytorch_model.safetensors again/unet/diffusion_pytorch_model.safetensors
same weighed/training/run.json again/training/run.json
rm -r again/training/state.safetensors again/unet # as if killed before the first checkpoint
ok "begin again" sh -c '"$@" 2>&1 | grep "no checkpoint yet"' train "$brume" train --out again --resume
same weighed/unet/diffusion_pytorch_model.safetensors again/unet/diffusion_pytorch_model.safetensors
ok "a report of itself" grep -q "Learning rate" weighed/report.html
ok "a report with pictures" "$brume" report a --steps 3 --out page.html --device cpu
ok "of both processes" sh -c 'test $(grep -c "<img alt=.*process" page.html) = 2'
refused 1 "no folder of a run" "$brume" report config.json --no-pictures
echo '{"_why": 1, "stepz": 4}' >wrong.json
refused 2 "wrong.json: stepz: there is no option --stepz; did you mean --steps" "$brume" train --config wrong.json --out c
echo '{"steps": "4"}' >wrong.json
refused 2 "wrong.json: steps: expected an integer" "$brume" train --config wrong.json --out c
echo '{"steps": 4' >wrong.json
refused 1 "wrong.json" "$brume" train --config wrong.json --out c
refused 1 "nowhere.json" "$brume" train --config nowhere.json --out c
refused 2 "--weighting min: there is no such choice" "$brume" train $train --out c --weighting min
refused 2 "--objective noise: expected one of eps" "$brume" train $train --out c --objective noise
refused 1 "needs a discrete schedule" "$brume" train $train --out c --schedule vp --bound vlb

# A classifier of noisy images: trains, goes on, tells its accuracy, and guides a model that knows no classes.
ok "train a classifier" sh -c '"$@" 2>&1 | grep "accuracy at sigma"' train "$brume" train $train --out judge --task classifier --steps 4
ok "resume it" "$brume" train --out judge --steps 6 --resume
ok "accuracy in the log" grep -q '"step": 6,.*"accuracy": .*"correct": ' judge/training/log.jsonl
refused 2 "give it as --classifier" "$brume" sample judge --device cpu --out x.png
for sampler in ddpm ddim dpmpp_2m; do
    ok "guided $sampler" "$brume" sample c--condnone --classifier judge --classifier-scale 3 --class 0,4 --sampler $sampler --steps 5 --n 4 --device cpu --quiet \
        --save-tensors "guided-$sampler.safetensors" --out "guided-$sampler.png"
    ok "alone $sampler" "$brume" sample c--condnone --sampler $sampler --steps 5 --n 4 --device cpu --quiet --save-tensors alone.safetensors
    ok "differ" sh -c "! cmp -s alone.safetensors guided-$sampler.safetensors"
done
refused 2 "expected numbers 0 to 5" "$brume" sample c--condnone --classifier judge --class 6 --device cpu --out x.png

refused 1 "--recompute --micro-batch [124] takes" "$brume" train $train --out c --memory-limit 1M
refused 2 "expected bytes" "$brume" train $train --out c --memory-limit 5X
refused 1 "must divide the batch of 4" "$brume" train $train --out c --micro-batch 3

# Ctrl-C: finishes the step, writes a checkpoint, says how to go on.
"$brume" train $train --out d --steps 100000 --samples 0 >interrupted.txt 2>&1 &
pid=$!
for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
    [ -s d/training/log.jsonl ] && break
    sleep 0.5
done
sleep 0.5
kill -INT $pid
wait $pid
status=$?
ok "Ctrl-C falls short" test $status = 1
ok "and says how to go on" grep -q -- "--resume goes on" interrupted.txt
ok "with a checkpoint" test -s d/training/state.safetensors

# Sampling: the same image whatever the batch; start noise given; both variances; guidance in both conventions.
sample="--steps 5 --sampler ddim --n 6 --device cpu --quiet"
ok "sample" "$brume" sample a $sample --out s.png --save-tensors s.safetensors --strip t.png --forward-strip f.png
for file in s.png t.png f.png; do ok "$file" test -s $file; done
ok "sample in batches of 4" "$brume" sample a $sample --batch 4 --save-tensors s4.safetensors
near s.safetensors s4.safetensors
ok "sample with other threads" "$brume" sample a $sample --threads 1 --save-tensors s1.safetensors
same s.safetensors s1.safetensors
ok "guidance S" "$brume" sample a $sample --guidance 3 --save-tensors g.safetensors
ok "guidance W" "$brume" sample a $sample --guidance-w 2 --save-tensors w.safetensors
same g.safetensors w.safetensors
ok "small variance" "$brume" sample a --sampler ddpm --steps 5 --n 2 --device cpu --quiet --variance small --save-tensors vs.safetensors
ok "large variance" "$brume" sample a --sampler ddpm --steps 5 --n 2 --device cpu --quiet --variance large --save-tensors vl.safetensors
ok "which differ" sh -c '! cmp -s vs.safetensors vl.safetensors'
# Likelihoods: the same numbers on every run, whatever the threads.
eval="--data shapes --n 6 --batch 4 --device cpu --quiet"
few=$(ls -d c--timesteps50*)
ok "complete bound" sh -c '"$@" >e1.txt && grep -q "Complete: all 50 terms" e1.txt && grep -q "L_0   decoder" e1.txt' eval "$brume" eval "$few" $eval
ok "both likelihoods as JSON" sh -c '"$@" >e2.txt && grep -q "\"offset_bits\": 7" e2.txt && grep -q "\"terms\": 11" e2.txt' eval \
    "$brume" eval a $eval --metrics vlb,ode-nll --steps 10 --tolerance 1e-2 --json
ok "both once more" sh -c '"$@" >e3.txt' eval "$brume" eval a $eval --metrics vlb,ode-nll --steps 10 --tolerance 1e-2 --json --threads 1
same e2.txt e3.txt
refused 2 "--metrics vlb,fit: expected one of vlb" "$brume" eval a $eval --metrics vlb,fit
refused 2 "give --data" "$brume" eval a

refused 2 "give one" "$brume" sample a $sample --guidance 3 --guidance-w 2 --out x.png
refused 2 "expected numbers 0 to 6" "$brume" sample a $sample --class 7 --out x.png
refused 2 "nothing to guide" "$brume" sample c--condnone $sample --guidance 2 --out x.png
refused 1 "no such folder" "$brume" sample nowhere --out x.png
refused 2 "give --out" "$brume" sample a
refused 1 "there" "$brume" sample a --sampler dpm --out x.png --device cpu
ok "info of the picture" sh -c "'$brume' info s.png | grep -q ddim"
ok "info of the model" "$brume" info a

# Plans and measurements.
ok "plan" sh -c "'$brume' plan config.json --mode train --batch 4 --device cpu --json | grep -q arena_mib"
ok "bench" sh -c "'$brume' bench config.json --mode train --batch 2 --repeat 3 --device cpu --json >bench.json"
ok "bench names the kernels" grep -q '"kernels": ".*conv2d: ' bench.json
ok "bench ops" sh -c "'$brume' bench ops config.json --batch 2 --repeat 3 --device cpu --json >ops.json"
ok "which times operators" grep -q '"op": "conv2d_dw"' ops.json
ok "whose shares add up to a step" sh -c "sed -n 's/.*\"share_of_step\": \([^,]*\).*/\1/p' ops.json | awk '{ s += \$1 } END { exit !(s > 0.999 && s < 1.001) }'"
ok "bench ops for a reader" sh -c "'$brume' bench ops --op conv2d --shape 2x8x8x16,3x3x16x16 --mode infer --repeat 3 --device cpu >ops.txt"
ok "which names the kernel" grep -q "[a-z] *conv2d 2x8x8x16, 3x3x16x16, -, - -> 2x8x8x16" ops.txt
refused 2 "expected conv2d NxHxWxI,KHxKWxIxO" "$brume" bench ops --op conv2d --shape 2x8x8x16 --device cpu
refused 2 "listed under --help" "$brume" bench ops --op conv3d --shape 2x8x8x16 --device cpu
refused 2 "go together" "$brume" bench ops --op conv2d --device cpu
refused 1 "weight expects 4 dimensions" "$brume" bench ops --op conv2d --shape 2x8x8x16,3x3 --device cpu
refused 2 "give a model" "$brume" bench ops --device cpu
refused 2 "give either" "$brume" plan --device cpu
refused 2 "are for --mode infer and a preset" "$brume" bench config.json --part vae --device cpu
ok "bench with weights in f16" sh -c "'$brume' bench config.json --storage f16 --repeat 1 --device cpu"
ok "plan of a large preset" sh -c "'$brume' plan --preset sd15 --storage f16 --device cpu --json >sd15.json"
ok "plan counts its parameters" grep -q '"parameters": 859520964' sd15.json

# An autoencoder for latent diffusion, and one that goes on from it.
ok "train an autoencoder" "$brume" train --task autoencoder --data shapes --size 16 --count 64 --batch 4 --steps 3 --device cpu --out ae
ok "which has a scaling factor" grep -q '"scaling_factor": [0-9]' ae/config.json
ok "go on from it" "$brume" train --task autoencoder --init ae --data shapes --size 16 --count 64 --batch 4 --steps 2 --device cpu --out ae2
ok "and a step more" "$brume" train --resume --steps 4 --device cpu --out ae
ok "to step 4" grep -q '^{"step": 4, .*"kl": ' ae/training/log.jsonl
refused 1 "already holds a run" "$brume" train --task autoencoder --data shapes --size 16 --count 64 --batch 4 --steps 3 --device cpu --out ae
refused 2 "adds no noise" "$brume" train --task autoencoder --objective v --out ae

# Adapters beside a model's weights: a resumed run has the same bits and needs no options; the file is small, and draws what the merged folder draws.
beside="--data shapes --count 64 --batch 4 --device cpu --samples 2 --quiet"
ok "train adapters" "$brume" train $beside --init a --lora 2 --lora-alpha 1 --out adapters --steps 4
ok "two steps" "$brume" train $beside --init a --lora 2 --lora-alpha 1 --out halves --steps 2
ok "and two more" "$brume" train --out halves --steps 4 --resume
same adapters/pytorch_lora_weights.safetensors halves/pytorch_lora_weights.safetensors
ok "whose folder has no network" test ! -e adapters/unet
ok "draw with it" "$brume" sample a --lora adapters:0.5 --lora adapters:0.5 --n 2 --steps 2 --device cpu --quiet --save-tensors with.safetensors --out with.png
ok "merge it" "$brume" convert a --merge-lora adapters --out merged --quiet
ok "draw from the merged" "$brume" sample merged --n 2 --steps 2 --device cpu --quiet --save-tensors merged.safetensors
near with.safetensors merged.safetensors 1e-5 # half of it twice is rounded twice
ok "draw it again" "$brume" sample --replay with.png --out again.png
same with.png again.png
ok "draw without" "$brume" sample a --n 2 --steps 2 --device cpu --quiet --save-tensors without.safetensors
ok "which differs" sh -c '! cmp -s with.safetensors without.safetensors'
ok "write kohya's names" "$brume" train $beside --init a --lora 2 --lora-alpha 1 --lora-format kohya --out kohya --steps 4
ok "merge those" "$brume" convert a --merge-lora kohya --out merged2 --quiet
near merged/unet/diffusion_pytorch_model.safetensors merged2/unet/diffusion_pytorch_model.safetensors 1e-6
refused 1 "beside other weights" "$brume" train $beside --lora 2 --lora-alpha 1 --out adapters --steps 5 --resume --init merged
refused 1 "adapters of rank 2, alpha 1" "$brume" train --out adapters --steps 5 --resume --lora-alpha 2
refused 1 "No such file" "$brume" sample a --lora nowhere.safetensors --out x.png
refused 2 "give it as --init" "$brume" train $beside --lora 2 --out x
refused 2 "writes a folder" "$brume" convert a --merge-lora adapters --to sd-single --out x.safetensors

# The same run on an OpenCL device.
if "$brume" devices | grep -q '^opencl:'; then
    ok "train on opencl" "$brume" train --data shapes --model config.json --count 64 --batch 4 --samples 6 --device opencl --out o --steps 6
    first() { sed -n "$2s/.*\"loss\": \([0-9.]*\).*/\1/p" "$1/training/log.jsonl"; }
    ok "with the cpu's losses" awk -v a="$(first a 6)" -v b="$(first o 6)" 'BEGIN { d = (a - b) / a; exit !(d < 1e-3 && d > -1e-3) }'
    ok "micro-batches on opencl" "$brume" train --data shapes --model config.json --count 64 --batch 4 --micro-batch 2 --samples 0 --device opencl --out om --steps 6
    ok "with the cpu's losses" awk -v a="$(first a 6)" -v b="$(first om 6)" 'BEGIN { d = (a - b) / a; exit !(d < 1e-3 && d > -1e-3) }'
    ok "bench ops on opencl" "$brume" bench ops config.json --batch 2 --repeat 3 --device opencl --json
    ok "recompute on opencl" "$brume" train --data shapes --model config.json --count 64 --batch 4 --recompute --samples 0 --device opencl --out or --steps 6
    same o/unet/diffusion_pytorch_model.safetensors or/unet/diffusion_pytorch_model.safetensors
    ok "f16 storage on opencl" "$brume" train --data shapes --model config.json --count 64 --batch 64 --storage f16 --samples 0 --device opencl --out oh --steps 6
    ok "and on the cpu" "$brume" train --data shapes --model config.json --count 64 --batch 64 --samples 0 --device cpu --out ch --steps 6
    ok "with the losses of f32 there" awk -v a="$(first ch 6)" -v b="$(first oh 6)" 'BEGIN { d = (a - b) / a; exit !(d < 3e-3 && d > -3e-3) }'
    ok "sample on opencl with f16 storage" "$brume" sample o --steps 5 --sampler ddim --n 6 --device opencl --quiet --storage f16 --save-tensors oh.safetensors
    ok "sample there without" "$brume" sample o --steps 5 --sampler ddim --n 6 --device opencl --quiet --save-tensors o.safetensors
    ok "which differ" sh -c '! cmp -s o.safetensors oh.safetensors'
    near o.safetensors oh.safetensors 2e-2 # rounded weights, five steps
    ok "sample on opencl" "$brume" sample o --steps 5 --sampler ddim --n 6 --device opencl --quiet --out o.png
else
    skipped=$((skipped + 15))
    echo "skipped: no OpenCL device"
fi

finish
