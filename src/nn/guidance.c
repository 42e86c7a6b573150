/* SPDX-License-Identifier: MIT
 * Classifier-free guidance: the combination of both predictions, its rescaling, and where it applies. */
#include "nn/guidance.h"

#include <math.h>

#include "base/fail.h"
#include "brume/ops.h"

double brume_guidance_from_w(double w) { return 1.0 + w; }

void brume_guidance_weights(double scale, float weights[2])
{
    weights[0] = (float)(1.0 - scale);
    weights[1] = (float)scale;
}

/* Squared deviation from the mean of each image, (N, 1, ..): the n - 1 of the unbiased variance cancels in a ratio. */
static brume_tensor deviation2(brume_graph *g, brume_tensor x)
{
    const uint32_t axes = (1u << brume_tensor_shape(g, x).ndim) - 2;
    return brume_sum(g, brume_square(g, brume_sub(g, x, brume_mean(g, x, axes, 1))), axes, 1);
}

brume_tensor brume_guided(brume_graph *g, brume_tensor y, brume_tensor weights, double phi)
{
    const int64_t n = brume_graph_status(g) == BRUME_OK ? brume_tensor_shape(g, y).d[0] / 2 : 0;
    const brume_tensor parts[2] = { brume_slice(g, y, 0, 0, n), brume_slice(g, y, 0, n, n) };
    const brume_tensor m = brume_lincomb(g, 2, parts, weights);
    if (phi == 0 || m == BRUME_NONE) return m;
    /* phi m std(cond) / std(m) + (1 - phi) m; a constant image (deviation 0) would divide by 0 and keeps its value */
    const brume_tensor ratio = brume_sqrt(g, brume_div(g, brume_affine(g, deviation2(g, parts[1]), 1, 1e-30f),
                                                       brume_affine(g, deviation2(g, m), 1, 1e-30f)));
    return brume_mul(g, m, brume_affine(g, ratio, (float)phi, (float)(1 - phi)));
}

int brume_guidance_applies(const brume_guidance *k, const brume_level *level)
{
    const double sigma = level->s / level->a;
    return k->scale != 1 && (k->sigma_hi == 0 || (sigma >= k->sigma_lo && sigma <= k->sigma_hi));
}

brume_status brume_guidance_check(const brume_guidance *k)
{
    if (!isfinite(k->scale)) return brume_fail(BRUME_E_ARG, "the guidance scale must be a number, got %g", k->scale);
    if (!(k->rescale >= 0 && k->rescale <= 1))
        return brume_fail(BRUME_E_ARG, "guidance rescale must be within 0 .. 1, got %g", k->rescale);
    if (!(k->sigma_lo >= 0 && k->sigma_hi >= k->sigma_lo))
        return brume_fail(BRUME_E_ARG, "the guidance interval must ascend from 0 or more, got sigma %g .. %g", k->sigma_lo,
                          k->sigma_hi);
    return BRUME_OK;
}
