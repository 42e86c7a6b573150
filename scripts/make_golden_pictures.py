#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes what diffusers draws from a picture: image to image and inpainting in latents, for tests/golden_pictures.c.

usage: make_golden_pictures.py PIPELINE OUT.safetensors
PIPELINE is a folder of a StableDiffusionPipeline that draws 16 x 16 pixels (../shared/golden/models/pipeline-sd-tiny). Needs torch and diffusers.
Tensors: image (1, 3, H, W) in [-1, 1], mask (1, 1, H, W) with 1 where diffusers draws, prompt_embeds and negative_prompt_embeds (1, S, X), eps (the noise of the
posterior's sample) and noise (of all steps), both (1, 4, h, w), latents (1, 4, h, w) of the picture, and for each run its latents after every step and
the picture (1, 3, H, W) in [-1, 1]. Exit status: 0 written.
"""
import sys

import torch
from diffusers import DDIMScheduler, EulerDiscreteScheduler, StableDiffusionImg2ImgPipeline, StableDiffusionInpaintPipeline, StableDiffusionPipeline
from safetensors.torch import save_file

SIZE, STEPS, GUIDANCE, SEED = 16, 5, 5.0, 3
folder, out = sys.argv[1], sys.argv[2]
torch.set_grad_enabled(False)
base = StableDiffusionPipeline.from_pretrained(folder, safety_checker=None)
parts = {k: v for k, v in base.components.items()}
parts["requires_safety_checker"] = False
axis = torch.arange(SIZE) / (SIZE - 1)
image = torch.stack([axis[:, None] * torch.ones(SIZE), axis[None] * torch.ones(SIZE, 1), torch.cos(6 * axis[:, None] * axis[None])])[None].clamp(0, 1)
image = torch.round(image * 255) / 255
mask = torch.zeros(1, 1, SIZE, SIZE)
mask[:, :, 3:11, 5:12] = 1  # no multiple of the autoencoder's factor
embeds, negative = base.encode_prompt("a painting of a red fox", "cpu", 1, True, "noise")
shape = (1, 4, SIZE // base.vae_scale_factor, SIZE // base.vae_scale_factor)
generator = torch.Generator().manual_seed(SEED)
eps, noise = torch.randn(shape, generator=generator), torch.randn(shape, generator=generator)  # the order in which both pipelines draw
moments = base.vae.encode(2 * image - 1).latent_dist
tensors = {"image": 2 * image - 1, "mask": mask, "prompt_embeds": embeds, "negative_prompt_embeds": negative, "eps": eps, "noise": noise,
           "latents": (moments.mean + moments.std * eps) * base.vae.config.scaling_factor}
for name, kind, scheduler in (("ddim", "ddim", DDIMScheduler), ("euler", "euler", EulerDiscreteScheduler)):
    parts["scheduler"] = scheduler.from_pretrained(folder, subfolder="schedulers/" + kind)
    for run, cls, strength in (("img2img", StableDiffusionImg2ImgPipeline, 0.6), ("inpaint", StableDiffusionInpaintPipeline, 1.0),
                               ("inpaint-strength", StableDiffusionInpaintPipeline, 0.6)):
        pipe = cls(**parts)
        pipe.set_progress_bar_config(disable=True)
        steps = []

        def keep(pipe, i, t, kw):
            steps.append(kw["latents"].clone())
            return kw

        more = {"mask_image": mask, "height": SIZE, "width": SIZE} if cls is StableDiffusionInpaintPipeline else {}
        result = pipe(image=image, prompt_embeds=embeds, negative_prompt_embeds=negative, strength=strength, num_inference_steps=STEPS,
                      guidance_scale=GUIDANCE, eta=0.0, generator=torch.Generator().manual_seed(SEED), output_type="latent",
                      callback_on_step_end=keep, **more)
        tensors[f"{name}.{run}.steps"] = torch.cat(steps)
        tensors[f"{name}.{run}.image"] = base.vae.decode(steps[-1] / base.vae.config.scaling_factor).sample
        assert torch.equal(result.images, steps[-1])
save_file({k: v.contiguous().float() for k, v in tensors.items()}, out)
