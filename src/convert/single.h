/* SPDX-License-Identifier: MIT
 * Single files of latent-diffusion and Stable Diffusion: network, autoencoder and text encoder under one roof. */
#ifndef BRUME_CONVERT_SINGLE_H
#define BRUME_CONVERT_SINGLE_H

#include "brume/convert.h"
#include "brume/weights.h"

/* What tells the layout apart: its network stands below this. */
#define BRUME_CONVERT_SINGLE_UNET "model.diffusion_model."

/* As brume_convert_to_folder(). */
brume_status brume_convert_single(const brume_weights *w, const char *folder, const brume_convert_options *o, char note[512]);

#endif
