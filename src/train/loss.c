/* SPDX-License-Identifier: MIT
 * The loss of a training step as a graph. */
#include <math.h>

#include "brume/objective.h"
#include "brume/ops.h"
#include "brume/train.h"

/* Column i of the rows, one number per sample, as a shape that broadcasts to images. */
static brume_tensor column(brume_graph *g, brume_tensor coef, int i, int ndim)
{
    brume_shape s = { .ndim = ndim, .d = { brume_tensor_shape(g, coef).d[0], 1, 1, 1, 1 } };
    return brume_reshape(g, brume_slice(g, coef, 1, i, 1), s);
}

brume_tensor brume_objective_noise(brume_graph *g, const brume_objective *o, brume_tensor seeds, brume_tensor step,
                                   brume_shape shape)
{
    const brume_tensor eps = brume_normal(g, seeds, step, BRUME_STREAM_TRAIN_NOISE, shape);
    if (o->offset_noise == 0) return eps;
    brume_shape channel = shape;
    for (int i = 1; i < shape.ndim - 1; i++) channel.d[i] = 1;
    return brume_add(g, eps,
                     brume_affine(g, brume_normal(g, seeds, step, BRUME_STREAM_TRAIN_OFFSET, channel), (float)o->offset_noise,
                                  0));
}

brume_tensor brume_objective_mix(brume_graph *g, brume_tensor x0, brume_tensor eps, brume_tensor coef)
{
    return brume_lincomb(g, 2, (brume_tensor[]){ x0, eps }, brume_slice(g, coef, 1, BRUME_COEF_A, 2));
}

static brume_tensor mean_of_samples(brume_graph *g, brume_tensor x)
{
    return brume_mean(g, x, (1u << brume_tensor_shape(g, x).ndim) - 2, 0);
}

/* Terms of the bound (Ho et al. 2020, eqs. 5, 13) in bits/dim. With r = ln(variance / posterior variance) and d the error of the
 * prediction,
 *   KL = (r - 1 + exp(-r) (1 + k d^2)) / 2:  the difference of the means is that of the predictions times a number. */
static brume_tensor bound_terms(brume_graph *g, brume_tensor x0, brume_tensor coef, brume_tensor d, brume_tensor v)
{
    const int nd = brume_tensor_shape(g, x0).ndim;
    brume_tensor r = column(g, coef, BRUME_COEF_RATIO, nd);
    if (v != BRUME_NONE) r = brume_add(g, brume_mul(g, v, column(g, coef, BRUME_COEF_RATIO_V, nd)), r);
    const brume_tensor minus_r = brume_affine(g, r, -1, 0), k = column(g, coef, BRUME_COEF_KL, nd);
    const brume_tensor of_means = brume_mul(g, brume_exp(g, minus_r), brume_mul(g, k, brume_square(g, d)));
    const brume_tensor kl = brume_affine(g, brume_add(g, of_means, brume_add(g, r, brume_expm1(g, minus_r))), 0.5f, 0);
    const brume_tensor mean = brume_add(g, x0, brume_mul(g, d, column(g, coef, BRUME_COEF_DECODER, nd)));
    const brume_tensor log_std = brume_add(g, column(g, coef, BRUME_COEF_LOG_STD, nd), brume_affine(g, r, 0.5f, 0));
    const brume_tensor first = column(g, coef, BRUME_COEF_FIRST, nd), decoder = brume_bin_log_prob(g, x0, mean, log_std);
    const brume_tensor terms = brume_sub(g, brume_mul(g, brume_affine(g, first, -1, 1), kl), brume_mul(g, first, decoder));
    return brume_affine(g, mean_of_samples(g, terms), (float)(1 / log(2)), 0);
}

brume_loss brume_objective_loss(brume_graph *g, const brume_objective *o, brume_variance variance, brume_tensor x0,
                                brume_tensor eps, brume_tensor coef, brume_tensor out)
{
    brume_loss l = { BRUME_NONE, BRUME_NONE, BRUME_NONE, BRUME_NONE, BRUME_NONE };
    if (brume_graph_status(g) != BRUME_OK) return l;
    const brume_shape s = brume_tensor_shape(g, x0);
    const int last = s.ndim - 1;
    brume_tensor v = BRUME_NONE;
    if (variance == BRUME_VARIANCE_LEARNED_RANGE) {
        v = brume_slice(g, out, last, s.d[last], s.d[last]);
        out = brume_slice(g, out, last, 0, s.d[last]);
    }
    l.target = brume_lincomb(g, 2, (brume_tensor[]){ x0, eps }, brume_slice(g, coef, 1, BRUME_COEF_X0, 2));
    const brume_tensor d = brume_sub(g, out, l.target);
    l.error = mean_of_samples(g, brume_square(g, d));
    l.weighted = brume_mul(g, l.error, column(g, coef, BRUME_COEF_WEIGHT, 1));
    if (o->bound != BRUME_BOUND_NONE) {
        l.bound = bound_terms(g, x0, coef, o->bound == BRUME_BOUND_HYBRID ? brume_stop_gradient(g, d) : d, v);
        const brume_tensor terms = brume_mul(g, l.bound, column(g, coef, BRUME_COEF_BOUND, 1));
        l.weighted = o->bound == BRUME_BOUND_VLB ? terms : brume_add(g, l.weighted, terms);
    }
    l.loss = brume_mean(g, l.weighted, 1, 0);
    return l;
}
