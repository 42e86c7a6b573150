#!/bin/sh
# SPDX-License-Identifier: MIT
# What README and CONTRIBUTING promise exists: commands and their options, scripts, files and pictures. usage: readme.sh BRUME ROOT
# The last line is "N passed, N failed".
set -u
brume=$(cd "$(dirname "$1")" && pwd)/$(basename "$1") # the path must survive a change of folder
cd "$2" || exit 1
passed=0 failed=0
list=$(mktemp)
trap 'rm -f "$list"' EXIT
check() { # check TEXT COMMAND...
    text=$1
    shift
    if "$@" >/dev/null 2>&1; then passed=$((passed + 1)); else
        failed=$((failed + 1))
        echo "FAILED README: $text"
    fi
}

# Lines that continue with a backslash are joined, commands side by side are parted; then every "brume COMMAND ..." must be a command that knows its options.
sed -e ':a' -e '/\\$/N; s/\\\n//; ta' README.md CONTRIBUTING.md docs/performance.md scripts/demo.sh | sed 's/`, `/\n`/g' | grep -E '(^|/|`)brume [a-z]+' | grep -v '^#' >"$list" || true
while read -r line; do
    for command in $(echo "$line" | grep -oE 'brume [a-z]+' | cut -d' ' -f2); do
        "$brume" --help | grep -q "^  $command " || continue
        check "there is no command $command" "$brume" "$command" --help
        for option in $(echo "$line" | grep -oE -- '--[a-z][a-z-]+'); do
            # "brume bench ops" has options of its own
            check "brume $command knows no $option" sh -c "{ '$brume' '$command' --help; '$brume' '$command' ops --help; } 2>/dev/null | grep -q -- '$option '"
        done
    done
done <"$list"

# Links and pictures, scripts, and files named in the tables.
for path in $(grep -ohE '\]\([a-zA-Z0-9_./-]+\)' README.md CONTRIBUTING.md | tr -d '()]') $(grep -ohE '`(src|scripts|tests|docs|examples|include)/[a-zA-Z0-9_./-]+`' README.md CONTRIBUTING.md | tr -d '`'); do
    check "there is no $path" test -e "$path"
done
[ $passed -gt 20 ] || { failed=$((failed + 1)); echo "FAILED README: found only $passed promises"; }
echo "$passed passed, $failed failed"
[ $failed = 0 ]
