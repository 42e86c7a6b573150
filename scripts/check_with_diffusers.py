#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Proves that what brume converts and trains loads in diffusers unchanged and computes the same.

usage: check_with_diffusers.py BRUME
The last line is "N passed, N failed". Exit status: 0 passed, 1 failed, 77 without diffusers, torch or safetensors (a skip for meson).
Takes two minutes; works in a temporary folder. Without peft the comparison of adapters is left out. Outputs must agree within 1e-4 of their largest value."""
import math
import os
import subprocess
import sys
import tempfile

try:
    import torch
    import torch.nn.functional as F
    from diffusers import DDIMScheduler, DDPMPipeline, UNet2DModel
    from safetensors.torch import load_file, save_file
    from torch import nn
except ImportError as missing:
    print(f"skipped: {missing}")
    sys.exit(77)

TOLERANCE = 1e-4


# The U-Net of Dhariwal & Nichol (2021), with the numbers of modules that its checkpoints have, written without looking at UNet2DModel.
class Res(nn.Module):

    def __init__(s, i, o, e, ss, mode=None):
        super().__init__()
        s.ss, s.mode = (ss, mode)
        s.in_layers = nn.Sequential(nn.GroupNorm(32, i), nn.SiLU(), nn.Conv2d(i, o, 3, padding=1))
        s.emb_layers = nn.Sequential(nn.SiLU(), nn.Linear(e, 2 * o if ss else o))
        s.out_layers = nn.Sequential(nn.GroupNorm(32, o), nn.SiLU(), nn.Dropout(0), nn.Conv2d(o, o, 3, padding=1))
        s.skip_connection = nn.Conv2d(i, o, 1) if i != o else nn.Identity()

    def rs(s, x):
        return F.avg_pool2d(x, 2) if s.mode == 'down' else F.interpolate(x, scale_factor=2) if s.mode == 'up' else x

    def forward(s, x, e):
        h = s.in_layers[2](s.rs(F.silu(s.in_layers[0](x))))
        x = s.rs(x)
        e = s.emb_layers(e)[:, :, None, None]
        if s.ss:
            a, b = e.chunk(2, 1)
            h = s.out_layers[0](h) * (1 + a) + b
            h = s.out_layers[3](F.silu(h))
        else:
            h = s.out_layers(h + e)
        return s.skip_connection(x) + h


class Att(nn.Module):

    def __init__(s, c, heads, new):
        super().__init__()
        s.h, s.new = (heads, new)
        s.norm = nn.GroupNorm(32, c)
        s.qkv = nn.Conv1d(c, 3 * c, 1)
        s.proj_out = nn.Conv1d(c, c, 1)

    def forward(s, x, e):
        b, c, H, W = x.shape
        h = s.qkv(s.norm(x.reshape(b, c, -1)))
        d = c // s.h
        if s.new:
            q, k, v = [t.reshape(b * s.h, d, -1) for t in h.chunk(3, 1)]
        else:
            q, k, v = h.reshape(b * s.h, 3 * d, -1).split(d, 1)
        w = torch.softmax(torch.einsum('bct,bcs->bts', q, k) / math.sqrt(d), -1)
        a = torch.einsum('bts,bcs->bct', w, v).reshape(b, c, -1)
        return x + s.proj_out(a).reshape(x.shape)


class Down(nn.Module):

    def __init__(s, c):
        super().__init__()
        s.op = nn.Conv2d(c, c, 3, stride=2, padding=1)

    def forward(s, x, e):
        return s.op(x)


class Up(nn.Module):

    def __init__(s, c):
        super().__init__()
        s.conv = nn.Conv2d(c, c, 3, padding=1)

    def forward(s, x, e):
        return s.conv(F.interpolate(x, scale_factor=2))


class Cin(nn.Conv2d):

    def forward(s, x, e):
        return super().forward(x)


class Seq(nn.Sequential):

    def forward(s, x, e):
        for m in s:
            x = m(x, e)
        return x


class U(nn.Module):

    def __init__(s, mc, mult, n, att, heads=0, hc=0, ss=True, updown=False, new=False, classes=None, out=3):
        super().__init__()
        E = 4 * mc
        s.mc = mc
        H = lambda c: c // hc if hc else heads
        s.time_embed = nn.Sequential(nn.Linear(mc, E), nn.SiLU(), nn.Linear(E, E))
        if classes:
            s.label_emb = nn.Embedding(classes, E)
        ch = mult[0] * mc
        s.input_blocks = nn.ModuleList([Seq(Cin(3, ch, 3, padding=1))])
        cs = [ch]
        for i, m in enumerate(mult):
            for _ in range(n):
                l = [Res(ch, m * mc, E, ss)]
                ch = m * mc
                if i in att:
                    l.append(Att(ch, H(ch), new))
                s.input_blocks.append(Seq(*l))
                cs.append(ch)
            if i < len(mult) - 1:
                s.input_blocks.append(Seq(Res(ch, ch, E, ss, 'down') if updown else Down(ch)))
                cs.append(ch)
        s.middle_block = Seq(Res(ch, ch, E, ss), Att(ch, H(ch), new), Res(ch, ch, E, ss))
        s.output_blocks = nn.ModuleList()
        for i in reversed(range(len(mult))):
            for j in range(n + 1):
                l = [Res(ch + cs.pop(), mult[i] * mc, E, ss)]
                ch = mult[i] * mc
                if i in att:
                    l.append(Att(ch, H(ch), new))
                if i and j == n:
                    l.append(Res(ch, ch, E, ss, 'up') if updown else Up(ch))
                s.output_blocks.append(Seq(*l))
        s.out = nn.Sequential(nn.GroupNorm(32, ch), nn.SiLU(), nn.Conv2d(ch, out, 3, padding=1))

    def forward(s, x, t, y=None):
        h = s.mc // 2
        f = torch.exp(-math.log(10000) * torch.arange(h) / h)
        a = t[:, None].float() * f
        e = s.time_embed(torch.cat([a.cos(), a.sin()], -1))
        if y is not None:
            e = e + s.label_emb(y)
        hs = []
        for b in s.input_blocks:
            x = b(x, e)
            hs.append(x)
        x = s.middle_block(x, e)
        for b in s.output_blocks:
            x = b(torch.cat([x, hs.pop()], 1), e)
        return s.out(x)


# Options of the network; what the command line must be told.
CASES = {
    "improved": (dict(mc=32, mult=(1, 2, 2), n=2, att=(1, 2), heads=4, out=6), ["--heads", "4"]),
    "improved-plain": (dict(mc=32, mult=(1, 2), n=1, att=(), heads=1, ss=False), ["--heads", "1"]),
    "guided": (dict(mc=32, mult=(1, 2, 3), n=2, att=(1, 2), hc=16, updown=True, classes=5, out=6), ["--head-channels", "16"]),
    "guided-new-order": (dict(mc=64, mult=(1, 1, 2), n=1, att=(2,), hc=32, new=True), ["--head-channels", "32", "--new-attention-order"]),
    "guided-equal-widths": (dict(mc=32, mult=(1, 1, 2, 2), n=1, att=(1,), hc=32, ss=False, updown=True), ["--head-channels", "32"]),
}
passed = failed = 0


def check(name, got, want):
    global passed, failed
    error = (got - want).abs().max().item() / want.abs().max().item()
    if error <= TOLERANCE:
        passed += 1
    else:
        failed += 1
        print(f"FAILED {name}: relative difference {error:.3g}")


def brume(*args):
    subprocess.run([sys.argv[1], *args, "--quiet"], check=True)


def load(folder):
    """The network of a folder; every key must be expected and there."""
    global passed, failed
    model, info = UNet2DModel.from_pretrained(folder, subfolder="unet", output_loading_info=True)
    if info["missing_keys"] or info["unexpected_keys"]:
        failed += 1
        print(f"FAILED {folder}: missing {info['missing_keys']}, unexpected {info['unexpected_keys']}")
    else:
        passed += 1
    return model.eval()


def converted(folder):
    for name, (options, arguments) in CASES.items():
        torch.manual_seed(0)
        net = U(**options).eval()
        for p in net.parameters():
            if p.ndim == 1:  # norms and biases that are not 1 and 0
                p.data += 0.3 * torch.randn_like(p)
        file, out = os.path.join(folder, name + ".safetensors"), os.path.join(folder, name)
        save_file({k: v.contiguous() for k, v in net.state_dict().items()}, file)
        brume("convert", file, out, *arguments)
        x, t = torch.randn(2, 3, 16, 16), torch.tensor([7, 901])
        y = torch.tensor([1, 4]) if options.get("classes") else None
        check(name, load(out)(x, t, class_labels=y).sample, net(x, t, y))
        DDPMPipeline.from_pretrained(out)


def trained(folder):
    """A few steps of training; then five steps of DDIM from the same noise, here and there."""
    out = os.path.join(folder, "trained")
    brume("train", "--data", "shapes", "--cond", "none", "--steps", "3", "--out", out)
    model = load(out)
    pipeline = DDPMPipeline.from_pretrained(out)
    noise = torch.randn(2, 3, 16, 16)
    save_file({"noise": noise}, os.path.join(folder, "noise.safetensors"))
    samples = os.path.join(folder, "samples.safetensors")
    brume("sample", out, "--init-noise", os.path.join(folder, "noise.safetensors"), "--sampler", "ddim", "--steps", "5", "--save-tensors", samples)
    scheduler = DDIMScheduler.from_config(pipeline.scheduler.config)
    scheduler.set_timesteps(5)
    for t in scheduler.timesteps:
        noise = scheduler.step(model(noise, t).sample, t, noise).prev_sample
    check("trained, DDIM of 5 steps", load_file(samples)["samples"], noise.clamp(-1, 1))


def same(name, got, want):
    """Two state dicts with equal names, types and bits; transformers has two ways of naming."""
    global passed, failed
    got, want = ({k.replace("text_model.", ""): v for k, v in d.items()} for d in (got, want))
    wrong = sorted(got.keys() ^ want.keys()) or [k for k in want if got[k].dtype != want[k].dtype or not torch.equal(got[k], want[k])]
    if wrong:
        failed += 1
        print(f"FAILED {name}: {len(wrong)} tensors differ or are not in both, {wrong[:3]}")
    else:
        passed += 1


def stable_diffusion(folder, second, dtype):
    """A tiny pipeline as Stable Diffusion 1.x or 2.x, with random weights."""
    from diffusers import AutoencoderKL, StableDiffusionPipeline, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

    torch.manual_seed(2)
    down = ("CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D")
    unet = UNet2DConditionModel(sample_size=8, block_out_channels=(32, 64, 64), down_block_types=down, cross_attention_dim=32,
                                up_block_types=("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"), use_linear_projection=second,
                                attention_head_dim=(2, 4, 4) if second else 4)
    vae = AutoencoderKL(block_out_channels=(32, 64), down_block_types=("DownEncoderBlock2D",) * 2, up_block_types=("UpDecoderBlock2D",) * 2)
    tokenizer = CLIPTokenizer.from_pretrained(os.path.join(os.path.dirname(__file__), "../tests/data/tokenizer"))
    tokenizer.model_max_length = 16
    size = max(tokenizer.get_vocab().values()) + 1
    text = CLIPTextModel(CLIPTextConfig(hidden_size=32, intermediate_size=64, num_hidden_layers=3, num_attention_heads=4, vocab_size=size,
                                        max_position_embeddings=16, hidden_act="gelu" if second else "quick_gelu", projection_dim=32,
                                        bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id))
    for p in [*unet.parameters(), *vae.parameters(), *text.parameters()]:
        if p.ndim == 1:
            p.data += 0.3 * torch.randn_like(p)
    scheduler = DDIMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False, set_alpha_to_one=False, steps_offset=1,
                              prediction_type="v_prediction" if second else "epsilon")
    pipeline = StableDiffusionPipeline(vae=vae, text_encoder=text, tokenizer=tokenizer, unet=unet, scheduler=scheduler, safety_checker=None,
                                       feature_extractor=None, requires_safety_checker=False)
    pipeline.to(dtype).save_pretrained(folder)
    return pipeline


def single_files(folder):
    """Single files of Stable Diffusion: what brume writes, diffusers reads as the same weights; folders made of them draw the same."""
    try:
        from diffusers import StableDiffusionPipeline
        from diffusers.loaders import single_file_utils as theirs
    except ImportError as absent:
        print(f"single files skipped: {absent}")
        return
    for second, dtype in ((False, torch.float32), (True, torch.float16)):
        name = f"Stable Diffusion {1 + second}, {dtype}"
        start, file, out = (os.path.join(folder, f"single-{second}-{dtype}" + end) for end in ("", ".safetensors", "-out"))
        pipeline = stable_diffusion(start, second, dtype)
        brume("convert", start, "--to", "sd-single", "--out", file)
        single = load_file(file)
        same(name + ", unet", theirs.convert_ldm_unet_checkpoint(dict(single), dict(pipeline.unet.config)), pipeline.unet.state_dict())
        same(name + ", vae", theirs.convert_ldm_vae_checkpoint(dict(single), dict(pipeline.vae.config)), pipeline.vae.state_dict())
        text = theirs.convert_open_clip_checkpoint(pipeline.text_encoder, dict(single)) if second else theirs.convert_ldm_clip_checkpoint(dict(single))
        same(name + ", text encoder", text, pipeline.text_encoder.state_dict())
        brume("convert", file, out, "--text-heads", "4", "--tokenizer", os.path.join(start, "tokenizer"), "--image-size", "16",
              *(("--head-channels", "16") if second else ("--heads", "4")))
        again = StableDiffusionPipeline.from_pretrained(out, torch_dtype=dtype)
        for part in ("unet", "vae", "text_encoder"):
            same(name + ", back, " + part, getattr(again, part).state_dict(), getattr(pipeline, part).state_dict())
        noise, samples = torch.randn(1, 4, 8, 8), os.path.join(folder, "single-drawn.safetensors")
        save_file({"noise": noise}, os.path.join(folder, "single-noise.safetensors"))
        pipeline = StableDiffusionPipeline.from_pretrained(start).to(torch.float32)
        pipeline.set_progress_bar_config(disable=True)
        want = pipeline("a red circle", latents=noise, num_inference_steps=4, guidance_scale=3.0, height=16, width=16, output_type="pt").images * 2 - 1
        brume("sample", out, "--prompt", "a red circle", "--init-noise", os.path.join(folder, "single-noise.safetensors"), "--steps", "4", "--guidance", "3",
              "--save-tensors", samples)
        check(f"Stable Diffusion {1 + second}, drawn", load_file(samples)["samples"].clamp(-1, 1), want)

    # latent-diffusion without conditions: the same U-Net as guided-diffusion's, beside an autoencoder
    options, arguments = CASES["guided-equal-widths"]
    net = U(**{**options, "updown": False, "out": 4}).eval()
    net.input_blocks[0][0] = Cin(4, 32, 3, padding=1)
    latent = {"model.diffusion_model." + k: v.contiguous() for k, v in net.state_dict().items()}
    latent.update({k: v.float() for k, v in single.items() if k.startswith("first_stage_model.")})
    latent["betas"], latent["scale_factor"] = torch.linspace(0.0015**0.5, 0.0195**0.5, 1000, dtype=torch.float64)**2, torch.tensor(0.22)
    file, out = os.path.join(folder, "latent.safetensors"), os.path.join(folder, "latent")
    save_file(latent, file)
    brume("convert", file, out, *arguments)
    x, t = torch.randn(2, 4, 16, 16), torch.tensor([7, 901])
    check("latent-diffusion", load(out)(x, t).sample, net(x, t))
    config = DDIMScheduler.from_pretrained(out, subfolder="scheduler").config
    check("latent-diffusion, betas", torch.tensor([config.beta_start, config.beta_end]), torch.tensor([0.0015, 0.0195]))


def random_adapters(net, names, alpha):
    """A LoRA of peft on the named layers of a network, with values that matter."""
    from peft import LoraConfig

    net.add_adapter(LoraConfig(r=3, lora_alpha=alpha, target_modules=names, init_lora_weights=False), adapter_name="default")


def kohya_file(path):
    """Names of sd-scripts: attention, feed-forward, projection and, as with conv_dim, a 3x3 convolution."""
    block, tensors = "lora_unet_down_blocks_0_attentions_0", {}
    layers = {block + "_transformer_blocks_0_attn2_to_k": (8, 16, 1), block + "_transformer_blocks_0_ff_net_2": (8, 32, 1), block + "_proj_in": (8, 8, 1),
              "lora_unet_mid_block_resnets_0_conv1": (16, 16, 3), "lora_te_text_model_encoder_layers_0_self_attn_out_proj": (16, 16, 1)}
    for name, (o, i, k) in layers.items():
        conv = k > 1 or name.endswith("proj_in")
        tensors[name + ".lora_down.weight"] = torch.randn(2, i, k, k) * 0.3 if conv else torch.randn(2, i) * 0.3
        tensors[name + ".lora_up.weight"] = torch.randn(o, 2, 1, 1) * 0.3 if conv else torch.randn(o, 2) * 0.3
        tensors[name + ".alpha"] = torch.tensor(1.5)
    save_file(tensors, path)


def adapters(folder):
    """Files of adapters, written by brume, by diffusers and by hand, draw the same in diffusers and in brume."""
    sd = os.path.join(os.environ.get("BRUME_SHARED") or os.path.join(os.path.dirname(__file__), "../../shared"), "golden/models/pipeline-sd-tiny")
    try:
        import peft  # noqa: F401, which diffusers asks for
        from diffusers import StableDiffusionPipeline
        from peft.utils import get_peft_model_state_dict
    except ImportError as absent:
        print(f"adapters skipped: {absent}")
        return
    if not os.path.isdir(sd):
        print(f"adapters skipped: no {sd}")
        return
    noise = torch.randn(2, 4, 8, 8)
    noise_file, samples = os.path.join(folder, "latents.safetensors"), os.path.join(folder, "drawn.safetensors")
    save_file({"noise": noise}, noise_file)

    def pipeline(where=sd):
        p = StableDiffusionPipeline.from_pretrained(where, safety_checker=None)
        p.set_progress_bar_config(disable=True)
        return p

    def theirs(p):
        return p(["red"] * 2, latents=noise.clone(), num_inference_steps=4, guidance_scale=3.0, height=16, width=16, output_type="pt").images * 2 - 1

    def ours(*arguments):
        brume("sample", sd, "--prompt", "red", "--init-noise", noise_file, "--steps", "4", "--guidance", "3", "--save-tensors", samples, *arguments)
        return load_file(samples)["samples"].clamp(-1, 1)

    plain = theirs(pipeline())
    check("pipeline without adapters", ours(), plain)

    def compare(name, file, scale=None):
        p = pipeline()
        p.load_lora_weights(file, adapter_name="it")
        if scale:
            p.set_adapters("it", scale)
        want = theirs(p)
        if (want - plain).abs().max() < 0.01:
            raise AssertionError(f"{name} changes nothing: the comparison would say nothing")
        check(name, ours("--lora", f"{file}:{scale}" if scale else file), want)
        return want

    for form in ("diffusers", "kohya"):
        out, merged = os.path.join(folder, "lora-" + form), os.path.join(folder, "merged-" + form)
        brume("train", "--data", "shapes-text", "--cond", "text", "--init", sd, "--lora", "4", "--lora-alpha", "6", "--lora-targets", "both", "--lora-format",
              form, "--steps", "20", "--batch", "8", "--lr", "0.02", "--warmup", "0", "--ema", "0", "--samples", "0", "--out", out)
        want = compare("adapters trained, " + form, os.path.join(out, "pytorch_lora_weights.safetensors"))
        brume("convert", sd, "--merge-lora", out, "--out", merged)
        check("adapters merged, " + form, theirs(pipeline(merged)), want)
    compare("adapters trained, scaled", os.path.join(folder, "lora-diffusers/pytorch_lora_weights.safetensors"), 0.5)

    torch.manual_seed(1)
    p = pipeline()
    random_adapters(p.unet, ["to_q", "to_out.0", "ff.net.0.proj", "proj_in", "conv1", "time_emb_proj"], 5)
    random_adapters(p.text_encoder, ["k_proj", "out_proj", "fc2"], 2)
    configs = [dict(n.peft_config["default"].to_dict()) for n in (p.unet, p.text_encoder)]
    for c in configs:  # sets and enums, which JSON has not
        for k in c:
            c[k] = sorted(c[k]) if isinstance(c[k], set) else getattr(c[k], "value", c[k])
    p.save_lora_weights(os.path.join(folder, "theirs"), get_peft_model_state_dict(p.unet, adapter_name="default"),
                        get_peft_model_state_dict(p.text_encoder, adapter_name="default"), unet_lora_adapter_metadata=configs[0],
                        text_encoder_lora_adapter_metadata=configs[1])
    compare("adapters of diffusers", os.path.join(folder, "theirs/pytorch_lora_weights.safetensors"))
    kohya_file(os.path.join(folder, "kohya.safetensors"))
    compare("adapters of kohya", os.path.join(folder, "kohya.safetensors"))


def whole(kind, folder, sub):
    """A component of a folder; every key must be expected and there."""
    global passed, failed
    model, info = kind.from_pretrained(folder, subfolder=sub, output_loading_info=True)
    bad = {k: info[k] for k in ("missing_keys", "unexpected_keys") if info[k]}
    passed, failed = passed + (not bad), failed + bool(bad)
    if bad:
        print(f"FAILED {folder}/{sub}: {bad}")
    return model.eval()


def latent_pipeline(folder):
    """An autoencoder, then a text encoder and a U-Net on its latents, all trained a few steps, are a StableDiffusionPipeline that draws the same."""
    from diffusers import AutoencoderKL, StableDiffusionPipeline, UNet2DConditionModel
    from transformers import CLIPTextModel

    vae, out, samples = os.path.join(folder, "vae"), os.path.join(folder, "latent"), os.path.join(folder, "latent.safetensors")
    brume("train", "--task", "autoencoder", "--data", "shapes", "--steps", "3", "--batch", "4", "--out", vae)
    brume("train", "--data", "shapes-text", "--cond", "text", "--vae", vae, "--count", "64", "--batch", "4", "--samples", "0", "--steps", "3", "--out", out)
    for kind, sub in ((UNet2DConditionModel, "unet"), (AutoencoderKL, "vae"), (CLIPTextModel, "text_encoder")):
        whole(kind, out, sub)
    p = StableDiffusionPipeline.from_pretrained(out, safety_checker=None)
    p.scheduler = DDIMScheduler.from_config(p.scheduler.config)
    p.set_progress_bar_config(disable=True)
    size = p.unet.config.sample_size
    size = size if isinstance(size, (list, tuple)) else (size, size)
    noise, factor = torch.randn(2, p.unet.config.in_channels, *size), 2 ** (len(p.vae.config.block_out_channels) - 1)
    save_file({"noise": noise}, os.path.join(folder, "noise.safetensors"))
    brume("sample", out, "--prompt", "a red circle", "--init-noise", os.path.join(folder, "noise.safetensors"), "--sampler", "ddim", "--steps", "4",
          "--guidance", "3", "--save-tensors", samples)
    want = p(["a red circle"] * 2, latents=noise.clone(), num_inference_steps=4, guidance_scale=3.0, height=size[0] * factor, width=size[1] * factor,
             output_type="pt").images * 2 - 1
    check("trained autoencoder, text encoder and U-Net", load_file(samples)["samples"].clamp(-1, 1), want)


with tempfile.TemporaryDirectory() as temporary, torch.no_grad():
    latent_pipeline(temporary)
    converted(temporary)
    trained(temporary)
    single_files(temporary)
    adapters(temporary)
print(f"{passed} passed, {failed} failed")
sys.exit(failed != 0)
