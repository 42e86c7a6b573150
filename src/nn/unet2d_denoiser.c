/* SPDX-License-Identifier: MIT
 * A UNet2DModel as the denoiser of a sampler, with classifier-free guidance and learned variances. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "brume/model.h"
#include "brume/params.h"
#include "brume/plan.h"

struct brume_unet2d_denoiser {
    brume_denoiser denoiser;
    brume_unet2d_config config;
    brume_graph *g;
    brume_plan *p;
    brume_tensor x, t, labels, out, variance; /* variance: BRUME_NONE if the network predicts none */
    int64_t images, batch;     /* N, and rows that the network sees: N, or 2 N with guidance */
    int32_t null_label;
    void *times;               /* batch f32, or i32 for a learned time embedding */
    void *label_rows;          /* batch labels in the network's type; NULL without */
};

double brume_guidance_from_w(double w) { return 1.0 + w; }

void brume_unet2d_denoiser_free(brume_unet2d_denoiser *n)
{
    if (!n) return;
    brume_plan_free(n->p);
    brume_graph_free(n->g);
    free(n->times);
    free(n->label_rows);
    free(n);
}

const brume_denoiser *brume_unet2d_denoiser_get(const brume_unet2d_denoiser *n) { return &n->denoiser; }

static brume_status predict(void *self, brume_buffer *x, const brume_level *level, brume_buffer *out, brume_buffer *variance)
{
    brume_unet2d_denoiser *n = self;
    const double t = level->t;
    const bool learned = n->config.time_embedding_type == BRUME_TIME_LEARNED;
    if (learned && !(t >= 0 && t < n->config.num_train_timesteps))
        return brume_fail(BRUME_E_ARG, "time %g is outside the model's learned time embedding, a table of %d rows: does the scheduler's config belong to it?",
                          t, n->config.num_train_timesteps);
    for (int64_t i = 0; i < n->batch; i++) {
        if (learned) ((int32_t *)n->times)[i] = (int32_t)t;
        else ((float *)n->times)[i] = (float)t;
    }
    brume_status s = brume_plan_bind(n->p, n->x, x);
    if (s == BRUME_OK) s = brume_plan_bind(n->p, n->out, out);
    if (s == BRUME_OK && variance) s = brume_plan_bind(n->p, n->variance, variance);
    if (s == BRUME_OK) s = brume_plan_write(n->p, n->t, n->times, (size_t)n->batch * 4);
    return s == BRUME_OK ? brume_plan_run(n->p) : s;
}

/* Rows [uncond, cond] with guidance, else cond alone. */
brume_status brume_unet2d_denoiser_set_labels(brume_unet2d_denoiser *n, const int32_t *labels)
{
    if (!n->label_rows) return brume_fail(BRUME_E_ARG, "labels given, but the model has no class embedding");
    if (!labels) return brume_fail(BRUME_E_ARG, "the model has a class embedding, so labels must be given");
    const bool as_float = brume_tensor_dtype(n->g, n->labels) == BRUME_F32;
    for (int64_t i = 0; i < n->batch; i++) {
        const int32_t label = i < n->batch - n->images ? n->null_label : labels[i % n->images];
        if (n->config.class_embed_type == BRUME_CLASS_TABLE && (label < 0 || label >= n->config.num_class_embeds))
            return brume_fail(BRUME_E_ARG, "class %d is outside 0 .. %d, the classes of the model", label, n->config.num_class_embeds - 1);
        if (as_float) ((float *)n->label_rows)[i] = (float)label;
        else ((int32_t *)n->label_rows)[i] = label;
    }
    return brume_plan_write(n->p, n->labels, n->label_rows, (size_t)n->batch * 4);
}

static brume_status build(brume_unet2d_denoiser *n, brume_device *d, const float *params, brume_shape images, const brume_unet2d_denoiser_options *o)
{
    const brume_unet2d_config *c = &n->config;
    const brume_dtype time_type = c->time_embedding_type == BRUME_TIME_LEARNED ? BRUME_I32 : BRUME_F32;
    brume_graph *g = n->g = brume_graph_new();
    if (!g) return brume_fail(BRUME_E_MEMORY, "out of memory for a denoiser");
    const brume_tensor slab = brume_slab(g, "params");
    n->x = brume_input(g, "x", BRUME_F32, images);
    n->t = brume_input(g, "t", time_type, BRUME_SHAPE(n->batch));
    n->labels = BRUME_NONE;
    if (n->label_rows) n->labels = brume_input(g, "labels", c->class_embed_type == BRUME_CLASS_TABLE ? BRUME_I32 : time_type, BRUME_SHAPE(n->batch));
    const bool guided = n->batch != n->images;
    brume_tensor x = n->x, coef = BRUME_NONE;
    if (guided) {
        coef = brume_input(g, "guidance", BRUME_F32, BRUME_SHAPE(2));
        x = brume_concat(g, 2, (brume_tensor[]){ x, x }, 0);
    }
    brume_tensor y = brume_unet2d(g, c, slab, x, n->t, n->labels, NULL);
    if (n->denoiser.has_variance) { /* channels [prediction, variance]; guidance leaves the conditional variance alone */
        brume_tensor v = brume_slice(g, y, 3, c->in_channels, c->in_channels);
        if (guided) v = brume_slice(g, v, 0, n->images, n->images);
        y = brume_slice(g, y, 3, 0, c->in_channels);
        n->variance = brume_persistent(g, "variance", BRUME_F32, images);
        brume_assign(g, n->variance, v);
    }
    if (guided) {
        const brume_tensor parts[2] = { brume_slice(g, y, 0, 0, n->images), brume_slice(g, y, 0, n->images, n->images) };
        y = brume_lincomb(g, 2, parts, coef);
    }
    n->out = brume_persistent(g, "prediction", BRUME_F32, brume_tensor_shape(g, y));
    brume_assign(g, n->out, y);
    brume_status s = brume_graph_status(g);
    if (s != BRUME_OK) return brume_fail(s, "%s", brume_graph_error(g));
    const brume_tensor elsewhere[] = { n->x, n->out, o->weights ? slab : BRUME_NONE, BRUME_NONE };
    const brume_plan_options options = { .elsewhere = elsewhere, .repack = o->weights != NULL, .drop_packed = 1, .arena = o->arena };
    s = brume_plan_new(d, g, &options, &n->p);
    if (s == BRUME_OK && o->weights) s = brume_plan_bind(n->p, slab, o->weights);
    else if (s == BRUME_OK) s = brume_plan_write(n->p, slab, params, (size_t)brume_params_numel(g, slab) * sizeof *params);
    /* e_u + S (e_c - e_u) */
    const float weights[2] = { (float)(1.0 - o->guidance_scale), (float)o->guidance_scale };
    return s == BRUME_OK && guided ? brume_plan_write(n->p, coef, weights, sizeof weights) : s;
}

static brume_status check(const brume_unet2d_config *c, brume_shape images, const brume_unet2d_denoiser_options *o)
{
    if (images.ndim != 4) return brume_fail(BRUME_E_SHAPE, "a denoiser's images must be (N, H, W, C)");
    if (c->out_channels != c->in_channels && c->out_channels != 2 * c->in_channels)
        return brume_fail(BRUME_E_UNSUPPORTED, "the model has %d input and %d output channels; a denoiser needs the same number, or twice with a learned "
                                               "variance", c->in_channels, c->out_channels);
    if (c->class_embed_type == BRUME_CLASS_IDENTITY)
        return brume_fail(BRUME_E_UNSUPPORTED, "a denoiser takes class numbers; this model's class embedding is \"identity\"");
    if (c->class_embed_type != BRUME_CLASS_NONE && !o->labels)
        return brume_fail(BRUME_E_ARG, "the model has a class embedding, so labels must be given");
    if (c->class_embed_type == BRUME_CLASS_NONE && o->labels) return brume_fail(BRUME_E_ARG, "labels given, but the model has no class embedding");
    if (c->class_embed_type == BRUME_CLASS_NONE && o->guidance_scale != 1.0)
        return brume_fail(BRUME_E_ARG, "guidance needs a model with a class embedding; this one is unconditional");
    return brume_unet2d_config_check(c);
}

brume_status brume_unet2d_denoiser_new(brume_device *d, const brume_unet2d_config *c, const float *params, brume_shape images,
                                       const brume_unet2d_denoiser_options *o, brume_unet2d_denoiser **out)
{
    *out = NULL;
    brume_status s = check(c, images, o);
    if (s != BRUME_OK) return s;
    brume_unet2d_denoiser *n = calloc(1, sizeof *n);
    if (!n) return brume_fail(BRUME_E_MEMORY, "out of memory for a denoiser");
    n->config = *c;
    n->null_label = o->null_label;
    n->images = images.d[0];
    n->batch = o->guidance_scale == 1.0 ? n->images : 2 * n->images;
    n->denoiser = (brume_denoiser){ .self = n, .predict = predict, .prediction_type = o->prediction_type,
                                    .has_variance = c->out_channels == 2 * c->in_channels };
    n->times = calloc((size_t)n->batch, 4);
    if (o->labels) n->label_rows = calloc((size_t)n->batch, 4);
    if (!n->times || (o->labels && !n->label_rows)) s = brume_fail(BRUME_E_MEMORY, "out of memory for a denoiser");
    if (s == BRUME_OK) s = build(n, d, params, images, o);
    if (s == BRUME_OK && o->labels) s = brume_unet2d_denoiser_set_labels(n, o->labels);
    if (s != BRUME_OK) brume_unet2d_denoiser_free(n);
    else *out = n;
    return s;
}

void brume_unet2d_denoiser_get_stats(const brume_unet2d_denoiser *n, brume_plan_stats *stats) { brume_plan_get_stats(n->p, stats); }

brume_plan *brume_unet2d_denoiser_plan(brume_unet2d_denoiser *n) { return n->p; }
