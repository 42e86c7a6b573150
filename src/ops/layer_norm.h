/* SPDX-License-Identifier: MIT
 * Description of the layer_norm op. */
#ifndef BRUME_OPS_LAYER_NORM_H
#define BRUME_OPS_LAYER_NORM_H

#include "graph/op.h"

struct brume_layer_norm_attrs { float norm_eps; };

/* x (..., D), weight, bias -> y, mean (rows, 2: high and low part), rstd (rows). */
extern const struct brume_op brume_op_layer_norm;
/* x, weight, bias, mean, rstd, dy -> dx, d weight, d bias. */
extern const struct brume_op brume_op_layer_norm_grad;

#endif
