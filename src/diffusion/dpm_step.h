/* SPDX-License-Identifier: MIT
 * What the DPM-Solver family is made of: one step of an exponential integrator in lambda = ln(a / s), half the logarithm of
 * SNR. */
#ifndef BRUME_DIFFUSION_DPM_STEP_H
#define BRUME_DIFFUSION_DPM_STEP_H

#include "diffusion/sampling.h"

/* lambda of a node: +inf where it is clean, -inf where it is pure noise. */
double brume_node_lambda(const struct brume_node *node);

/* x' = x_coef x + m_coef m + d1_coef D1 + d2_coef D2 + noise z, where m + D1 r + D2 r^2 is the prediction (x0, or eps in the form
 * of DPM-Solver) at lambda + r h. d2_coef is the released one: with twice that, a quadratic prediction is integrated exactly. */
struct brume_dpm_step {
    double h, x_coef, m_coef, d1_coef, d2_coef, noise;
    int draws; /* noise is drawn, though its factor may be 0 */
};

/* From one node to another. eta: how much noise sde-dpmsolver++ adds; 1 = as published, 0 = dpmsolver++. */
struct brume_dpm_step brume_dpm_step_of(brume_algorithm algorithm, double eta, const struct brume_node *from,
                                        const struct brume_node *to);
/* That of a run: the row's algorithm and the run's eta; rows of an ODE whose config asks for the SDE have none, and get 1. */
struct brume_dpm_step brume_dpm_step_in(const struct brume_sampling *s, const struct brume_node *from,
                                        const struct brume_node *to);

/* Asks the network for the state at a node; out = x0, or eps in the form of DPM-Solver. */
brume_status brume_dpm_ask(struct brume_sampling *s, brume_buffer *state, const struct brume_node *at, brume_buffer *out);
/* Adds weight times what was asked last, which is in out: from the state and the network's own output where nothing clips, so
 * that at high noise two large terms cancel in double and not after rounding. */
void brume_dpm_add_asked(const struct brume_sampling *s, double weight, brume_buffer *state, brume_buffer *out,
                         struct brume_terms *terms);
/* BRUME_E_ARG where the form of DPM-Solver cannot start at pure noise or reach the clean end. */
brume_status brume_dpm_check(const struct brume_sampling *s);
/* Updates x with the terms and the step's noise; *before (may be NULL) receives the buffer that held x until then, in exchange
 * for its own. Then the observer. */
brume_status brume_dpm_finish(struct brume_sampling *s, struct brume_terms *terms, const struct brume_dpm_step *c,
                              const struct brume_node *to, brume_buffer **before);

#endif
