#!/bin/sh
# SPDX-License-Identifier: MIT
# Lets the disk be full after each page that a command writes: usage: full_disk.sh EVERY BRUME
# EVERY: 1 tries each number of free pages, N every N-th. The disk is a small tmpfs in a mount namespace of this test's own; without one it is
# skipped. Right is: exit status 1 and a message with the name of a file there and the reason (or, of a cache, 0: it goes on without), and each
# file there is as a run with room would have made it, or as it was before, or not there.
if [ "${FULL_DISK:-}" != inside ]; then
    unshare -rm true 2>/dev/null || { echo "no mount namespaces here: skipped"; exit 77; }
    FULL_DISK=inside exec unshare -rm sh "$0" "$@"
fi
every=$1
single=$(realpath "$(dirname "$0")/../data/lucidrains/plain.safetensors")
shift
. "$(dirname "$0")/../cli_check.sh"
mkdir disk # what is mounted there is seen by nobody else
trap 'umount -q disk 2>/dev/null; rm -rf "$dir"' EXIT
export BRUME_CACHE=off BRUME_SELF_TEST=off BRUME="$brume"
cpu="--device cpu --threads 1 --quiet"

cat >config.json <<'EOF'
{"_class_name": "UNet2DModel", "sample_size": 8, "in_channels": 1, "out_channels": 1, "block_out_channels": [8],
 "down_block_types": ["DownBlock2D"], "up_block_types": ["UpBlock2D"], "layers_per_block": 1, "norm_num_groups": 4}
EOF
mkdir empty pictures taken drawn converted
for i in 1 2 3 4 5 6 7; do printf 'P5 8 8 255\n%064d' "$i" >pictures/$i.pgm; done
echo "another picture" >taken/a.png

# Checks run on the disk, with STATUS. Nothing unfinished is left behind, and:
# a run goes on, or begins again, and ends with the same bits,
cat >train.check <<'EOF'
find . -name '*.tmp' -o -name 'state.next*' | grep . && exit 1
cp -r run .. && cd .. || exit 1
[ ! -e run/training/run.json ] || { [ $STATUS = 0 ] || "$BRUME" train --out run --resume --quiet; } || exit 1
[ ! -e run/training/run.json ] || cmp run/training/state.safetensors model/training/state.safetensors
s=$?
rm -rf run
exit $s
EOF
# each file is as in the folder ../$SAME or, where that is named, in ../$BEFORE,
cat >same.check <<'EOF'
[ $STATUS = 1 ] || exec diff -rq . "../$SAME"
for f in $(find . -type f); do cmp "$f" "../$SAME/$f" || { [ -n "${BEFORE:-}" ] && cmp "$f" "../$BEFORE/$f"; } || exit 1; done
EOF
# lists of figures end with a whole line,
cat >lines.check <<'EOF'
f=training/evaluation.jsonl
! find . -name '*.tmp' | grep . && { [ ! -s $f ] || [ "$(tail -c 1 $f | od -An -c | tr -d ' ')" = '\n' ]; }
EOF
# a page is whole,
cat >page.check <<'EOF'
! find . -name '*.tmp' | grep . && { [ ! -e page.html ] || tail -n 1 page.html | grep '</html>'; }
EOF
# and what is kept to save time may be missing.
cat >cache.check <<'EOF'
! find . -name '*.tmp' | grep . && [ $STATUS = 0 ]
EOF

# full NAME FOLDER CHECK COMMAND...: first the disk holds a copy of the folder and nothing is free (a page, where the folder is empty), in the end
# there is room for all
full() {
    name=$1 before=$2 check=$3 runs=0 errors=0 STATUS=1
    pages=$(find "$2" -type f -exec du -k {} + | awk '{ n += int(($1 + 3) / 4) } END { print n ? n : 1 }')
    shift 3
    while [ $STATUS != 0 ] || [ $runs -lt 2 ]; do
        mount -t tmpfs -o size=$((4 * pages))k tmpfs disk || exit 1
        cp -r "$before/." disk
        "$@" >out 2>&1
        STATUS=$?
        case $STATUS in
            0) pass ;;
            1) errors=$((errors + 1))
               if grep -q 'brume: .*disk/.*No space left' out; then pass; else bad "$name, $pages pages: the message lacks file or reason"; fi ;;
            *) bad "$name, $pages pages: exit status $STATUS" ;;
        esac
        if (cd disk && STATUS=$STATUS sh "../$check") >said 2>&1; then pass; else bad "$name, $pages pages, status $STATUS: $(head -n 3 said)"; fi
        umount disk
        runs=$((runs + 1))
        [ $runs -lt 400 ] || { bad "$name never ends"; break; }
        pages=$((pages + every))
    done
    echo "$name: $errors of $runs runs ended with an error, $((pages - every)) pages were enough"
}

train="train --data shapes --model config.json --count 8 --batch 2 --samples 1 --steps 2 --save-every 1 --cond none"
sample="sample model --n 2 --steps 2 --seed 1"
cached="train --data pictures --data-cache disk --model config.json --batch 2 --samples 0 --steps 1 --out cached"
# shellcheck disable=SC2086 # words
{
    ok "a run" "$brume" $train $cpu --out model
    cp -r model judged
    ok "its picture" "$brume" $sample $cpu --out drawn/a.png
    ok "a model of another program" "$brume" convert "$single" converted/model

    full train empty train.check "$brume" $train $cpu --out disk/run
    SAME=drawn full sample empty same.check "$brume" $sample $cpu --out disk/a.png
    BEFORE=taken SAME=drawn full "sample over another" taken same.check "$brume" $sample $cpu --out disk/a.png
    SAME=converted full convert empty same.check "$brume" convert "$single" disk/model
    full eval judged lines.check "$brume" eval disk --data shapes --n 2 --steps 2 $cpu
    full report empty page.check "$brume" report model --steps 2 $cpu --out disk/page.html
    full compare empty page.check "$brume" compare --preset points --a cpu:threads=1 --b cpu:threads=2 --html disk/page.html --quiet
    full sheet taken lines.check "$brume" data pictures --contact-sheet disk/sheet.png
    BRUME_CACHE="$dir/disk" full pixels taken lines.check sh -c 'rm -rf cached; exec "$@"' sh "$brume" $cached $cpu
    # What is kept without being asked for is done without.
    BRUME_CACHE="$dir/disk" BRUME_SELF_TEST=on full tested taken cache.check "$brume" $sample $cpu --out a.png
    BRUME_CACHE="$dir/disk" full features taken cache.check "$brume" eval model --data shapes --metrics prdc --features pixels --n 8 --steps 2 $cpu
}
# What the results are printed to may be full, too.
if [ -c /dev/full ]; then
    for command in "info model" "methods" "--help" "devices --json" "data pictures --json" "plan model --json"; do
        # shellcheck disable=SC2086
        refused 1 "" sh -c 'exec "$@" >/dev/full' sh "$brume" $command
    done
fi
finish
