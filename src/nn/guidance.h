/* SPDX-License-Identifier: MIT
 * Classifier-free guidance as part of a network's graph. */
#ifndef BRUME_NN_GUIDANCE_H
#define BRUME_NN_GUIDANCE_H

#include "brume/graph.h"
#include "brume/model.h"
#include "brume/process.h"

/* y (2 N, ...) = [uncond, cond]: returns (N, ...) = weights[0] uncond + weights[1] cond, rescaled by part phi (a constant of the
 * graph). */
brume_tensor brume_guided(brume_graph *g, brume_tensor y, brume_tensor weights, double phi);
/* The two weights of a scale: 1 - S and S. */
void brume_guidance_weights(double scale, float weights[2]);
/* 1 if the guidance applies at a level. */
int brume_guidance_applies(const brume_guidance *k, const brume_level *level);
/* BRUME_E_ARG for values out of range. */
brume_status brume_guidance_check(const brume_guidance *k);

#endif
