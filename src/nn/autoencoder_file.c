/* SPDX-License-Identifier: MIT
 * Autoencoders with their parameters: fresh ones, and folders with config.json and weights. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "base/file.h"
#include "nn/autoencoder_build.h"

void brume_autoencoder_free(brume_autoencoder *a)
{
    if (!a) return;
    free(a->params);
    free(a);
}

static brume_status alloc(const brume_autoencoder_config *c, brume_autoencoder **out)
{
    *out = calloc(1, sizeof **out);
    if (!*out) return brume_fail(BRUME_E_MEMORY, "out of memory for an autoencoder");
    (*out)->config = *c;
    return BRUME_OK;
}

static brume_status made(brume_status s, brume_autoencoder **out)
{
    if (s == BRUME_OK) return s;
    brume_autoencoder_free(*out);
    *out = NULL;
    return s;
}

brume_status brume_autoencoder_new(const brume_autoencoder_config *c, uint64_t seed, brume_autoencoder **out)
{
    brume_status s = alloc(c, out);
    if (s == BRUME_OK) s = brume_network_new(&brume_autoencoder_network, c, seed, &(*out)->params, &(*out)->n_params);
    return made(s, out);
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
    char *where = NULL, *config = NULL, keys[512] = "", weights[512] = "";
    *out = NULL;
    brume_status s = find_config(folder, &where, &config);
    if (s == BRUME_OK) s = brume_autoencoder_config_read(config, &c, keys);
    if (s == BRUME_OK) s = alloc(&c, out);
    if (s == BRUME_OK)
        s = brume_network_load(&brume_autoencoder_network, &c, where, variant, &(*out)->params, &(*out)->n_params, weights);
    if (note) {
        snprintf(note, 1100, "%s", keys);
        brume_note_add(note, 1100, weights);
    }
    free(config);
    free(where);
    return made(s, out);
}

brume_status brume_autoencoder_save(const brume_autoencoder *a, const char *folder)
{
    char *config = brume_path_join(folder, "config.json"),
         *weights = brume_path_join(folder, "diffusion_pytorch_model.safetensors");
    brume_status s =
        config && weights ? brume_autoencoder_config_check(&a->config) : brume_fail(BRUME_E_MEMORY, "%s: out of memory", folder);
    if (s == BRUME_OK) s = brume_make_folders(folder);
    if (s == BRUME_OK) s = brume_autoencoder_config_write(config, &a->config);
    if (s == BRUME_OK) s = brume_network_save(&brume_autoencoder_network, &a->config, a->params, a->n_params, weights);
    free(config);
    free(weights);
    return s;
}
