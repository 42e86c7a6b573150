#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Builds the fuzzing harnesses (tests/fuzz) with clang, AddressSanitizer and UndefinedBehaviorSanitizer, and runs them one after
# the other.
# usage: scripts/fuzz.sh [SECONDS [HARNESS ...]]       default: 60 seconds of each of all harnesses
#        RUNS=N scripts/fuzz.sh SECONDS [HARNESS ...]   at most N executions of each
# New inputs gather in build-fuzz/corpus/HARNESS, what was found in build-fuzz/findings; a line per harness (name, executions,
# seconds) goes to the standard output and build-fuzz/counts.tsv, and at the end one with the sums to the standard output.
# scripts/fuzz.sh --minimize [HARNESS ...] puts those of the new inputs that reach other code than tests/fuzz/corpus there.
# CC names the compiler (default: clang, or the newest clang-N there is; it needs libFuzzer).
# Exit status: 0 nothing was found, 1 something was, 2 it could not run.
set -eu
cd "$(dirname "$0")/.."

minimize= seconds=60
case ${1-} in
--minimize) minimize=1; shift ;;
[0-9]*) seconds=$1; shift ;;
-*) echo "fuzz.sh: unknown option '$1'; expected [SECONDS [HARNESS ...]] or --minimize" >&2; exit 2 ;;
esac

listed() { sed -n 's/^HARNESS(\([a-z0-9_]*\),.*/\1/p' "$@"; }
all=$(listed tests/fuzz/readers.def tests/fuzz/harnesses.def)
harnesses=${*:-$all}
for h in $harnesses; do
    echo "$all" | grep -qx "$h" || { echo "fuzz.sh: there is no harness '$h'; there are:" $all >&2; exit 2; }
done

if [ -z "${CC-}" ]; then
    for cc in clang $(compgen -c clang- | grep -x 'clang-[0-9]*' | sort -t- -k2 -nr); do
        command -v "$cc" >/dev/null && { CC=$cc; break; }
    done
fi
if [ -z "${CC-}" ]; then
    echo "fuzz.sh: no clang found; install it with its libFuzzer (Debian: clang and libclang-rt-N-dev or libfuzzer-N-dev)" >&2
    exit 2
fi
if [ ! -f build-fuzz/build.ninja ]; then
    CC="$CC" meson setup build-fuzz -Dfuzz=true -Doptimization=1 -Ddebug=false -Dc_args=-gline-tables-only \
        -Db_sanitize=address,undefined -Db_lundef=false -Ddefault_library=static >/dev/null
fi
built=build-fuzz/tests/fuzz
ninja -C build-fuzz tests/fuzz/fuzz_brume tests/fuzz/fuzz_readers tests/fuzz/fuzz_replay >/dev/null

# Words that mean something to a parser are the string literals of its sources.
sources() {
    case $1 in
    json) echo src/io/json.c ;;
    safetensors | weights) echo src/io/safetensors.c src/io/weights.c ;;
    unet_config) echo src/nn/unet2d*config.c src/nn/unet2d*.c src/nn/lucidrains_config.c ;;
    autoencoder_config) echo src/nn/autoencoder_config.c ;;
    text_encoder_config) echo src/nn/text_encoder_config.c ;;
    scheduler_config) echo src/diffusion/scheduler_config.c src/diffusion/scheduler_keys.c src/diffusion/scheduler_classes.c src/diffusion/schedule.c ;;
    features) echo src/evaluate/feature_graph.c src/evaluate/feature_network.c src/io/safetensors.c ;;
    model) echo src/nn/model.c src/nn/model_components.c src/nn/unet2d_config.c src/nn/network_file.c src/io/weights.c ;;
    lora) echo src/nn/lora_file.c src/nn/lora_names.c src/io/safetensors.c ;;
    convert) echo src/convert/*.c src/io/safetensors.c ;;
    tokenizer | encode) echo src/text/*.c ;;
    arrays | npy) echo src/io/npy.c src/data/arrays.c ;;
    idx | cifar | folder_data | captions) echo src/data/idx.c src/data/cifar.c src/data/captions.c src/data/labels.c ;;
    pnm | png | jpeg | gif) echo src/io/"$1".c ;;
    state) echo src/train/state.c src/train/state_file.c ;;
    report) echo src/report/*.c ;;
    environment) echo src/runtime/device.c src/simd/choose.c src/parallel/launch.c src/opencl/split.c src/opencl/cache.c ;;
    tuning) echo src/plan/tuning_file.c ;;
    reference) echo src/evaluate/reference.c src/io/safetensors.c ;;
    cli | options | record) echo src/cli/{*_args,*_options,cmd_*,record,replay}.c src/cli/commands.def ;;
    esac
}
dictionary() {
    { [ -z "$(sources "$1")" ] || grep -hv '^#' $(sources "$1") | grep -o '"[^"\\%]\{2,40\}"' | grep -v ' .* ' || true
      [ "$1" != cli ] || sed -n 's/^COMMAND(\([a-z]*\),.*/"\1"/p' src/cli/commands.def
      case $1 in
      cli) grep -oh 'OPT_[A-Z]*("[a-z0-9-]*"' src/cli/*.c | sed 's/.*("/"--/' ;;
      png) printf '"%s"\n' IHDR PLTE IDAT IEND tRNS tEXt zTXt iTXt gAMA cHRM sRGB iCCP sBIT bKGD pHYs acTL fcTL fdAT eXIf ;;
      jpeg) for k in c0 c2 c4 d8 d9 da db dd e0 e1 ee fe; do printf '"\\xff\\x%s"\n' $k; done ;;
      gif) printf '"GIF89a"\n"NETSCAPE2.0"\n"\\x21\\xf9\\x04"\n"\\x21\\xff\\x0b"\n"\\x2c"\n"\\x3b"\n' ;;
      environment) grep -o '"[A-Z0-9_]*"' tests/fuzz/environment.c | sed 's/"$/="/' ;;
      convert) for t in F16 BF16 F32 I64; do printf '" %s "\n' $t; done ;;
      esac
      printf '"@@ "\n"2147483647"\n"4294967296"\n"9223372036854775807"\n"-1"\n"1e308"\n"NaN"\n"null"\n"../"\n'; } | sort -u
}

# Bytes of an input: no more than its reader needs to show everything, because short ones are fast.
most() {
    case $1 in
    pnm) echo 256 ;;
    encode | npy) echo 512 ;;
    jpeg | gif | png) echo 1024 ;;
    json | captions | record | environment | passed | probe) echo 2048 ;;
    safetensors | tuning | *_config) echo 4096 ;;
    convert) echo 32768 ;;
    *) echo 16384 ;;
    esac
}

export ASAN_OPTIONS=detect_leaks=1:allocator_may_return_null=1:quarantine_size_mb=8
export UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1
mkdir -p build-fuzz/findings build-fuzz/dict
found=0 executions=0 spent=0
for h in $harnesses; do
    export BRUME_FUZZ=$h
    mkdir -p "build-fuzz/corpus/$h" "tests/fuzz/corpus/$h"
    fuzzer=$built/fuzz_brume
    ! listed tests/fuzz/readers.def | grep -qx "$h" || fuzzer=$built/fuzz_readers
    limits="-max_len=$(most "$h") -timeout=60 -rss_limit_mb=2048 -malloc_limit_mb=1024 -close_fd_mask=3"
    if [ -n "$minimize" ]; then
        before=$(ls "tests/fuzz/corpus/$h" | wc -l)
        "$fuzzer" -set_cover_merge=1 -use_counters=0 $limits "tests/fuzz/corpus/$h" "build-fuzz/corpus/$h" 2>/dev/null
        printf '%s\t%s inputs more\n' "$h" $(($(ls "tests/fuzz/corpus/$h" | wc -l) - before))
        continue
    fi
    dictionary "$h" >"build-fuzz/dict/$h"
    log=build-fuzz/findings/$h.log
    if "$fuzzer" $limits -max_total_time="$seconds" -runs="${RUNS:--1}" -dict="build-fuzz/dict/$h" \
        -artifact_prefix="build-fuzz/findings/$h-" -print_final_stats=1 "build-fuzz/corpus/$h" "tests/fuzz/corpus/$h" \
        2>"$log"; then
        n=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
        s=$(sed -n 's/^Done [0-9]* runs in \([0-9]*\) second.*/\1/p' "$log")
        printf '%s\t%s\t%s\n' "$h" "$n" "$s" | tee -a build-fuzz/counts.tsv
        executions=$((executions + n)) spent=$((spent + s))
        rm "$log"
    else
        found=1
        grep -a -m1 -A12 'ERROR\|runtime error' "$log" || true
        echo "fuzz.sh: $h found something: $log, and the input beside it; $built/fuzz_replay --input $h FILE runs it again" >&2
    fi
done
[ -n "$minimize" ] || printf 'all\t%s\t%s\n' "$executions" "$spent"
exit $found
