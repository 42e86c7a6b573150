/* SPDX-License-Identifier: MIT
 * The Unet of denoising-diffusion-pytorch 2.x, alone or within what its GaussianDiffusion and its trainer's moving average
 * save. */
#ifndef BRUME_CONVERT_LUCIDRAINS_H
#define BRUME_CONVERT_LUCIDRAINS_H

#include "brume/convert.h"
#include "brume/weights.h"

/* root: in front of the network's names. As brume_convert_to_folder(). */
brume_status brume_convert_lucidrains(const brume_weights *w, const char *root, const char *folder,
                                      const brume_convert_options *o, char note[512]);

#endif
