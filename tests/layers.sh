#!/bin/sh
# SPDX-License-Identifier: MIT
# Folders of src/ include only what docs/design.md allows: usage: layers.sh ROOT
# The last line is "N passed, N failed": one check a folder.
set -eu
cd "$1/src"
passed=0 failed=0

# cl: sources shared with OpenCL (philox.h, math.h); simd takes the expressions of ops/ew.def.
# folder: folders whose headers it may include, besides its own
check() {
    folder=$1
    shift
    bad=
    for file in "$folder"/*.[ch]; do
        for include in $(sed -n 's/^#include "\([a-z0-9_]*\)\/.*"$/\1/p' "$file" | sort -u); do
            case " $folder brume $* " in
            *" $include "*) ;;
            *) bad="$bad $file->$include" ;;
            esac
        done
    done
    if [ -n "$bad" ]; then
        failed=$((failed + 1))
        echo "FAILED $folder:$bad"
    else
        passed=$((passed + 1))
    fi
}

check base cl
check parallel base
check io base
check data base io
check text base io
check simd base cl ops
check graph base
check ops base graph simd
check grad base graph ops
check plan base graph
check cpu base graph plan simd
check opencl base graph plan
check compare base graph plan
check runtime base graph plan cpu opencl
check diffusion base
check nn base
check report base
check evaluate base
check convert base
check train base
check cli

echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
