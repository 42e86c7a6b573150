/* SPDX-License-Identifier: MIT
 * The U-Net of improved-diffusion, guided-diffusion and latent-diffusion: one layout (input_blocks, middle_block,
 * output_blocks). */
#ifndef BRUME_CONVERT_UNET_H
#define BRUME_CONVERT_UNET_H

#include "brume/convert.h"
#include "brume/unet2d.h"
#include "convert/names.h"

/* Infers a UNet2DModel, or with transformers a UNet2DConditionModel, from the tensors under r->their_root and renames them all.
 * Errors stick to r. */
void brume_convert_unet2d(struct brume_renaming *r, const brume_convert_options *o, brume_unet2d_config *c);
/* The way back, of a UNet2DConditionModel that the layout can express. */
void brume_convert_unet2d_back(struct brume_renaming *r, const brume_unet2d_config *c);
/* The config alone. */
void brume_convert_unet2d_infer(struct brume_renaming *r, const brume_convert_options *o, brume_unet2d_config *c);

#endif
