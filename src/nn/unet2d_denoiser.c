/* SPDX-License-Identifier: MIT
 * A U-Net as the denoiser of a sampler, with classifier-free guidance and learned variances. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "base/pool.h"
#include "brume/model.h"
#include "brume/params.h"
#include "brume/plan.h"
#include "brume/safetensors.h"
#include "nn/guidance.h"

/* The network planned for some rows: N, or 2 N with guidance; or with its derivative. */
struct network {
    brume_graph *g;
    brume_plan *p;
    int64_t rows;
    brume_tensor slab, x, t, labels, context, weights, out, variance; /* BRUME_NONE: not there */
    brume_tensor v, product;                                 /* of the derivative: out^T v by x */
};

struct brume_unet2d_denoiser {
    brume_denoiser denoiser;
    brume_unet2d_config config;
    brume_guidance guidance;
    struct network plain, guided; /* plain is missing where guidance applies everywhere, guided where nowhere */
    struct network adjoint;       /* plain with its derivative; only if asked for */
    brume_buffer *params;         /* NULL where the one network owns them, or the caller */
    int64_t images;
    int32_t null_label;
    int64_t context_row;       /* values of the context per image, 0: none */
    void *times;               /* 2 N f32, or i32 for a learned time embedding */
    void *label_rows;          /* 2 N labels in the network's type, [null, label]; NULL without */
};

static void network_free(struct network *w)
{
    brume_plan_free(w->p);
    brume_graph_free(w->g);
}

void brume_unet2d_denoiser_free(brume_unet2d_denoiser *n)
{
    if (!n) return;
    network_free(&n->plain);
    network_free(&n->guided);
    network_free(&n->adjoint);
    brume_buffer_free(n->params);
    free(n->times);
    free(n->label_rows);
    free(n);
}

const brume_denoiser *brume_unet2d_denoiser_get(const brume_unet2d_denoiser *n) { return &n->denoiser; }

/* Binds and writes what every call has. */
static brume_status ready(brume_unet2d_denoiser *n, struct network *w, brume_buffer *x, const brume_level *level,
                          brume_buffer *out)
{
    const bool learned = n->config.time_embedding_type == BRUME_TIME_LEARNED;
    if (learned && !(level->t >= 0 && level->t < n->config.num_train_timesteps))
        return brume_fail(BRUME_E_ARG,
                          "time %g is outside the model's learned time embedding, a table of %d rows: does the scheduler's "
                          "config belong to it?",
                          level->t, n->config.num_train_timesteps);
    for (int64_t i = 0; i < w->rows; i++) {
        if (learned) ((int32_t *)n->times)[i] = (int32_t)level->t;
        else ((float *)n->times)[i] = (float)level->t;
    }
    brume_status s = brume_plan_bind(w->p, w->x, x);
    if (s == BRUME_OK) s = brume_plan_bind(w->p, w->out, out);
    return s == BRUME_OK ? brume_plan_write(w->p, w->t, n->times, (size_t)w->rows * 4) : s;
}

static brume_status predict(void *self, brume_buffer *x, const brume_level *level, brume_buffer *out, brume_buffer *variance)
{
    brume_unet2d_denoiser *n = self;
    struct network *w = brume_guidance_applies(&n->guidance, level) ? &n->guided : &n->plain;
    brume_status s = ready(n, w, x, level, out);
    if (s == BRUME_OK && variance) s = brume_plan_bind(w->p, w->variance, variance);
    return s == BRUME_OK ? brume_plan_run(w->p) : s;
}

static brume_status vjp(void *self, brume_buffer *x, const brume_level *level, brume_buffer *v, brume_buffer *m,
                        brume_buffer *out)
{
    brume_unet2d_denoiser *n = self;
    struct network *w = &n->adjoint;
    brume_status s = ready(n, w, x, level, m);
    if (s == BRUME_OK) s = brume_plan_bind(w->p, w->v, v);
    if (s == BRUME_OK) s = brume_plan_bind(w->p, w->product, out);
    return s == BRUME_OK ? brume_plan_run(w->p) : s;
}

brume_status brume_unet2d_denoiser_set_labels(brume_unet2d_denoiser *n, const int32_t *labels)
{
    if (!n->label_rows) return brume_fail(BRUME_E_ARG, "labels given, but the model has no class embedding");
    if (!labels) return brume_fail(BRUME_E_ARG, "the model has a class embedding, so labels must be given");
    const struct network *any = n->guided.p ? &n->guided : &n->plain;
    const bool as_float = brume_tensor_dtype(any->g, any->labels) == BRUME_F32;
    for (int64_t i = 0; i < 2 * n->images; i++) {
        const int32_t label = i < n->images ? n->null_label : labels[i - n->images];
        if (n->config.class_embed_type == BRUME_CLASS_TABLE && (label < 0 || label >= n->config.num_class_embeds) &&
            (i >= n->images || n->guided.p))
            return brume_fail(BRUME_E_ARG, "class %d is outside 0 .. %d, the classes of the model", label,
                              n->config.num_class_embeds - 1);
        if (as_float) ((float *)n->label_rows)[i] = (float)label;
        else ((int32_t *)n->label_rows)[i] = label;
    }
    brume_status s = BRUME_OK;
    if (n->guided.p) s = brume_plan_write(n->guided.p, n->guided.labels, n->label_rows, (size_t)(2 * n->images) * 4);
    struct network *const alone[] = { &n->plain, &n->adjoint };
    for (int i = 0; i < 2 && s == BRUME_OK; i++)
        if (alone[i]->p)
            s = brume_plan_write(alone[i]->p, alone[i]->labels, (const char *)n->label_rows + (size_t)n->images * 4,
                                 (size_t)n->images * 4);
    return s;
}

brume_status brume_unet2d_denoiser_set_context(brume_unet2d_denoiser *n, const float *context, const float *null_context,
                                               bool null_context_each)
{
    if (!n->context_row) return brume_fail(BRUME_E_ARG, "a context given, but the model has no cross-attention");
    if (!context) return brume_fail(BRUME_E_ARG, "the model has cross-attention, so a context must be given");
    if (n->guided.p && !null_context)
        return brume_fail(BRUME_E_ARG,
                          "guidance compares a context with null_context, say of an empty prompt, which must be given");
    const size_t row = (size_t)n->context_row * sizeof *context, all = row * (size_t)n->images;
    brume_status s = BRUME_OK;
    if (n->guided.p) { /* [uncond, cond] */
        brume_buffer *to = brume_plan_buffer(n->guided.p, n->guided.context);
        for (int64_t i = 0; i < n->images && s == BRUME_OK; i++)
            s = brume_buffer_write(to, row * (size_t)i, null_context + (null_context_each ? i * n->context_row : 0), row);
        if (s == BRUME_OK) s = brume_buffer_write(to, all, context, all);
    }
    struct network *const alone[] = { &n->plain, &n->adjoint };
    for (int i = 0; i < 2 && s == BRUME_OK; i++)
        if (alone[i]->p) s = brume_plan_write(alone[i]->p, alone[i]->context, context, all);
    return s;
}

/* Guidance at some noise levels alone takes two networks, and the derivative one of its own: they read one copy of the
 * parameters. */
static bool both(const brume_unet2d_denoiser_options *o) { return o->guidance.scale != 1 && o->guidance.sigma_hi > 0; }
static bool shared_weights(const brume_unet2d_denoiser_options *o) { return o->weights || o->derivative || both(o); }

static bool half_weights(const brume_unet2d_denoiser_options *o) { return o->storage == BRUME_STORAGE_F16 && !o->weights; }

static brume_status build(brume_unet2d_denoiser *n, struct network *w, brume_device *d, brume_shape images,
                          const brume_unet2d_denoiser_options *o)
{
    const bool guided = w == &n->guided, adjoint = w == &n->adjoint;
    const brume_unet2d_config *c = &n->config;
    const brume_dtype time_type = c->time_embedding_type == BRUME_TIME_LEARNED ? BRUME_I32 : BRUME_F32;
    brume_graph *g = w->g = brume_graph_new();
    if (!g) return brume_fail(BRUME_E_MEMORY, "out of memory for a denoiser");
    w->rows = guided ? 2 * n->images : n->images;
    w->slab = brume_slab(g, "params");
    w->x = brume_input(g, "x", BRUME_F32, images);
    w->t = brume_input(g, "t", time_type, BRUME_SHAPE(w->rows));
    w->labels = w->context = w->variance = w->weights = w->v = w->product = BRUME_NONE;
    if (n->label_rows)
        w->labels =
            brume_input(g, "labels", c->class_embed_type == BRUME_CLASS_TABLE ? BRUME_I32 : time_type, BRUME_SHAPE(w->rows));
    if (n->context_row)
        w->context = brume_input(g, "context", BRUME_F32, BRUME_SHAPE(w->rows, o->tokens, brume_unet2d_context_dim(c)));
    if (guided) w->weights = brume_input(g, "guidance", BRUME_F32, BRUME_SHAPE(2));
    const brume_tensor x = guided ? brume_concat(g, 2, (brume_tensor[]){ w->x, w->x }, 0) : w->x;
    const brume_unet2d_inputs in = { .x = x, .t = w->t, .labels = w->labels, .context = w->context };
    brume_tensor y = brume_unet2d(g, c, w->slab, &in, NULL);
    if (n->denoiser.has_variance) { /* channels [prediction, variance]; guidance leaves the conditional variance alone */
        brume_tensor v = brume_slice(g, y, 3, c->in_channels, c->in_channels);
        if (guided) v = brume_slice(g, v, 0, n->images, n->images);
        y = brume_slice(g, y, 3, 0, c->in_channels);
        if (!adjoint) {
            w->variance = brume_persistent(g, "variance", BRUME_F32, images);
            brume_assign(g, w->variance, v);
        }
    }
    if (guided) y = brume_guided(g, y, w->weights, n->guidance.rescale);
    w->out = brume_persistent(g, "prediction", BRUME_F32, images);
    if (adjoint) {
        brume_tensor dx = BRUME_NONE;
        w->v = brume_input(g, "v", BRUME_F32, images);
        w->product = brume_persistent(g, "product", BRUME_F32, images);
        brume_grad(g, y, w->v, 1, &w->x, &dx);
        brume_assign(g, w->product, dx);
    }
    brume_assign(g, w->out, y);
    if (o->storage == BRUME_STORAGE_F16) brume_store_half(g, half_weights(o) ? w->slab : BRUME_NONE);
    brume_status s = brume_graph_status(g);
    if (s != BRUME_OK) return brume_fail(s, "%s", brume_graph_error(g));
    brume_tensor elsewhere[6] = { w->x, w->out };
    int bound = 2;
    if (shared_weights(o)) elsewhere[bound++] = w->slab;
    if (adjoint) elsewhere[bound++] = w->v, elsewhere[bound++] = w->product;
    elsewhere[bound] = BRUME_NONE;
    const brume_plan_options options = { .elsewhere = elsewhere, .repack = o->weights != NULL,
                                         .drop_packed = !shared_weights(o), .arena = o->arena };
    s = brume_plan_new(d, g, &options, &w->p);
    float weights[2];
    brume_guidance_weights(n->guidance.scale, weights);
    return s == BRUME_OK && guided ? brume_plan_write(w->p, w->weights, weights, sizeof weights) : s;
}

#define PIECE (1 << 20) /* values that are made f16 at a time */
#define NARROW 65536    /* by one task */

struct narrowing { const float *x; uint16_t *y; int64_t n; };

static void narrow(void *ctx, int64_t task, int thread)
{
    (void)thread;
    const struct narrowing *j = ctx;
    const int64_t end = (task + 1) * NARROW < j->n ? (task + 1) * NARROW : j->n;
    for (int64_t i = task * NARROW; i < end; i++) j->y[i] = brume_f32_to_f16(j->x[i]);
}

/* In pieces: no second copy of all weights on the host. */
static brume_status write_half(brume_buffer *to, const brume_param_info *p, const float *x, uint16_t *half, brume_pool *pool)
{
    const int64_t count = brume_shape_numel(p->shape);
    brume_status s = BRUME_OK;
    for (int64_t i = 0; i < count && s == BRUME_OK; i += PIECE) {
        struct narrowing j = { x + i, half, count - i < PIECE ? count - i : PIECE };
        brume_pool_run(pool, (j.n + NARROW - 1) / NARROW, narrow, &j);
        s = brume_buffer_write(to, (size_t)(p->offset + i) * sizeof *half, half, (size_t)j.n * sizeof *half);
    }
    return s;
}

/* One parameter after the other, so that a source needs room for the largest only. */
static brume_status fill(const struct network *any, brume_buffer *to, const float *params, const brume_unet2d_denoiser_options *o)
{
    const int count = brume_param_count(any->g, any->slab);
    int64_t most = 1;
    for (int i = 0; i < count; i++) {
        const int64_t n = brume_shape_numel(brume_param_at(any->g, any->slab, i)->shape);
        if (n > most) most = n;
    }
    float *one = params ? NULL : malloc((size_t)most * sizeof *one);
    uint16_t *half = half_weights(o) ? malloc(PIECE * sizeof *half) : NULL;
    brume_pool *pool = NULL; /* without threads it only takes longer */
    if (half && most > PIECE && brume_pool_new(0, &pool) != BRUME_OK) pool = NULL;
    brume_status s = (params || one) && (!half_weights(o) || half)
                         ? BRUME_OK
                         : brume_fail(BRUME_E_MEMORY, "out of memory for a denoiser's parameters");
    for (int i = 0; i < count && s == BRUME_OK; i++) {
        const brume_param_info *p = brume_param_at(any->g, any->slab, i);
        const float *x = params ? params + p->offset : one;
        if (!params) s = o->source.read(o->source.ctx, p, i, one);
        if (s != BRUME_OK) break;
        s = half ? write_half(to, p, x, half, pool)
                 : brume_buffer_write(to, (size_t)p->offset * sizeof *x, x, (size_t)brume_shape_numel(p->shape) * sizeof *x);
    }
    brume_pool_free(pool);
    free(half);
    free(one);
    return s;
}

static brume_status write_params(brume_unet2d_denoiser *n, brume_device *d, const float *params,
                                 const brume_unet2d_denoiser_options *o)
{
    struct network *const all[] = { &n->plain, &n->guided, &n->adjoint };
    struct network *any = n->guided.p ? &n->guided : &n->plain;
    if (!shared_weights(o)) return fill(any, brume_plan_buffer(any->p, any->slab), params, o);
    const size_t bytes = (size_t)brume_params_numel(any->g, any->slab) * (half_weights(o) ? sizeof(uint16_t) : sizeof *params);
    brume_status s = o->weights ? BRUME_OK : brume_buffer_new(d, bytes, &n->params);
    if (s == BRUME_OK && !o->weights) s = fill(any, n->params, params, o);
    for (int i = 0; i < 3 && s == BRUME_OK; i++)
        if (all[i]->p) s = brume_plan_bind(all[i]->p, all[i]->slab, o->weights ? o->weights : n->params);
    return s;
}

static brume_status check(const brume_unet2d_config *c, brume_shape images, const brume_unet2d_denoiser_options *o)
{
    if (images.ndim != 4) return brume_fail(BRUME_E_SHAPE, "a denoiser's images must be (N, H, W, C)");
    const brume_status s = brume_unet2d_config_check(c);
    if (s != BRUME_OK) return s;
    if (c->architecture == BRUME_ARCHITECTURE_CLASSIFIER)
        return brume_fail(
            BRUME_E_ARG,
            "the model is a classifier of noisy images, which draws nothing itself: give it to brume sample as --classifier");
    if (c->out_channels != c->in_channels && c->out_channels != 2 * c->in_channels)
        return brume_fail(
            BRUME_E_UNSUPPORTED,
            "the model has %d input and %d output channels; a denoiser needs the same number, or twice with a learned "
            "variance",
            c->in_channels, c->out_channels);
    if (c->class_embed_type == BRUME_CLASS_IDENTITY || c->class_embed_type >= BRUME_CLASS_PROJECTION)
        return brume_fail(
            BRUME_E_UNSUPPORTED,
            "a denoiser takes class numbers; this model's class embedding takes vectors (\"identity\" or a projection)");
    if (c->class_embed_type != BRUME_CLASS_NONE && !o->labels)
        return brume_fail(BRUME_E_ARG, "the model has a class embedding, so labels must be given");
    if (c->class_embed_type == BRUME_CLASS_NONE && o->labels)
        return brume_fail(BRUME_E_ARG, "labels given, but the model has no class embedding");
    const bool reads = brume_unet2d_context_dim(c) > 0;
    if (reads && !o->context) return brume_fail(BRUME_E_ARG, "the model has cross-attention, so a context must be given");
    if (!reads && o->context) return brume_fail(BRUME_E_ARG, "a context given, but the model has no cross-attention");
    if (reads && o->tokens < 1)
        return brume_fail(BRUME_E_ARG, "a context needs at least one token per image, got %lld", (long long)o->tokens);
    if (c->class_embed_type == BRUME_CLASS_NONE && !reads && o->guidance.scale != 1.0)
        return brume_fail(BRUME_E_ARG,
                          "guidance needs a model with a class embedding or cross-attention; this one is unconditional");
    if (o->derivative && o->guidance.scale != 1.0)
        return brume_fail(BRUME_E_UNSUPPORTED,
                          "the derivative is that of a network without guidance; its scale must be 1, got %g", o->guidance.scale);
    return brume_guidance_check(&o->guidance);
}

brume_status brume_unet2d_denoiser_new(brume_device *d, const brume_unet2d_config *c, const float *params, brume_shape images,
                                       const brume_unet2d_denoiser_options *o, brume_unet2d_denoiser **out)
{
    *out = NULL;
    brume_status s = check(c, images, o);
    if (s == BRUME_OK && !params && !o->weights && !o->source.read)
        s = brume_fail(BRUME_E_ARG, "a denoiser needs parameters: on the host, in a buffer or from a source");
    if (s != BRUME_OK) return s;
    brume_unet2d_denoiser *n = calloc(1, sizeof *n);
    if (!n) return brume_fail(BRUME_E_MEMORY, "out of memory for a denoiser");
    n->config = *c;
    n->guidance = o->guidance;
    n->null_label = o->null_label;
    n->images = images.d[0];
    n->context_row = o->tokens * brume_unet2d_context_dim(c);
    n->denoiser = (brume_denoiser){ .self = n, .predict = predict, .prediction_type = o->prediction_type,
                                    .has_variance = c->out_channels == 2 * c->in_channels, .vjp = o->derivative ? vjp : NULL };
    n->times = calloc((size_t)(2 * n->images), 4);
    if (o->labels) n->label_rows = calloc((size_t)(2 * n->images), 4);
    if (!n->times || (o->labels && !n->label_rows)) s = brume_fail(BRUME_E_MEMORY, "out of memory for a denoiser");
    if (s == BRUME_OK && o->guidance.scale != 1) s = build(n, &n->guided, d, images, o);
    if (s == BRUME_OK && (o->guidance.scale == 1 || both(o))) s = build(n, &n->plain, d, images, o);
    if (s == BRUME_OK && o->derivative) s = build(n, &n->adjoint, d, images, o);
    if (s == BRUME_OK) s = write_params(n, d, params, o);
    if (s == BRUME_OK && o->labels) s = brume_unet2d_denoiser_set_labels(n, o->labels);
    if (s == BRUME_OK && o->context) s = brume_unet2d_denoiser_set_context(n, o->context, o->null_context, o->null_context_each);
    if (s != BRUME_OK) brume_unet2d_denoiser_free(n);
    else *out = n;
    return s;
}

void brume_unet2d_denoiser_get_stats(const brume_unet2d_denoiser *n, brume_plan_stats *stats)
{
    brume_plan_get_stats(n->guided.p ? n->guided.p : n->plain.p, stats);
}

brume_plan *brume_unet2d_denoiser_plan(brume_unet2d_denoiser *n) { return n->guided.p ? n->guided.p : n->plain.p; }
