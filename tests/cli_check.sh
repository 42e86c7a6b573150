# SPDX-License-Identifier: MIT
# What the tests of the program from outside share; sourced with the program as $1, before anything that depends on the folder: it makes an empty one,
# goes there, and removes it at the end. Commands leave what they say in the file out.
set -u
brume=$(cd "$(dirname "$1")" && pwd)/$(basename "$1") # the path must survive a change of folder
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1
passed=0 failed=0 skipped=0

pass() { passed=$((passed + 1)); }
bad() { # bad TEXT...: what went wrong; the output of the last command follows
    failed=$((failed + 1))
    echo "FAILED $*"
    tail -n 20 out 2>/dev/null
}
# ok TEXT COMMAND...: the command must succeed
ok() {
    text=$1
    shift
    "$@" >out 2>&1
    got=$?
    if [ $got = 0 ]; then pass; else bad "$text: exit status $got"; fi
}
# refused STATUS SAYS COMMAND...: must end with that status and say that (a regular expression)
refused() {
    want=$1 says=$2
    shift 2
    "$@" >out 2>&1
    got=$?
    if [ $got = "$want" ] && grep -q -- "$says" out; then pass; else bad "$*: exit status $got, expected $want and '$says'"; fi
}
# expect STATUS TEXT ARGUMENTS...: brume with these; the status must be STATUS and the output (both streams) hold TEXT
expect() {
    want=$1 text=$2
    shift 2
    "$brume" "$@" >out 2>&1
    got=$?
    if [ "$got" -eq "$want" ] && grep -qF -- "$text" out; then pass; else bad "$*: exit status $got, expected $want and '$text'"; fi
}
same() { if cmp -s "$1" "$2"; then pass; else bad "$1 and $2 differ"; fi; }
differ() { if cmp -s "$1" "$2"; then bad "$1 and $2 are the same"; else pass; fi; }
# The last line of every test, and its exit status.
finish() {
    echo "$passed passed, $failed failed, $skipped skipped"
    [ $failed = 0 ]
}
