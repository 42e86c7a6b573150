/* SPDX-License-Identifier: MIT
 * The elementwise ops, one per row of ew.def, for the gradients of other ops. */
#ifndef BRUME_OPS_EW_H
#define BRUME_OPS_EW_H

#include "graph/op.h"

/* EW_silu, EW_silu_grad, ...: index of a function in brume_ew_ops and of its loop in struct brume_simd. */
enum brume_ew_index {
#define EW(name, n_in, n_param, expr) EW_##name,
#define EW1(name, n_param, f, df) EW_##name, EW_##name##_grad,
#define EW1X(name, n_param, f, df) EW_##name, EW_##name##_grad,
#include "ops/ew.def"
#undef EW
#undef EW1
#undef EW1X
    EW_COUNT
};

extern const struct brume_op brume_ew_ops[EW_COUNT];

/* Attributes of functions with parameters, and of those whose shape does not follow from their inputs (constant, expand). */
struct brume_ew_attrs { float p[BRUME_EW_MAX_PARAM]; brume_shape shape; };

/** One elementwise node; p (the row's parameters) may be NULL for a row without. Inputs broadcast. */
brume_tensor brume_ew1(brume_graph *g, enum brume_ew_index f, brume_tensor a, const float *p);
brume_tensor brume_ew2(brume_graph *g, enum brume_ew_index f, brume_tensor a, brume_tensor b, const float *p);
/** scale x, repeated to a shape that x broadcasts to: the gradient of sums and means. */
brume_tensor brume_expand(brume_graph *g, brume_tensor x, brume_shape shape, float scale);

/** The shape that numpy's broadcasting gives a and b; false if they do not go together. */
bool brume_shape_broadcast(brume_shape a, brume_shape b, brume_shape *out);

#endif
