#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Installs what is missing, builds, and runs every test on the cpu backend and on every OpenCL device found (PoCL where no other is).
# usage: scripts/test.sh [--no-install] [BUILD_FOLDER]      default build folder: build
# Shared test data is taken from $BRUME_SHARED, default ../shared; without it the tests that need it are skipped and counted so.
# The last line is "N passed, N failed, N skipped". Exit status: 0 nothing failed, 1 something did.
set -eu
cd "$(dirname "$0")/.."

options= build=build
for arg in "$@"; do
    case $arg in
    --no-install) options=--no-install ;;
    -*) echo "test.sh: unknown option '$arg'; expected --no-install" >&2; exit 2 ;;
    *) build=$arg ;;
    esac
done

scripts/deps.sh --with-pocl --with-mpi $options
if [ -f "$build/build.ninja" ]; then meson setup --reconfigure "$build" -Dmpi=auto -Dplant=true >/dev/null; else meson setup "$build" -Dmpi=auto -Dplant=true; fi
meson compile -C "$build"

# Compiled kernels are cached in the build folder: nothing outside is touched, and a second run is fast.
mkdir -p "$build/pocl-cache"
export POCL_CACHE_DIR="$PWD/$build/pocl-cache" BRUME_CACHE="$PWD/$build/brume-cache"
export BRUME_SHARED="${BRUME_SHARED:-$PWD/../shared}"

# One at a time: most tests use every core themselves. The limits of time are those of an idle machine: three times that on any other.
meson test -C "$build" --no-rebuild --num-processes 1 --timeout-multiplier 3 --print-errorlogs || true
exec python3 scripts/count_tests.py "$build/meson-logs/testlog.json"
