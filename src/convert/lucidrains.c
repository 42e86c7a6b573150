/* SPDX-License-Identifier: MIT
 * The Unet of denoising-diffusion-pytorch 2.x: its config from names and shapes; the weights keep both. */
#include "convert/lucidrains.h"

#include <stdio.h>
#include <string.h>

#include "brume/params.h"
#include "convert/folder.h"
#include "convert/schedule.h"

/* Buffers of GaussianDiffusion beside the network, and of the moving average beside that. */
static const char *const idle[] = { "betas", "alphas_cumprod", "alphas_cumprod_prev", "sqrt_alphas_cumprod",
                                    "sqrt_one_minus_alphas_cumprod", "log_one_minus_alphas_cumprod", "sqrt_recip_alphas_cumprod",
                                    "sqrt_recipm1_alphas_cumprod", "posterior_variance", "posterior_log_variance_clipped",
                                    "posterior_mean_coef1", "posterior_mean_coef2", "loss_weight", "initted", "step" };

static bool begins(const char *name, const char *with) { return !strncmp(name, with, strlen(with)); }

static int32_t size(struct brume_renaming *r, int axis, const char *fmt, int i)
{
    char name[96];
    snprintf(name, sizeof name, fmt, i);
    return (int32_t)brume_renaming_size(r, name, axis);
}

/* Attention of a level: linear attention has a norm behind it. */
static void infer_attention(struct brume_renaming *r, brume_unet2d_config *c, int i)
{
    const bool full =
        !brume_renaming_find(r, "downs.%d.2.to_out.1.g", i) && !brume_renaming_find(r, "downs.%d.2.to_out.0.weight", i);
    c->full_attention[i] = full;
    c->level_attention_heads[i] = size(r, 1, "downs.%d.2.mem_kv", i);
    c->level_head_dim[i] = size(r, full ? 3 : 2, "downs.%d.2.mem_kv", i);
}

static void infer(struct brume_renaming *r, const brume_convert_options *o, brume_unet2d_config *c)
{
    brume_unet2d_config_default(c);
    c->architecture = BRUME_ARCHITECTURE_LUCIDRAINS;
    /* Two tensors are asked for, so that a file without one of them has it named as missing. */
    while (c->levels < BRUME_UNET2D_MAX_LEVELS && (brume_renaming_find(r, "downs.%d.0.block1.proj.weight", c->levels) ||
                                                   brume_renaming_find(r, "downs.%d.0.block2.proj.weight", c->levels)))
        c->levels++;
    if (brume_renaming_find(r, "downs.0.0.block1.norm.weight") || brume_renaming_find(r, "downs.0.0.block1.block.0.weight")) {
        brume_renaming_fail(
            r, BRUME_E_UNSUPPORTED,
            "tensor '%sdowns.0.0.block1.%s' has no counterpart: this is an older release, with group norms; brume builds "
            "the Unet of 2.x",
            r->their_root, brume_renaming_find(r, "downs.0.0.block1.norm.weight") ? "norm.weight" : "block.0.weight");
        return;
    }
    for (int i = 0; i < c->levels && r->status == BRUME_OK; i++) {
        c->block_out_channels[i] = size(r, 0, i < c->levels - 1 ? "downs.%d.3.1.weight" : "downs.%d.3.weight", i);
        infer_attention(r, c, i);
    }
    c->num_mem_kv = size(r, 2, "mid_attn.mem_kv", 0);
    c->time_embedding_dim = size(r, 0, "time_mlp.3.weight", 0);
    c->dim = c->time_embedding_dim / 4;
    if (c->time_embedding_dim == 4 * c->dim) c->time_embedding_dim = 0;
    if (brume_renaming_find(r, "time_mlp.0.weights")) c->learned_sinusoidal_dim = 2 * size(r, 0, "time_mlp.0.weights", 0);
    const int32_t first = size(r, 0, "init_conv.weight", 0), channels = size(r, 1, "init_conv.weight", 0);
    if (first != c->dim) c->init_dim = first;
    c->out_channels = size(r, 0, "final_conv.weight", 0);
    /* With its own estimate beside it the input has twice the channels; a result of as many or, with a learned variance, twice as
     * many channels */
    c->self_condition =
        channels % 2 == 0 && (c->out_channels == channels / 2 || (c->out_channels == channels && o->self_condition));
    c->in_channels = c->self_condition ? channels / 2 : channels;
    c->sample_size[0] = c->sample_size[1] = o->image_size;
    if (r->status == BRUME_OK && brume_unet2d_config_check(c) != BRUME_OK)
        brume_renaming_fail(r, BRUME_E_UNSUPPORTED, "as %s: %s", brume_unet2d_class_name(c), brume_error());
}

/* Every parameter of the network has its tensor under the same name and in the same shape. */
static void take_all(struct brume_renaming *r, const brume_unet2d_config *c)
{
    brume_graph *g = brume_graph_new();
    const int64_t side = brume_unet2d_multiple(c);
    const brume_tensor slab = brume_slab(g, "params");
    const brume_unet2d_inputs in = brume_unet2d_declare_inputs(g, c, 1, side, side, 0);
    brume_unet2d(g, c, slab, &in, NULL);
    if (g && brume_graph_status(g) == BRUME_OK) { /* else it has some parameters only */
        for (int i = 0; i < brume_param_count(g, slab); i++) brume_renaming_take(r, brume_param_at(g, slab, i)->name);
        brume_renaming_complete(r, brume_unet2d_class_name(c));
    }
    brume_renaming_compare(r, g, slab, brume_unet2d_class_name(c));
}

/* Beside the network there may be buffers and, where moving averages are taken, what was trained. */
static brume_status check_others(const brume_weights *w, const char *root)
{
    for (int64_t i = 0; i < brume_weights_count(w); i++) {
        const char *name = brume_weights_at(w, i)->name, *last = strrchr(name, '.');
        bool known = begins(name, root) || begins(name, "online_model.");
        last = last ? last + 1 : name;
        for (size_t k = 0; k < sizeof idle / sizeof *idle && !known; k++) known = root[0] && !strcmp(last, idle[k]);
        if (!known)
            return brume_fail(
                BRUME_E_UNSUPPORTED,
                "%s, read as denoising-diffusion-pytorch: tensor '%s' is no part of '%s...', and brume does not know it",
                brume_weights_file(w, 0), name, root);
    }
    return BRUME_OK;
}

/* "sigmoid" and "cosine" as that program calls them. */
static const char *schedule_name(const char *name)
{
    return !name || !strcmp(name, "sigmoid") ? "sigmoid_alpha_bar" : !strcmp(name, "cosine") ? "squaredcos_cap_v2" : name;
}

static brume_status make_scheduler(const brume_weights *w, const char *root, const brume_unet2d_config *u,
                                   const brume_convert_options *o, brume_scheduler_config *c)
{
    char text[256], betas[64];
    size_t used = strlen(root);
    snprintf(text, sizeof text,
             "{\"_class_name\": \"DDPMScheduler\", \"beta_schedule\": \"%.40s\", \"prediction_type\": \"%.40s\", "
             "\"variance_type\": \"%s\"}",
             schedule_name(o->schedule), o->prediction ? o->prediction : "v_prediction",
             u->out_channels == 2 * u->in_channels ? "learned_range" : "fixed_small");
    const brume_status s = brume_scheduler_config_parse(text, strlen(text), "scheduler", c, NULL);
    if (used >= 6 && !strcmp(root + used - 6, "model.")) used -= 6; /* of the network within GaussianDiffusion */
    snprintf(betas, sizeof betas, "%.*sbetas", (int)used, root);
    return s == BRUME_OK ? brume_convert_betas(w, betas, o->timesteps, o->schedule != NULL, c) : s;
}

brume_status brume_convert_lucidrains(const brume_weights *w, const char *root, const char *folder,
                                      const brume_convert_options *o, char note[512])
{
    struct brume_renaming r = { .keep_dtype = o->keep_dtype, .dtype = o->dtype, .below_root = true };
    brume_unet2d_config u;
    brume_scheduler_config scheduler;
    brume_scheduler_config_default(&scheduler);
    if (brume_renaming_begin(&r, w, "denoising-diffusion-pytorch", root) == BRUME_OK) infer(&r, o, &u);
    if (r.status == BRUME_OK) take_all(&r, &u);
    brume_status s = r.status;
    if (s == BRUME_OK) s = check_others(w, root);
    if (s == BRUME_OK) s = make_scheduler(w, root, &u, o, &scheduler);
    if (s == BRUME_OK) {
        const struct brume_convert_pipeline p = { .unet = &u, .unet_weights = &r, .scheduler = &scheduler };
        s = brume_convert_write_folder(&p, folder);
    }
    if (s == BRUME_OK)
        snprintf(note, 512,
                 "read as denoising-diffusion-pytorch: %d levels from %d, %d to %d channels%s%s; predicts %s%s, %s schedule of "
                 "%d steps%s%s",
                 u.levels, u.init_dim ? u.init_dim : u.dim, u.in_channels, u.out_channels,
                 u.self_condition ? ", self-conditioned (brume gives it zeros)" : "",
                 u.learned_sinusoidal_dim ? ", learned frequencies of time" : "",
                 scheduler.prediction_type == BRUME_PREDICT_V     ? "v"
                 : scheduler.prediction_type == BRUME_PREDICT_EPS ? "epsilon"
                                                                  : "x0",
                 o->prediction ? "" : " (assumed)", scheduler.beta_schedule, scheduler.num_train_timesteps,
                 o->schedule ? "" : " (found or assumed)", o->image_size ? "" : "; no --image-size given");
    brume_scheduler_config_clear(&scheduler);
    brume_renaming_free(&r);
    return s;
}
