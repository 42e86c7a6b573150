/* SPDX-License-Identifier: MIT
 * Internals of AutoencoderKL shared by its files. */
#ifndef BRUME_NN_AUTOENCODER_BUILD_H
#define BRUME_NN_AUTOENCODER_BUILD_H

#include "brume/autoencoder.h"
#include "nn/network_file.h"

/* Both halves; its config is a brume_autoencoder_config. */
extern const struct brume_network_kind brume_autoencoder_network;

#endif
