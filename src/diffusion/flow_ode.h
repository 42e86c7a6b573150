/* SPDX-License-Identifier: MIT
 * The probability-flow ODE of a noise process: dx/du = a'(u) x0(x, u) + s'(u) eps(x, u) where x = a x0 + s eps (Song et al. 2021,
 * eq. 13; Karras et al. 2022, eq. 4), in a time u along which it is smooth. */
#ifndef BRUME_DIFFUSION_FLOW_ODE_H
#define BRUME_DIFFUSION_FLOW_ODE_H

#include "diffusion/sampling.h"

/* Where u begins (noise) and ends (data). u is the process' own time for VP, sub-VP and VE (1 .. sampling_eps) and flow (1 .. 0),
 * and ln(s / a) for the rest, whose tables then leave no kinks in a and s. */
void brume_flow_ode_ends(const struct brume_sampling *s, double *noise, double *data);
struct brume_node brume_flow_ode_node(const struct brume_sampling *s, double u);
/* After a prediction at that node: dx/du = *kx x + *km m, m being the network's output. */
void brume_flow_ode_coef(const struct brume_sampling *s, double u, double *kx, double *km);

#endif
