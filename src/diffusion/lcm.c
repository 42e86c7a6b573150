/* SPDX-License-Identifier: MIT
 * Multistep sampling of a latent consistency model (Luo et al. 2023, alg. 3): its estimate of x0, noised to the next time. */
#include <math.h>

#include "diffusion/sampling.h"

/* The boundary condition mixes x and the prediction, u = timestep_scaling t, sigma_data = 1/2 (Song et al. 2023, eq. 5 and app.
 * C):
 *   f = sd^2 / (u^2 + sd^2) x + u / sqrt(u^2 + sd^2) x0,    x' = a f + s z at the next time; x' = f in the end */
brume_status brume_run_lcm(struct brume_sampling *s)
{
    const struct brume_node *node = s->grid->node;
    const double sd = 0.5;
    brume_status e = BRUME_OK;
    for (int32_t i = s->first; i < s->n && e == BRUME_OK; i++) {
        const int last = i == s->n - 1;
        const double u = s->config->timestep_scaling * node[i].t, norm = u * u + sd * sd;
        const double a = last ? 1.0 : node[i + 1].a;
        struct brume_terms x = { 0 };
        e = brume_sampling_denoise(s, s->x, &node[i], s->x0);
        if (e == BRUME_OK && !last) e = brume_sampling_noise(s);
        brume_terms_add(&x, a * sd * sd / norm, s->x);
        brume_terms_add(&x, a * u / sqrt(norm), s->x0);
        if (!last) brume_terms_add(&x, node[i + 1].s, s->z);
        if (e == BRUME_OK) e = brume_sampling_update(s, &x);
        if (e == BRUME_OK) e = brume_sampling_step(s, &node[i + 1]);
    }
    return e;
}
