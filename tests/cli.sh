#!/bin/sh
# SPDX-License-Identifier: MIT
# The program from outside: output and exit status. Usage: tests/cli.sh path/to/brume. Exit status: 0 all passed, 1 something failed.
set -u
brume=$1
dir=$(mktemp -d)
export BRUME_CACHE="${BRUME_CACHE:-off}"
trap 'rm -rf "$dir"' EXIT
passed=0
failed=0

# expect STATUS TEXT ARGUMENTS...: runs brume; the status must be STATUS and the output (both streams) hold TEXT.
expect() {
    want=$1 text=$2
    shift 2
    "$brume" "$@" >"$dir/out" 2>&1
    got=$?
    if [ "$got" -eq "$want" ] && grep -qF -- "$text" "$dir/out"; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "failed: brume $*: exit $got, expected $want and '$text'; it said:"
        cat "$dir/out"
    fi
}

expect 2 "Commands:"
expect 0 "Commands:" --help
expect 0 "brume " --version
expect 2 "did you mean 'devices'?" devcies
expect 2 "see brume --help" xyzzy
expect 0 "Examples:" help info
# Every command explains itself, with examples.
for command in $("$brume" --help | sed -n 's/^  \([a-z]*\)  *[a-z].*/\1/p'); do
    expect 0 "Usage: brume $command" "$command" --help
    expect 0 "Examples:" "$command" --help
    expect 2 "Try: brume $command --help" "$command" --no-such-option
done
# Tuning: found, kept, used, damaged, interrupted.
expect 2 "expected a time above 0" tune --preset mnist --size 28 --budget 0
expect 2 "expected a time above 0" tune --preset mnist --size 28 --budget 5x
expect 2 "makes no sense" tune --preset mnist --size 28 --no-tuning
expect 2 "give either" tune
cache=$BRUME_CACHE
BRUME_CACHE=off
expect 1 "switched off by BRUME_CACHE=off" tune --preset mnist --size 28 --device cpu
BRUME_CACHE=$dir/cache
expect 0 "kept in" tune --preset mnist --size 28 --device cpu --infer --budget 3s --quiet --all
expect 0 "conv2d 1x28x28x3" tune --preset mnist --size 28 --device cpu --infer --budget 3s --quiet --all
expect 0 '"rule_ms":' tune --preset mnist --size 28 --device cpu --infer --budget 1s --quiet --json
expect 0 '"tuned":' plan --preset mnist --size 28 --device cpu --json
expect 0 '"tuned": 0' plan --preset mnist --size 28 --device cpu --json --no-tuning
for file in "$dir"/cache/tuning/*.json; do echo "{" >"$file"; done
expect 0 "is damaged" plan --preset mnist --size 28 --device cpu --json
"$brume" tune --preset mnist --size 28 --device cpu --train --budget 5m >"$dir/stopped" 2>&1 &
for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do grep -qs tuning "$dir/stopped" && break; sleep 1; done
kill -TERM $!
if wait $! && grep -q "kept in" "$dir/stopped"; then passed=$((passed + 1)); else failed=$((failed + 1)); echo "failed: brume tune did not keep what it knew"; cat "$dir/stopped"; fi
expect 0 '"tuned":' plan --preset mnist --size 28 --device cpu --json
BRUME_CACHE=$cache
expect 0 "cpu" devices
expect 0 '"device": "cpu"' devices --json
expect 2 "did you mean --json?" devices --jsno
BRUME_CACHE=off expect 0 "probe: matrix product" devices --probe --device cpu # told even where nothing is kept
BRUME_CACHE=off expect 0 "\"matmul_gflops\"" devices --probe --device cpu --json
expect 2 "--device goes with" devices --device cpu
expect 2 "missing" info
expect 1 "nonexistent" info "$dir/nonexistent"
expect 0 "8192" info shapes
expect 0 '"classes": 6' info shapes --json
expect 2 "missing" data
expect 1 "no such folder or array" data "$dir/nonexistent"
expect 0 "8x8 (12)" data shapes --size 8 --count 12 --contact-sheet "$dir/sheet.png"
expect 0 "channels" info "$dir/sheet.png"
mkdir -p "$dir/pics"
printf 'P5 2 2 255 abcd' >"$dir/pics/a.pgm"
printf 'P5 2 2 255 ab' >"$dir/pics/b.pgm"
printf 'a.pgm,7\nb.pgm,0\n' >"$dir/pics/labels.csv"
expect 1 "b.pgm: not a good PGM or PPM" data "$dir/pics"
expect 0 "classes     0" data "$dir/pics" --bad-files skip
expect 0 '"longest_caption"' data "$dir/pics" --bad-files skip --json
expect 1 "b.pgm: not a good PGM or PPM" train --data "$dir/pics" --size 16 --steps 2 --batch 2 --samples 0 --out "$dir/run" --quiet
expect 1 "tell left from right" train --data shapes-text --flip --out "$dir/run2" --quiet
expect 2 "--width needs --size" train --data shapes --width 16 --out "$dir/run2"
expect 1 "expected a .safetensors" info "$0"
: >"$dir/a.safetensors"
expect 1 "too few" info "$dir/a.safetensors"
: >"$dir/a.png"
expect 1 "no PNG" info "$dir/a.png"
mkdir "$dir/m"
expect 1 "looked for" info "$dir/m"
echo '{"_class_name": "UNet2DModel", "in_channels": 3}' >"$dir/m/config.json"
expect 1 "no weights" info "$dir/m"
if [ -w /dev/full ]; then
    "$brume" --help >/dev/full 2>/dev/null
    if [ $? -eq 1 ]; then passed=$((passed + 1)); else failed=$((failed + 1)); echo "failed: a full disk went unnoticed"; fi
fi
echo "$passed passed, $failed failed, 0 skipped"
[ "$failed" -eq 0 ]
