/* SPDX-License-Identifier: MIT
 * Autoencoders with their parameters: fresh ones, and folders with config.json and weights. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "base/file.h"
#include "brume/params.h"
#include "nn/autoencoder_build.h"

static const char weights_stem[] = "diffusion_pytorch_model";

void brume_autoencoder_free(brume_autoencoder *a)
{
    if (!a) return;
    free(a->params);
    free(a);
}

/* Room for the parameters, and the graph whose slab lays them out. */
static brume_status layout(const brume_autoencoder_config *c, brume_autoencoder **out, brume_graph **g, brume_tensor *slab)
{
    brume_status s = brume_autoencoder_config_check(c);
    if (s != BRUME_OK) return s;
    *g = brume_graph_new();
    brume_autoencoder *a = *out = calloc(1, sizeof *a);
    if (!*g || !a) return brume_fail(BRUME_E_MEMORY, "out of memory for an autoencoder");
    a->config = *c;
    *slab = brume_autoencoder_on_paper(*g, c);
    if (brume_graph_status(*g) != BRUME_OK) return brume_fail(brume_graph_status(*g), "%s", brume_graph_error(*g));
    a->n_params = brume_params_numel(*g, *slab);
    a->params = calloc((size_t)a->n_params, sizeof *a->params);
    return a->params ? BRUME_OK : brume_fail(BRUME_E_MEMORY, "out of memory for %lld parameters of an autoencoder", (long long)a->n_params);
}

brume_status brume_autoencoder_new(const brume_autoencoder_config *c, uint64_t seed, brume_autoencoder **out)
{
    brume_autoencoder *a = NULL;
    brume_graph *g = NULL;
    brume_tensor slab = BRUME_NONE;
    *out = NULL;
    const brume_status s = layout(c, &a, &g, &slab);
    if (s == BRUME_OK) brume_params_init(g, slab, seed, a->params);
    brume_graph_free(g);
    if (s != BRUME_OK) brume_autoencoder_free(a);
    else *out = a;
    return s;
}

/* config.json in the folder itself or in vae/; both allocated. */
static brume_status find_config(const char *folder, char **where, char **config)
{
    *where = brume_path_join(folder, "vae");
    if (*where && !brume_is_folder(*where)) {
        free(*where);
        *where = strdup(folder);
    }
    *config = *where ? brume_path_join(*where, "config.json") : NULL;
    if (!*config) return brume_fail(BRUME_E_MEMORY, "%s: out of memory", folder);
    if (brume_is_file(*config)) return BRUME_OK;
    return brume_fail(BRUME_E_IO, "%s: neither config.json nor vae/config.json is there, so this is no autoencoder", folder);
}

brume_status brume_autoencoder_load(const char *folder, const char *variant, brume_autoencoder **out, char note[1100])
{
    brume_autoencoder_config c;
    brume_autoencoder *a = NULL;
    brume_graph *g = NULL;
    brume_tensor slab = BRUME_NONE;
    brume_weights *w = NULL;
    char *where = NULL, *config = NULL, keys_note[512] = "", weights_note[512] = "";
    *out = NULL;
    brume_status s = find_config(folder, &where, &config);
    if (s == BRUME_OK) s = brume_autoencoder_config_read(config, &c, keys_note);
    if (s == BRUME_OK) s = layout(&c, &a, &g, &slab);
    if (s == BRUME_OK) s = brume_weights_open(where, weights_stem, variant, &w);
    if (s == BRUME_OK) s = brume_params_load(g, slab, w, a->params, weights_note);
    if (note) snprintf(note, 1100, "%s%s%s", keys_note, keys_note[0] && weights_note[0] ? "; " : "", weights_note);
    brume_weights_close(w);
    brume_graph_free(g);
    free(config);
    free(where);
    if (s != BRUME_OK) brume_autoencoder_free(a);
    else *out = a;
    return s;
}

static brume_status save_weights(const brume_autoencoder *a, const char *path)
{
    brume_graph *g = brume_graph_new();
    if (!g) return brume_fail(BRUME_E_MEMORY, "%s: out of memory", path);
    const brume_tensor slab = brume_autoencoder_on_paper(g, &a->config);
    brume_status s = brume_graph_status(g);
    if (s != BRUME_OK) s = brume_fail(s, "%s", brume_graph_error(g));
    else if (brume_params_numel(g, slab) != a->n_params)
        s = brume_fail(BRUME_E_ARG, "%s: the config describes %lld parameters, the autoencoder holds %lld", path,
                       (long long)brume_params_numel(g, slab), (long long)a->n_params);
    else s = brume_params_save(g, slab, a->params, path);
    brume_graph_free(g);
    return s;
}

brume_status brume_autoencoder_save(const brume_autoencoder *a, const char *folder)
{
    char *config = brume_path_join(folder, "config.json"), *weights = brume_path_join(folder, "diffusion_pytorch_model.safetensors");
    brume_status s = config && weights ? brume_autoencoder_config_check(&a->config) : brume_fail(BRUME_E_MEMORY, "%s: out of memory", folder);
    if (s == BRUME_OK) s = brume_make_folders(folder);
    if (s == BRUME_OK) s = brume_autoencoder_config_write(config, &a->config);
    if (s == BRUME_OK) s = save_weights(a, weights);
    free(config);
    free(weights);
    return s;
}
