#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""3x3 convolutions, forward and both gradients, side by side with oneDNN in PyTorch (the better of NCHW and channels-last).

usage: bench_conv_vs_pytorch.sh [--python PYTHON] [--brume build/brume] [--rounds 5] [--seconds 1] [--threads 2] [--device cpu] [--json FILE]
PYTHON must have torch (default: $BRUME_PYTHON, else python3). Every round runs each contestant once, in turn; a ratio is formed within a
round. Printed: the median of the ratios and their range for each shape, and their geometric mean. Exit status: 0 measured, 1 a
contestant failed.
"""
import argparse
import json
import math
import os
import statistics
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SHAPES = [(16, 64, 32, 64), (16, 128, 16, 128), (16, 256, 8, 256), (16, 128, 32, 128), (64, 64, 28, 64), (128, 128, 14, 128)]

# Runs in PYTHON: forward and backward of one convolution, median milliseconds as JSON.
PEER = """
import json, sys, time, torch
n, c, h, k, seconds, threads = int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]), float(sys.argv[5]), int(sys.argv[6])
torch.set_num_threads(threads)
torch.manual_seed(0)
result = {}
for layout, memory in (("nchw", torch.contiguous_format), ("channels_last", torch.channels_last)):
    conv = torch.nn.Conv2d(c, k, 3, padding=1, bias=False).to(memory_format=memory)
    x = torch.randn(n, c, h, h).to(memory_format=memory).requires_grad_()
    dy = torch.randn(n, k, h, h).to(memory_format=memory)
    times, begin = [], None
    while begin is None or time.perf_counter() - begin < seconds / 2 or len(times) < 3:
        x.grad = conv.weight.grad = None
        start = time.perf_counter()
        conv(x).backward(dy)
        if begin is None:
            begin = time.perf_counter()  # the first one warms up
        else:
            times.append(1e3 * (time.perf_counter() - start))
    result[layout] = sorted(times)[len(times) // 2]
print(json.dumps(result))
"""


def run(command):
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"failed ({done.returncode}): {' '.join(command)}\n{done.stderr}{done.stdout}")
    return json.loads(done.stdout)


def spread(values):
    return f"{statistics.median(values):.2f} ({min(values):.2f}-{max(values):.2f})"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", default=os.environ.get("BRUME_PYTHON", "python3"))
    parser.add_argument("--brume", default=os.path.join(ROOT, "build", "brume"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--json")
    args = parser.parse_args()
    results, product = [], 1.0
    print(f"3x3 convolution, forward and backward, {args.threads} threads, {args.rounds} rounds: milliseconds, ratio of speeds")
    for n, c, h, k in SHAPES:
        flop = 3 * 2 * 9 * n * h * h * c * k
        brume = [args.brume, "bench", "ops", "--op", "conv2d", "--shape", f"{n}x{h}x{h}x{c},3x3x{c}x{k}", "--mode", "train", "--seconds",
                 str(args.seconds), "--threads", str(args.threads), "--device", args.device, "--json"]
        peer = [args.python, "-c", PEER, str(n), str(c), str(h), str(k), str(args.seconds), str(args.threads)]
        ours, theirs, kernels = [], [], []
        for _ in range(args.rounds):
            report = run(brume)
            ours.append(report["run_ms"])
            kernels = sorted({op["kernel"] for op in report["ops"] if op["op"].startswith("conv2d")})
            theirs.append(run(peer))
        best = min(("nchw", "channels_last"), key=lambda layout: statistics.median(t[layout] for t in theirs))
        ratios = [t[best] / o for o, t in zip(ours, theirs)]
        product *= statistics.median(ratios)
        rate = flop / statistics.median(ours) / 1e6
        print(f"  N {n:<4d} C {c:<4d} {h}x{h:<3d} K {k:<4d} brume {spread(ours):>22s} ({rate:.0f} GFLOP/s, {'+'.join(kernels)})"
              f"  oneDNN {best} {spread([t[best] for t in theirs]):>22s}  {spread(ratios)}x", flush=True)
        results.append({"n": n, "c": c, "hw": h, "k": k, "brume_ms": ours, "pytorch_ms": theirs, "ratios": ratios})
    mean = math.exp(math.log(product) / len(SHAPES))
    print(f"  geometric mean {mean:.2f}x")
    if args.json:
        with open(args.json, "w") as f:
            json.dump({"threads": args.threads, "geometric_mean": mean, "shapes": results}, f, indent=1)


if __name__ == "__main__":
    main()
