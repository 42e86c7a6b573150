#!/bin/sh
# SPDX-License-Identifier: MIT
# What `meson install` gives: its files, what the shared library exports, the examples compiled by pkg-config against it, the program.
# usage: install.sh BUILD ROOT MESON VERSION CC...      exit status: 0 all passed, 1 something failed, 77 there is no pkg-config here
# The last line is "N passed, N failed".
set -u
build=$1 root=$2 meson=$3 version=$4
shift 4
command -v pkg-config >/dev/null 2>&1 || exit 77
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
passed=0 failed=0
check() { # check TEXT COMMAND...
    text=$1
    shift
    if "$@" >"$dir/said" 2>&1; then passed=$((passed + 1)); else
        failed=$((failed + 1))
        echo "FAILED $text:"
        cat "$dir/said"
    fi
}
same() { # same TEXT FILE FILE
    check "$1" diff "$2" "$3"
}

# As root, meson would go on to change the owners of what the build folder holds; --no-rebuild: the test runs what was built.
DESTDIR=$dir/tree "$meson" install -C "$build" --no-rebuild --quiet >"$dir/said" 2>&1 || { cat "$dir/said"; echo "0 passed, 1 failed"; exit 1; }

# The pkg-config file, moved to where the tree is.
pc=$(find "$dir/tree" -name brume.pc)
prefix=$dir/tree$(sed -n 's/^prefix=//p' "$pc")
mkdir "$dir/pc" "$dir/static"
sed "s|^prefix=.*|prefix=$prefix|" "$pc" >"$dir/pc/brume.pc"
export PKG_CONFIG_PATH="$dir/pc"
libs=$(pkg-config --variable=libdir brume)
check "pkg-config knows the version" test "$(pkg-config --modversion brume)" = "$version"

# Files: every public header, a manual page for each command, completion, documents.
(cd "$root/include/brume" && ls) >"$dir/want"
(cd "$prefix/include/brume" && ls) >"$dir/have"
same "headers" "$dir/want" "$dir/have"
for page in brume $("$prefix/bin/brume" --help | sed -n 's/^  \([a-z]*\)  *[a-z].*/brume-\1/p'); do
    check "no manual page $page" test -s "$prefix/share/man/man1/$page.1"
done
for file in bash-completion/completions/brume fish/vendor_completions.d/brume.fish zsh/site-functions/_brume doc/brume/README.md doc/brume/LICENSE \
    doc/brume/CHANGELOG.md doc/brume/CONTRIBUTING.md doc/brume/docs/design.md doc/brume/examples/train_shapes.c; do
    check "no share/$file" test -s "$prefix/share/$file"
done

# Exports: what the public headers declare, all of it and nothing else.
if [ "$(uname)" = Linux ]; then
    nm -D --defined-only "$libs/libbrume.so" | sed 's/.* //' | sort >"$dir/exported"
    for header in "$root"/include/brume/*.h; do echo "#include \"brume/$(basename "$header")\""; done |
        "$@" -std=c11 -E -P -I "$root/include" -x c - | tr '\n' ' ' | sed 's/;/;\n/g' | grep -v '^ *typedef' | grep -oE '\bbrume_[a-z0-9_]+\(' | tr -d '(' |
        sort -u >"$dir/declared"
    check "too few declarations were found" test "$(wc -l <"$dir/declared")" -gt 400
    same "declared (<) and exported (>)" "$dir/declared" "$dir/exported"
    case $(readelf -d "$libs/libbrume.so" | grep SONAME) in
    *"libbrume.so."[0-9]*) passed=$((passed + 1)) ;;
    *) failed=$((failed + 1)); echo "FAILED there is no soname with a number" ;;
    esac
    check "the file that the soname names" test -e "$libs/$(readelf -d "$libs/libbrume.so" | sed -n 's/.*soname: \[\(.*\)\]/\1/p')"
fi

# The program finds its library where both are.
check "the installed program" "$prefix/bin/brume" --version
check "the installed program, a data set" "$prefix/bin/brume" info shapes
check "version" sh -c "'$prefix/bin/brume' --version | grep -qx 'brume $version'"

# The examples, shared and static.
cp "$libs/libbrume.a" "$dir/static/"
export LD_LIBRARY_PATH="$libs${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
for kind in shared static; do
    if [ $kind = shared ]; then flags=$(pkg-config --cflags --libs brume)
    else flags=$(pkg-config --static --define-variable=libdir="$dir/static" --cflags --libs brume); fi
    for source in "$root"/examples/*.c; do
        name=$(basename "$source" .c)
        # shellcheck disable=SC2086
        check "compile $name, $kind" "$@" -std=gnu11 -O1 -Wall -Wextra -Werror -o "$dir/$name-$kind" "$source" $flags -lm
    done
    check "train_shapes, $kind" "$dir/train_shapes-$kind" "$dir/run-$kind" 20 cpu
    check "sample_model, $kind" "$dir/sample_model-$kind" "$dir/run-$kind" dpmpp_2m "$dir/drawn-$kind.png" 5 cpu
    check "two_backends, $kind" "$dir/two_backends-$kind"
    check "its picture, $kind" "$prefix/bin/brume" info "$dir/drawn-$kind.png"
done
same "pictures of both" "$dir/drawn-shared.png" "$dir/drawn-static.png"
check "the static one needs no shared library" sh -c "! ldd '$dir/train_shapes-static' | grep -q libbrume"
check "a sampler that there is not" sh -c "! '$dir/sample_model-shared' '$dir/run-shared' ddmp '$dir/x.png' 5 cpu"
check "the program draws from what the example made" "$prefix/bin/brume" sample "$dir/run-shared" --out "$dir/x.png" --steps 2 --device cpu --quiet

echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
