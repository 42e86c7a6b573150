/* SPDX-License-Identifier: MIT
 * What the names of tensors in files of adapters say: which half of which layer's adapter. */
#ifndef BRUME_NN_LORA_NAMES_H
#define BRUME_NN_LORA_NAMES_H

#include <stdbool.h>

#include "nn/blocks.h"

enum brume_lora_role { BRUME_LORA_DOWN, BRUME_LORA_UP, BRUME_LORA_ALPHA, BRUME_LORA_ROLES };

struct brume_lora_name {
    enum brume_lora_role role;
    bool text;                          /* of the text encoder; else of the U-Net */
    bool flat;                          /* kohya's: '_' stands for every '.' of the layer */
    char layer[2 * BRUME_NN_PATH];      /* "mid_block.attentions.0.to_q", as the network's parameters begin */
};

/* false: not the name of a tensor of an adapter that brume merges. */
bool brume_lora_name_parse(const char *name, struct brume_lora_name *out);
/* Is PARAM the weight of the layer? PARAM: "mid_block.attentions.0.to_q.weight". */
bool brume_lora_name_matches(const struct brume_lora_name *n, const char *param);
/* "unet.mid_block.attentions.0.to_q.lora_A.weight" as kohya's tools call the layer: "lora_unet_mid_block_attentions_0_to_q". */
void brume_lora_name_flatten(const char *name, char out[2 * BRUME_NN_PATH]);

#endif
