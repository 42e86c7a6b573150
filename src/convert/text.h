/* SPDX-License-Identifier: MIT
 * Text encoders within single files: CLIP under transformers' names, and OpenCLIP's, as CLIPTextModel. */
#ifndef BRUME_CONVERT_TEXT_H
#define BRUME_CONVERT_TEXT_H

#include "brume/convert.h"
#include "brume/text_encoder.h"
#include "convert/names.h"

/* Infers the config from the tensors under r->their_root, "cond_stage_model.", and renames them all. Errors stick to r. */
void brume_convert_text(struct brume_renaming *r, const brume_convert_options *o, brume_text_encoder_config *c);
/* The way back: OpenCLIP's names for an encoder with its activation, else transformers'. */
void brume_convert_text_back(struct brume_renaming *r, const brume_text_encoder_config *c);

#endif
