/* SPDX-License-Identifier: MIT
 * What samplers share that follow d y / d sigma = (y - D) / sigma, D = E[x0 | y] (Karras et al. 2022, eqs. 1 and 3).
 *
 * y = x0 + sigma eps; the same equation holds for x = (1 - sigma) x0 + sigma eps of flow matching, where its right side is eps -
 * x0. So the noise level of a node is its s, in both. */
#ifndef BRUME_DIFFUSION_SIGMA_SPACE_H
#define BRUME_DIFFUSION_SIGMA_SPACE_H

#include "diffusion/sampling.h"

/* Asks the network at a node for the present state x. */
brume_status brume_sigma_evaluate(struct brume_sampling *s, const struct brume_node *at);
/* Adds coef D, D of the last evaluation, which was made for that state: s->x0 where it had to be formed, else its two terms. */
void brume_sigma_add_denoised(struct brume_sampling *s, double coef, brume_buffer *state, struct brume_terms *terms);
/* Adds y + (to - from) (y - D) / from, y the state of the last evaluation: Euler's step. */
void brume_sigma_add_euler(struct brume_sampling *s, double from, double to, struct brume_terms *terms);
/* x = the terms, an intermediate stage at a node; *keep, a free buffer, becomes the one that holds the state before. */
brume_status brume_sigma_branch(struct brume_sampling *s, const struct brume_terms *terms, const struct brume_node *at,
                                brume_buffer **keep);
/* x = the terms, the state at grid point i + 1: a step is complete. */
brume_status brume_sigma_complete(struct brume_sampling *s, const struct brume_terms *terms, int32_t i);

/* The last of the steps, to the clean end, or any where the method has no more stages: Euler's step from `from` to grid point i +
 * 1. */
brume_status brume_sigma_euler_step(struct brume_sampling *s, const struct brume_node *from, int32_t i);
/* Churn (Karras et al. 2022, alg. 2, lines 4 to 6): adds noise to x before the network is asked. *from is the grid point i, or
 * the noisier place where x is then. */
brume_status brume_sigma_churn(struct brume_sampling *s, int32_t i, struct brume_node *from);

#endif
