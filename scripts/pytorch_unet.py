#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Measures diffusers' UNet2DModel in PyTorch on the CPU, the way `brume bench` measures brume.

usage: pytorch_unet.py CONFIG.json train|infer nchw|channels_last BATCH [SECONDS] [THREADS]
A training step is forward, backward, clipping to norm 1 and a fused AdamW step. Prints one JSON line.
"""
import json
import resource
import sys
import time

import torch
from diffusers import UNet2DModel


def make_step(model, mode, x, t, labels):
    if mode == "infer":
        def infer():
            with torch.inference_mode():
                model(x, t, class_labels=labels)
        return infer
    target = torch.randn_like(x)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)

    def train():
        optimizer.zero_grad(set_to_none=True)
        torch.nn.functional.mse_loss(model(x, t, class_labels=labels).sample, target).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    return train


def main():
    config, mode, layout, batch = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
    seconds = float(sys.argv[5]) if len(sys.argv) > 5 else 10.0
    torch.set_num_threads(int(sys.argv[6]) if len(sys.argv) > 6 else 2)
    torch.manual_seed(0)
    with open(config) as f:
        model = UNet2DModel.from_config(json.load(f))
    c = model.config
    height, width = c.sample_size if isinstance(c.sample_size, (list, tuple)) else (c.sample_size, c.sample_size)
    x, t = torch.randn(batch, c.in_channels, height, width), torch.randint(0, 1000, (batch,))
    labels = torch.randint(0, c.num_class_embeds, (batch,)) if c.num_class_embeds else None
    if layout == "channels_last":
        model, x = model.to(memory_format=torch.channels_last), x.to(memory_format=torch.channels_last)
    step = make_step(model, mode, x, t, labels)
    for _ in range(2):
        step()
    times, begin = [], time.perf_counter()
    while time.perf_counter() - begin < seconds or len(times) < 3:
        start = time.perf_counter()
        step()
        times.append(1e3 * (time.perf_counter() - start))
    times.sort()
    print(json.dumps({"min_ms": times[0], "median_ms": times[len(times) // 2], "runs": len(times),
                      "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))


if __name__ == "__main__":
    main()
