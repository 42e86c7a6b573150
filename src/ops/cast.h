/* SPDX-License-Identifier: MIT
 * Weights that wait in f16, for kernels which read them as such. */
#ifndef BRUME_OPS_CAST_H
#define BRUME_OPS_CAST_H

#include "graph/op.h"

/** Is this input the result of a cast from f16? Then a variant with `half` may read what was cast. */
bool brume_was_half(const struct brume_node *n, int input);

#endif
