#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Which lines of src/ the tests run. usage: scripts/coverage.py [--build FOLDER] [--opencl] [--keep] [TEST...]

Builds with counters (gcc, meson's b_coverage), runs the tests, and prints lines and branches by folder, then the public functions
that no test called.
--build   a folder of its own (default build-coverage)
--opencl  let tests use OpenCL devices, too: most of the time goes there
--keep    add to what earlier runs counted
TEST      names of meson test, which builds what they need; default: all
gcovr does the counting. Exit status: 0, 1 where a test failed (what ran is counted all the same), 2 without gcovr.
"""
import argparse
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

root = pathlib.Path(__file__).resolve().parent.parent
parser = argparse.ArgumentParser(usage=__doc__.split("usage: ")[1].split("\n")[0], description=__doc__,
                                 formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--build", default=root / "build-coverage", type=pathlib.Path)
parser.add_argument("--opencl", action="store_true")
parser.add_argument("--keep", action="store_true")
parser.add_argument("tests", nargs="*")
args = parser.parse_args()
if not shutil.which("gcovr"):
    print("coverage.py: no gcovr here (scripts/deps.sh, or your system's package gcovr)", file=sys.stderr)
    sys.exit(2)
if not (args.build / "build.ninja").exists():
    subprocess.run(["meson", "setup", args.build, root, "-Db_coverage=true", "-Dbuildtype=debug", "-Doptimization=1",
                    "-Dplant=true", "-Dc_args=-fprofile-update=atomic"], stdout=subprocess.DEVNULL, check=True)
if not args.keep:
    for counts in args.build.rglob("*.gcda"):
        counts.unlink()
env = dict(os.environ) if args.opencl else dict(os.environ, BRUME_OPENCL_LIBRARY="/nonexistent")
failed = subprocess.run(["meson", "test", "-C", args.build, "--print-errorlogs", "-t", "5", *args.tests], env=env)

report = args.build / "coverage.json"
subprocess.run(["gcovr", "-r", root, args.build, "--filter", str(root / "src") + "/", "--json", report,
                "--gcov-ignore-parse-errors"], check=True, stdout=subprocess.DEVNULL)
folders, called = {}, {}
for one in json.loads(report.read_text())["files"]:
    sums = folders.setdefault(str(pathlib.Path(one["file"]).parent), [0, 0, 0, 0])
    for line in one["lines"]:
        if line.get("gcovr/noncode"):
            continue
        ways = [way for way in line["branches"] if not way.get("throw")]
        for i, n in enumerate((1, line["count"] > 0, len(ways), sum(way["count"] > 0 for way in ways))):
            sums[i] += n
    for function in one.get("functions", []):
        called[function["name"]] = called.get(function["name"], 0) + function["execution_count"]
print(f"{'folder':16} {'lines':>7} {'run':>6} {'branches':>9} {'taken':>6}")
for folder, (lines, run, ways, taken) in sorted(folders.items()):
    print(f"{folder:16} {lines:7} {100 * run / max(lines, 1):5.1f}% {ways:9} {100 * taken / max(ways, 1):5.1f}%")
public = set()
for header in (root / "include/brume").glob("*.h"):
    public |= set(re.findall(r"\b(brume_\w+)\(", header.read_text()))
print("public functions that nothing called:", ", ".join(sorted(name for name in public if called.get(name) == 0)) or "none")
sys.exit(bool(failed.returncode))
