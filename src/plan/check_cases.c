/* SPDX-License-Identifier: MIT
 * Every op once or more, on small shapes whose edges are no multiples of tiles, with gradients: what brume devices --check
 * computes. */
#include <stdio.h>

#include "brume/ops.h"
#include "plan/known.h"

struct cases { brume_graph *g; int n; };

static brume_tensor named(struct cases *c, brume_tensor (*make)(brume_graph *, const char *, brume_dtype, brume_shape),
                          brume_dtype t, brume_shape s)
{
    char name[16];
    snprintf(name, sizeof name, "c%d", c->n++);
    return make(c->g, name, t, s);
}

static brume_tensor input(struct cases *c, brume_shape s) { return named(c, brume_input, BRUME_F32, s); }
static brume_tensor state(struct cases *c, brume_shape s) { return named(c, brume_persistent, BRUME_F32, s); }
static brume_tensor index_input(struct cases *c, brume_dtype t, brume_shape s) { return named(c, brume_input, t, s); }

/* As weights of a file in f16 come: kernels may read them so. */
static brume_tensor half_input(struct cases *c, brume_shape s)
{
    return brume_cast(c->g, named(c, brume_input, BRUME_F16, s), BRUME_F32);
}

/* Appends the gradient of y by n tensors. */
static void gradient(struct cases *c, brume_tensor y, int n, const brume_tensor *wrt)
{
    brume_tensor d[8];
    brume_grad(c->g, y, input(c, brume_tensor_shape(c->g, y)), n, wrt, d);
}

static void gradient1(struct cases *c, brume_tensor y, brume_tensor x) { gradient(c, y, 1, &x); }

static void convolutions(struct cases *c)
{
    static const struct { int64_t n, h, w, i, o; int k, stride, pad; } rows[] = {
        { 2, 9, 10, 20, 24, 3, 1, 1 }, { 1, 16, 16, 32, 64, 3, 1, 1 }, { 2, 11, 8, 12, 16, 3, 2, 1 },
        { 2, 7, 9, 33, 17, 1, 1, 0 }, { 1, 12, 13, 3, 40, 5, 1, 2 } };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const brume_conv2d_params p = { .stride = rows[i].stride, .pad = { rows[i].pad, rows[i].pad, rows[i].pad, rows[i].pad } };
        const brume_tensor x = input(c, BRUME_SHAPE(rows[i].n, rows[i].h, rows[i].w, rows[i].i)),
                           w = input(c, BRUME_SHAPE(rows[i].k, rows[i].k, rows[i].i, rows[i].o));
        const brume_tensor wrt[] = { x, w, input(c, BRUME_SHAPE(rows[i].o)) };
        const brume_tensor y = brume_conv2d(c->g, x, w, wrt[2], BRUME_NONE, &p);
        gradient(c, y, 3, wrt);
        brume_conv2d(c->g, x, w, input(c, BRUME_SHAPE(rows[i].n, rows[i].o)), input(c, brume_tensor_shape(c->g, y)), &p);
    }
}

static void half_weights(struct cases *c)
{
    const brume_tensor x = input(c, BRUME_SHAPE(2, 9, 10, 20));
    for (int k = 1; k <= 3; k += 2) {
        const brume_conv2d_params p = { .stride = 1, .pad = { k / 2, k / 2, k / 2, k / 2 } };
        brume_conv2d(c->g, x, half_input(c, BRUME_SHAPE(k, k, 20, 24)), input(c, BRUME_SHAPE(24)), BRUME_NONE, &p);
    }
    brume_linear(c->g, input(c, BRUME_SHAPE(37, 45)), half_input(c, BRUME_SHAPE(45, 70)), input(c, BRUME_SHAPE(70)));
}

static void products(struct cases *c)
{
    /* A weight gradient over so many rows is a product with long sums, which is split. */
    const brume_tensor rows = input(c, BRUME_SHAPE(300, 21)), many = input(c, BRUME_SHAPE(21, 30));
    gradient(c, brume_linear(c->g, rows, many, BRUME_NONE), 2, (brume_tensor[]){ rows, many });
    const brume_tensor x = input(c, BRUME_SHAPE(37, 45)), w = input(c, BRUME_SHAPE(45, 70)), b = input(c, BRUME_SHAPE(70));
    gradient(c, brume_linear(c->g, x, w, b), 3, (brume_tensor[]){ x, w, b });
    for (int f = 0; f < 4; f++) {
        const brume_tensor a = input(c, f & 1 ? BRUME_SHAPE(3, 33, 41) : BRUME_SHAPE(3, 41, 33)),
                           m = input(c, f & 2 ? BRUME_SHAPE(3, 65, 33) : BRUME_SHAPE(3, 33, 65));
        gradient(c, brume_matmul(c->g, a, m, f & 1, f >> 1), 2, (brume_tensor[]){ a, m });
    }
}

static void norms_and_attention(struct cases *c)
{
    for (int act = 0; act < 2; act++) {
        const brume_tensor x = input(c, BRUME_SHAPE(2, 9, 7, 48)), w = input(c, BRUME_SHAPE(48)), b = input(c, BRUME_SHAPE(48));
        gradient(c, brume_group_norm(c->g, x, w, b, act ? 16 : 4, 1e-5f, act ? BRUME_ACT_SILU : BRUME_ACT_NONE), 3,
                 (brume_tensor[]){ x, w, b });
    }
    const brume_tensor x = input(c, BRUME_SHAPE(2, 19, 77)), w = input(c, BRUME_SHAPE(77)), b = input(c, BRUME_SHAPE(77)),
                       s = input(c, BRUME_SHAPE(23, 130));
    gradient(c, brume_layer_norm(c->g, x, w, b, 1e-5f), 3, (brume_tensor[]){ x, w, b });
    gradient1(c, brume_softmax(c->g, s), s);
    for (int causal = 0; causal < 2; causal++) {
        const int64_t keys = causal ? 37 : 50;
        const brume_tensor q = input(c, BRUME_SHAPE(2, 37, 3 * 20)), k = input(c, BRUME_SHAPE(2, keys, 3 * 20)),
                           v = input(c, BRUME_SHAPE(2, keys, 3 * 20));
        gradient(c, brume_sdpa(c->g, q, k, v, 3, causal, 0.2f), 3, (brume_tensor[]){ q, k, v });
    }
    const brume_tensor z = input(c, BRUME_SHAPE(2, 19, 2 * 35));
    gradient1(c, brume_geglu(c->g, z), z);
}

static void movement(struct cases *c)
{
    const brume_tensor x = input(c, BRUME_SHAPE(2, 9, 7, 13)), y = input(c, BRUME_SHAPE(2, 9, 7, 6)),
                       flat = input(c, BRUME_SHAPE(19)), more = input(c, BRUME_SHAPE(45));
    gradient(c, brume_concat(c->g, 2, (brume_tensor[]){ x, y }, 3), 2, (brume_tensor[]){ x, y });
    gradient1(c, brume_slice(c->g, x, 3, 2, 7), x);
    gradient1(c, brume_pad(c->g, x, (int64_t[]){ 0, 1, 2, 0 }, (int64_t[]){ 0, 2, 1, 3 }), x);
    brume_pack(c->g, 2, (brume_tensor[]){ flat, more }, (int64_t[]){ 3, 24 }, 80);
    gradient1(c, brume_upsample_nearest(c->g, x, 18, 14), x);
    gradient1(c, brume_upsample_nearest(c->g, x, 13, 11), x);
    gradient1(c, brume_avg_pool2d(c->g, x), x);
    const brume_pool2d_params p = { { 3, 3 }, 2, { 1, 1 }, 0 };
    brume_max_pool2d(c->g, x, &p);
    brume_mean_pool2d(c->g, x, &p);
    const brume_tensor even = input(c, BRUME_SHAPE(2, 8, 10, 13));
    gradient1(c, brume_fir_downsample2(c->g, even), even);
    gradient1(c, brume_fir_upsample2(c->g, even), even);
    gradient1(c, brume_sum(c->g, x, 1u << 3, 0), x);
    brume_mean(c->g, x, 6, 1);
    brume_sum(c->g, x, 15, 0);
    brume_sum(c->g, input(c, BRUME_SHAPE(40000)), 1, 0);
    brume_l2_norm(c->g, input(c, BRUME_SHAPE(40001)));
}

static void tables_and_losses(struct cases *c)
{
    const brume_tensor ids = index_input(c, BRUME_I32, BRUME_SHAPE(11)), table = input(c, BRUME_SHAPE(9, 21)),
                       t = input(c, BRUME_SHAPE(6));
    gradient1(c, brume_embedding(c->g, table, ids), table);
    brume_gather(c->g, table, ids);
    brume_timestep_embedding(c->g, t, 33, 1, 0);
    brume_fourier_embedding(c->g, t, input(c, BRUME_SHAPE(10)));
    const brume_tensor x = input(c, BRUME_SHAPE(11, 15)), y = input(c, BRUME_SHAPE(11, 15)), z = input(c, BRUME_SHAPE(11, 15));
    gradient(c, brume_mse(c->g, x, y), 2, (brume_tensor[]){ x, y });
    gradient1(c, brume_cross_entropy(c->g, x, ids), x);
    gradient(c, brume_bin_log_prob(c->g, x, y, z), 3, (brume_tensor[]){ x, y, z });
    gradient(c, brume_lincomb(c->g, 3, (brume_tensor[]){ x, y, z }, input(c, BRUME_SHAPE(11, 3))), 3,
             (brume_tensor[]){ x, y, z });
    const brume_tensor seeds = index_input(c, BRUME_I64, BRUME_SHAPE(11)), step = index_input(c, BRUME_I32, BRUME_SHAPE(1));
    brume_normal(c->g, seeds, step, 3, BRUME_SHAPE(11, 29));
    brume_uniform(c->g, seeds, step, 4, BRUME_SHAPE(11, 29));
    gradient1(c, brume_dropout(c->g, x, 0.3f, seeds, step, 5), x);
}

static void updates(struct cases *c)
{
    const brume_shape s = BRUME_SHAPE(1037), one = BRUME_SHAPE(1);
    const brume_tensor grad = input(c, s), hyper = input(c, BRUME_SHAPE(BRUME_HYPER_COUNT));
    brume_adamw_update(c->g, state(c, s), state(c, s), state(c, s), grad, hyper, input(c, one), 1);
    brume_sgd_update(c->g, state(c, s), state(c, s), grad, hyper, BRUME_NONE);
    brume_ema_update(c->g, state(c, s), grad, input(c, one));
    brume_accumulate(c->g, state(c, s), grad, input(c, one));
    brume_assign(c->g, state(c, s), grad);
    brume_cast(c->g, brume_cast(c->g, grad, BRUME_F16), BRUME_F32);
    brume_clip_scale(c->g, input(c, one), input(c, one));
}

static void elementwise(struct cases *c)
{
    static brume_tensor (*const one[])(brume_graph *, brume_tensor) = {
        brume_silu, brume_relu, brume_mish,   brume_gelu_erf, brume_gelu_tanh, brume_gelu_quick, brume_exp, brume_expm1,
        brume_log,  brume_sqrt, brume_square, brume_sigmoid,  brume_tanh,      brume_sin,        brume_cos
    };
    static brume_tensor (*const two[])(brume_graph *, brume_tensor, brume_tensor) = { brume_add, brume_sub, brume_mul,
                                                                                      brume_div };
    const brume_tensor x = input(c, BRUME_SHAPE(2, 5, 7, 35)), row = input(c, BRUME_SHAPE(35)),
                       sample = input(c, BRUME_SHAPE(2, 1, 1, 1));
    for (size_t i = 0; i < sizeof one / sizeof *one; i++) gradient1(c, one[i](c->g, x), x);
    for (size_t i = 0; i < sizeof two / sizeof *two; i++) {
        gradient(c, two[i](c->g, x, row), 2, (brume_tensor[]){ x, row });
        two[i](c->g, sample, x);
    }
    gradient1(c, brume_affine(c->g, x, 1.5f, 0.25f), x);
    gradient1(c, brume_clamp(c->g, x, -0.5f, 0.5f), x);
    brume_add(c->g, x, brume_constant(c->g, BRUME_SHAPE(1), 2));
}

void brume_check_cases(brume_graph *g)
{
    struct cases c = { .g = g };
    convolutions(&c);
    half_weights(&c);
    products(&c);
    norms_and_attention(&c);
    movement(&c);
    tables_and_losses(&c);
    updates(&c);
    elementwise(&c);
}
