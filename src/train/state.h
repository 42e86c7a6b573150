/* SPDX-License-Identifier: MIT
 * What a run needs to go on: parameters, their average and moments, and how far it is; in FOLDER/training/state.safetensors. */
#ifndef BRUME_TRAIN_STATE_H
#define BRUME_TRAIN_STATE_H

#include "brume/safetensors.h"
#include "train/trainer.h"

struct brume_state {
    struct brume_update *update;
    const brume_train_config *config; /* seed, batch and optimizer must be those of the run */
    int64_t n_params, *done;
    const char *objective;           /* must be the same, too: what else decides over a step */
    uint64_t weights;                /* of adapters: hash of the weights beside them */
    brume_time_sampler *times;       /* NULL: no times are drawn */
    const brume_plan *plan;          /* of the gradient: its tuned kernels decide over last bits, as the update's do */
    bool *other_kernels;             /* set by reading: they were other ones */
};

/* The folder training/ must exist. note: kept, given back by reading. */
brume_status brume_state_save(const struct brume_state *x, const char *folder, int64_t note);
/* Opens the folder's state and checks that it is of the same run; *out is closed by the caller, whatever comes back. */
brume_status brume_state_open(const struct brume_state *x, const char *folder, brume_safetensors **out);
brume_status brume_state_read(const struct brume_state *x, const brume_safetensors *f, int64_t *note);
/* What is to be told then. */
const char *brume_state_warning(bool other_kernels);

#endif
