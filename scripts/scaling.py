#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Efficiency of data-parallel training on many machines, modelled from what brume measures on one: docs/scaling.md explains the equations.

usage: scaling.py BRUME [OPTIONS of brume bench ...]     measures: scaling.py build/brume examples/unet_mnist.json --batch 32
       scaling.py --from FILE.json                       takes a file of `brume bench --buckets --json` instead
       --scale X     divides the measured times by X: a device that is so much faster
       --share K     every rank takes K times the images measured
       --as MB MS N  takes the measured curve for a gradient of MB megabytes and N images that takes MS milliseconds
       --check G L   2 ranks at G bytes/s and L seconds a message, and what of it the step waits: to compare with a run
Prints a table for 8 to 1024 ranks. Needs nothing but Python. Exit status: 0, or that of brume.
"""
import json
import math
import subprocess
import sys

# Bytes per second that a collective gets, and seconds per message. TCP reaches some 90 % of the line; InfiniBand by its verbs nearly all of it.
NETWORKS = [("10 GbE", 1.1e9, 30e-6), ("25 GbE", 2.8e9, 25e-6), ("100 Gb/s InfiniBand", 11.5e9, 3e-6)]
# Norm, AdamW and an average read and write 11 times the gradient's bytes; bytes per second of this machine's memory.
MEMORY = 10e9
RANKS = [8, 16, 32, 64, 128, 256, 512, 1024]


def ring(P, n, bandwidth, latency):
    """Seconds of a ring all-reduce of n bytes: 2 (P - 1) messages of n / P bytes each."""
    return 2 * (P - 1) * (latency + n / P / bandwidth)


def tree(P, n, bandwidth, latency):
    """Of recursive doubling: log2 P messages of n bytes, which wins where n is small."""
    return math.ceil(math.log2(P)) * (latency + n / bandwidth)


def reduce(P, n, bandwidth, latency):
    return min(ring(P, n, bandwidth, latency), tree(P, n, bandwidth, latency)) if P > 1 else 0.0


def wait(P, buckets, gradient, bandwidth, latency):
    """Seconds from the end of the own gradient to the end of the last sum: buckets go one after the other, none before it is complete."""
    end = 0.0
    for n, ready in buckets:
        end = max(end, ready) + reduce(P, n, bandwidth, latency)
    return max(0.0, end - gradient)


def small(P, bandwidth, latency):
    """The loss, and whether any rank was asked to end: two sums of a few bytes."""
    return 2 * reduce(P, 8, bandwidth, latency)


def step(P, m, share, bandwidth, latency):
    """Seconds of a step of P ranks that take `share` times the measured images each."""
    gradient = m["gradient"] * share
    buckets = [(n, t * share) for n, t in m["buckets"]]
    return gradient + wait(P, buckets, gradient, bandwidth, latency) + small(P, bandwidth, latency) + m["update"]


def measured(x, scale):
    gradient = x["gradient_ms"] / 1e3
    buckets = [(int(b.split(":")[0]), float(b.split(":")[1]) / 1e3 / scale) for b in x["buckets"].split()]
    return {"images": x["batch"] / 2, "gradient": gradient / scale, "update": 11 * sum(n for n, _ in buckets) / MEMORY / scale, "buckets": buckets}


def stretched(m, size, seconds, images):
    """The same part of the gradient after the same part of the time; parts of 4 MiB."""
    total, parts = sum(n for n, _ in m["buckets"]), max(1, math.ceil(size / 4194304))
    out, seen, at = [], 0, 0
    for i in range(parts):
        until = (i + 1) / parts * total  # of the measured one's bytes
        while seen + m["buckets"][at][0] < until - 0.5:
            seen += m["buckets"][at][0]
            at += 1
        out.append((size / parts, m["buckets"][at][1] / m["gradient"] * seconds))
    return {"images": images, "gradient": seconds, "update": m["update"] * size / total, "buckets": out}


def table(m):
    """Weak scaling, where every rank takes the images, and strong scaling, where 8 times the images are split: parts of the speed that P ranks could have."""
    print("| ranks | " + " | ".join(name for name, _, _ in NETWORKS) + " |")
    print("|---|" + "---|" * len(NETWORKS))
    for P in RANKS:
        cells = []
        for _, bandwidth, latency in NETWORKS:
            weak = (m["gradient"] + m["update"]) / step(P, m, 1.0, bandwidth, latency)
            strong = (8 * m["gradient"] + m["update"]) / (P * step(P, m, 8 / P, bandwidth, latency))
            cells.append(f"{100 * weak:.0f} %, " + (f"{100 * min(1.0, strong):.0f} %" if P <= 8 * m["images"] else "-"))
        print(f"| {P} | " + " | ".join(cells) + " |")


def take(args, name):
    """The number behind an option, which is taken out; 1 without it."""
    if name not in args:
        return 1.0
    i = args.index(name)
    value = float(args[i + 1])
    del args[i:i + 2]
    return value


def main():
    args = sys.argv[1:]
    scale, check = take(args, "--scale"), None
    images = take(args, "--share")
    other = None
    if "--as" in args:
        i = args.index("--as")
        other = (1e6 * float(args[i + 1]), 1e-3 * float(args[i + 2]), float(args[i + 3]))
        del args[i:i + 4]
    if "--check" in args:
        i = args.index("--check")
        check = (float(args[i + 1]), float(args[i + 2]))
        del args[i:i + 3]
    if len(args) < 1 or args[0] in ("-h", "--help"):
        print(__doc__)
        return 0 if args else 2
    if args[0] == "--from":
        x = json.load(open(args[1]))
    else:
        batch = int(args[args.index("--batch") + 1]) if "--batch" in args else 8
        rest = [a for i, a in enumerate(args[1:], 1) if a != "--batch" and args[i - 1] != "--batch"]
        command = [args[0], "bench", *rest, "--mode", "train", "--batch", str(2 * batch), "--micro-batch", str(batch), "--buckets", "--json"]
        r = subprocess.run(command, stdout=subprocess.PIPE)
        if r.returncode:
            return r.returncode
        x = json.loads(r.stdout)
    m = measured(x, scale)
    if other:
        m = stretched(m, *other)
    m["images"] *= images
    m["gradient"] *= images
    m["buckets"] = [(n, t * images) for n, t in m["buckets"]]
    total = sum(n for n, _ in m["buckets"])
    late = sum(n for n, t in m["buckets"] if t > 0.9 * m["gradient"])
    print(f"gradient {total / 1e6:.1f} MB in {len(m['buckets'])} parts; {100 * late / total:.0f} % of it complete in the last tenth of the {1e3 * m['gradient']:.4g} ms; "
          f"update {1e3 * m['update']:.3g} ms\n")
    if check:
        w = wait(2, m["buckets"], m["gradient"], *check)
        print(f"2 ranks at {check[0] / 1e9:.3g} GB/s, {1e6 * check[1]:.3g} us: the sums take {1e3 * sum(reduce(2, n, *check) for n, _ in m['buckets']):.3g} ms, the step waits {1e3 * w:.3g} ms")
        return 0
    print("weak scaling: every rank takes as many images; strong scaling: 8 times as many are split over the ranks\n")
    table(m)
    return 0


if __name__ == "__main__":
    sys.exit(main())
