/* SPDX-License-Identifier: MIT
 * The autoencoder of latent-diffusion (encoder.down, decoder.up) as AutoencoderKL. */
#ifndef BRUME_CONVERT_AUTOENCODER_H
#define BRUME_CONVERT_AUTOENCODER_H

#include "brume/autoencoder.h"
#include "convert/names.h"

/* Infers the config from the tensors under r->their_root and renames them all. Errors stick to r. */
void brume_convert_autoencoder(struct brume_renaming *r, brume_autoencoder_config *c);
/* The way back. */
void brume_convert_autoencoder_back(struct brume_renaming *r, const brume_autoencoder_config *c);

#endif
