/* SPDX-License-Identifier: MIT
 * Captions on their way into a training step: to token ids, and through a text encoder that learns with the network or stays as
 * it is. */
#ifndef BRUME_TRAIN_TEXT_H
#define BRUME_TRAIN_TEXT_H

#include "brume/plan.h"
#include "brume/train.h"

/* Results of the frozen encoder by token ids; open addressing, a power of two of places. */
struct brume_text_cache {
    int64_t room, used;
    int32_t *ids;       /* room x S */
    float **hidden;     /* S x H each, NULL: free place */
};

struct brume_trainer_text {
    const brume_train_text *config; /* of the trainer's config; tokenizer NULL: no text */
    int32_t tokens, width;          /* S and H */
    int64_t n_params;               /* of the encoder in the slab of the network's weights, where it comes first */
    brume_tensor ids, context;      /* inputs: of an encoder that learns; of one that does not; else BRUME_NONE */
    int64_t *items;                 /* of a part: which items of the data set it holds */
    int32_t *id_values;             /* of a part */
    float *context_values;
    brume_text_run *frozen;
    struct brume_text_cache cache;
};

/* Captions that no network reads, a network without them, another width than the encoder's. */
brume_status brume_trainer_text_check(const brume_train_config *c);
/* What the network's cross-attention reads, for n examples: appended to g, parameters into slab. lora: adapters of a frozen
 * encoder, or NULL. BRUME_NONE without text. */
brume_tensor brume_trainer_text_build(struct brume_trainer_text *x, const brume_train_text *config, brume_graph *g,
                                      brume_tensor slab, const brume_lora *lora, int64_t n);
/* Host memory for n examples, and the plan of a frozen encoder. */
brume_status brume_trainer_text_allocate(struct brume_trainer_text *x, brume_device *d, int64_t n);
void brume_trainer_text_free(struct brume_trainer_text *x);
/* Ids or context of example i: of item items[i], or of the empty text. */
brume_status brume_trainer_text_set(struct brume_trainer_text *x, const brume_dataset *data, int32_t i, bool dropped);
brume_status brume_trainer_text_write(const struct brume_trainer_text *x, brume_plan *plan, int64_t n);

#endif
