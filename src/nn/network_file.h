/* SPDX-License-Identifier: MIT
 * Parameters of a network on the host: fresh ones, and the safetensors files that hold them. The graph, built on paper, lays them
 * out. */
#ifndef BRUME_NN_NETWORK_FILE_H
#define BRUME_NN_NETWORK_FILE_H

#include <stddef.h>
#include <stdint.h>

#include "brume/graph.h"

struct brume_network_kind {
    const char *what; /* for messages: "a U-Net" */
    const char *stem; /* of the names of its files of weights */
    /* Checks the config, builds the network for the smallest input and gives its slab: the layout. */
    brume_status (*on_paper)(brume_graph *g, const void *config, brume_tensor *slab);
};

/* In text_encoder_files.c; the others are declared with their networks. */
extern const struct brume_network_kind brume_text_encoder_network;

/* Number of parameters; 0 after an error. */
int64_t brume_network_count(const struct brume_network_kind *k, const void *config);
/* Fresh parameters: *params (*n values) is allocated, NULL after an error; free() it. */
brume_status brume_network_new(const struct brume_network_kind *k, const void *config, uint64_t seed, float **params, int64_t *n);
/* The same, filled from a folder's weights; note (may be NULL) gets what was ignored. BRUME_E_FORMAT names a tensor that is
 * missing or misshapen. */
brume_status brume_network_load(const struct brume_network_kind *k, const void *config, const char *folder, const char *variant,
                                float **params, int64_t *n, char note[512]);
/* BRUME_E_ARG: n is not the number of parameters that the config describes. */
brume_status brume_network_save(const struct brume_network_kind *k, const void *config, const float *params, int64_t n,
                                const char *path);

/* Appends a sentence to note (size bytes), after "; " if there is one before. */
void brume_note_add(char *note, size_t size, const char *text);

#endif
