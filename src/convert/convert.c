/* SPDX-License-Identifier: MIT
 * From a file of another program to a folder: recognises the layout, renames, writes configs and weights. */
#include "brume/convert.h"

#include <stdio.h>
#include <string.h>

#include "convert/folder.h"
#include "convert/lucidrains.h"
#include "convert/single.h"
#include "convert/unet.h"

/* A layout is recognised by a tensor that only it has, behind one of the prefixes that training programs put in front. */
static const char *const roots[] = { "", "module.", "model.", "ema_model.", "ema_model.model.", "model.model." };

static const char *root_of(const brume_weights *w, const char *name)
{
    for (size_t i = 0; i < sizeof roots / sizeof *roots; i++) {
        char full[128];
        snprintf(full, sizeof full, "%s%s", roots[i], name);
        if (brume_weights_find(w, full)) return roots[i];
    }
    return NULL;
}

/* The schedule is not in the file. A network with twice the channels has learned its variance between the two fixed ones. */
static brume_status scheduler_for(const brume_unet2d_config *u, const brume_convert_options *o, brume_scheduler_config *c)
{
    char text[256];
    snprintf(text, sizeof text,
             "{\"_class_name\": \"DDPMScheduler\", \"num_train_timesteps\": %d, \"beta_schedule\": \"%.40s\", "
             "\"prediction_type\": \"%.40s\", \"variance_type\": \"%s\"}",
             o->timesteps ? o->timesteps : 1000, o->schedule ? o->schedule : "linear", o->prediction ? o->prediction : "epsilon",
             u->out_channels == 2 * u->in_channels ? "learned_range" : "fixed_large");
    return brume_scheduler_config_parse(text, strlen(text), "scheduler", c, NULL);
}

static bool holds_single(const brume_weights *w)
{
    return brume_weights_find(w, BRUME_CONVERT_SINGLE_UNET "input_blocks.0.0.weight") ||
           brume_weights_find(w, BRUME_CONVERT_SINGLE_UNET "time_embed.0.weight");
}

static brume_status convert_unet(const brume_weights *w, const char *root, const char *folder, const brume_convert_options *o,
                                 char note[512])
{
    struct brume_renaming r = { .keep_dtype = o->keep_dtype, .dtype = o->dtype };
    brume_unet2d_config u;
    brume_scheduler_config scheduler;
    brume_scheduler_config_default(&scheduler);
    if (brume_renaming_begin(&r, w, "guided-diffusion", root) == BRUME_OK) brume_convert_unet2d(&r, o, &u);
    brume_status s = r.status;
    if (s == BRUME_OK) s = scheduler_for(&u, o, &scheduler);
    if (s == BRUME_OK) {
        const struct brume_convert_pipeline p = { .unet = &u, .unet_weights = &r, .scheduler = &scheduler };
        s = brume_convert_write_folder(&p, folder);
    }
    if (s == BRUME_OK)
        snprintf(note, 512,
                 "read as guided-diffusion: %d levels, %d layers, %d to %d channels%s; %s schedule of %d steps%s, %s%s", u.levels,
                 u.layers_per_block, u.in_channels, u.out_channels, u.num_class_embeds ? ", classes" : "",
                 scheduler.beta_schedule, scheduler.num_train_timesteps, o->schedule ? "" : " (assumed)",
                 u.out_channels == 2 * u.in_channels ? "learned variance" : "fixed variance (assumed)",
                 o->image_size ? "" : "; no --image-size given");
    brume_scheduler_config_clear(&scheduler);
    brume_renaming_free(&r);
    return s;
}

brume_status brume_convert_to_folder(const char *file, const char *folder, const brume_convert_options *o, char note[512])
{
    brume_weights *w = NULL;
    const char *root;
    note[0] = 0;
    if (o->heads < 0 || o->head_channels < 0 || o->text_heads < 0 || o->image_size < 0 || o->timesteps < 0 ||
        (o->heads && o->head_channels))
        return brume_fail(
            BRUME_E_ARG,
            "heads, channels of a head, image size and time steps must not be negative, and heads are given one way");
    brume_status s = brume_weights_open(file, "model", NULL, &w);
    if (s != BRUME_OK) return s;
    if (holds_single(w)) s = brume_convert_single(w, folder, o, note);
    else if ((root = root_of(w, "input_blocks.0.0.weight"))) s = convert_unet(w, root, folder, o, note);
    else if ((root = root_of(w, "downs.0.0.block1.proj.weight")) || (root = root_of(w, "downs.0.0.block2.proj.weight")) ||
             (root = root_of(w, "downs.0.0.block1.block.0.weight"))) s = brume_convert_lucidrains(w, root, folder, o, note);
    else
        s = brume_fail(
            BRUME_E_FORMAT,
            "%s: not a layout that brume knows; looked for 'input_blocks.0.0.weight' (guided-diffusion, improved-diffusion), "
            "'model.diffusion_model.input_blocks.0.0.weight' (latent-diffusion, Stable Diffusion) and "
            "'downs.0.0.block1.proj.weight' (denoising-diffusion-pytorch)",
            file);
    brume_weights_close(w);
    return s;
}
