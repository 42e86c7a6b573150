/* SPDX-License-Identifier: MIT
 * What networks predict, one in terms of another: m = c0 x0 + ce eps where x = a x0 + s eps. */
#include <math.h>

#include "brume/process.h"

/* sqrt(1 - s^2) = c_in sigma_data of a preconditioned input, whose a is c_in and s is c_in sigma */
static double edm_skip_root(const brume_level *l) { return sqrt((1 - l->s) * (1 + l->s)); }

void brume_prediction_x0(brume_prediction p, const brume_level *l, double *cx, double *cm)
{
    const double a = l->a, s = l->s;
    switch (p) {
    case BRUME_PREDICT_EPS: *cx = 1 / a; *cm = -s / a; return;
    case BRUME_PREDICT_X0: *cx = 0; *cm = 1; return;
    case BRUME_PREDICT_V: *cx = a / (a * a + s * s); *cm = -s / (a * a + s * s); return;
    case BRUME_PREDICT_SCORE: *cx = 1 / a; *cm = s * s / a; return; /* Tweedie's formula */
    case BRUME_PREDICT_FLOW: *cx = 1 / (a + s); *cm = -s / (a + s); return;
    case BRUME_PREDICT_EDM: { /* c_skip y + c_out F, y = x / c_in (Karras et al. 2022, eq. 7) */
        const double r = edm_skip_root(l);
        *cx = r * r / a;
        *cm = s * r / a;
        return;
    }
    }
    *cx = *cm = NAN;
}

void brume_prediction_eps(brume_prediction p, const brume_level *l, double *cx, double *cm)
{
    const double a = l->a, s = l->s;
    switch (p) {
    case BRUME_PREDICT_EPS: *cx = 0; *cm = 1; return;
    case BRUME_PREDICT_X0: *cx = 1 / s; *cm = -a / s; return;
    case BRUME_PREDICT_V: *cx = s / (a * a + s * s); *cm = a / (a * a + s * s); return;
    case BRUME_PREDICT_SCORE: *cx = 0; *cm = -s; return;
    case BRUME_PREDICT_FLOW: *cx = 1 / (a + s); *cm = a / (a + s); return;
    case BRUME_PREDICT_EDM: /* (x - a x0) / s with 1 - c_skip = s^2 */
        *cx = s;
        *cm = -edm_skip_root(l);
        return;
    }
    *cx = *cm = NAN;
}

void brume_prediction_of(brume_prediction p, const brume_level *l, double *c0, double *ce)
{
    const double a = l->a, s = l->s;
    switch (p) {
    case BRUME_PREDICT_EPS: *c0 = 0; *ce = 1; return;
    case BRUME_PREDICT_X0: *c0 = 1; *ce = 0; return;
    case BRUME_PREDICT_V: *c0 = -s; *ce = a; return;
    case BRUME_PREDICT_SCORE: *c0 = 0; *ce = -1 / s; return;
    case BRUME_PREDICT_FLOW: *c0 = -1; *ce = 1; return;
    case BRUME_PREDICT_EDM: { /* (x0 - c_skip y) / c_out */
        const double r = edm_skip_root(l);
        *c0 = a * s / r;
        *ce = -r;
        return;
    }
    }
    *c0 = *ce = NAN;
}

const char *brume_prediction_name(brume_prediction p)
{
    static const char *const names[] = { "epsilon", "sample", "v_prediction", "score", "flow_prediction", "edm" };
    return names[p];
}

brume_edm_coef brume_edm_precondition(double sigma, double sigma_data)
{
    const double total = sigma * sigma + sigma_data * sigma_data, product = sigma * sigma_data;
    return (brume_edm_coef){ .c_skip = sigma_data * sigma_data / total, .c_out = product / sqrt(total), .c_in = 1 / sqrt(total),
                             .c_noise = 0.25 * log(sigma), .weight = total / (product * product) };
}
