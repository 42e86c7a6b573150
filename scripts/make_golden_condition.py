#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes tests/data/unet2d_condition.json: a small UNet2DConditionModel of diffusers in double precision, its results and the products with its Jacobians,
for class_embed_type null and "identity". Needs torch and diffusers. Usage: make_golden_condition.py [FILE]

Nothing but results is stored: weights and inputs are formulas, which tests/unet2d_condition_golden.c has, too."""
import json
import os
import sys

import numpy as np
import torch
from diffusers import UNet2DConditionModel

N, H, W, C, S, X = 2, 4, 6, 4, 3, 6


def wave(n, step, phase):
    return torch.tensor(np.sin(step * np.arange(n) + phase).astype(np.float32).astype(np.float64))


def fill(name, p):
    values = wave(p.numel(), 0.61, sum(name.encode()) % 1000)
    if p.dim() > 1:
        values = values.float().mul(np.float32((p.shape[0] / p.numel()) ** 0.5)).double()
    elif name.endswith("weight"):
        values = values.float().mul(np.float32(0.1)).add(1).double()
    else:
        values = values.float().mul(np.float32(0.1)).double()
    p.data.copy_(values.reshape(p.shape))


def network(kind):
    net = UNet2DConditionModel(sample_size=4, in_channels=C, out_channels=C, block_out_channels=(8, 12), layers_per_block=1, norm_num_groups=4,
                               down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"), up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
                               attention_head_dim=2, cross_attention_dim=X, class_embed_type=kind).double().eval()
    for name, p in net.named_parameters():
        fill(name, p)
    return net


def main():
    file = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(__file__), "../tests/data/unet2d_condition.json")
    result = {}
    for kind in (None, "identity"):
        x = wave(N * C * H * W, 1.7, 0).reshape(N, C, H, W).requires_grad_()
        context = wave(N * S * X, 0.9, 1).reshape(N, S, X).requires_grad_()
        labels = wave(N * 32, 0.3, 2).reshape(N, 32).requires_grad_()
        v = wave(N * C * H * W, 2.3, 3).reshape(N, C, H, W)
        y = network(kind)(x, torch.tensor([3.5, 640.0], dtype=torch.double), context, class_labels=labels if kind else None).sample
        (y * v).sum().backward()
        out = {"y": y, "dx": x.grad, "dcontext": context.grad}
        if kind:
            out["dlabels"] = labels.grad
        result[kind or "none"] = {k: [float("%.9g" % a) for a in t.detach().flatten()] for k, t in out.items()}
    with open(file, "w") as f:
        json.dump(result, f, separators=(",", ":"))
        f.write("\n")


main()
