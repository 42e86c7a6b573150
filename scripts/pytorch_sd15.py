#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Stable Diffusion 1.5's networks in diffusers with random weights on the processor, in f32: the other side of bench_sd15_vs_pytorch.py.

usage: pytorch_sd15.py unet|text-encoder|vae nchw|channels_last BATCH RUNS THREADS
Prints one JSON object: median_ms, min_ms, max_ms of RUNS runs after a first one, and peak_mib, the largest resident set of the process.
Weights are made in place, so that the peak is that of running, not of loading.
"""
import json
import os
import statistics
import sys
import time

os.environ["HF_HUB_OFFLINE"] = "1"
import torch  # noqa: E402


def build(part):
    if part == "unet":
        from diffusers import UNet2DConditionModel
        return UNet2DConditionModel(sample_size=64, cross_attention_dim=768, attention_head_dim=8)
    if part == "vae":
        from diffusers import AutoencoderKL
        wide = (128, 256, 512, 512)
        return AutoencoderKL(block_out_channels=wide, down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4,
                             layers_per_block=2, latent_channels=4, sample_size=512)
    from transformers import CLIPTextConfig, CLIPTextModel
    return CLIPTextModel(CLIPTextConfig(hidden_size=768, intermediate_size=3072, num_attention_heads=12, num_hidden_layers=12, projection_dim=768))


def materialise(model):
    """Parameters get memory and values; buffers, which hold numbers of positions, are made again."""
    for module in model.modules():
        for name, p in list(module._parameters.items()):
            if p is not None:
                module._parameters[name] = torch.nn.Parameter(torch.empty(p.shape).normal_(0, 0.02), requires_grad=False)
        for name, b in list(module._buffers.items()):
            if b is not None:
                module._buffers[name] = torch.arange(b.shape[-1]).expand(b.shape).contiguous()


def peak_mib():
    with open("/proc/self/status") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("VmHWM")) / 1024


def main():
    part, layout, batch, runs, threads = sys.argv[1], sys.argv[2], *map(int, sys.argv[3:6])
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    with torch.device("meta"):
        model = build(part)
    materialise(model)
    model.eval()
    memory = torch.channels_last if layout == "channels_last" else torch.contiguous_format
    if part != "text-encoder":
        model.to(memory_format=memory)
        x = torch.randn(batch, 4, 64, 64).contiguous(memory_format=memory)
    if part == "unet":
        context, t = torch.randn(batch, 77, 768), torch.tensor(500)
        step = lambda: model(x, t, encoder_hidden_states=context).sample  # noqa: E731
    elif part == "vae":
        step = lambda: model.decode(x).sample  # noqa: E731
    else:
        ids = torch.randint(0, 49000, (batch, 77))
        step = lambda: model(ids).last_hidden_state  # noqa: E731
    times = []
    with torch.inference_mode():
        for _ in range(runs + 1):
            begin = time.perf_counter()
            step()
            times.append(1e3 * (time.perf_counter() - begin))
    times = times[1:]
    print(json.dumps({"part": part, "layout": layout, "batch": batch, "runs": runs, "median_ms": statistics.median(times), "min_ms": min(times),
                      "max_ms": max(times), "peak_mib": peak_mib()}))


if __name__ == "__main__":
    main()
