/* SPDX-License-Identifier: MIT
 * Description of the sdpa op. */
#ifndef BRUME_OPS_SDPA_H
#define BRUME_OPS_SDPA_H

#include "graph/op.h"

struct brume_sdpa_attrs { int heads, causal; float scale; };

/* q, k, v -> o (B, Sq, heads D), lse (B, heads, Sq): log of the softmax's denominator, times e^max. */
extern const struct brume_op brume_op_sdpa;
/* q, k, v, o, lse, do -> dq, dk, dv. */
extern const struct brume_op brume_op_sdpa_grad;

#endif
