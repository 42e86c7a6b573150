/* SPDX-License-Identifier: MIT
 * What a run needs to go on: parameters, their averages and moments, and how far it is; in FOLDER/training/state.safetensors. */
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
    struct brume_resumed *resumed;   /* what reading found */
};

/* Writes the model beside the state. */
typedef brume_status brume_save_model(void *self, const char *folder);

/*
 * A checkpoint: state, then model; the state before is kept. A process that is killed at any moment leaves a state to go on from,
 * or none if there was none, and a mark if the model may be another than the state's. note: kept, given back by reading.
 */
brume_status brume_state_save(const struct brume_state *x, const char *folder, int64_t note, brume_save_model *model, void *self);
/* Where that mark is, writes the model again. */
brume_status brume_state_finish(const char *folder, bool *was_unfinished, brume_save_model *model, void *self);
/* The state alone; items: of the data in the next step, as text, or NULL. */
brume_status brume_state_write(const struct brume_state *x, const char *path, int64_t note, const char *items);
/* Opens the folder's newest whole state and checks that it is of the same run; *out is closed by the caller, whatever comes
 * back. */
brume_status brume_state_open(const struct brume_state *x, const char *folder, brume_safetensors **out);
/* The same of one file. */
brume_status brume_state_open_path(const struct brume_state *x, const char *path, brume_safetensors **out);
brume_status brume_state_read(const struct brume_state *x, const brume_safetensors *f, int64_t *note);

#endif
