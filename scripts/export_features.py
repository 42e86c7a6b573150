#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes a feature network for brume eval --features (docs/features.md) from an nn.Sequential of PyTorch.

    from export_features import export
    export(net, "features", size=[28, 28], channels=1, mean=[0.1307], std=[0.3081])

Knows Conv2d, BatchNorm2d, GroupNorm, Linear, ReLU, SiLU, GELU, Sigmoid, Tanh, MaxPool2d, AvgPool2d, AdaptiveAvgPool2d(1), Flatten, Dropout, Identity,
and Sequentials of these; anything else is refused by name. A Linear behind a Flatten becomes a conv with a kernel of the image's size.
Run as a program it exports a small fresh network and prints its features of fixed images: usage: export_features.py FOLDER
(needs torch and safetensors)
"""
import json
import os
import sys

import torch
from safetensors.torch import save_file
from torch import nn


def pair(x):
    return [x, x] if isinstance(x, int) else list(x)


def one(x, what):
    if len(set(pair(x))) != 1:
        raise ValueError(f"{what} {x}: brume knows one number for both axes")
    return pair(x)[0]


ACTIVATIONS = {nn.ReLU: "relu", nn.SiLU: "silu", nn.Sigmoid: "sigmoid", nn.Tanh: "tanh"}


def layer_of(m, name, shape, weights):
    """The entry for module m over an image or row of that shape (without the batch), or None if it does nothing."""
    def put(*leaves):
        for leaf in leaves:
            if getattr(m, leaf) is not None:
                weights[f"{name}.{leaf}"] = getattr(m, leaf).detach().float().contiguous()

    if isinstance(m, (nn.Dropout, nn.Dropout2d, nn.Identity, nn.Flatten)):
        return None
    if isinstance(m, nn.Conv2d):
        if one(m.dilation, "dilation") != 1 or m.padding_mode != "zeros" or isinstance(m.padding, str):
            raise ValueError(f"{name}: brume knows convolutions without dilation, padded with a number of zeros")
        put("weight", "bias")
        return dict(type="conv", out=m.out_channels, kernel=pair(m.kernel_size), stride=one(m.stride, "stride"), padding=pair(m.padding), groups=m.groups,
                    bias=m.bias is not None)
    if isinstance(m, nn.Linear):
        put("weight", "bias")
        if len(shape) == 3 and shape[1:] != (1, 1):
            c, h, w = shape
            weights[f"{name}.weight"] = m.weight.detach().float().reshape(-1, c, h, w).contiguous()
            return dict(type="conv", out=m.out_features, kernel=[h, w], bias=m.bias is not None)
        return dict(type="linear", out=m.out_features, bias=m.bias is not None)
    if isinstance(m, nn.BatchNorm2d):
        put("weight", "bias", "running_mean", "running_var")
        return dict(type="batch_norm", eps=m.eps, affine=m.affine)
    if isinstance(m, nn.GroupNorm):
        put("weight", "bias")
        return dict(type="group_norm", groups=m.num_groups, eps=m.eps)
    if type(m) in ACTIVATIONS:
        return dict(type=ACTIVATIONS[type(m)])
    if isinstance(m, nn.GELU) and m.approximate == "none":
        return dict(type="gelu")
    if isinstance(m, (nn.MaxPool2d, nn.AvgPool2d)):
        if m.ceil_mode or (isinstance(m, nn.MaxPool2d) and m.dilation != 1):
            raise ValueError(f"{name}: brume knows pooling without ceil_mode and dilation")
        entry = dict(type="max_pool" if isinstance(m, nn.MaxPool2d) else "avg_pool", kernel=pair(m.kernel_size), stride=one(m.stride, "stride"), padding=pair(m.padding))
        return entry if isinstance(m, nn.MaxPool2d) else dict(entry, count_include_pad=m.count_include_pad)
    if isinstance(m, nn.AdaptiveAvgPool2d) and pair(m.output_size) == [1, 1]:
        return dict(type="global_avg_pool")
    raise ValueError(f"{name}: brume knows no {type(m).__name__}")


def flat(net, prefix=""):
    for key, m in net.named_children():
        if isinstance(m, nn.Sequential):
            yield from flat(m, f"{prefix}{key}.")
        else:
            yield prefix + key, m


def export(net, folder, size, channels, **inputs):
    """net: all layers up to the features; inputs: range, mean, std as in docs/features.md."""
    layers, weights, x, shape = [], {}, torch.zeros(1, channels, *size), (channels, *size)
    net = net.eval()
    with torch.no_grad():
        for name, m in flat(net):
            entry = layer_of(m, name, shape, weights)
            if entry:
                layers.append(dict(entry, name=name))
            x = m(x)
            if not isinstance(m, nn.Flatten):  # brume goes on with the image
                shape = tuple(x.shape[1:])
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "config.json"), "w") as f:
        json.dump({"_class_name": "BrumeFeatureNetwork", "input": dict(channels=channels, size=list(size), **inputs), "layers": layers}, f, indent=1)
    save_file(weights, os.path.join(folder, "model.safetensors"), {"format": "pt"})


if __name__ == "__main__":
    torch.manual_seed(1)
    small = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(3, 2, 1),
                          nn.Sequential(nn.Conv2d(8, 16, (1, 3), padding=(0, 1), groups=2), nn.GELU(), nn.AvgPool2d(2)), nn.Flatten(), nn.Linear(64, 5))
    with torch.no_grad():
        small[1].running_mean.uniform_(-0.3, 0.3)
        small[1].running_var.uniform_(0.5, 2)
    export(small, sys.argv[1], [8, 8], 3, mean=[0.4, 0.5, 0.6], std=[0.2, 0.3, 0.25])
    i = torch.arange(2 * 3 * 8 * 8, dtype=torch.float32)
    images = torch.sin(0.37 * i).reshape(2, 3, 8, 8)
    seen = ((images + 1) / 2 - torch.tensor([0.4, 0.5, 0.6]).view(1, 3, 1, 1)) / torch.tensor([0.2, 0.3, 0.25]).view(1, 3, 1, 1)
    save_file({"samples": images, "features": small(seen).detach().contiguous()}, os.path.join(sys.argv[1], "want.safetensors"))
