/* SPDX-License-Identifier: MIT
 * A small text encoder, shared by the tests of text encoders and of pipelines. */
#ifndef BRUME_TESTS_TEXT_TINY_H
#define BRUME_TESTS_TEXT_TINY_H

#include "brume/text_encoder.h"

/* Two layers, odd widths. */
static inline brume_text_encoder_config tiny_text(void)
{
    brume_text_encoder_config c;
    brume_text_encoder_config_default(&c);
    c.hidden_size = 12;
    c.intermediate_size = 20;
    c.num_hidden_layers = 2;
    c.num_attention_heads = 3;
    c.max_position_embeddings = 9;
    c.vocab_size = 30;
    c.projection_dim = 7;
    c.eos_token_id = 29;
    return c;
}

#endif
