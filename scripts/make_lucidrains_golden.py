#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Makes tests/data/lucidrains: state dicts of denoising-diffusion-pytorch and what its Unet computes with them.

usage: make_lucidrains_golden.py FOLDER
Needs torch, safetensors and denoising-diffusion-pytorch 2.3.4 with what it imports. For each case NAME.safetensors is the state dict, as a program
saves it, and NAME_case.safetensors holds x (N, C, H, W), t (N), dy, y = Unet(x, t), dx and, as grad.PARAMETER, the derivatives of sum(y dy)."""
import os
import sys

import torch
from denoising_diffusion_pytorch import GaussianDiffusion, Unet
from safetensors.torch import save_file

# Options; whether GaussianDiffusion is around it; sizes of the images.
CASES = {
    "plain": (dict(dim=4, dim_mults=(1, 2), channels=1, attn_heads=2, attn_dim_head=4), True, (2, 1, 6, 4)),
    "rich": (dict(dim=4, dim_mults=(1, 2, 2), init_dim=6, self_condition=True, learned_variance=True, learned_sinusoidal_cond=True, learned_sinusoidal_dim=6,
                  full_attn=(False, True, False), attn_heads=(1, 2, 3), attn_dim_head=(4, 3, 2)), False, (2, 3, 8, 12)),
}

for name, (options, wrapped, shape) in CASES.items():
    torch.manual_seed(0)
    net = Unet(**options).eval()
    for key, p in net.named_parameters():
        if p.ndim == 1 or key.endswith(".g"):  # biases and norms that are not 0 and 1
            p.data += 0.3 * torch.randn_like(p)
    x, t = torch.randn(shape, requires_grad=True), torch.tensor([3.0, 871.0] if wrapped else [-2.5, 0.75])
    y = net(x, t)
    dy = torch.randn_like(y)
    (y * dy).sum().backward()
    case = {"x": x, "t": t, "y": y, "dy": dy, "dx": x.grad, **{"grad." + k: p.grad for k, p in net.named_parameters()}}
    state = (GaussianDiffusion(net, image_size=8, timesteps=40) if wrapped else net).state_dict()
    for file, tensors in ((name, state), (name + "_case", case)):
        save_file({k: v.detach().contiguous() for k, v in tensors.items()}, os.path.join(sys.argv[1], file + ".safetensors"))
