/* SPDX-License-Identifier: MIT
 * Single files of latent-diffusion and Stable Diffusion 1.x and 2.x (Rombach et al. 2022) to folders. */
#include "convert/single.h"

#include <stdio.h>
#include <string.h>

#include "convert/autoencoder.h"
#include "convert/folder.h"
#include "convert/schedule.h"
#include "convert/text.h"
#include "convert/unet.h"

enum { UNET, VAE, TEXT, PARTS };
static const char *const roots[PARTS] = { BRUME_CONVERT_SINGLE_UNET, "first_stage_model.", "cond_stage_model." };
static const char averages[] = "model_ema.";

/* What training programs leave in a file that is no weight of a network. */
static const char *const idle[] = { "betas", "alphas_cumprod", "alphas_cumprod_prev", "sqrt_alphas_cumprod",
                                    "sqrt_one_minus_alphas_cumprod", "log_one_minus_alphas_cumprod", "sqrt_recip_alphas_cumprod",
                                    "sqrt_recipm1_alphas_cumprod", "posterior_variance", "posterior_log_variance_clipped",
                                    "posterior_mean_coef1", "posterior_mean_coef2", "lvlb_weights", "logvar", "scale_factor",
                                    "global_step", "epoch", NULL };

struct single {
    const brume_weights *w;
    const brume_convert_options *o;
    bool has[PARTS], averaged;           /* averaged: moving averages are there */
    struct brume_renaming part[PARTS];
    brume_unet2d_config unet;
    brume_autoencoder_config autoencoder;
    brume_text_encoder_config text;
    brume_scheduler_config scheduler;
    brume_tokenizer *tokenizer;
    const char *layout;
};

static bool begins(const char *name, const char *with) { return !strncmp(name, with, strlen(with)); }

/* Every tensor must belong to a part or say nothing. */
static brume_status sort_tensors(struct single *s)
{
    for (int64_t i = 0; i < brume_weights_count(s->w); i++) {
        const char *name = brume_weights_at(s->w, i)->name;
        bool known = begins(name, averages);
        s->averaged |= known;
        for (int k = 0; k < PARTS; k++)
            if (begins(name, roots[k])) known = s->has[k] = true;
        for (int k = 0; idle[k] && !known; k++) known = !strcmp(name, idle[k]);
        if (!known)
            return brume_fail(BRUME_E_UNSUPPORTED,
                              "%s, read as latent-diffusion: tensor '%s' belongs to none of '%s', '%s' and '%s'",
                              brume_weights_file(s->w, 0), name, roots[UNET], roots[VAE], roots[TEXT]);
    }
    if (s->o->averages && !s->averaged)
        return brume_fail(BRUME_E_ARG, "%s holds no moving averages ('%s...')", brume_weights_file(s->w, 0), averages);
    return BRUME_OK;
}

static brume_status rename_part(struct single *s, int k)
{
    struct brume_renaming *r = &s->part[k];
    *r = (struct brume_renaming){ .below_root = true, .keep_dtype = s->o->keep_dtype, .dtype = s->o->dtype,
                                  .averages = k == UNET && s->o->averages ? averages : NULL };
    if (!s->has[k] || brume_renaming_begin(r, s->w, s->layout, roots[k]) != BRUME_OK) return r->status;
    if (k == UNET) brume_convert_unet2d(r, s->o, &s->unet);
    else if (k == VAE) brume_convert_autoencoder(r, &s->autoencoder);
    else brume_convert_text(r, s->o, &s->text);
    return r->status;
}

static brume_status make_scheduler(struct single *s)
{
    char text[512];
    /* the model of 768 pixels; inpainting is epsilon */
    const bool v = s->unet.use_linear_projection && s->unet.in_channels == s->unet.out_channels;
    snprintf(text, sizeof text,
             "{\"_class_name\": \"DDIMScheduler\", \"beta_schedule\": \"%.40s\", \"beta_start\": 0.00085, \"beta_end\": 0.012, "
             "\"clip_sample\": false, \"set_alpha_to_one\": false, \"steps_offset\": 1, \"prediction_type\": \"%.40s\"}",
             s->o->schedule ? s->o->schedule : "scaled_linear",
             s->o->prediction ? s->o->prediction
             : v              ? "v_prediction"
                              : "epsilon");
    const brume_status status = brume_scheduler_config_parse(text, strlen(text), "scheduler", &s->scheduler, NULL);
    return status == BRUME_OK ? brume_convert_betas(s->w, "betas", s->o->timesteps, s->o->schedule != NULL, &s->scheduler)
                              : status;
}

/* What the tensors do not tell about sizes and scales. */
static brume_status finish_configs(struct single *s)
{
    double scale;
    const int32_t image = s->o->image_size                                  ? s->o->image_size
                          : !s->has[TEXT]                                   ? 0
                          : s->scheduler.prediction_type == BRUME_PREDICT_V ? 768
                                                                            : 512;
    if (s->has[VAE]) {
        const int32_t factor = (int32_t)brume_autoencoder_factor(&s->autoencoder);
        s->autoencoder.sample_size = image ? image : s->autoencoder.sample_size;
        s->unet.sample_size[0] = s->unet.sample_size[1] = image / factor;
        if (brume_convert_value(s->w, "scale_factor", 0, &scale)) s->autoencoder.scaling_factor = scale;
        if (s->autoencoder.latent_channels != s->unet.out_channels)
            return brume_fail(BRUME_E_FORMAT, "%s: the network makes %d channels, the autoencoder takes %d",
                              brume_weights_file(s->w, 0), s->unet.out_channels, s->autoencoder.latent_channels);
    }
    if (s->has[TEXT] && s->text.hidden_size != brume_unet2d_context_dim(&s->unet))
        return brume_fail(BRUME_E_FORMAT, "%s: the text encoder gives vectors of %d, the network reads %lld",
                          brume_weights_file(s->w, 0), s->text.hidden_size, (long long)brume_unet2d_context_dim(&s->unet));
    if (!s->tokenizer) return BRUME_OK;
    if (!s->has[TEXT])
        return brume_fail(BRUME_E_ARG, "%s has no text encoder, so no tokenizer belongs to it", brume_weights_file(s->w, 0));
    if (brume_tokenizer_vocab_size(s->tokenizer) > s->text.vocab_size)
        return brume_fail(BRUME_E_ARG,
                          "the tokenizer makes ids up to %d, but the text encoder knows %d: they do not belong together",
                          brume_tokenizer_vocab_size(s->tokenizer) - 1, s->text.vocab_size);
    s->text.bos_token_id = brume_tokenizer_start_id(s->tokenizer);
    s->text.eos_token_id = brume_tokenizer_end_id(s->tokenizer);
    return brume_tokenizer_max_length(s->tokenizer) > s->text.max_position_embeddings
        ? brume_tokenizer_set_max_length(s->tokenizer, s->text.max_position_embeddings) : BRUME_OK;
}

static void describe(const struct single *s, char note[512])
{
    const brume_unet2d_config *u = &s->unet;
    char heads[48] = "";
    if (u->architecture == BRUME_ARCHITECTURE_CONDITION)
        snprintf(heads, sizeof heads, ", %d heads at level 0%s",
                 u->level_attention_heads[0] ? u->level_attention_heads[0] : u->attention_head_dim,
                 s->o->heads || s->o->head_channels ? "" : " (assumed)");
    snprintf(note, 512, "read as %s: %s of %d levels%s%s%s; predicts %s%s; %s%s%s", s->layout, brume_unet2d_class_name(u),
             u->levels, heads, s->has[VAE] ? ", autoencoder" : "", s->has[TEXT] ? ", text encoder" : "",
             s->scheduler.prediction_type == BRUME_PREDICT_V     ? "v"
             : s->scheduler.prediction_type == BRUME_PREDICT_EPS ? "epsilon"
                                                                 : "x0",
             s->o->prediction ? "" : " (assumed)", s->scheduler.beta_schedule,
             s->averaged && !s->o->averages ? "; left out moving averages (--ema takes them)" : "",
             !s->has[TEXT] || s->tokenizer
                 ? ""
                 : "; the folder has no tokenizer, which a single file does not hold: it reads no prompts until one is given "
                   "(--tokenizer DIR)");
}

brume_status brume_convert_single(const brume_weights *w, const char *folder, const brume_convert_options *o, char note[512])
{
    struct single s = { .w = w, .o = o, .layout = "latent-diffusion" };
    brume_scheduler_config_default(&s.scheduler);
    brume_status status = sort_tensors(&s);
    if (status == BRUME_OK && s.has[TEXT]) s.layout = "Stable Diffusion";
    if (status == BRUME_OK && o->tokenizer) status = brume_tokenizer_load(o->tokenizer, &s.tokenizer);
    for (int k = 0; k < PARTS && status == BRUME_OK; k++) status = rename_part(&s, k);
    if (status == BRUME_OK) status = make_scheduler(&s);
    if (status == BRUME_OK) status = finish_configs(&s);
    const struct brume_convert_pipeline p = { .unet = &s.unet, .unet_weights = &s.part[UNET], .scheduler = &s.scheduler,
                                              .autoencoder = s.has[VAE] ? &s.autoencoder : NULL,
                                              .autoencoder_weights = &s.part[VAE], .text_encoder = s.has[TEXT] ? &s.text : NULL,
                                              .text_encoder_weights = &s.part[TEXT], .tokenizer = s.tokenizer };
    if (status == BRUME_OK) status = brume_convert_write_folder(&p, folder);
    if (status == BRUME_OK) describe(&s, note);
    for (int k = 0; k < PARTS; k++) brume_renaming_free(&s.part[k]);
    brume_scheduler_config_clear(&s.scheduler);
    brume_tokenizer_free(s.tokenizer);
    return status;
}
