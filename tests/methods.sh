#!/bin/sh
# SPDX-License-Identifier: MIT
# brume methods: docs/methods.md is what it prints, and every row has its paper. usage: methods.sh BRUME ROOT
# The last line is "N passed, N failed".
set -u
brume=$1 root=$2 passed=0 failed=0
check() { # check TEXT COMMAND...
    text=$1
    shift
    if "$@" >/dev/null 2>&1; then passed=$((passed + 1)); else
        failed=$((failed + 1))
        echo "FAILED methods: $text"
    fi
}
made=$(mktemp)
trap 'rm -f "$made"' EXIT
"$brume" methods --markdown >"$made"
check "docs/methods.md is not what 'brume methods --markdown' prints: write it again" cmp "$made" "$root/docs/methods.md"
check "a row without its source" sh -c "! grep -nE '^\| [^|]* \| [^|]* \|  \|' '$made'"
kinds=$(grep -c '^## ' "$made")
check "expected 13 tables, got $kinds" test "$kinds" = 13
for kind in schedules processes objectives weightings times training samplers classes grids guidance tasks likelihoods samples; do
    check "no rows of $kind" sh -c "'$brume' methods $kind | grep -q '^  [a-zA-Z0-9]'"
done
check "a kind that does not exist is accepted" sh -c "! '$brume' methods sampler"
help=$("$brume" sample --help)
for name in $("$brume" methods samplers | sed -n 's/^  \([a-z][a-z0-9_]*\) .*/\1/p'); do
    check "brume sample --help does not name the sampler $name" sh -c "echo '$(echo "$help" | tr -d "'")' | tr ',' ' ' | grep -qw -- '$name'"
done
# Methods that are options: the command knows the option.
for row in $(sed -n 's/^| `\([a-z]*\) \(--[a-z-]*\).*/\1:\2/p' "$made" | sort -u); do
    check "brume ${row%%:*} knows no ${row#*:}" sh -c "'$brume' ${row%%:*} --help | grep -q -- ' ${row#*:} '"
done
echo "$passed passed, $failed failed"
[ $failed = 0 ]
