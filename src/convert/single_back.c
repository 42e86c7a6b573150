/* SPDX-License-Identifier: MIT
 * Folders of Stable Diffusion to single files. */
#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"
#include "brume/convert.h"
#include "brume/schedule.h"
#include "convert/autoencoder.h"
#include "convert/text.h"
#include "convert/unet.h"

enum { UNET, VAE, TEXT, PARTS };
static const struct { const char *sub, *stem, *root; } parts[PARTS] = {
    { "unet", "diffusion_pytorch_model", "model.diffusion_model." },
    { "vae", "diffusion_pytorch_model", "first_stage_model." },
    { "text_encoder", "model", "cond_stage_model." },
};

struct single {
    brume_weights *w[PARTS];
    struct brume_renaming part[PARTS];
    brume_unet2d_config unet;
    brume_autoencoder_config autoencoder;
    brume_text_encoder_config text;
    brume_scheduler_config scheduler;
    float scale, *betas, *alphas;      /* of the schedule, T values each */
};

static brume_status rename_part(struct single *s, const char *folder, const brume_convert_options *o, int k)
{
    struct brume_renaming *r = &s->part[k];
    *r = (struct brume_renaming){ .back = true, .keep_dtype = o->keep_dtype, .dtype = o->dtype };
    char *dir = brume_path_join(folder, parts[k].sub), *path = dir ? brume_path_join(dir, "config.json") : NULL;
    brume_status status = path ? BRUME_OK : brume_fail(BRUME_E_MEMORY, "%s: out of memory", folder);
    if (status == BRUME_OK && !brume_is_file(path))
        status =
            brume_fail(BRUME_E_IO, "%s is not there; a single file is made of a folder with unet, vae and text_encoder", path);
    if (status == BRUME_OK)
        status = k == UNET  ? brume_unet2d_config_read(path, &s->unet, NULL)
                 : k == VAE ? brume_autoencoder_config_read(path, &s->autoencoder, NULL)
                            : brume_text_encoder_config_read(path, &s->text, NULL);
    if (status == BRUME_OK) status = brume_weights_open(dir, parts[k].stem, o->variant, &s->w[k]);
    if (status == BRUME_OK) status = brume_renaming_begin(r, s->w[k], "a single file of Stable Diffusion", parts[k].root);
    if (status == BRUME_OK) {
        if (k == UNET) brume_convert_unet2d_back(r, &s->unet);
        else if (k == VAE) brume_convert_autoencoder_back(r, &s->autoencoder);
        else brume_convert_text_back(r, &s->text);
        status = r->status;
    }
    free(path);
    free(dir);
    return status;
}

/* What latent-diffusion keeps in buffers of its own: the schedule, and the scale of latents where it is not the usual one. */
static brume_status add_numbers(struct single *s, const char *folder)
{
    brume_schedule *schedule = NULL;
    char *dir = brume_path_join(folder, "scheduler"), *path = dir ? brume_path_join(dir, "scheduler_config.json") : NULL;
    brume_status status = path ? BRUME_OK : brume_fail(BRUME_E_MEMORY, "%s: out of memory", folder);
    if (s->autoencoder.scaling_factor != 0.18215) {
        s->scale = (float)s->autoencoder.scaling_factor;
        brume_renaming_add(&s->part[VAE], "scale_factor", 1, true, &s->scale);
    }
    if (status == BRUME_OK && brume_is_file(path)) {
        status = brume_scheduler_config_read(path, &s->scheduler, NULL);
        if (status == BRUME_OK && s->scheduler.process != BRUME_PROCESS_DISCRETE)
            status = brume_fail(BRUME_E_UNSUPPORTED, "%s: a %s has no counterpart in a single file of Stable Diffusion", path,
                                s->scheduler.class_name);
        if (status == BRUME_OK) status = brume_schedule_new(&s->scheduler, &schedule);
        const size_t T = schedule ? (size_t)schedule->T : 0;
        s->betas = malloc((T + 1) * sizeof *s->betas);
        s->alphas = malloc((T + 1) * sizeof *s->alphas);
        if (status == BRUME_OK && (!s->betas || !s->alphas)) status = brume_fail(BRUME_E_MEMORY, "out of memory for a schedule");
        for (size_t t = 0; t < T && status == BRUME_OK; t++) {
            s->betas[t] = (float)schedule->beta[t];
            s->alphas[t] = (float)brume_alpha_bar(schedule, (int32_t)t);
        }
        if (status == BRUME_OK) {
            brume_renaming_add(&s->part[UNET], "betas", (int64_t)T, false, s->betas);
            /* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): brume_convert_to_single() frees both */
            brume_renaming_add(&s->part[UNET], "alphas_cumprod", (int64_t)T, false, s->alphas);
        }
    }
    for (int k = 0; k < PARTS && status == BRUME_OK; k++) status = s->part[k].status;
    brume_schedule_free(schedule);
    free(path);
    free(dir);
    return status;
}

brume_status brume_convert_to_single(const char *folder, const char *file, const brume_convert_options *o, char note[512])
{
    struct single s = { .scale = 0 };
    note[0] = 0;
    brume_scheduler_config_default(&s.scheduler);
    brume_status status = BRUME_OK;
    for (int k = 0; k < PARTS && status == BRUME_OK; k++) status = rename_part(&s, folder, o, k);
    if (status == BRUME_OK) status = add_numbers(&s, folder);
    if (status == BRUME_OK) status = brume_renaming_write(s.part, PARTS, file);
    if (status == BRUME_OK)
        snprintf(note, 512,
                 "written as Stable Diffusion %s; not in it, as no such file holds them: the tokenizer, the number of heads, "
                 "what the network predicts and its image size",
                 s.text.hidden_act == BRUME_ACT_GELU_ERF ? "2.x (OpenCLIP)" : "1.x (CLIP)");
    for (int k = 0; k < PARTS; k++) {
        brume_renaming_free(&s.part[k]);
        brume_weights_close(s.w[k]);
    }
    brume_scheduler_config_clear(&s.scheduler);
    free(s.betas);
    free(s.alphas);
    return status;
}
