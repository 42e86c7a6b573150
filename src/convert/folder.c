/* SPDX-License-Identifier: MIT
 * Writes the folder of a pipeline from configs and renamed weights. */
#include "convert/folder.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "brume/json.h"

static void write_entry(brume_json_writer *w, const char *name, const char *library, const char *class_name)
{
    brume_json_begin_array(w, name, 1);
    brume_json_put_string(w, NULL, library);
    brume_json_put_string(w, NULL, class_name);
    brume_json_end(w);
}

static brume_status write_index(const struct brume_convert_pipeline *p, const char *path)
{
    const char *network = brume_unet2d_class_name(p->unet);
    const bool stable = p->autoencoder && p->text_encoder && p->tokenizer, alone = !p->autoencoder && !p->text_encoder;
    brume_json_writer *w = brume_json_writer_new();
    if (!w) return brume_fail(BRUME_E_MEMORY, "%s: out of memory while writing", path);
    brume_json_begin_object(w, NULL);
    brume_json_put_string(w, "_class_name", stable ? "StableDiffusionPipeline" : alone ? "DDPMPipeline" : "BrumePipeline");
    brume_json_put_string(w, "_diffusers_version", "0.42.1");
    write_entry(w, "scheduler", "diffusers", p->scheduler->class_name);
    write_entry(w, "unet", strncmp(network, "Brume", 5) ? "diffusers" : "brume", network);
    if (p->autoencoder) write_entry(w, "vae", "diffusers", "AutoencoderKL");
    if (p->text_encoder) write_entry(w, "text_encoder", "transformers", "CLIPTextModel");
    if (p->tokenizer) write_entry(w, "tokenizer", "transformers", "CLIPTokenizer");
    if (stable) { /* parts of that class which brume has not; without these lines it warns, or asks for them */
        write_entry(w, "safety_checker", NULL, NULL);
        write_entry(w, "feature_extractor", NULL, NULL);
        write_entry(w, "image_encoder", NULL, NULL);
        brume_json_put_bool(w, "requires_safety_checker", 0);
    }
    brume_json_end(w);
    const brume_status s = brume_json_writer_save(w, path);
    brume_json_writer_free(w);
    return s;
}

/* FOLDER/SUB, made, and FOLDER/SUB/FILE: the first is freed here. NULL with an error. */
static char *place(const char *folder, const char *sub, const char *file, brume_status *s)
{
    char *dir = brume_path_join(folder, sub), *path = dir ? brume_path_join(dir, file) : NULL;
    *s = path ? brume_make_folders(dir) : brume_fail(BRUME_E_MEMORY, "%s: out of memory", folder);
    free(dir);
    if (*s == BRUME_OK) return path;
    free(path);
    return NULL;
}

static brume_status write_weights(const struct brume_renaming *r, const char *folder, const char *sub, const char *stem)
{
    brume_status s;
    char file[64];
    snprintf(file, sizeof file, "%s.safetensors", stem);
    char *path = place(folder, sub, file, &s);
    if (path) s = brume_renaming_write(r, 1, path);
    free(path);
    return s;
}

static brume_status write_unet(const struct brume_convert_pipeline *p, const char *path)
{
    return brume_unet2d_config_write(path, p->unet);
}
static brume_status write_scheduler(const struct brume_convert_pipeline *p, const char *path)
{
    return brume_scheduler_config_write(path, p->scheduler);
}
static brume_status write_autoencoder(const struct brume_convert_pipeline *p, const char *path)
{
    return brume_autoencoder_config_write(path, p->autoencoder);
}
static brume_status write_text_encoder(const struct brume_convert_pipeline *p, const char *path)
{
    return brume_text_encoder_config_write(path, p->text_encoder);
}

static brume_status write_config(const struct brume_convert_pipeline *p, const char *folder, const char *sub, const char *file,
                                 brume_status (*write)(const struct brume_convert_pipeline *p, const char *path))
{
    brume_status s;
    char *path = place(folder, sub, file, &s);
    if (path) s = write(p, path);
    free(path);
    return s;
}

brume_status brume_convert_write_folder(const struct brume_convert_pipeline *p, const char *folder)
{
    static const char weights[] = "diffusion_pytorch_model";
    brume_status s = write_config(p, folder, "unet", "config.json", write_unet);
    if (s == BRUME_OK) s = write_weights(p->unet_weights, folder, "unet", weights);
    if (s == BRUME_OK) s = write_config(p, folder, "scheduler", "scheduler_config.json", write_scheduler);
    if (s == BRUME_OK && p->autoencoder) s = write_config(p, folder, "vae", "config.json", write_autoencoder);
    if (s == BRUME_OK && p->autoencoder) s = write_weights(p->autoencoder_weights, folder, "vae", weights);
    if (s == BRUME_OK && p->text_encoder) s = write_config(p, folder, "text_encoder", "config.json", write_text_encoder);
    if (s == BRUME_OK && p->text_encoder) s = write_weights(p->text_encoder_weights, folder, "text_encoder", "model");
    if (s == BRUME_OK && p->tokenizer) {
        char *path = brume_path_join(folder, "tokenizer");
        s = path ? brume_tokenizer_save(p->tokenizer, path) : brume_fail(BRUME_E_MEMORY, "%s: out of memory", folder);
        free(path);
    }
    return s == BRUME_OK ? write_config(p, folder, "", "model_index.json", write_index) : s;
}
