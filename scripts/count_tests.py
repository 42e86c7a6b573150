#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Sums the checks of a test run: usage: count_tests.py BUILD/meson-logs/testlog.json

A test program ends with a line "N passed, N failed[, N skipped]"; one without that line (a compiler that checks a header) counts as
one check by its exit status, as does one that reports no failure but exits with one, or was killed. Exit status: 0 if something passed and nothing failed.
(Python comes with meson; nothing else of brume uses it.)
"""
import json
import re
import sys

LINE = re.compile(r"^(\d+) passed, (\d+) failed(?:, (\d+) skipped)?\s*$", re.MULTILINE)


def counts(test):
    found = LINE.findall(test.get("stdout") or "")
    if not found:
        return {"OK": (1, 0, 0), "SKIP": (0, 0, 1)}.get(test["result"], (0, 1, 0))
    passed, failed, skipped = (int(n or 0) for n in found[-1])
    if test["result"] not in ("OK", "SKIP") and failed == 0:
        failed = 1
    return passed, failed, skipped


def main():
    total = [0, 0, 0]
    with open(sys.argv[1]) as log:
        for line in log:
            test = json.loads(line)
            result = counts(test)
            print(f"{test['name']:40s} {result[0]:7d} passed {result[1]:5d} failed {result[2]:5d} skipped  {test['duration']:7.1f} s")
            total = [a + b for a, b in zip(total, result)]
    print(f"{total[0]} passed, {total[1]} failed, {total[2]} skipped")
    return 0 if total[0] and not total[1] else 1


if __name__ == "__main__":
    sys.exit(main())
