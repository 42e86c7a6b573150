#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Prints what scripts/results.sh measured as a table of Markdown. usage: results_table.py OUT/NAME.jsonl"""
import json
import sys

rows = {}
for line in open(sys.argv[1]):
    entry = json.loads(line)
    key = entry["key"].split()
    name = "the end, guided" if key == ["end", "guided"] else "the end" if key[0] == "end" else f"step {key[0]}"
    row = rows.setdefault(name, {})
    row.update(entry["answer"])
    row["bits"] = row.get("vlb", {}).get("bits_per_dim")

columns = [("bits/dim (bound)", "bits", 3), ("FID", "fid", 2), ("KID x 1000", "kid", 2), ("precision", "precision", 3), ("recall", "recall", 3),
           ("density", "density", 3), ("coverage", "coverage", 3), ("judged as their class", "class_accuracy", None), ("samples", "n", None)]
print("| | " + " | ".join(c[0] for c in columns) + " |")
print("|---" * (len(columns) + 1) + "|")
for name, row in rows.items():
    cells = []
    for _, key, digits in columns:
        value = row.get(key)
        if value is None:
            cells.append("")
        elif key == "class_accuracy":
            cells.append(f"{100 * value:.1f} % (+- {100 * row['class_accuracy_error']:.1f})")
        elif key == "kid":
            cells.append(f"{1000 * value:.2f}")
        else:
            cells.append(f"{value:.{digits}f}" if digits else str(value))
    print(f"| {name} | " + " | ".join(cells) + " |")
real = next((r for r in rows.values() if "real_accuracy" in r), None)
if real:
    print(f"\nThe judge takes {100 * real['real_accuracy']:.1f} % of real test images for their class.")
