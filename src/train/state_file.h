/* SPDX-License-Identifier: MIT
 * Files of a training state: sealed by a checksum, replaced so that at any moment one whole state is there, and found again. */
#ifndef BRUME_TRAIN_STATE_FILE_H
#define BRUME_TRAIN_STATE_FILE_H

#include <stdbool.h>
#include <stdint.h>

#include "brume/device.h"
#include "brume/safetensors.h"

#define BRUME_STATE_CHUNK 65536 /* values read at once: no host copy of a whole slab */

/* A tensor to write: its values are in a buffer of a plan, or on the host. */
struct brume_state_tensor { const char *name; int64_t n; brume_buffer *buffer; const float *host; };
/* A line of metadata; keys begin with "brume.". */
struct brume_state_text { const char *key, *value; };

/* Writes all into a file with a checksum. */
brume_status brume_state_file_write(const char *path, const struct brume_state_tensor *tensors, int n,
                                    const struct brume_state_text *texts, int n_texts);
/* Opens a file and compares its checksum, if it has one (those of version 0.1 have none). BRUME_E_FORMAT: it is damaged. */
brume_status brume_state_file_open(const char *path, brume_safetensors **out);
/*
 * Opens the newest whole state of a run: training/state.safetensors, or if it is damaged or gone the one before it; *previous
 * then is true, and note tells why. BRUME_E_IO: there is none.
 */
brume_status brume_state_file_find(const char *folder, brume_safetensors **out, bool *previous, char note[640]);
/* Puts a state that was just written to training/state.next.safetensors in place. keep: the one there becomes the previous one,
 * else it is overwritten. */
brume_status brume_state_file_advance(const char *folder, bool keep);
/* RUN/training/NAME */
brume_status brume_state_file_path(const char *folder, const char *name, char path[4096]);

#endif
