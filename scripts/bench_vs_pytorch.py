#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Speed and memory side by side with PyTorch: same config, batch and threads, runs alternating on one machine.

usage: bench_vs_pytorch.sh [--python PYTHON] [--config FILE] [--rounds 5] [--seconds 6] [--threads 2] [--train-batch 64]
                           [--infer-batch 1,16] [--device opencl] [--only train|infer] [--json FILE]
PYTHON must have torch and diffusers (default: $BRUME_PYTHON, else python3). --device adds that brume device next to the cpu.
Every round runs each contestant once, in turn; a ratio is formed within a round, so that a slow moment of the machine
hits both. Printed: median of the ratios and their range. Exit status: 0 measured, 1 a contestant failed.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def run(command):
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"failed ({done.returncode}): {' '.join(command)}\n{done.stderr}{done.stdout}")
    return json.loads(done.stdout[done.stdout.index("{"):])


def contestants(args, mode, batch):
    peer = os.path.join(ROOT, "scripts", "pytorch_unet.py")
    result = {}
    for layout in ("nchw", "channels_last"):
        result[f"pytorch {layout}"] = [args.python, peer, args.config, mode, layout, str(batch), str(args.seconds), str(args.threads)]
    for device in ["cpu"] + args.device:
        result[f"brume {device}"] = [os.path.join(ROOT, "build", "brume"), "bench", args.config, "--mode", mode, "--batch", str(batch), "--seconds",
                                     str(args.seconds), "--threads", str(args.threads), "--device", device, "--json"]
    return result


def spread(values):
    return f"{statistics.median(values):.2f} ({min(values):.2f}-{max(values):.2f})"


def compare(args, mode, batch):
    table = contestants(args, mode, batch)
    rounds = []
    for i in range(args.rounds):
        rounds.append({name: run(command) for name, command in table.items()})
        print(f"  round {i + 1}: " + ", ".join(f"{n} {r['median_ms']:.1f} ms" for n, r in rounds[-1].items()), file=sys.stderr)
    print(f"\n{mode}, batch {batch}, {args.threads} threads, {args.rounds} rounds of {args.seconds:g} s: {os.path.basename(args.config)}")
    print(f"  {'':24s} {'median ms':>22s} {'peak MiB':>20s}")
    for name in table:
        print(f"  {name:24s} {spread([r[name]['median_ms'] for r in rounds]):>22s} {spread([r[name]['peak_mib'] for r in rounds]):>20s}")
    ratios = {}
    best = min(("pytorch nchw", "pytorch channels_last"), key=lambda n: statistics.median(r[n]["median_ms"] for r in rounds))
    for name in table:
        if name.startswith("brume"):
            ratios[f"{name} / {best}"] = [r[best]["median_ms"] / r[name]["median_ms"] for r in rounds]
            if name != "brume cpu":
                ratios[f"{name} / brume cpu"] = [r["brume cpu"]["median_ms"] / r[name]["median_ms"] for r in rounds]
    memory = [r["brume cpu"]["peak_mib"] / r[best]["peak_mib"] for r in rounds]
    for name, values in ratios.items():
        print(f"  speed of {name}: {spread(values)}x")
    print(f"  peak memory of brume cpu / {best}: {spread(memory)}x")
    return {"mode": mode, "batch": batch, "rounds": rounds, "speed": ratios, "memory": memory}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", default=os.environ.get("BRUME_PYTHON", "python3"))
    parser.add_argument("--config", default=os.path.join(ROOT, "examples", "unet_mnist.json"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=6)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--train-batch", type=int, default=64)
    parser.add_argument("--infer-batch", type=lambda s: [int(x) for x in s.split(",")], default=[1, 16])
    parser.add_argument("--device", action="append", default=[])
    parser.add_argument("--only", choices=("train", "infer"))
    parser.add_argument("--json")
    args = parser.parse_args()
    if subprocess.run([args.python, "-c", "import torch, diffusers"], capture_output=True).returncode:
        sys.exit(f"{args.python} cannot import torch and diffusers; in a venv: pip install torch==2.13.0 diffusers, then --python VENV/bin/python")
    results = []
    if args.only != "infer":
        results.append(compare(args, "train", args.train_batch))
    for batch in args.infer_batch if args.only != "train" else []:
        results.append(compare(args, "infer", batch))
    if args.json:
        with open(args.json, "w") as f:
            json.dump(results, f, indent=1)


if __name__ == "__main__":
    main()
