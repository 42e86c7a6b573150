/* SPDX-License-Identifier: MIT
 * Internals of AutoencoderKL shared by its files. */
#ifndef BRUME_NN_AUTOENCODER_BUILD_H
#define BRUME_NN_AUTOENCODER_BUILD_H

#include "brume/autoencoder.h"

/* Builds both halves for the smallest image and returns their slab: the layout of the parameters. Errors stick to g. */
brume_tensor brume_autoencoder_on_paper(brume_graph *g, const brume_autoencoder_config *c);

#endif
