#!/bin/sh
# SPDX-License-Identifier: MIT
# Folders of src/ include only what docs/design.md allows, and every file of source names its licence: usage: layers.sh ROOT
# No line of C is longer than 130 columns. The last line is "N passed, N failed": one check a folder, one for each of these two.
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

# The licence, as its first line or below a line "#!". Data and text are under LICENSE without saying so.
cd ..
sources=$(find meson.build meson_options.txt src cl include tests tools scripts examples docs -type f \( -name '*.[ch]' -o -name '*.cl' -o -name '*.def' -o -name '*.in' -o -name '*.dox' \
    -o -name '*.sh' -o -name '*.py' -o -name 'meson*' \))
# shellcheck disable=SC2086
bad=$(awk 'FNR == 1 { all[FILENAME] } FNR <= 2 && /SPDX-License-Identifier: MIT/ { delete all[FILENAME] } END { for (file in all) print file }' $sources)
if [ -n "$bad" ] || [ "$(echo "$sources" | wc -l)" -lt 500 ]; then
    failed=$((failed + 1))
    echo "FAILED files of source without a licence in their first lines:$bad"
else
    passed=$((passed + 1))
fi

# Lines that are readable side by side. .clang-format says how to break them.
long=$(find src include tests tools examples -name '*.[ch]' -exec awk 'length > 130 { print FILENAME ":" FNR }' {} +)
if [ -n "$long" ]; then
    failed=$((failed + 1))
    echo "FAILED lines of more than 130 columns: $long"
else
    passed=$((passed + 1))
fi

echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
