/* SPDX-License-Identifier: MIT
 * Description of the softmax op. */
#ifndef BRUME_OPS_SOFTMAX_H
#define BRUME_OPS_SOFTMAX_H

#include "graph/op.h"

extern const struct brume_op brume_op_softmax;      /* x (..., D) -> y */
extern const struct brume_op brume_op_softmax_grad; /* y, dy -> dx */

#endif
