/* SPDX-License-Identifier: MIT
 * Internals of low-rank adapters: the layer that builders add, and the product that merging adds. */
#ifndef BRUME_NN_LORA_H
#define BRUME_NN_LORA_H

#include "nn/blocks.h"

/* y (..., O), the layer PREFIX of x (..., I), plus its adapter of m->lora. */
brume_tensor brume_nn_lora(struct brume_nn *m, const char *prefix, brume_tensor x, brume_tensor y);

/* One adapter on the host. */
struct brume_lora_pair {
    const float *down, *up;
    int64_t rank;
    bool file;              /* down (rank, I, kh, kw), up (O, rank), as in files; else down (I, rank), up (rank, O), as inside */
    double factor;          /* of the product: scale alpha / rank */
};
/* weight, laid out as inside, += the product of a pair. weight_info: of a linear layer or a convolution. BRUME_E_MEMORY alone. */
brume_status brume_lora_add_pair(const struct brume_lora_pair *pair, const brume_param_info *weight_info, float *weight);

#endif
