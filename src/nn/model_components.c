/* SPDX-License-Identifier: MIT
 * The optional parts of a pipeline: a row each. */
#include "nn/model_components.h"

#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "base/file.h"
#include "nn/unet2d_build.h"

struct component {
    const char *name, *library;                     /* folder and key in model_index.json, and its entry there */
    const char *(*class_name)(const brume_model *m); /* the other half of that entry; NULL: absent */
    brume_status (*load)(brume_model *m, const char *folder, const char *variant);
    brume_status (*save)(const brume_model *m, const char *folder);
    void (*free)(brume_model *m);
};

static const char *autoencoder_class(const brume_model *m) { return m->autoencoder ? "AutoencoderKL" : NULL; }
static brume_status load_autoencoder(brume_model *m, const char *folder, const char *variant)
{
    char note[1100];
    const brume_status s = brume_autoencoder_load(folder, variant, &m->autoencoder, note);
    if (s == BRUME_OK) brume_model_add_note(m, note);
    return s;
}
static brume_status save_autoencoder(const brume_model *m, const char *folder)
{
    return brume_autoencoder_save(m->autoencoder, folder);
}
static void free_autoencoder(brume_model *m)
{
    brume_autoencoder_free(m->autoencoder);
    m->autoencoder = NULL;
}

static const char *text_encoder_class(const brume_model *m)
{
    return !m->text_encoder ? NULL : m->text_encoder->config.projection ? "CLIPTextModelWithProjection" : "CLIPTextModel";
}
static brume_status load_text_encoder(brume_model *m, const char *folder, const char *variant)
{
    char note[1100];
    const brume_status s = brume_text_model_load(folder, variant, &m->text_encoder, note);
    if (s == BRUME_OK) brume_model_add_note(m, note);
    return s;
}
static brume_status save_text_encoder(const brume_model *m, const char *folder)
{
    return brume_text_model_save(m->text_encoder, folder);
}
static void free_text_encoder(brume_model *m)
{
    brume_text_model_free(m->text_encoder);
    m->text_encoder = NULL;
}

static const char *tokenizer_class(const brume_model *m) { return m->tokenizer ? "CLIPTokenizer" : NULL; }
/* Its row stands below the text encoder's, whose limits it keeps. */
static brume_status load_tokenizer(brume_model *m, const char *folder, const char *variant)
{
    (void)variant;
    const brume_text_encoder_config *c = m->text_encoder ? &m->text_encoder->config : NULL;
    const brume_status s = brume_tokenizer_load(folder, &m->tokenizer);
    if (s != BRUME_OK || !c) return s;
    if (brume_tokenizer_vocab_size(m->tokenizer) > c->vocab_size)
        return brume_fail(
            BRUME_E_FORMAT,
            "%s: the tokenizer makes ids up to %d, but the text encoder has a vocab_size of %d: do they belong together?", folder,
            brume_tokenizer_vocab_size(m->tokenizer) - 1, c->vocab_size);
    if (brume_tokenizer_max_length(m->tokenizer) <= c->max_position_embeddings) return BRUME_OK;
    return brume_tokenizer_set_max_length(m->tokenizer, c->max_position_embeddings);
}
static brume_status save_tokenizer(const brume_model *m, const char *folder)
{
    return brume_tokenizer_save(m->tokenizer, folder);
}
static void free_tokenizer(brume_model *m)
{
    brume_tokenizer_free(m->tokenizer);
    m->tokenizer = NULL;
}

static const struct component components[] = {
    { "vae", "diffusers", autoencoder_class, load_autoencoder, save_autoencoder, free_autoencoder },
    { "text_encoder", "transformers", text_encoder_class, load_text_encoder, save_text_encoder, free_text_encoder },
    { "tokenizer", "transformers", tokenizer_class, load_tokenizer, save_tokenizer, free_tokenizer },
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
        if (!components[i].class_name(m)) continue;
        char *path = brume_path_join(folder, components[i].name);
        s = path ? components[i].save(m, path) : brume_fail(BRUME_E_MEMORY, "%s: out of memory", folder);
        free(path);
    }
    return s;
}

static const char stable_diffusion[] = "StableDiffusionPipeline";

const char *brume_components_pipeline(const brume_model *m)
{
    int n = 0;
    for (int i = 0; i < COMPONENTS; i++) n += components[i].class_name(m) != NULL;
    if (!n) return NULL;
    return n == COMPONENTS && !strcmp(brume_unet2d_class_name(&m->unet), "UNet2DConditionModel") ? stable_diffusion
                                                                                                 : "BrumePipeline";
}

static void write_entry(brume_json_writer *w, const char *name, const char *library, const char *class_name)
{
    brume_json_begin_array(w, name, 1);
    brume_json_put_string(w, NULL, library);
    brume_json_put_string(w, NULL, class_name);
    brume_json_end(w);
}

void brume_components_write(const brume_model *m, brume_json_writer *w)
{
    for (int i = 0; i < COMPONENTS; i++)
        if (components[i].class_name(m)) write_entry(w, components[i].name, components[i].library, components[i].class_name(m));
    if (brume_components_pipeline(m) != stable_diffusion) return;
    /* Parts of that class which brume has not; without these lines it warns, or asks for them. */
    write_entry(w, "safety_checker", NULL, NULL);
    write_entry(w, "feature_extractor", NULL, NULL);
    write_entry(w, "image_encoder", NULL, NULL);
    brume_json_put_bool(w, "requires_safety_checker", 0);
}

void brume_components_free(brume_model *m)
{
    for (int i = 0; i < COMPONENTS; i++) components[i].free(m);
}
