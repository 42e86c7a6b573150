/* SPDX-License-Identifier: MIT
 * Model folders as diffusers lays them out: pipelines, flat pipelines and bare models. */
#include "brume/model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "base/file.h"
#include "base/hash.h"
#include "brume/json.h"
#include "nn/model_components.h"
#include "nn/unet2d_build.h"

void brume_model_add_note(brume_model *m, const char *text) { brume_note_add(m->note, sizeof m->note, text); }

void brume_model_free(brume_model *m)
{
    if (!m) return;
    brume_scheduler_config_clear(&m->scheduler);
    brume_components_free(m);
    free(m->params);
    free(m);
}

static uint64_t hash_part(uint64_t h, const float *params, int64_t n)
{
    h = brume_hash_values(h, &n, 1, sizeof n);
    return n ? brume_hash_values(h, params, (size_t)n, sizeof *params) : h;
}

uint64_t brume_model_fingerprint(const brume_model *m)
{
    uint64_t h = hash_part(0, m->params, m->n_params);
    h = hash_part(h, m->autoencoder ? m->autoencoder->params : NULL, m->autoencoder ? m->autoencoder->n_params : 0);
    return hash_part(h, m->text_encoder ? m->text_encoder->params : NULL, m->text_encoder ? m->text_encoder->n_params : 0);
}

void brume_model_drop_params(brume_model *m)
{
    free(m->params);
    m->params = NULL;
}

static brume_status model_alloc(brume_model **out)
{
    brume_model *m = calloc(1, sizeof *m);
    *out = NULL;
    if (!m) return brume_fail(BRUME_E_MEMORY, "out of memory for a model");
    brume_unet2d_config_default(&m->unet);
    brume_scheduler_config_default(&m->scheduler);
    *out = m;
    return BRUME_OK;
}

brume_status brume_model_new(const brume_unet2d_config *c, const brume_scheduler_config *scheduler, uint64_t seed,
                             brume_model **out)
{
    brume_model *m = NULL;
    *out = NULL;
    brume_status s = model_alloc(&m);
    if (s != BRUME_OK) return s;
    m->unet = *c;
    if (scheduler) {
        s = brume_scheduler_config_copy(&m->scheduler, scheduler);
        m->has_scheduler = 1;
    }
    if (s == BRUME_OK) s = brume_network_new(&brume_unet2d_network, c, seed, &m->params, &m->n_params);
    if (s != BRUME_OK) brume_model_free(m);
    else *out = m;
    return s;
}

/* Where the parts of a model lie: paths, freed by free_parts(). */
struct parts { char *index, *config, *weights, *scheduler; };

static void free_parts(struct parts *p)
{
    free(p->index);
    free(p->config);
    free(p->weights);
    free(p->scheduler);
}

/* folder/component if that is a folder, else folder itself (flat pipelines); allocated. */
static char *component(const char *folder, const char *name)
{
    char *path = brume_path_join(folder, name);
    if (!path || brume_is_folder(path)) return path;
    free(path);
    return strdup(folder);
}

static brume_status find_parts(const char *folder, struct parts *p)
{
    if (!brume_is_folder(folder))
        return brume_fail(BRUME_E_IO, "%s: no such folder; a model is a folder with config.json and weights", folder);
    p->index = brume_path_join(folder, "model_index.json");
    p->weights = component(folder, "unet");
    char *schedulers = component(folder, "scheduler");
    if (p->weights) p->config = brume_path_join(p->weights, "config.json");
    if (schedulers) p->scheduler = brume_path_join(schedulers, "scheduler_config.json");
    free(schedulers);
    if (!p->index || !p->weights || !p->config || !p->scheduler) return brume_fail(BRUME_E_MEMORY, "%s: out of memory", folder);
    if (brume_is_file(p->config)) return BRUME_OK;
    return brume_fail(BRUME_E_IO, "%s: neither config.json nor unet/config.json is there, so this is no model folder", folder);
}

/* The class of unet in model_index.json; pipelines with parts that brume does not run are refused by that class. */
static brume_status check_index(const char *path)
{
    brume_json *root = NULL;
    brume_status s = brume_json_load(path, &root);
    for (int64_t i = 0; s == BRUME_OK && i < brume_json_count(root); i++) /* parts are folders */
        if (brume_json_typeof(brume_json_at(root, i)) == BRUME_JSON_ARRAY)
            s = brume_name_check(brume_json_key(brume_json_at(root, i)), path);
    const brume_json *entry = brume_json_find(root, "unet");
    const char *name = brume_json_string(brume_json_at(entry, 1), NULL);
    const bool built = !name || !strcmp(name, "UNet2DModel") || !strcmp(name, "UNet2DConditionModel") ||
                       !strncmp(name, "Brume", 5); /* brume's own are told apart in config.json */
    if (s == BRUME_OK && entry && !built)
        s = brume_fail(BRUME_E_UNSUPPORTED, "%s: the pipeline %s has a %s; brume builds UNet2DModel and UNet2DConditionModel",
                       path, brume_json_string(brume_json_find(root, "_class_name"), "(unnamed)"), name);
    if (s == BRUME_OK && !entry)
        s = brume_fail(BRUME_E_UNSUPPORTED, "%s: the pipeline %s has no part called unet", path,
                       brume_json_string(brume_json_find(root, "_class_name"), "(unnamed)"));
    brume_json_free(root);
    return s;
}

static brume_status load_weights(brume_model *m, const char *folder, const char *variant)
{
    char note[512] = "";
    const brume_status s = brume_network_load(&brume_unet2d_network, &m->unet, folder, variant, &m->params, &m->n_params, note);
    brume_model_add_note(m, note);
    return s;
}

brume_status brume_model_load(const char *folder, const char *variant, brume_model **out)
{
    struct parts p = { 0 };
    brume_model *m = NULL;
    char note[512] = "";
    *out = NULL;
    brume_status s = find_parts(folder, &p);
    if (s == BRUME_OK) s = model_alloc(&m);
    if (s == BRUME_OK && brume_is_file(p.index)) s = check_index(p.index);
    if (s == BRUME_OK) s = brume_unet2d_config_read(p.config, &m->unet, note);
    if (s == BRUME_OK) brume_model_add_note(m, note);
    if (s == BRUME_OK && brume_is_file(p.scheduler)) {
        s = brume_scheduler_config_read(p.scheduler, &m->scheduler, note);
        m->has_scheduler = s == BRUME_OK;
        if (s == BRUME_OK) brume_model_add_note(m, note);
    }
    if (s == BRUME_OK) s = load_weights(m, p.weights, variant);
    if (s == BRUME_OK) s = brume_components_load(m, folder, p.index, variant);
    free_parts(&p);
    if (s != BRUME_OK) brume_model_free(m);
    else *out = m;
    return s;
}

static brume_status write_index(const brume_model *m, const char *path)
{
    brume_json_writer *w = brume_json_writer_new();
    if (!w) return brume_fail(BRUME_E_MEMORY, "%s: out of memory while writing", path);
    const char *scheduler = m->scheduler.class_name;
    brume_json_begin_object(w, NULL);
    brume_json_put_string(w, "_class_name", m->unet.architecture == BRUME_ARCHITECTURE_CLASSIFIER ? "BrumeClassifierPipeline"
                                            : brume_components_pipeline(m) ? brume_components_pipeline(m)
                                            : m->unet.architecture == BRUME_ARCHITECTURE_CONDITION ? "BrumePipeline"
                                            : strcmp(scheduler, "DDIMScheduler") ? "DDPMPipeline" : "DDIMPipeline");
    brume_json_put_string(w, "_diffusers_version", "0.42.1");
    brume_json_begin_array(w, "scheduler", 1);
    brume_json_put_string(w, NULL, "diffusers");
    brume_json_put_string(w, NULL, scheduler);
    brume_json_end(w);
    brume_json_begin_array(w, "unet", 1);
    brume_json_put_string(w, NULL, strncmp(brume_unet2d_class_name(&m->unet), "Brume", 5) ? "diffusers" : "brume");
    brume_json_put_string(w, NULL, brume_unet2d_class_name(&m->unet));
    brume_json_end(w);
    brume_components_write(m, w);
    brume_json_end(w);
    const brume_status s = brume_json_writer_save(w, path);
    brume_json_writer_free(w);
    return s;
}

/* Makes folder/sub and calls write for folder/sub/file. */
static brume_status write_part(const brume_model *m, const char *folder, const char *sub, const char *file,
                               brume_status (*write)(const brume_model *m, const char *path))
{
    char *dir = sub[0] ? brume_path_join(folder, sub) : strdup(folder), *path = dir ? brume_path_join(dir, file) : NULL;
    brume_status s = path ? brume_make_folders(dir) : brume_fail(BRUME_E_MEMORY, "%s: out of memory", folder);
    if (s == BRUME_OK) s = write(m, path);
    free(path);
    free(dir);
    return s;
}

static brume_status write_config(const brume_model *m, const char *path) { return brume_unet2d_config_write(path, &m->unet); }
static brume_status write_weights(const brume_model *m, const char *path)
{
    return brume_network_save(&brume_unet2d_network, &m->unet, m->params, m->n_params, path);
}
static brume_status write_scheduler(const brume_model *m, const char *path)
{
    return brume_scheduler_config_write(path, &m->scheduler);
}

/* model_index.json comes last: a folder that has it is complete. */
brume_status brume_model_save(const brume_model *m, const char *folder)
{
    brume_status s = write_part(m, folder, "unet", "config.json", write_config);
    if (s == BRUME_OK) s = write_part(m, folder, "unet", "diffusion_pytorch_model.safetensors", write_weights);
    if (s == BRUME_OK) s = write_part(m, folder, "scheduler", "scheduler_config.json", write_scheduler);
    if (s == BRUME_OK) s = brume_components_save(m, folder);
    if (s == BRUME_OK) s = write_part(m, folder, "", "model_index.json", write_index);
    return s;
}
