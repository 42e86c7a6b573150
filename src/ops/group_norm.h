/* SPDX-License-Identifier: MIT
 * Description of the group_norm op, for passes that fuse it with its neighbours. */
#ifndef BRUME_OPS_GROUP_NORM_H
#define BRUME_OPS_GROUP_NORM_H

#include "brume/ops.h"
#include "graph/op.h"

struct brume_group_norm_attrs { int groups; float norm_eps; brume_act act; };

/* x (N, ..., C), weight, bias -> y, mean (N, G, 2: high and low part), rstd (N, G). */
extern const struct brume_op brume_op_group_norm;
/* x, weight, bias, mean, rstd, dy -> dx, d weight, d bias. */
extern const struct brume_op brume_op_group_norm_grad;

#endif
