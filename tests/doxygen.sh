#!/bin/sh
# SPDX-License-Identifier: MIT
# Doxygen reads the public headers, docs/api.md and the examples without a warning, and finds every function. usage: doxygen.sh ROOT VERSION
# The last line is "N passed, N failed". Exit status: 0 all passed, 1 something failed, 77 there is no Doxygen here, or one too old to tell.
set -u
root=$1 version=$2
command -v doxygen >/dev/null 2>&1 || exit 77
case $(doxygen --version) in 1.[0-8].*) exit 77 ;; esac
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
passed=0 failed=0
result() { # result TEXT STATUS
    if [ "$2" = 0 ]; then passed=$((passed + 1)); else
        failed=$((failed + 1))
        echo "FAILED $1"
    fi
}

sed -e "s|@ROOT@|$root|g" -e "s|@OUTPUT@|$dir|g" -e "s|@VERSION@|$version|g" "$root/docs/Doxyfile.in" >"$dir/Doxyfile"
doxygen "$dir/Doxyfile" >"$dir/said" 2>&1 && [ ! -s "$dir/said" ]
result "warnings: $(cat "$dir/said")" $?
grep -q "brume, the library" "$dir/html/index.html"
result "the main page is not docs/api.md" $?
for example in "$root"/examples/*.c; do
    name=$(basename "$example" .c)
    test -s "$dir/html/${name}_8c-example.html"
    result "no page of the example $name" $?
done
# A comment that stands for several functions, or behind several fields, is there for each of them.
test "$(grep -o "Values without a message" "$dir/html/json_8h.html" | wc -l)" -ge 4
result "four functions of json.h share a comment" $?
test "$(grep -o "edm samplers" "$dir/html/structbrume__sampler__options.html" | wc -l)" -ge 4
result "four fields of brume_sampler_options share a comment" $?
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
