/* SPDX-License-Identifier: MIT
 * Parameters of a network on the host: fresh ones, and the safetensors files that hold them. */
#include "nn/network_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "brume/params.h"

void brume_note_add(char *note, size_t size, const char *text)
{
    const size_t used = strlen(note);
    if (text[0]) snprintf(note + used, size - used, "%s%s", used ? "; " : "", text);
}

/* The graph whose slab lays the parameters out; no plan, no device. */
static brume_status layout(const struct brume_network_kind *k, const void *config, brume_graph **g, brume_tensor *slab,
                           int64_t *n)
{
    *g = brume_graph_new();
    if (!*g) return brume_fail(BRUME_E_MEMORY, "out of memory for %s", k->what);
    brume_status s = k->on_paper(*g, config, slab);
    if (s == BRUME_OK && (s = brume_graph_status(*g)) != BRUME_OK) brume_fail(s, "%s", brume_graph_error(*g));
    if (s == BRUME_OK) *n = brume_params_numel(*g, *slab);
    return s;
}

int64_t brume_network_count(const struct brume_network_kind *k, const void *config)
{
    brume_graph *g;
    brume_tensor slab;
    int64_t n = 0;
    const brume_status s = layout(k, config, &g, &slab, &n);
    brume_graph_free(g);
    return s == BRUME_OK ? n : 0;
}

static brume_status make_room(const struct brume_network_kind *k, float **params, int64_t n)
{
    *params = calloc((size_t)n, sizeof **params);
    return *params ? BRUME_OK : brume_fail(BRUME_E_MEMORY, "out of memory for %lld parameters of %s", (long long)n, k->what);
}

static brume_status finish(brume_status s, brume_graph *g, float **params)
{
    brume_graph_free(g);
    if (s == BRUME_OK) return s;
    free(*params);
    *params = NULL;
    return s;
}

brume_status brume_network_new(const struct brume_network_kind *k, const void *config, uint64_t seed, float **params, int64_t *n)
{
    brume_graph *g;
    brume_tensor slab;
    *params = NULL;
    brume_status s = layout(k, config, &g, &slab, n);
    if (s == BRUME_OK) s = make_room(k, params, *n);
    if (s == BRUME_OK) brume_params_init(g, slab, seed, *params);
    return finish(s, g, params);
}

brume_status brume_network_load(const struct brume_network_kind *k, const void *config, const char *folder, const char *variant,
                                float **params, int64_t *n, char note[512])
{
    brume_graph *g;
    brume_tensor slab;
    brume_weights *w = NULL;
    *params = NULL;
    brume_status s = layout(k, config, &g, &slab, n);
    if (s == BRUME_OK) s = brume_weights_open(folder, k->stem, variant, &w);
    if (s == BRUME_OK) s = brume_params_check(g, slab, w); /* before a config that fits no file asks for any amount of memory */
    if (s == BRUME_OK) s = make_room(k, params, *n);
    if (s == BRUME_OK) s = brume_params_load(g, slab, w, *params, note);
    brume_weights_close(w);
    return finish(s, g, params);
}

brume_status brume_network_save(const struct brume_network_kind *k, const void *config, const float *params, int64_t n,
                                const char *path)
{
    brume_graph *g;
    brume_tensor slab;
    int64_t described = 0;
    brume_status s = layout(k, config, &g, &slab, &described);
    if (s == BRUME_OK && described != n)
        s = brume_fail(BRUME_E_ARG, "%s: the config describes %lld parameters, but %s of %lld was given", path,
                       (long long)described, k->what, (long long)n);
    if (s == BRUME_OK) s = brume_params_save(g, slab, params, path);
    brume_graph_free(g);
    return s;
}
