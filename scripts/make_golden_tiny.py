#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes tests/data/models/unet2d-tiny: a U-Net of diffusers that an interpreter of OpenCL C runs in seconds (4 and 8 channels, one image of 4x4), its
results, loss and gradients in double precision. Needs torch and diffusers. Usage: make_golden_tiny.py [FOLDER]"""
import os
import sys

import torch
from diffusers import UNet2DModel
from safetensors.torch import save_file


def main():
    folder = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(__file__), "../tests/data/models/unet2d-tiny")
    torch.manual_seed(5)
    net = UNet2DModel(sample_size=4, in_channels=1, out_channels=1, block_out_channels=(4, 8), layers_per_block=1, norm_num_groups=2, attention_head_dim=4,
                      down_block_types=("DownBlock2D", "AttnDownBlock2D"), up_block_types=("AttnUpBlock2D", "UpBlock2D"))
    for p in net.parameters():  # nothing zero, nothing that leaves a part without effect
        spread = (p[0].numel() if p.dim() > 1 else 25) ** -0.5
        p.data = (p.data if p.dim() == 1 else 0) + spread * torch.randn(p.shape)
    net.save_pretrained(folder)
    net = net.double().eval()
    io = {"sample": torch.randn(1, 1, 4, 4), "timestep": torch.tensor([417]), "target": torch.randn(1, 1, 4, 4)}
    y = net(io["sample"].double(), io["timestep"]).sample
    loss = ((y - io["target"].double()) ** 2).mean()
    loss.backward()
    io.update(output=y, loss=loss, **{"grad." + name: p.grad for name, p in net.named_parameters()})
    save_file({k: (v if v.dtype == torch.int64 else v.detach().float()).contiguous() for k, v in io.items()}, os.path.join(folder, "io.safetensors"))


main()
