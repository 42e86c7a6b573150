/* SPDX-License-Identifier: MIT
 * Internals of UNet2DModel shared by its files. */
#ifndef BRUME_NN_UNET2D_BUILD_H
#define BRUME_NN_UNET2D_BUILD_H

#include "brume/unet2d.h"

#define BRUME_UNET2D_MAX_LAYERS 32

/* Builds the network for the smallest image and returns its slab: the layout of the parameters. Errors stick to g. */
brume_tensor brume_unet2d_on_paper(brume_graph *g, const brume_unet2d_config *c);

#endif
