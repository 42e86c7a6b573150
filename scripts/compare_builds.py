#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Compares the speed of two builds: `brume bench` and `brume bench ops` of both, run in turn on one machine.

usage: compare_builds.sh OLD NEW [--config FILE ...] [--rounds 5] [--seconds 2] [--threads 0] [--device cpu] [--train-batch 16]
                         [--infer-batch 1,16] [--ops train|infer|none] [--threshold 1.05] [--op-threshold 1.25] [--json FILE]
OLD and NEW are brume programs (build/brume). --config defaults to both of examples/. A ratio is time of NEW / time of OLD within a
round, so above 1 is slower; printed are the median of the rounds and their range. A regression is a whole run whose ratio has its
median above --threshold and its lowest round above 1, or an operator that takes at least 2% of a step and does so beyond --op-threshold.
Exit status: 0 no regression, 1 a regression, 2 a run failed or usage.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
LEAST_SHARE = 0.02


def run(command):
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        print(f"failed ({done.returncode}): {' '.join(command)}\n{done.stderr}", file=sys.stderr)
        sys.exit(2)
    return json.loads(done.stdout)


def in_turn(args, words):
    """Rounds of (old, new) results; who is first changes from round to round."""
    common = ["--seconds", str(args.seconds), "--threads", str(args.threads), "--device", args.device, "--json"]
    rounds = []
    for i in range(args.rounds):
        order = (0, 1) if i % 2 == 0 else (1, 0)
        pair = [None, None]
        for which in order:
            pair[which] = run([(args.old, args.new)[which], "bench"] + words + common)
        rounds.append(pair)
    return rounds


def spread(values):
    return f"{statistics.median(values):.3f} ({min(values):.3f}-{max(values):.3f})"


def judge(ratios, threshold):
    return statistics.median(ratios) > threshold and min(ratios) > 1


def whole(args, config, mode, batch):
    rounds = in_turn(args, [config, "--mode", mode, "--batch", str(batch)])
    ratios = [new["median_ms"] / old["median_ms"] for old, new in rounds]
    slower = judge(ratios, args.threshold)
    old = statistics.median(r[0]["median_ms"] for r in rounds)
    print(f"{os.path.basename(config):20s} {mode:5s} batch {batch:<4d} {old:10.2f} ms  {spread(ratios)}{'  SLOWER' if slower else ''}")
    return {"config": config, "mode": mode, "batch": batch, "ratios": ratios, "slower": slower}


def key(op):
    return op["op"], op["shapes"]


def operators(args, config):
    batch = args.train_batch if args.ops == "train" else max(args.infer_batch)
    rounds = in_turn(args, ["ops", config, "--mode", args.ops, "--batch", str(batch)])
    tables = [[{key(op): op for op in side["ops"]} for side in pair] for pair in rounds]
    results = []
    for k, first in tables[0][0].items():
        if any(k not in side for pair in tables for side in pair):
            continue
        # the fastest, not the median: other work on the machine only ever adds time
        ratios = [new[k]["min_ms"] / old[k]["min_ms"] for old, new in tables]
        share = statistics.median(new[k]["share_of_step"] for _, new in tables)
        slower = share >= LEAST_SHARE and judge(ratios, args.op_threshold)
        results.append({"op": k[0], "shapes": k[1], "old_kernel": first["kernel"], "new_kernel": tables[0][1][k]["kernel"], "share": share,
                        "ratios": ratios, "slower": slower})
    results.sort(key=lambda r: -abs(statistics.median(r["ratios"]) - 1) * r["share"])
    gone = set(tables[0][0]) ^ set(tables[0][1])
    print(f"{os.path.basename(config)}: operators of {args.ops}, batch {batch}, that changed most"
          + (f" ({len(gone)} exist in one build only)" if gone else ""))
    for r in results[:12] + [r for r in results[12:] if r["slower"]]:
        kernel = r["new_kernel"] if r["old_kernel"] == r["new_kernel"] else f"{r['old_kernel']} > {r['new_kernel']}"
        print(f"  {100 * r['share']:5.1f}%  {spread(r['ratios'])}  {r['op']} [{kernel}] {r['shapes']}{'  SLOWER' if r['slower'] else ''}")
    return results


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("old")
    parser.add_argument("new")
    parser.add_argument("--config", action="append")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--train-batch", type=int, default=16)
    parser.add_argument("--infer-batch", type=lambda s: [int(x) for x in s.split(",") if x], default=[1, 16], help="list; '' for none")
    parser.add_argument("--ops", choices=("train", "infer", "none"), default="train")
    parser.add_argument("--threshold", type=float, default=1.05)
    parser.add_argument("--op-threshold", type=float, default=1.25)
    parser.add_argument("--json")
    args = parser.parse_args()
    if args.ops == "infer" and not args.infer_batch:
        parser.error("--ops infer needs --infer-batch")
    configs = args.config or [os.path.join(ROOT, "examples", name) for name in ("unet_mnist.json", "unet_cifar10.json")]
    print(f"time of {args.new} / time of {args.old}: median (range) of {args.rounds} rounds of {args.seconds:g} s")
    results = {"whole": [], "operators": []}
    for config in configs:
        if args.train_batch:
            results["whole"].append(whole(args, config, "train", args.train_batch))
        for batch in args.infer_batch:
            results["whole"].append(whole(args, config, "infer", batch))
        if args.ops != "none":
            results["operators"] += [dict(r, config=config) for r in operators(args, config)]
    if args.json:
        with open(args.json, "w") as f:
            json.dump(results, f, indent=1)
    slower = sum(r["slower"] for r in results["whole"] + results["operators"])
    print(f"{slower} regressions" if slower else "no regression")
    sys.exit(1 if slower else 0)


if __name__ == "__main__":
    main()
