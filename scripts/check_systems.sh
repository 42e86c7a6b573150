#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Builds brume for other systems from here and runs there what can be run; prints a table (docs/devices.md keeps one).
# usage: scripts/check_systems.sh [--build FOLDER] [--work FOLDER] [--sources FOLDER] [--limit SECONDS] [SYSTEM...]
#   SYSTEM      names of tools/cross/*.ini; default: all. One whose compiler is not installed is skipped, programs for which nothing runs them are only built
#   --build     a build for this machine, to compare results with (default build)
#   --work      libraries and builds are kept there, for the next time (default build-systems)
#   --sources   sources of the libraries, see scripts/cross_libraries.sh (default WORK/sources, which apt-get source fills)
#   --limit     seconds for each test (default 1200: emulators are slow)
# tests: programs of tests/, with the sum of their checks. program: trains, is interrupted and goes on, draws, evaluates, compares the device with itself, reads what it wrote.
# files: weights converted there have the bytes of those converted here, and a run that was trained here goes on there. results: three
# training steps of the plainest kernels have the same bits as here, or the largest relative difference of the loss is told.
# Exit status: 0 nothing failed, 1 something did, 2 wrong use.
set -eu
cd "$(dirname "$0")/.."
build=build work=build-systems sources= limit=1200 systems=
while [ $# -gt 0 ]; do
    case $1 in
    --build) build=$2; shift ;;
    --work) work=$2; shift ;;
    --sources) sources=$2; shift ;;
    --limit) limit=$2; shift ;;
    -*) echo "check_systems.sh: unknown option '$1'" >&2; exit 2 ;;
    *) [ -f "tools/cross/$1.ini" ] || { echo "check_systems.sh: there is no tools/cross/$1.ini" >&2; exit 2; }
       systems="$systems $1" ;;
    esac
    shift
done
[ -x "$build/brume" ] || { echo "check_systems.sh: $build/brume is missing: meson compile -C $build" >&2; exit 2; }
[ -n "$systems" ] || systems=$(basename -s .ini tools/cross/*.ini)
mkdir -p "$work"
work=$(cd "$work" && pwd) build=$(cd "$build" && pwd)
sources=${sources:-$work/sources}
PATH=$PATH:/usr/lib/wine # where Debian's wine64 alone lies
export BRUME_CACHE=off BRUME_SELF_TEST=off BRUME_ISA=generic WINEDEBUG=-all WINEPREFIX="$work/wine"
tests="test_safetensors test_data test_data_formats test_png test_rng test_train test_evaluate test_convert test_plan golden_ops golden_samplers"

# setting FILE SECTION KEY: the words of a list, or the one in quotes, of a cross file
setting() { sed -n "/^\[$2\]/,/^\[/s/^$3 = //p" "$1" | tr -d "[],'" | sed 's/#.*//'; }
installed() { [ -n "$1" ] && command -v "$1" >/dev/null 2>&1; }

failures=0
fail() { # fail WHAT LOG
    failures=$((failures + 1))
    { echo "--- $system: $1"; tail -n 12 "$2"; } >&2
}

cat >"$work/model.json" <<'END'
{"_class_name": "UNet2DModel", "sample_size": 8, "in_channels": 1, "out_channels": 1, "block_out_channels": [8, 16],
 "down_block_types": ["DownBlock2D", "AttnDownBlock2D"], "up_block_types": ["AttnUpBlock2D", "UpBlock2D"], "layers_per_block": 1, "norm_num_groups": 4}
END
steps() { # steps OUT PROGRAM...: trains 3 steps, then goes on to 6; draws; evaluates; compares
    local out=$1
    shift
    rm -rf "$out" "$out.3"
    "$@" train --data shapes --model "$work/model.json" --count 64 --batch 4 --samples 0 --steps 3 --seed 1 --device cpu --out "$out" || return 1
    cp -r "$out" "$out.3"
    "$@" train --out "$out" --resume --steps 6 || return 1
    "$@" sample "$out" --n 4 --steps 3 --seed 1 --device cpu --out "$out/grid.png" || return 1
    "$@" eval "$out" --data shapes --metrics vlb --n 4 --steps 4 --device cpu || return 1
    "$@" compare "$out" --a cpu --b cpu:threads=1 --train-step || return 1
    "$@" info "$out" && "$@" info "$out/grid.png" && "$@" devices
}
convert() { rm -rf "$1"; "${@:2}" convert tests/data/lucidrains/plain.safetensors "$1" --dtype f16; }
losses() { sed -n 's/.*"loss": *\([0-9.e+-]*\).*/\1/p' "$1/training/log.jsonl"; }

here=$work/here
system=here
rm -rf "$here" && mkdir -p "$here"
{ steps "$here/run" "$build/brume" && convert "$here/converted" "$build/brume"; } >"$here/log.txt" 2>&1 || { fail program "$here/log.txt"; exit 1; }

echo "| system | built, without warnings | tests | program | files | results |"
echo "|---|---|---|---|---|---|"
for system in $systems; do
    ini=tools/cross/$system.ini out=$work/$system
    mkdir -p "$out"
    read -ra cc <<<"$(setting $ini binaries c)"
    read -ra ar <<<"$(setting $ini binaries ar)"
    read -ra runner <<<"$(setting $ini binaries exe_wrapper)"
    flags=$(setting $ini 'built-in options' c_args | sed 's/-I + libraries .*//')
    if ! installed "${cc[0]}"; then echo "| $system | skipped: no ${cc[0]} | | | | |"; continue; fi
    if ! scripts/cross_libraries.sh "$sources" "$out/libraries" "${cc[@]}" $flags -- "${ar[@]}" >"$out/libraries.log" 2>&1; then
        fail libraries "$out/libraries.log"; echo "| $system | FAILED: libraries | | | | |"; continue
    fi
    exe=
    case $system in windows-*) exe=.exe ;; esac
    ok=1
    [ -f "$out/build/build.ninja" ] || meson setup "$out/build" --cross-file "$ini" --cross-file "$out/libraries/libraries.ini" -Dwerror=true >"$out/setup.log" 2>&1 || ok=0
    [ $ok = 1 ] || { fail setup "$out/setup.log"; echo "| $system | FAILED: meson setup | | | | |"; continue; }
    ninja -C "$out/build" brume$exe $(for t in $tests; do echo tests/$t$exe; done) >"$out/build.log" 2>&1 ||
        { fail build "$out/build.log"; echo "| $system | FAILED | | | | |"; continue; }
    runs=1
    if [ ${#runner[@]} -gt 0 ] && ! installed "${runner[0]}"; then runs=0; fi
    case $system in *macos) runs=0 ;; esac
    if [ $runs = 0 ]; then echo "| $system | brume$exe, $(echo $tests | wc -w) tests | cannot be run here | | | |"; continue; fi

    passed=0 bad=
    for t in $tests; do
        args=
        case $t in golden_ops) args="tests/data/ops.json" ;; esac
        rc=0
        timeout "$limit" "${runner[@]}" "$out/build/tests/$t$exe" $args >"$out/$t.log" 2>&1 || rc=$?
        n=$(sed -n 's/^\([0-9]*\) passed, .*/\1/p' "$out/$t.log" | tail -n 1)
        passed=$((passed + ${n:-0}))
        [ $rc = 0 ] || [ $rc = 77 ] || { bad="$bad $t"; fail "$t (status $rc)" "$out/$t.log"; }
    done
    program="as it should" files="the same" results="the same bits"
    steps "$out/run" "${runner[@]}" "$out/build/brume$exe" >"$out/program.log" 2>&1 || { program=FAILED; fail program "$out/program.log"; }
    rm -rf "$out/run.here" && cp -r "$here/run.3" "$out/run.here"
    { convert "$out/converted" "${runner[@]}" "$out/build/brume$exe" && diff -r "$here/converted" "$out/converted" &&
        "${runner[@]}" "$out/build/brume$exe" train --out "$out/run.here" --resume --steps 6; } >"$out/files.log" 2>&1 || { files=FAILED; fail files "$out/files.log"; }
    if ! cmp -s "$here/run/training/state.safetensors" "$out/run/training/state.safetensors"; then
        results=$(paste <(losses "$here/run") <(losses "$out/run") | awk 'BEGIN { w = 0 } { d = $1 - $2; if (d < 0) d = -d; if (d > w * $1) w = d / $1; n++ }
            END { if (n < 3) print "FAILED: no losses"; else if (w > 1e-4) printf "FAILED: losses differ by %.1e\n", w; else printf "losses within %.1e\n", w }')
        case $results in FAILED*) fail results "$out/program.log" ;; esac
    fi
    echo "| $system | brume$exe, $(echo $tests | wc -w) tests | ${bad:+FAILED:$bad, }$passed checks passed | $program | $files | $results |"
done
[ "$failures" = 0 ]
