#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# From a fresh machine to pictures: installs what is missing, builds, trains a small model on the built-in data, samples from it.
# usage: scripts/demo.sh [--no-install] [--minutes M] [--device D] [--out FOLDER]
#   --no-install   print the install command instead of running it
#   --minutes M    longest training time, default 4 (3000 steps are done sooner on a fast machine)
#   --device D     auto, cpu, opencl, ...; default auto
#   --out FOLDER   default runs/demo; a run found there goes on
# Expect after 4 minutes on two cores: shapes with clear outlines and colours. Exit status: 0 pictures were written.
set -eu
cd "$(dirname "$0")/.."

install= minutes=4 device=auto out=runs/demo
while [ $# -gt 0 ]; do
    case $1 in
    --no-install) install=--no-install ;;
    --minutes | --device | --out)
        [ $# -gt 1 ] || { echo "demo.sh: $1 needs a value" >&2; exit 2; }
        case $1 in
        --minutes) minutes=$2 ;;
        --device) device=$2 ;;
        --out) out=$2 ;;
        esac
        shift
        ;;
    *) echo "demo.sh: unknown option '$1'; see the top of scripts/demo.sh" >&2; exit 2 ;;
    esac
    shift
done

scripts/deps.sh $install
[ -f build/build.ninja ] || meson setup build
meson compile -C build

resume=
[ ! -f "$out/training/state.safetensors" ] || resume=--resume
build/brume train --data shapes --preset shapes --out "$out" --minutes "$minutes" --device "$device" $resume
build/brume sample "$out" --out "$out/samples.png" --class all --n 48 --guidance 2 --sampler ddpm --steps 100 --device "$device" \
    --strip "$out/strip.png" --forward-strip "$out/forward.png"

echo
echo "Done. Look at:"
echo "  $out/samples.png          a grid: one column per shape"
echo "  $out/strip.png            the way from noise to picture"
echo "  $out/forward.png          the forward process, from picture to noise"
echo "  $out/training/samples/    the same seeds while it learned"
