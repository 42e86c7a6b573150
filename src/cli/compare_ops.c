/* SPDX-License-Identifier: MIT
 * brume compare ops: every op and its gradient on small shapes that no tile fits, as one graph. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "brume/ops.h"
#include "brume/plan.h"
#include "brume/rng.h"
#include "compare.h"

#define MOST 160

/* The graph, and what must be given values. */
struct ops { brume_graph *g; brume_tensor given[MOST]; int n; };

static brume_tensor give(struct ops *o, brume_tensor t)
{
    if (o->n < MOST) return o->given[o->n++] = t;
    return brume_graph_fail(o->g, BRUME_E_ARG, "compare ops: more than %d inputs", MOST);
}

/* Tensors by name: "positive ..." hold values from 0.5 to 1.5, "decay ..." 0.9, all others unit normal ones; integers count. */
static brume_tensor normal(struct ops *o, const char *name, brume_shape s)
{
    return give(o, brume_input(o->g, name, BRUME_F32, s));
}
static brume_tensor kept(struct ops *o, const char *name, brume_shape s)
{
    return give(o, brume_persistent(o->g, name, BRUME_F32, s));
}

/* The results of an op, and the gradients by its inputs of the sum of their products with fixed numbers. */
static void done(struct ops *o, brume_tensor y, int n, const brume_tensor *wrt)
{
    brume_graph *const g = o->g;
    char name[64];
    brume_tensor d[8];
    snprintf(name, sizeof name, "y%d", y);
    brume_output(g, y, name);
    if (n == 0) return;
    snprintf(name, sizeof name, "dy%d", y);
    brume_grad(g, y, normal(o, name, brume_tensor_shape(g, y)), n, wrt, d);
    for (int i = 0; i < n; i++) {
        if (d[i] == BRUME_NONE || d[i] == y) continue;
        snprintf(name, sizeof name, "d%d_%d", y, i);
        brume_output(g, d[i], name);
    }
}

static void done1(struct ops *o, brume_tensor y, brume_tensor x) { done(o, y, 1, &x); }

static void elementwise(struct ops *o)
{
    brume_graph *const g = o->g;
    static brume_tensor (*const any[])(brume_graph *, brume_tensor) = {
        brume_silu,  brume_relu,   brume_mish,    brume_gelu_erf, brume_gelu_tanh, brume_gelu_quick, brume_exp,
        brume_expm1, brume_square, brume_sigmoid, brume_tanh,     brume_sin,       brume_cos
    };
    static brume_tensor (*const two[])(brume_graph *, brume_tensor, brume_tensor) = { brume_add, brume_sub, brume_mul,
                                                                                      brume_div };
    const brume_shape s = BRUME_SHAPE(3, 7, 11);
    const brume_tensor x = normal(o, "x", s), p = normal(o, "positive p", s), row = normal(o, "positive row", BRUME_SHAPE(11));
    for (size_t i = 0; i < sizeof any / sizeof *any; i++) done1(o, any[i](g, x), x);
    done1(o, brume_log(g, p), p);
    done1(o, brume_sqrt(g, p), p);
    done1(o, brume_affine(g, x, 1.5f, -0.25f), x);
    done1(o, brume_clamp(g, x, -0.5f, 1.25f), x);
    for (size_t i = 0; i < sizeof two / sizeof *two; i++) {
        const brume_tensor in[2] = { x, i < 2 ? row : p };
        done(o, two[i](g, x, in[1]), 2, in);
    }
    done1(o, brume_stop_gradient(g, x), x);
    done(o, brume_constant(g, s, 0.75f), 0, NULL);
    const brume_tensor bins[3] = { normal(o, "bin x", BRUME_SHAPE(5, 9)), normal(o, "bin mean", BRUME_SHAPE(5, 9)),
                                   normal(o, "bin log std", BRUME_SHAPE(5, 9)) };
    done(o, brume_bin_log_prob(g, brume_clamp(g, bins[0], -1, 1), bins[1], bins[2]), 2, bins + 1);
    /* a chain of several */
    done1(o, brume_mul(g, brume_tanh(g, brume_affine(g, x, 0.5f, 0.1f)), brume_sigmoid(g, brume_add(g, x, p))), x);
}

static void shapes(struct ops *o)
{
    brume_graph *const g = o->g;
    const brume_tensor x = normal(o, "shape x", BRUME_SHAPE(3, 5, 7)), z = normal(o, "shape z", BRUME_SHAPE(3, 4, 7)),
                       parts[2] = { x, z };
    done(o, brume_concat(g, 2, parts, 1), 2, parts);
    done1(o, brume_slice(g, x, 1, 1, 3), x);
    done1(o, brume_pad(g, x, (const int64_t[]){ 0, 1, 2 }, (const int64_t[]){ 1, 0, 3 }), x);
    done1(o, brume_reshape(g, brume_silu(g, x), BRUME_SHAPE(15, 7)), x);
    done(o, brume_pack(g, 2, parts, (const int64_t[]){ 0, 110 }, 200), 2, parts);
    done1(o, brume_sum(g, x, 5, 0), x);
    done1(o, brume_mean(g, x, 2, 1), x);
    done(o, brume_l2_norm(g, x), 0, NULL);
    done(o, brume_cast(g, brume_cast(g, x, BRUME_F16), BRUME_F32), 0, NULL);
}

static void products(struct ops *o)
{
    brume_graph *const g = o->g;
    const brume_tensor a = normal(o, "linear x", BRUME_SHAPE(5, 33)), w = normal(o, "linear w", BRUME_SHAPE(33, 17)),
                       b = normal(o, "linear b", BRUME_SHAPE(17));
    const brume_tensor linear[3] = { a, w, b }, matrices[2] = { normal(o, "matrix a", BRUME_SHAPE(2, 9, 13)),
                                                                normal(o, "matrix b", BRUME_SHAPE(2, 13, 6)) };
    done(o, brume_linear(g, a, w, b), 3, linear);
    done(o, brume_matmul(g, matrices[0], matrices[1], 0, 0), 2, matrices);
    static const struct {
        int32_t kernel, stride;
        int64_t h, in, out;
    } convs[] = { { 3, 1, 11, 19, 21 }, { 3, 2, 9, 8, 5 }, { 1, 1, 7, 12, 16 }, { 5, 1, 9, 3, 4 } };
    for (size_t i = 0; i < sizeof convs / sizeof *convs; i++) {
        char name[3][32];
        for (int k = 0; k < 3; k++) snprintf(name[k], sizeof name[k], "conv %zu %c", i, "xwb"[k]);
        const int32_t k = convs[i].kernel, pad = k / 2;
        const brume_tensor in[3] = { normal(o, name[0], BRUME_SHAPE(2, convs[i].h, convs[i].h + 2, convs[i].in)),
                                     normal(o, name[1], BRUME_SHAPE(k, k, convs[i].in, convs[i].out)),
                                     normal(o, name[2], BRUME_SHAPE(convs[i].out)) };
        const brume_conv2d_params p = { .stride = convs[i].stride, .pad = { pad, pad, pad, pad } };
        done(o, brume_conv2d(g, in[0], in[1], in[2], BRUME_NONE, &p), 3, in);
    }
    const brume_tensor q = normal(o, "q", BRUME_SHAPE(2, 9, 32)), k = normal(o, "k", BRUME_SHAPE(2, 11, 32)),
                       v = normal(o, "v", BRUME_SHAPE(2, 11, 32)), qkv[3] = { q, k, v };
    done(o, brume_sdpa(g, q, k, v, 2, 0, 0.25f), 3, qkv);
    const brume_tensor both = normal(o, "geglu x", BRUME_SHAPE(5, 22)), t[3] = { q, k, v };
    done1(o, brume_geglu(g, both), both);
    done(o, brume_lincomb(g, 2, t + 1, normal(o, "coefficients", BRUME_SHAPE(2))), 2, t + 1);
}

static void norms(struct ops *o)
{
    brume_graph *const g = o->g;
    const brume_tensor x = normal(o, "norm x", BRUME_SHAPE(2, 5, 7, 24)), w = normal(o, "norm w", BRUME_SHAPE(24)),
                       b = normal(o, "norm b", BRUME_SHAPE(24)), in[3] = { x, w, b };
    done(o, brume_group_norm(g, x, w, b, 4, 1e-5f, BRUME_ACT_SILU), 3, in);
    done(o, brume_layer_norm(g, x, w, b, 1e-5f), 3, in);
    done1(o, brume_softmax(g, x), x);
    done1(o, brume_upsample_nearest(g, x, 10, 14), x);
    done1(o, brume_avg_pool2d(g, x), x);
    const brume_pool2d_params pool = { .kernel = { 3, 3 }, .stride = 2 };
    done(o, brume_max_pool2d(g, x, &pool), 0, NULL);
    done(o, brume_mean_pool2d(g, x, &pool), 0, NULL);
    const brume_tensor even = normal(o, "fir x", BRUME_SHAPE(2, 6, 8, 5));
    done1(o, brume_fir_downsample2(g, even), even);
    done1(o, brume_fir_upsample2(g, even), even);
}

static void tables(struct ops *o)
{
    brume_graph *const g = o->g;
    const brume_tensor table = normal(o, "table", BRUME_SHAPE(13, 10)),
                       ids = give(o, brume_input(g, "ids", BRUME_I32, BRUME_SHAPE(7)));
    done1(o, brume_embedding(g, table, ids), table);
    const brume_tensor t = normal(o, "positive t", BRUME_SHAPE(6)), w = normal(o, "frequencies", BRUME_SHAPE(8));
    done(o, brume_timestep_embedding(g, brume_affine(g, t, 400, 0), 20, 1, 0), 0, NULL);
    done(o, brume_fourier_embedding(g, t, w), 0, NULL);
    const brume_tensor x = normal(o, "loss x", BRUME_SHAPE(7, 10)), y = normal(o, "loss y", BRUME_SHAPE(7, 10)),
                       pair[2] = { x, y };
    done(o, brume_mse(g, x, y), 2, pair);
    done1(o, brume_cross_entropy(g, x, ids), x);
    const brume_tensor seeds = give(o, brume_input(g, "seeds", BRUME_I64, BRUME_SHAPE(3))),
                       step = give(o, brume_input(g, "step", BRUME_I32, BRUME_SCALAR));
    const brume_tensor drops = normal(o, "dropout x", BRUME_SHAPE(3, 50));
    done(o, brume_normal(g, seeds, step, 5, BRUME_SHAPE(3, 37)), 0, NULL);
    done(o, brume_uniform(g, seeds, step, 6, BRUME_SHAPE(3, 37)), 0, NULL);
    done1(o, brume_dropout(g, drops, 0.25f, seeds, step, 7), drops);
}

static void updates(struct ops *o)
{
    brume_graph *const g = o->g;
    const brume_shape s = BRUME_SHAPE(101);
    const brume_tensor gradient = normal(o, "gradient", s), scale = normal(o, "positive scale", BRUME_SCALAR);
    const brume_tensor param = kept(o, "param", s), m = kept(o, "m", s), v = kept(o, "positive v", s);
    const brume_tensor hyper = normal(o, "hyper", BRUME_SHAPE(7)), average = kept(o, "average", s);
    brume_adamw_update(g, param, m, v, gradient, hyper, scale, 1);
    brume_ema_update(g, average, param, normal(o, "decay", BRUME_SCALAR));
    brume_sgd_update(g, kept(o, "sgd param", s), kept(o, "sgd m", s), gradient, hyper, scale);
    brume_accumulate(g, kept(o, "sum", s), gradient, scale);
    brume_assign(g, kept(o, "copy", s), gradient);
    done(o, brume_clip_scale(g, scale, normal(o, "decay 2", BRUME_SCALAR)), 0, NULL);
}

static brume_status fill(brume_plan *p, const brume_graph *g, brume_tensor t, uint64_t seed)
{
    /* learning rate, betas, eps, decay, bias corrections */
    static const float hyper[] = { 1e-2f, 0.9f, 0.99f, 1e-8f, 0.01f, 0.5f, 0.3f };
    const char *name = brume_tensor_name(g, t);
    const int64_t n = brume_shape_numel(brume_tensor_shape(g, t));
    const brume_dtype type = brume_tensor_dtype(g, t);
    const size_t bytes = (size_t)(n * brume_dtype_bytes(type));
    float *x = malloc((size_t)n * 8);
    if (!x) return BRUME_E_MEMORY;
    brume_fill_normal(seed, (uint32_t)t, 0, 0, n, x);
    for (int64_t i = 0; i < n; i++) {
        if (type == BRUME_I32) ((int32_t *)x)[i] = (int32_t)i;
        else if (type == BRUME_I64) ((int64_t *)x)[i] = (int64_t)seed + i;
        else if (!strcmp(name, "hyper")) x[i] = hyper[i];
        else if (!strncmp(name, "decay", 5)) x[i] = 0.9f;
        else if (!strncmp(name, "positive", 8)) x[i] = 0.5f + (x[i] > 2 || x[i] < -2 ? 1 : x[i] * x[i] / 4);
    }
    const brume_status s = brume_plan_write(p, t, x, bytes);
    free(x);
    return s;
}

brume_status compare_ops(brume_device *d, const struct compare_args *a)
{
    static void (*const parts[])(struct ops *) = { elementwise, shapes, products, norms, tables, updates };
    struct ops o = { .g = brume_graph_new() };
    brume_plan *p = NULL;
    if (!o.g) return BRUME_E_MEMORY;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) parts[i](&o);
    brume_status s = brume_plan_new(d, o.g, NULL, &p);
    for (int i = 0; s == BRUME_OK && i < o.n; i++) s = fill(p, o.g, o.given[i], (uint64_t)a->seed);
    brume_compare_phase(d, "every op");
    if (s == BRUME_OK) s = brume_plan_run(p);
    brume_plan_free(p);
    brume_graph_free(o.g);
    return s;
}
