#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""clang-tidy over src/ with the checks of .clang-tidy. usage: scripts/lint.py [--build FOLDER] [-j N] [FILE...]

--build   a folder that meson has set up (default build); what is known of a file is kept in its lint/, until the file's
          preprocessed text, the checks or the program change
-j        files at once (default 1; ten seconds and more each where nothing is kept)
FILE      default: every file of src/ that this build compiles; one that is compiled for several instruction sets counts once
CLANG_TIDY names another program (default: clang-tidy, else clang-tidy-15).
Exit status: 0 no warning, 1 some, 2 wrong use or no clang-tidy.
"""
import argparse
import concurrent.futures
import hashlib
import json
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys

root = pathlib.Path(__file__).resolve().parent.parent
parser = argparse.ArgumentParser(usage=__doc__.split("usage: ")[1].split("\n")[0], description=__doc__,
                                 formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--build", default=root / "build", type=pathlib.Path)
parser.add_argument("-j", default=1, type=int)
parser.add_argument("files", nargs="*", type=pathlib.Path)
args = parser.parse_args()
tidy = shutil.which(os.environ.get("CLANG_TIDY", "clang-tidy")) or shutil.which("clang-tidy-15")
if not tidy or not (args.build / "compile_commands.json").exists():
    print("lint.py: " + ("no clang-tidy here" if not tidy else f"{args.build} is no build folder"), file=sys.stderr)
    sys.exit(2)
kept = args.build / "lint"
kept.mkdir(exist_ok=True)
tool = subprocess.run([tidy, "--version"], capture_output=True).stdout + (root / ".clang-tidy").read_bytes()

commands = {}
for one in json.loads((args.build / "compile_commands.json").read_text()):
    path = pathlib.Path(os.path.normpath(os.path.join(one["directory"], one["file"])))
    if path.is_relative_to(root / "src"):
        commands.setdefault(path, one)
wanted = [path.resolve() for path in args.files] or sorted(commands)
if unknown := [path for path in wanted if path not in commands]:
    print(f"lint.py: not compiled in {args.build}: {unknown[0]}", file=sys.stderr)
    sys.exit(2)


def said(path):
    """What clang-tidy says of a file, now or when it was last asked about the same text."""
    one = commands[path]
    words = shlex.split(one["command"])
    words = words[words[0].endswith("ccache"):]
    takes = ("-o", "-MF", "-MQ")
    plain = [w for i, w in enumerate(words) if w not in (*takes, "-MD", "-c") and words[i - 1] not in takes]
    text = subprocess.run([*plain, "-E", "-C", "-D__clang_analyzer__"], cwd=one["directory"], capture_output=True).stdout
    file = kept / (hashlib.sha256(tool + text).hexdigest() + ".txt")
    if file.exists():
        return file.read_text()
    done = subprocess.run([tidy, "-p", args.build, "--quiet", path], capture_output=True, text=True)
    file.write_text(done.stdout)
    return done.stdout


warnings = set()
with concurrent.futures.ThreadPoolExecutor(args.j) as pool:
    for text in pool.map(said, wanted):
        for line in re.findall(r"^.*: (?:warning|error): .*\]$", text, flags=re.M):
            if line not in warnings:
                print(line.replace(f"{args.build.resolve()}/../", "").replace(f"{root}/", ""), flush=True)
            warnings.add(line)
print(f"{len(wanted)} files, {len(warnings)} warnings")
sys.exit(bool(warnings))
