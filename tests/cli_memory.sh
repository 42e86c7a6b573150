#!/bin/sh
# SPDX-License-Identifier: MIT
# What `brume plan` predicts is what a run takes, within 5%: usage: cli_memory.sh BRUME
# The last line is "N passed, N failed, N skipped".
set -u
unset MALLOC_PERTURB_ # meson sets it: it fills memory that nothing uses, which then counts as taken
brume=$(cd "$(dirname "$1")" && pwd)/$(basename "$1") # the path must survive a change of folder
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
export BRUME_CACHE="$work/cache" # compiled programs come from the disk, as users have it: compiling takes the driver much memory
passed=0 failed=0 skipped=0

cat >config.json <<'EOF2'
{"_class_name": "UNet2DModel", "sample_size": 16, "in_channels": 3, "out_channels": 3, "block_out_channels": [32, 64],
 "down_block_types": ["DownBlock2D", "AttnDownBlock2D"], "up_block_types": ["AttnUpBlock2D", "UpBlock2D"], "layers_per_block": 1, "norm_num_groups": 8}
EOF2
peak() { "$brume" "$@" --json | sed -n 's/.*"peak_mib": \([0-9.]*\).*/\1/p'; }
agree() { # agree DEVICE OPTIONS...
    device=$1
    shift
    # A driver that compiles a kernel for the first time takes more; the second run finds it in the driver's cache.
    [ "$device" = cpu ] || { peak plan config.json --device "$device" "$@"; peak bench config.json --device "$device" --repeat 1 "$@"; } >/dev/null
    plan=$(peak plan config.json --device "$device" "$@")
    bench=$(peak bench config.json --device "$device" --repeat 1 "$@")
    if awk -v a="$plan" -v b="$bench" 'BEGIN { d = a / b - 1; exit !(b > 0 && d <= 0.05 && d >= -0.05) }'; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "FAILED $device $*: plan says $plan MiB, bench $bench"
    fi
}
devices=cpu
# The memory of a device of its own is not in the resident set, so that only drivers for processors can be compared.
if "$brume" devices | grep -q '^opencl:0.0.*pthread'; then devices="cpu opencl:0.0"; else skipped=5; fi
for d in $devices; do
    agree "$d" --mode infer --batch 64
    agree "$d" --mode train --batch 64
    agree "$d" --mode train --batch 64 --micro-batch 16
    agree "$d" --mode infer --batch 64 --storage f16
    agree "$d" --mode train --batch 64 --storage f16 --recompute
done

echo "$passed passed, $failed failed, $skipped skipped"
[ $failed = 0 ]
