/* SPDX-License-Identifier: MIT
 * The folder that comes out: configs, weights, tokenizer and index of a pipeline. */
#ifndef BRUME_CONVERT_FOLDER_H
#define BRUME_CONVERT_FOLDER_H

#include "brume/autoencoder.h"
#include "brume/schedule.h"
#include "brume/text_encoder.h"
#include "brume/tokenizer.h"
#include "brume/unet2d.h"
#include "convert/names.h"

/* What it consists of; parts other than network and scheduler may be NULL. Weights are those of the config above them. */
struct brume_convert_pipeline {
    const brume_unet2d_config *unet;
    const struct brume_renaming *unet_weights;
    const brume_scheduler_config *scheduler;
    const brume_autoencoder_config *autoencoder;
    const struct brume_renaming *autoencoder_weights;
    const brume_text_encoder_config *text_encoder;
    const struct brume_renaming *text_encoder_weights;
    const brume_tokenizer *tokenizer;
};

/* model_index.json comes last: a folder that has it is complete. */
brume_status brume_convert_write_folder(const struct brume_convert_pipeline *p, const char *folder);

#endif
