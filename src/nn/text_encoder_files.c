/* SPDX-License-Identifier: MIT
 * Text encoders with their parameters: fresh ones, and folders with config.json and weights. */
#include <stdio.h>
#include <stdlib.h>

#include "base/fail.h"
#include "base/file.h"
#include "brume/text_encoder.h"
#include "nn/network_file.h"

static brume_status on_paper(brume_graph *g, const void *config, brume_tensor *slab)
{
    const brume_text_encoder_config *c = config;
    const brume_status s = brume_text_encoder_config_check(c);
    if (s != BRUME_OK) return s;
    *slab = brume_slab(g, "params");
    const brume_tensor ids = brume_input(g, "ids", BRUME_I32, BRUME_SHAPE(1, 1)),
                       row = brume_input(g, "row", BRUME_I32, BRUME_SHAPE(1));
    const brume_tensor hidden = brume_text_encoder(g, c, *slab, "", ids);
    if (c->projection) brume_text_encoder_project(g, c, *slab, "", brume_text_encoder_pooled(g, hidden, row));
    return BRUME_OK;
}

const struct brume_network_kind brume_text_encoder_network = { "a text encoder", "model", on_paper };

void brume_text_model_free(brume_text_model *m)
{
    if (!m) return;
    free(m->params);
    free(m);
}

static brume_status alloc(const brume_text_encoder_config *c, brume_text_model **out)
{
    *out = calloc(1, sizeof **out);
    if (!*out) return brume_fail(BRUME_E_MEMORY, "out of memory for a text encoder");
    (*out)->config = *c;
    return BRUME_OK;
}

static brume_status made(brume_status s, brume_text_model **out)
{
    if (s == BRUME_OK) return s;
    brume_text_model_free(*out);
    *out = NULL;
    return s;
}

brume_status brume_text_model_new(const brume_text_encoder_config *c, uint64_t seed, brume_text_model **out)
{
    brume_status s = alloc(c, out);
    if (s == BRUME_OK) s = brume_network_new(&brume_text_encoder_network, c, seed, &(*out)->params, &(*out)->n_params);
    return made(s, out);
}

brume_status brume_text_model_load(const char *folder, const char *variant, brume_text_model **out, char note[1100])
{
    brume_text_encoder_config c;
    char keys[512] = "", tensors[512] = "";
    char *path = brume_path_join(folder, "config.json");
    *out = NULL;
    brume_status s =
        path ? brume_text_encoder_config_read(path, &c, keys) : brume_fail(BRUME_E_MEMORY, "%s: out of memory", folder);
    if (s == BRUME_OK) s = alloc(&c, out);
    if (s == BRUME_OK)
        s = brume_network_load(&brume_text_encoder_network, &c, folder, variant, &(*out)->params, &(*out)->n_params, tensors);
    if (note) {
        snprintf(note, 1100, "%s", keys);
        brume_note_add(note, 1100, tensors);
    }
    free(path);
    return made(s, out);
}

brume_status brume_text_model_save(const brume_text_model *m, const char *folder)
{
    char *config = brume_path_join(folder, "config.json"), *weights = brume_path_join(folder, "model.safetensors");
    brume_status s =
        config && weights ? brume_text_encoder_config_check(&m->config) : brume_fail(BRUME_E_MEMORY, "%s: out of memory", folder);
    if (s == BRUME_OK) s = brume_make_folders(folder);
    if (s == BRUME_OK) s = brume_text_encoder_config_write(config, &m->config);
    if (s == BRUME_OK) s = brume_network_save(&brume_text_encoder_network, &m->config, m->params, m->n_params, weights);
    free(config);
    free(weights);
    return s;
}
