#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Shells complete brume's command lines; manual pages are without errors. usage: completion.sh BRUME
# bash always; fish, zsh, mandoc and groff where they are installed. The last line is "N passed, N failed"; exit status: 0 all passed, 1 not.
set -u
brume=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1
passed=0 failed=0
touch picture.png "two words.png" noise.safetensors
mkdir models

pass() { passed=$((passed + 1)); }
fail() {
    failed=$((failed + 1))
    echo "FAILED $*"
}
# has TEXT LINE: the line is among those of the file `got`; hasnt: it is not; only: it is all there is.
has() { if grep -qx -- "$2" got; then pass; else fail "$1: no '$2' in: $(tr '\n' ' ' <got)"; fi; }
hasnt() { if grep -qx -- "$2" got; then fail "$1: '$2' is there"; else pass; fi; }
only() { if [ "$(cat got)" = "$2" ]; then pass; else fail "$1: expected '$2' alone, got: $(tr '\n' ' ' <got)"; fi; }

# bash: words as it cuts them; the last one is where the cursor stands.
"$brume" help --completion bash >brume.bash || fail "help --completion bash"
# shellcheck disable=SC1091
. ./brume.bash
bash_completes() {
    COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
    _brume
    printf '%s\n' "${COMPREPLY[@]+"${COMPREPLY[@]}"}" >got
}
bash_completes brume ""
for command in $("$brume" --help | sed -n 's/^  \([a-z]*\)  *[a-z].*/\1/p') help --version; do has "a command" "$command"; done
bash_completes brume sam
only "brume sam" sample
# Every option that --help explains is completed, in every command; so nothing has to be kept in step.
for command in $("$brume" --help | sed -n 's/^  \([a-z]*\)  *[a-z].*/\1/p') "bench ops"; do
    # shellcheck disable=SC2086
    bash_completes brume $command --
    for option in $("$brume" $command --help | grep -oE '^  --[a-z0-9-]+'); do has "brume $command" "$option"; done
done
bash_completes brume sample m --sampler dpmpp
has "a sampler" dpmpp_2m
hasnt "a sampler" ddim
bash_completes brume sample m --sampler = heu
only "a sampler behind =" heun
bash_completes brume sample m --sampler =
has "the samplers behind =" ddim
has "the samplers behind =" unipc
bash_completes brume sample m --samplers ddim,uni
only "the second of several" ddim,unipc
bash_completes brume train --schedule cos
only "a schedule" cosine
bash_completes brume train --preset ""
has "a preset" ddpm-cifar10
hasnt "a preset that cannot be trained" sd15
bash_completes brume bench --preset sd
only "a preset that can be measured" sd15
bash_completes brume train --device o
only "a device" opencl
bash_completes brume eval m --metrics vlb,ode
only "a metric" vlb,ode-nll
bash_completes brume train --steps ""
only "a number" ""
bash_completes brume train --data sha
has "built-in data" shapes-text
bash_completes brume train --data m
has "a folder of data" models
bash_completes brume sample --init-image pic
only "a file" picture.png
bash_completes brume sample --init-image two
only "a file with a blank" "two words.png"
bash_completes brume sample mod
only "a model" models
bash_completes brume train --no-ca
only "a flag that is on" --no-cache
bash_completes brume methods sampler
only "a kind of methods" samplers
bash_completes brume bench op
only "a mode" ops
bash_completes brume bench ops --op
only "an option of a mode" --op
bash_completes brume help tra
only "help" train
if "$brume" help --completion tcsh 2>/dev/null; then fail "tcsh is refused"; else pass; fi

if command -v fish >/dev/null 2>&1; then
    "$brume" help --completion fish >brume.fish || fail "help --completion fish"
    fish_completes() { HOME=$dir fish --no-config -c "source brume.fish; complete -C '$1'" 2>&1 | cut -f1 >got; }
    fish_completes "brume sam"
    only "fish: brume sam" sample
    fish_completes "brume train --sched"
    only "fish: an option" --schedule
    fish_completes "brume sample m --sampler uni"
    only "fish: a sampler" unipc
    fish_completes "brume sample m --samplers ddim,uni"
    has "fish: the second of several" ddim,unipc
    fish_completes "brume sample --init-image pic"
    only "fish: a file" picture.png
    fish_completes "brume train --steps "
    only "fish: a number" ""
    fish_completes "brume bench ops --op"
    only "fish: an option of a mode" --op
    fish_completes "brume bench --pa"
    only "fish: an option" --part
    fish_completes "brume methods sampler"
    only "fish: a kind of methods" samplers
fi

if command -v zsh >/dev/null 2>&1; then
    mkdir site
    "$brume" help --completion zsh >site/_brume || fail "help --completion zsh"
    # A shell on a terminal of its own, to which the line and a tab are sent; what it adds to the line comes back.
    cat >complete.zsh <<'END'
zmodload zsh/zpty
zpty shell zsh -f -i
zpty -w shell "PS1= PS2= RPS1=; fpath=($PWD/site \$fpath); autoload -Uz compinit; compinit -u -D; unsetopt zle_bracketed_paste; cd $PWD"
zpty -w shell 'finish() { print -r -- "<$BUFFER>"; BUFFER=; zle accept-line }; zle -N finish; bindkey "^I" complete-word; bindkey "^X" finish; echo rea""dy'
zpty -r -m shell out '*ready*' || exit 1
for line in "$@"; do
    zpty -w -n shell "$line"$'\t\x18'
    zpty -r -m shell out '*<*>*' || exit 1
    out=${out##*<}
    print -r -- "${out%%>*}"
done
END
    timeout 60 env HOME="$dir" TERM=dumb zsh -f complete.zsh "brume sam" "brume train --sched" "brume sample m --sampler=uni" "brume sample m --sampler uni" \
        "brume sample --init-image pic" "brume methods sampler" "brume bench ops --shap" "brume tra" >got 2>&1 || fail "zsh did not answer"
    sed -i 's/ *$//' got
    for line in "brume sample" "brume train --schedule" "brume sample m --sampler=unipc" "brume sample m --sampler unipc" "brume sample --init-image picture.png" \
        "brume methods samplers" "brume bench ops --shape" "brume train"; do
        if grep -qx -- "$line=*" got; then pass; else fail "zsh: no '$line' in: $(tr '\n' '|' <got)"; fi
    done
fi

# Manual pages: of the program and of every command, with every option.
for command in "" $("$brume" --help | sed -n 's/^  \([a-z]*\)  *[a-z].*/\1/p') "bench ops"; do
    # shellcheck disable=SC2086
    "$brume" help --man $command >page.1 || fail "help --man $command"
    if command -v mandoc >/dev/null 2>&1; then
        if mandoc -T lint -W warning page.1 >said 2>&1; then pass; else fail "mandoc: $command: $(head -3 said)"; fi
    fi
    if command -v groff >/dev/null 2>&1; then
        groff -man -Tutf8 -ww page.1 2>said >text
        if [ -s said ]; then fail "groff: $command: $(head -3 said)"; else pass; fi
    fi
    [ -n "$command" ] || continue
    for option in $("$brume" $command --help | grep -oE '^  --[a-z0-9-]+'); do
        [ "$option" = --help ] && continue
        if grep -qF -- "\\fB$(echo "$option" | sed 's/-/\\-/g')\\fR" page.1; then pass; else fail "manual: brume $command: no $option"; fi
    done
done

echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
