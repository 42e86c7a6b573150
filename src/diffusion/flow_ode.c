/* SPDX-License-Identifier: MIT
 * The probability-flow ODE: nodes and slopes of every process. */
#include "diffusion/flow_ode.h"

#include <math.h>

static int by_sigma(brume_process_kind k)
{
    return k == BRUME_PROCESS_DISCRETE || k == BRUME_PROCESS_EDM || k == BRUME_PROCESS_NCSN;
}

void brume_flow_ode_ends(const struct brume_sampling *s, double *noise, double *data)
{
    const brume_process_kind kind = brume_process_get_kind(s->process);
    *noise = 1;
    *data = kind == BRUME_PROCESS_FLOW ? 0 : s->config->sampling_eps;
    if (!by_sigma(kind)) return;
    brume_process_sigma_range(s->process, data, noise);
    *noise = log(*noise);
    *data = log(*data);
}

struct brume_node brume_flow_ode_node(const struct brume_sampling *s, double u)
{
    if (by_sigma(brume_process_get_kind(s->process))) return brume_node_of_sigma(s->process, BRUME_STATE_X, exp(u), -1);
    const brume_level l = brume_process_level(s->process, u);
    return (struct brume_node){ .t = l.t, .u = u, .a = l.a, .s = l.s, .scale = 1 };
}

/* a' and s' by u, at s->at */
static void slopes(const struct brume_sampling *s, double u, double *da, double *ds)
{
    const brume_process_kind kind = brume_process_get_kind(s->process);
    const double a = s->at.a, sd = s->at.s;
    double drift = 0, diffusion = 0;
    if (kind == BRUME_PROCESS_DISCRETE) { /* u = ln(s / a) with a^2 + s^2 = 1 */
        *da = -sd * sd * a;
        *ds = a * a * sd;
    } else if (kind == BRUME_PROCESS_FLOW) {
        *da = -1;
        *ds = 1;
    } else if (by_sigma(kind)) { /* a = 1 */
        *da = 0;
        *ds = sd;
    } else { /* d ln a / du = drift, d s^2 / du = 2 drift s^2 + diffusion^2 */
        brume_process_sde(s->process, u, &drift, &diffusion);
        *da = drift * a;
        *ds = drift * sd + diffusion * diffusion / (2 * sd);
    }
}

void brume_flow_ode_coef(const struct brume_sampling *s, double u, double *kx, double *km)
{
    double da, ds, cx, cm, ex, em;
    slopes(s, u, &da, &ds);
    brume_sampling_x0_coef(s, &cx, &cm);
    brume_sampling_eps_coef(s, &ex, &em);
    *kx = (da != 0 ? da * cx : 0) + ds * ex; /* VE: whatever x0 is, it does not move */
    *km = (da != 0 ? da * cm : 0) + ds * em;
}
