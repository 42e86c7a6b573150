/* SPDX-License-Identifier: MIT
 * brume convert: model files of other programs as diffusers folders, and back. */
#include <stdio.h>
#include <string.h>

#include "brume/convert.h"
#include "brume/model.h"
#include "commands.h"
#include "lora_list.h"
#include "options.h"

/* A model folder again, with adapters merged into its weights. */
static int merge(const char *from, const char *variant, const struct cli_list *loras, const char *to, int quiet)
{
    brume_model *m = NULL;
    brume_status s = brume_model_load(from, variant, &m);
    if (s == BRUME_OK && m->note[0] && !quiet) fprintf(stderr, "%s\n", m->note);
    if (s == BRUME_OK) s = cli_lora_merge(loras, m, quiet);
    if (s == BRUME_OK) s = brume_model_save(m, to);
    brume_model_free(m);
    if (s != BRUME_OK) return cli_failed();
    if (!quiet) fprintf(stderr, "written %s\n", to);
    return CLI_DONE;
}

int cmd_convert(int argc, char **argv)
{
    static const char *const examples[] = {
        "brume convert 64x64_diffusion.safetensors imagenet64 --head-channels 64 --schedule squaredcos_cap_v2 --image-size 64",
        "brume convert cifar10_uncond.safetensors cifar --heads 4 --dtype f16",
        "brume convert v1-5-pruned.safetensors sd15 --tokenizer clip-vit-large-patch14",
        "brume convert sd15 --to sd-single --out back.safetensors",
        "brume convert sd15 --merge-lora style.safetensors:0.8 --out styled",
        NULL
    };
    static const char *const dtypes[] = { "keep", "f32", "f16", "bf16", NULL };
    static const brume_st_dtype types[] = { BRUME_ST_F32, BRUME_ST_F32, BRUME_ST_F16, BRUME_ST_BF16 };
    static const char *const targets[] = { "folder", "sd-single", NULL };
    const struct cli_usage u = { "convert",
                                 "FILE.safetensors FOLDER",
                                 "Writes a state dict of improved-diffusion, guided-diffusion or denoising-diffusion-pytorch, or "
                                 "a single file of latent-diffusion or Stable Diffusion (all saved as safetensors), as a "
                                 "diffusers folder; with --to sd-single a folder of Stable Diffusion as a single file; with "
                                 "--merge-lora a folder with other weights. A tensor that has no counterpart is refused by name; "
                                 "docs/interchange.md lists what maps to what.",
                                 examples,
                                 1,
                                 2,
                                 NULL };
    brume_convert_options o = { 0 };
    int64_t heads = 0, head_channels = 0, text_heads = 0, image_size = 0, timesteps = 0;
    int dtype = 0, new_order = 0, quiet = 0, to = 0, ema = 0, self_condition = 0;
    const char *out = NULL;
    struct cli_list loras = { .n = 0 };
    struct cli_option options[] = {
        OPT_CHOICE("to", &to, targets, "what is written: a folder, or from one a single file of Stable Diffusion"),
        OPT_STRING("out", &out, "PATH", "the result, instead of a second argument"),
        OPT_INT("heads", &heads, 0, 4096, "N",
                "attention heads of every level (improved-diffusion: 4, Stable Diffusion 1.x: 8); or"),
        OPT_INT("head-channels", &head_channels, 0, 65536, "N",
                "channels of each head (guided-diffusion, Stable Diffusion 2.x: 64)"),
        OPT_INT("text-heads", &text_heads, 0, 4096, "N", "attention heads of the text encoder; 0: of 64 channels each"),
        OPT_STRING("tokenizer", &o.tokenizer, "DIR", "tokenizer that goes into the folder of a single file, which holds none"),
        OPT_FLAG("ema", &ema, "the network's moving averages, of single files that have them"),
        OPT_STRING("variant", &o.variant, "NAME", "which weights of a folder: fp16, ..."),
        OPT_FLAG("new-attention-order", &new_order, "use_new_attention_order of guided-diffusion: q, k, v before the heads"),
        OPT_FLAG("self-condition", &self_condition,
                 "of denoising-diffusion-pytorch: half of the input is for an estimate of x0, where the channels do not tell"),
        OPT_INT("image-size", &image_size, 0, 65536, "N", "height and width that the model was made for; 0: not told"),
        OPT_STRING("schedule", &o.schedule, "NAME",
                   "beta_schedule: linear, squaredcos_cap_v2 (cosine), ...; of denoising-diffusion-pytorch sigmoid, cosine, "
                   "linear; if not given, what the file tells or its program does"),
        OPT_INT("timesteps", &timesteps, 0, 1000000, "N", "time steps of training; 0: what the file tells, or 1000"),
        OPT_STRING("prediction", &o.prediction, "NAME",
                   "epsilon, sample or v_prediction; if not given, epsilon, but v_prediction of Stable Diffusion 2.x and "
                   "denoising-diffusion-pytorch"),
        OPT_CHOICE("dtype", &dtype, dtypes, "type of the weights: as in the file (keep), f32, f16, bf16"),
        OPT_LIST("merge-lora", &loras, "FILE[:SCALE]",
                 "of a model folder: add low-rank adapters of diffusers or kohya to the weights; may be given again"),
        OPT_FLAG("quiet", &quiet, "no messages"),
        { 0 }
    };
    const char *args[2] = { NULL, NULL };
    int n = 0;
    char note[512];
    const int status = cli_parse(&u, options, argc, argv, args, &n);
    if (status != CLI_GO_ON) return status;
    if (heads && head_channels) return cli_wrong(&u, "give --heads or --head-channels, not both");
    if ((n == 2) == (out != NULL))
        return cli_wrong(&u, out ? "give the result once, as an argument or with --out"
                                 : "give the result: a second argument or --out PATH");
    if (!out) out = args[1];
    if (loras.n && to) return cli_wrong(&u, "--merge-lora writes a folder; make a single file of that in a second call");
    if (loras.n) return merge(args[0], o.variant, &loras, out, quiet);
    o.heads = (int32_t)heads;
    o.text_heads = (int32_t)text_heads;
    o.averages = ema;
    o.self_condition = self_condition;
    o.head_channels = (int32_t)head_channels;
    o.new_attention_order = new_order;
    o.image_size = (int32_t)image_size;
    o.timesteps = (int32_t)timesteps;
    o.keep_dtype = dtype == 0;
    o.dtype = types[dtype];
    const brume_status s =
        to == 0 ? brume_convert_to_folder(args[0], out, &o, note) : brume_convert_to_single(args[0], out, &o, note);
    if (s != BRUME_OK) return cli_failed();
    if (!quiet) fprintf(stderr, "%s\nwritten %s\n", note, out);
    return CLI_DONE;
}
