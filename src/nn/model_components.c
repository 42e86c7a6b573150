/* SPDX-License-Identifier: MIT
 * The optional parts of a pipeline: a row each. */
#include "nn/model_components.h"

#include <stdlib.h>

#include "base/fail.h"
#include "base/file.h"

struct component {
    const char *name, *library, *class_name; /* folder and key in model_index.json, and its entry there */
    bool (*there)(const brume_model *m);
    brume_status (*load)(brume_model *m, const char *folder, const char *variant);
    brume_status (*save)(const brume_model *m, const char *folder);
    void (*free)(brume_model *m);
};

static bool has_autoencoder(const brume_model *m) { return m->autoencoder != NULL; }
static brume_status load_autoencoder(brume_model *m, const char *folder, const char *variant)
{
    char note[1100];
    const brume_status s = brume_autoencoder_load(folder, variant, &m->autoencoder, note);
    if (s == BRUME_OK) brume_model_add_note(m, note);
    return s;
}
static brume_status save_autoencoder(const brume_model *m, const char *folder) { return brume_autoencoder_save(m->autoencoder, folder); }
static void free_autoencoder(brume_model *m)
{
    brume_autoencoder_free(m->autoencoder);
    m->autoencoder = NULL;
}

static const struct component components[] = {
    { "vae", "diffusers", "AutoencoderKL", has_autoencoder, load_autoencoder, save_autoencoder, free_autoencoder },
};
enum { COMPONENTS = sizeof components / sizeof *components };

/* [null, null] is how an index says that a part is absent. */
static bool named(const brume_json *index, const char *name)
{
    return !brume_json_is_null(brume_json_at(brume_json_find(index, name), 1));
}

brume_status brume_components_load(brume_model *m, const char *folder, const char *index, const char *variant)
{
    brume_json *root = NULL;
    const bool indexed = brume_is_file(index);
    brume_status s = indexed ? brume_json_load(index, &root) : BRUME_OK;
    for (int i = 0; i < COMPONENTS && s == BRUME_OK; i++) {
        const struct component *c = &components[i];
        char *path = brume_path_join(folder, c->name);
        if (!path) s = brume_fail(BRUME_E_MEMORY, "%s: out of memory", folder);
        else if (indexed && named(root, c->name) && !brume_is_folder(path))
            s = brume_fail(BRUME_E_IO, "%s: model_index.json names a part %s, but there is no such folder", folder, c->name);
        else if (indexed ? named(root, c->name) : brume_is_folder(path)) s = c->load(m, path, variant);
        free(path);
    }
    brume_json_free(root);
    return s;
}

brume_status brume_components_save(const brume_model *m, const char *folder)
{
    brume_status s = BRUME_OK;
    for (int i = 0; i < COMPONENTS && s == BRUME_OK; i++) {
        if (!components[i].there(m)) continue;
        char *path = brume_path_join(folder, components[i].name);
        s = path ? components[i].save(m, path) : brume_fail(BRUME_E_MEMORY, "%s: out of memory", folder);
        free(path);
    }
    return s;
}

void brume_components_write(const brume_model *m, brume_json_writer *w)
{
    for (int i = 0; i < COMPONENTS; i++) {
        if (!components[i].there(m)) continue;
        brume_json_begin_array(w, components[i].name, 1);
        brume_json_put_string(w, NULL, components[i].library);
        brume_json_put_string(w, NULL, components[i].class_name);
        brume_json_end(w);
    }
}

int brume_components_count(const brume_model *m)
{
    int n = 0;
    for (int i = 0; i < COMPONENTS; i++) n += components[i].there(m);
    return n;
}

void brume_components_free(brume_model *m)
{
    for (int i = 0; i < COMPONENTS; i++) components[i].free(m);
}
