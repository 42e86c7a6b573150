/* SPDX-License-Identifier: MIT
 * brume convert: model files of other programs as diffusers folders. */
#include <stdio.h>
#include <string.h>

#include "brume/convert.h"
#include "commands.h"
#include "options.h"

int cmd_convert(int argc, char **argv)
{
    static const char *const examples[] = { "brume convert 64x64_diffusion.safetensors imagenet64 --head-channels 64 --schedule squaredcos_cap_v2 --image-size 64",
                                            "brume convert cifar10_uncond.safetensors cifar --heads 4 --dtype f16", NULL };
    static const char *const dtypes[] = { "keep", "f32", "f16", "bf16", NULL };
    static const brume_st_dtype types[] = { BRUME_ST_F32, BRUME_ST_F32, BRUME_ST_F16, BRUME_ST_BF16 };
    const struct cli_usage u = { "convert", "FILE.safetensors FOLDER",
                                 "Writes the U-Net of a state dict of improved-diffusion or guided-diffusion (saved as safetensors) as a diffusers folder with a "
                                 "UNet2DModel. A tensor that has no counterpart there is refused by name; docs/interchange.md lists what maps to what.",
                                 examples, 2, 2 };
    brume_convert_options o = { 0 };
    int64_t heads = 0, head_channels = 0, image_size = 0, timesteps = 1000;
    int dtype = 0, new_order = 0, quiet = 0;
    struct cli_option options[] = {
        OPT_INT("heads", &heads, 0, 4096, "N", "attention heads of every level (improved-diffusion: 4); or"),
        OPT_INT("head-channels", &head_channels, 0, 65536, "N", "channels of each head (guided-diffusion: 64)"),
        OPT_FLAG("new-attention-order", &new_order, "use_new_attention_order of guided-diffusion: q, k, v before the heads"),
        OPT_INT("image-size", &image_size, 0, 65536, "N", "height and width that the model was made for; 0: not told"),
        OPT_STRING("schedule", &o.schedule, "NAME", "beta_schedule: linear (if not given), squaredcos_cap_v2 (cosine), ..."),
        OPT_INT("timesteps", &timesteps, 1, 1000000, "N", "time steps of training"),
        OPT_STRING("prediction", &o.prediction, "NAME", "epsilon (if not given), sample or v_prediction"),
        OPT_CHOICE("dtype", &dtype, dtypes, "type of the weights: as in the file (keep), f32, f16, bf16"),
        OPT_FLAG("quiet", &quiet, "no messages"),
        { 0 } };
    const char *args[2] = { NULL, NULL };
    int n = 0;
    char note[512];
    const int status = cli_parse(&u, options, argc, argv, args, &n);
    if (status != CLI_GO_ON) return status;
    if (heads && head_channels) return cli_wrong(&u, "give --heads or --head-channels, not both");
    o.heads = (int32_t)heads;
    o.head_channels = (int32_t)head_channels;
    o.new_attention_order = new_order;
    o.image_size = (int32_t)image_size;
    o.timesteps = (int32_t)timesteps;
    o.keep_dtype = dtype == 0;
    o.dtype = types[dtype];
    if (brume_convert_to_folder(args[0], args[1], &o, note) != BRUME_OK) return cli_failed();
    if (!quiet) fprintf(stderr, "%s\nwritten %s\n", note, args[1]);
    return CLI_DONE;
}
