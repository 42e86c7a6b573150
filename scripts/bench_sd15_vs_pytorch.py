#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Stable Diffusion 1.5's networks with random weights, side by side with diffusers on the processor: time of a step and peak memory.

usage: bench_sd15_vs_pytorch.sh [--python PYTHON] [--part unet,text-encoder,vae] [--rounds 3] [--runs 2] [--threads 2] [--batch 1]
                                [--storage f16,f32] [--layout nchw,channels_last] [--json FILE]
PYTHON must have torch, diffusers and transformers (default: $BRUME_PYTHON, else python3). Takes 4 GiB and minutes. Every round runs each
contestant once, in a process of its own, in turn: diffusers in both layouts of memory, brume with each --storage. A ratio is formed within a
round, against the faster layout. A process measures --runs runs after one that does not count. Exit status: 0 measured, 1 a contestant failed.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
KEYS = {"unet": ("median_ms", "peak_mib"), "text-encoder": ("text_encoder_ms", "text_encoder_peak_mib"), "vae": ("vae_ms", "vae_peak_mib")}


def run(command, keys):
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"failed ({done.returncode}): {' '.join(command)}\n{done.stderr}{done.stdout}")
    result = json.loads(done.stdout[done.stdout.index("{"):])
    return {"ms": result[keys[0]], "mib": result[keys[1]]}


def spread(values):
    return f"{statistics.median(values):.2f} ({min(values):.2f}-{max(values):.2f})"


def compare(args, part):
    table = {}
    for layout in args.layout if part != "text-encoder" else ["nchw"]:
        table[f"pytorch {layout}"] = ([args.python, os.path.join(ROOT, "scripts", "pytorch_sd15.py"), part, layout, str(args.batch), str(args.runs),
                                       str(args.threads)], ("median_ms", "peak_mib"))
    for storage in args.storage if part == "unet" else ["f32"]:
        table[f"brume {storage}"] = ([os.path.join(ROOT, "build", "brume"), "bench", "--preset", "sd15", "--part", part, "--batch", str(args.batch),
                                      "--repeat", str(args.runs), "--seconds", "0.01", "--threads", str(args.threads), "--device", "cpu", "--storage",
                                      storage, "--json"], KEYS[part])
    rounds = []
    for i in range(args.rounds):
        rounds.append({name: run(*how) for name, how in table.items()})
        print(f"  round {i + 1}: " + ", ".join(f"{n} {r['ms']:.0f} ms" for n, r in rounds[-1].items()), file=sys.stderr)
    print(f"\n{part}, batch {args.batch}, {args.threads} threads, {args.rounds} rounds of {args.runs} runs")
    for name in table:
        print(f"  {name:24s} {spread([r[name]['ms'] for r in rounds])} ms, {spread([r[name]['mib'] for r in rounds])} MiB")
    best = min((n for n in table if n.startswith("pytorch")), key=lambda n: statistics.median(r[n]["ms"] for r in rounds))
    for name in table:
        if name.startswith("brume"):
            print(f"  {name} / {best}: speed {spread([r[best]['ms'] / r[name]['ms'] for r in rounds])}x, "
                  f"memory {spread([r[name]['mib'] / r[best]['mib'] for r in rounds])}x")
    return {"part": part, "batch": args.batch, "rounds": rounds}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = lambda s: s.split(",")  # noqa: E731
    parser.add_argument("--python", default=os.environ.get("BRUME_PYTHON", "python3"))
    parser.add_argument("--part", type=names, default=["unet", "text-encoder", "vae"])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--runs", type=int, default=2)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--storage", type=names, default=["f16", "f32"])
    parser.add_argument("--layout", type=names, default=["nchw", "channels_last"])
    parser.add_argument("--json")
    args = parser.parse_args()
    if subprocess.run([args.python, "-c", "import torch, diffusers, transformers"], capture_output=True).returncode:
        sys.exit(f"{args.python} cannot import torch, diffusers and transformers; in a venv: pip install them, then --python VENV/bin/python")
    results = [compare(args, part) for part in args.part]
    if args.json:
        with open(args.json, "w") as f:
            json.dump(results, f, indent=1)


if __name__ == "__main__":
    main()
