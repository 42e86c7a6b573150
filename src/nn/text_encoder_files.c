/* SPDX-License-Identifier: MIT
 * Folders of text encoders. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "base/file.h"
#include "brume/params.h"
#include "brume/text_encoder.h"

/* The graph whose slab lays the parameters out, without a plan. */
static brume_status layout(const brume_text_encoder_config *c, brume_graph **g, brume_tensor *slab)
{
    brume_status s = brume_text_encoder_config_check(c);
    *g = NULL;
    if (s != BRUME_OK) return s;
    if (!(*g = brume_graph_new())) return brume_fail(BRUME_E_MEMORY, "out of memory for a text encoder");
    *slab = brume_slab(*g, "params");
    const brume_tensor ids = brume_input(*g, "ids", BRUME_I32, BRUME_SHAPE(1, 1)), row = brume_input(*g, "row", BRUME_I32, BRUME_SHAPE(1));
    const brume_tensor hidden = brume_text_encoder(*g, c, *slab, "", ids);
    if (c->projection) brume_text_encoder_project(*g, c, *slab, "", brume_text_encoder_pooled(*g, hidden, row));
    s = brume_graph_status(*g);
    return s == BRUME_OK ? s : brume_fail(s, "%s", brume_graph_error(*g));
}

static brume_status alloc_params(const brume_graph *g, brume_tensor slab, float **params, int64_t *n)
{
    *n = brume_params_numel(g, slab);
    *params = calloc((size_t)*n, sizeof **params);
    return *params ? BRUME_OK : brume_fail(BRUME_E_MEMORY, "out of memory for %lld parameters of a text encoder", (long long)*n);
}

brume_status brume_text_encoder_new(const brume_text_encoder_config *c, uint64_t seed, float **params, int64_t *n)
{
    brume_graph *g;
    brume_tensor slab;
    *params = NULL;
    brume_status s = layout(c, &g, &slab);
    if (s == BRUME_OK) s = alloc_params(g, slab, params, n);
    if (s == BRUME_OK) brume_params_init(g, slab, seed, *params);
    brume_graph_free(g);
    return s;
}

brume_status brume_text_encoder_load(const char *folder, const char *variant, brume_text_encoder_config *c, float **params, int64_t *n,
                                     char note[1024])
{
    brume_graph *g = NULL;
    brume_tensor slab;
    brume_weights *w = NULL;
    char keys[512] = "", tensors[512] = "";
    char *path = brume_path_join(folder, "config.json");
    *params = NULL;
    brume_status s = path ? brume_text_encoder_config_read(path, c, keys) : brume_fail(BRUME_E_MEMORY, "%s: out of memory", folder);
    if (s == BRUME_OK) s = layout(c, &g, &slab);
    if (s == BRUME_OK) s = brume_weights_open(folder, "model", variant, &w);
    if (s == BRUME_OK) s = alloc_params(g, slab, params, n);
    if (s == BRUME_OK) s = brume_params_load(g, slab, w, *params, tensors);
    if (note) snprintf(note, 1024, "%s%s%.500s", keys, keys[0] && tensors[0] ? "; " : "", tensors);
    brume_weights_close(w);
    brume_graph_free(g);
    free(path);
    if (s != BRUME_OK) {
        free(*params);
        *params = NULL;
    }
    return s;
}

brume_status brume_text_encoder_save(const char *folder, const brume_text_encoder_config *c, const float *params)
{
    brume_graph *g;
    brume_tensor slab;
    char *config = brume_path_join(folder, "config.json"), *weights = brume_path_join(folder, "model.safetensors");
    brume_status s = layout(c, &g, &slab);
    if (s == BRUME_OK && (!config || !weights)) s = brume_fail(BRUME_E_MEMORY, "%s: out of memory", folder);
    if (s == BRUME_OK) s = brume_make_folders(folder);
    if (s == BRUME_OK) s = brume_text_encoder_config_write(config, c);
    if (s == BRUME_OK) s = brume_params_save(g, slab, params, weights);
    brume_graph_free(g);
    free(config);
    free(weights);
    return s;
}

static brume_status model_alloc(brume_text_model **out)
{
    *out = calloc(1, sizeof **out);
    return *out ? BRUME_OK : brume_fail(BRUME_E_MEMORY, "out of memory for a text encoder");
}

static brume_status model_made(brume_status s, brume_text_model **out)
{
    if (s == BRUME_OK) return s;
    brume_text_model_free(*out);
    *out = NULL;
    return s;
}

brume_status brume_text_model_new(const brume_text_encoder_config *c, uint64_t seed, brume_text_model **out)
{
    brume_status s = model_alloc(out);
    if (s != BRUME_OK) return s;
    (*out)->config = *c;
    return model_made(brume_text_encoder_new(c, seed, &(*out)->params, &(*out)->n_params), out);
}

brume_status brume_text_model_load(const char *folder, const char *variant, brume_text_model **out, char note[1024])
{
    brume_status s = model_alloc(out);
    if (s != BRUME_OK) return s;
    return model_made(brume_text_encoder_load(folder, variant, &(*out)->config, &(*out)->params, &(*out)->n_params, note), out);
}

void brume_text_model_free(brume_text_model *m)
{
    if (!m) return;
    free(m->params);
    free(m);
}
