#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Tries brume on every OpenCL implementation that is installed, one after the other, and prints a table (docs/devices.md keeps one).
# usage: scripts/check_opencls.sh [--build FOLDER] [--max-values N] [--brief] [--limit SECONDS] [--only COLUMN] [ICD_FILE...]
#   ICD_FILE       implementations to try; default: /etc/OpenCL/vendors/*.icd, and Oclgrind where its library lies in /usr/lib/oclgrind
#   --max-values   leave out operator cases with more values in all tensors (default 1000: compilers of some and interpreters need it; 0: try all)
#   --brief        tiny networks, one process for each sampler, two steps: what an interpreter does in minutes. Always so under Oclgrind.
#   --limit        seconds for each column (default 1800)
#   --only         one column: ops, plan, model, sampling or training
# ops: every kernel variant that fits, against a float64 oracle, NaN-poisoned memory, guard words, equal bytes of a second run; plan: steps one by one;
# model: a U-Net against PyTorch; sampling: every sampler; training: two or three steps, twice, which must give the same bits, and nearly the cpu's loss.
# Under Oclgrind all this runs with its checks of data races and bounds; before, a kernel with planted errors must be reported.
# Exit status: 0 nothing failed, 1 something did, 2 wrong use.
set -eu
cd "$(dirname "$0")/.."
build=build max_values=1000 limit=1800 icds= brief_all= only=
while [ $# -gt 0 ]; do
    case $1 in
    --build) build=$2; shift ;;
    --max-values) max_values=$2; shift ;;
    --brief) brief_all=1 ;;
    --limit) limit=$2; shift ;;
    --only) only=$2; shift ;;
    -*) echo "check_opencls.sh: unknown option '$1'" >&2; exit 2 ;;
    *) icds="$icds $(realpath "$1")" ;;
    esac
    shift
done
for program in brume tests/test_ops tests/test_steps tests/test_sampler_rows tests/golden_models tests/opencl_race; do
    [ -x "$build/$program" ] || { echo "check_opencls.sh: $build/$program is missing: meson compile -C $build" >&2; exit 2; }
done

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
if [ -z "$icds" ]; then
    icds=$(ls /etc/OpenCL/vendors/*.icd 2>/dev/null || true)
    oclgrind=/usr/lib/oclgrind/liboclgrind-rt-icd.so
    if [ -e $oclgrind ]; then echo $oclgrind >"$dir/oclgrind.icd"; icds="$icds $dir/oclgrind.icd"; fi
fi
[ -n "$icds" ] || { echo "check_opencls.sh: no OpenCL implementation found" >&2; exit 2; }

# Mesa's: a processor counts as a device. Oclgrind's: what is not asked for is not checked.
export BRUME_CACHE=off RUSTICL_ENABLE=llvmpipe OCLGRIND_DATA_RACES=1 OCLGRIND_LOG="$dir/oclgrind.log"
config() { # config CHANNELS CHANNELS GROUPS HEAD
    echo '{"_class_name": "UNet2DModel", "sample_size": 8, "in_channels": 1, "out_channels": 1, "block_out_channels": ['"$1, $2"'], "norm_num_groups": '"$3"',
 "attention_head_dim": '"$4"', "down_block_types": ["DownBlock2D", "AttnDownBlock2D"], "up_block_types": ["AttnUpBlock2D", "UpBlock2D"], "layers_per_block": 1}'
}
config 8 16 4 8 >"$dir/config.json"
config 4 8 2 4 >"$dir/brief.json"
# train DEVICE FOLDER; brief without the self-test, which would run each kernel once more than the column of ops did
train() {
    local device=$1 out=$2
    if [ -z "$brief" ]; then set -- --model "$dir/config.json" --batch 4 --steps 3
    else set -- --model "$dir/brief.json" --batch 1 --steps 2 --no-self-test
    fi
    "$build/brume" train --data shapes --count 64 --samples 0 --seed 1 --device "$device" --out "$out" "$@"
}
export -f train
export build dir

failures=0
# cell NAME COMMAND...: runs it under the limit; its text is what the last line of counts says, else its exit status
cell() {
    local name=$1 rc=0 line before after
    shift
    if [ -n "$only" ] && [ "$only" != "$name" ]; then printf " |"; return; fi
    before=$(wc -c <"$dir/oclgrind.log")
    timeout "$limit" "$@" >"$dir/out.txt" 2>"$dir/err.txt" || rc=$?
    after=$(wc -c <"$dir/oclgrind.log")
    line=$(grep -E '^[0-9]+ passed, [0-9]+ failed' "$dir/out.txt" | tail -1 || true)
    if [ $rc = 124 ]; then line="not done in $limit s"
    elif [ $rc != 0 ]; then line="FAILED${line:+: $line} (status $rc)"
    elif [ -z "$line" ]; then line="as it should"
    fi
    if [ "$after" != "$before" ]; then line="$line, REPORTED"; rc=1; fi
    if [ $rc != 0 ] && [ $rc != 124 ]; then
        failures=$((failures + 1))
        { echo "--- $name"; grep -E '^FAILED' "$dir/out.txt" | head -20; tail -5 "$dir/err.txt"; tail -c +$((before + 1)) "$dir/oclgrind.log" | head -60; } >&2
    fi
    printf ' %s |' "$line"
}

training() { # training DEVICE
    rm -rf "$dir"/run-*
    train "$1" "$dir/run-1" && train "$1" "$dir/run-2" && train cpu "$dir/run-3" || return 1
    cmp "$dir/run-1/training/state.safetensors" "$dir/run-2/training/state.safetensors" || { echo "two runs differ" >&2; return 1; }
    paste "$dir/run-1/training/log.jsonl" "$dir/run-3/training/log.jsonl" | sed 's/[",:{}]/ /g' | awk '
        { n = 0; for (i = 1; i < NF; i++) if ($i == "loss") x[++n] = $(i + 1); d = x[1] - x[2]; if (n != 2 || d > 1e-3 * x[2] || d < -1e-3 * x[2]) bad = 1 }
        END { exit bad || NR < 2 }' || { echo "the losses are not those of the cpu" >&2; return 1; }
}
export -f training

echo "| implementation | device | ops | plan | model | sampling | training |"
echo "|---|---|---|---|---|---|---|"
for icd in $icds; do
    export OCL_ICD_VENDORS="$icd"
    devices=$("$build/brume" devices --json | tr -d '\n' | sed 's/{/\n{/g' | grep '"device": *"opencl:' || true)
    [ -n "$devices" ] || { echo "| $(basename "$icd" .icd) | none | | | | | |"; continue; }
    while read -r line; do
        field() { echo "$line" | sed -n "s/.*\"$1\": *\"\([^\"]*\)\".*/\1/p"; }
        spec=$(field device)
        : >"$dir/oclgrind.log"
        checks=
        if "$build/tests/opencl_race" >/dev/null 2>&1 && grep -q race "$dir/oclgrind.log"; then checks=", races and bounds checked"; fi
        : >"$dir/oclgrind.log"
        printf '| %s %s%s | %s, %s |' "$(field platform)" "$(field driver)" "$checks" "$(field name)" "$(field version)"
        if ! echo "$line" | grep -q '"usable": *true'; then echo " not usable: $(field note) | | | | |"; continue; fi
        cell ops "$build/tests/test_ops" --device "$spec" --max-values "$max_values"
        cell plan "$build/tests/test_steps" --device "$spec"
        export brief=$brief_all
        model=unet2d-mnist-class
        if [ -n "$checks" ]; then brief=1; fi
        if [ -n "$brief" ]; then model=unet2d-tiny; fi
        cell model "$build/tests/golden_models" --device "$spec" tests/data/models/$model
        cell sampling "$build/tests/test_sampler_rows" --device "$spec" ${brief:+--brief}
        cell training bash -c "training $spec"
        echo
    done <<EOF
$devices
EOF
done
[ "$failures" = 0 ]
