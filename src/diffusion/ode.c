/* SPDX-License-Identifier: MIT
 * The probability-flow ODE by adaptive steps (Song et al. 2021, app. D.2): as many network calls as the tolerance asks for. */
#include <math.h>

#include "base/fail.h"
#include "diffusion/flow_ode.h"
#include "diffusion/rk45.h"

struct solve { struct brume_sampling *s; double end; };

static brume_status slope(void *self, double u, brume_buffer *state, brume_buffer *slope, double *dy)
{
    struct brume_sampling *s = ((struct solve *)self)->s;
    const struct brume_node at = brume_flow_ode_node(s, u);
    struct brume_terms d = { 0 };
    double kx, km;
    (void)dy;
    const brume_status e = brume_sampling_predict(s, state, &at);
    if (e != BRUME_OK) return e;
    brume_flow_ode_coef(s, u, &kx, &km);
    brume_terms_add(&d, kx, state);
    brume_terms_add(&d, km, s->m);
    return brume_sampling_combine(s, &d, slope);
}

static brume_status accepted(void *self, double u)
{
    const struct solve *o = self;
    const struct brume_node at = brume_flow_ode_node(o->s, u);
    return u == o->end ? BRUME_OK : brume_sampling_stage(o->s, &at);
}

/* What noise is left at the end is taken away by Tweedie's formula. */
static brume_status denoise(struct brume_sampling *s, struct brume_node *at)
{
    struct brume_terms x = { 0 };
    double cx, cm;
    const brume_status e = brume_sampling_predict(s, s->x, at);
    if (e != BRUME_OK) return e;
    brume_sampling_x0_coef(s, &cx, &cm);
    brume_terms_add(&x, cx, s->x);
    brume_terms_add(&x, cm, s->m);
    at->a = 1;
    at->s = 0;
    return brume_sampling_update(s, &x);
}

brume_status brume_run_ode(struct brume_sampling *s)
{
    const brume_sampler_options *o = s->options;
    struct solve self = { .s = s };
    double from;
    if (o->strength < 1)
        return brume_fail(BRUME_E_UNSUPPORTED, "sampler ode starts from noise only, so strength must be 1, got %g", o->strength);
    brume_flow_ode_ends(s, &from, &self.end);
    const struct brume_rk45 r = { .s = s, .slope = slope, .self = &self, .rtol = o->rtol > 0 ? o->rtol : 1e-5,
                                  .atol = o->atol > 0 ? o->atol : 1e-5, .accepted = accepted };
    brume_status e = brume_rk45_run(&r, from, self.end);
    struct brume_node end = brume_flow_ode_node(s, self.end);
    if (e == BRUME_OK && o->denoise_last > 0) e = denoise(s, &end);
    return e == BRUME_OK ? brume_sampling_step(s, &end) : e;
}
