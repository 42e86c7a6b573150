/* SPDX-License-Identifier: MIT
 * Model folders, adapters that are merged into a model, files of other programs. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "brume/convert.h"
#include "brume/lora.h"
#include "brume/model.h"
#include "fuzz.h"

void fuzz_model(const uint8_t *data, size_t n)
{
    brume_model *m;
    fuzz_unpack(data, n);
    if (brume_model_load(fuzz_folder(), NULL, &m) != BRUME_OK) return;
    fuzz_use_text(m->note);
    (void)brume_model_fingerprint(m);
    brume_model_free(m);
}

/* A small network with cross-attention and a text encoder. */
static brume_model *tiny_model(void)
{
    brume_unet2d_config u;
    brume_text_encoder_config t;
    brume_model *m;
    brume_unet2d_condition_config_default(&u);
    u.levels = 1;
    u.block_out_channels[0] = 4;
    u.down_block_types[0] = u.up_block_types[0] = BRUME_BLOCK_CROSS_ATTENTION;
    u.layers_per_block = 1;
    u.norm_num_groups = 2;
    u.attention_head_dim = 2;
    u.cross_attention_dim = 4;
    brume_text_encoder_config_default(&t);
    t.hidden_size = t.projection_dim = 4;
    t.intermediate_size = 8;
    t.num_hidden_layers = 1;
    t.num_attention_heads = 2;
    t.vocab_size = 16;
    t.max_position_embeddings = 8;
    t.bos_token_id = 14;
    t.eos_token_id = 15;
    if (brume_model_new(&u, NULL, 1, &m) != BRUME_OK || brume_text_model_new(&t, 1, &m->text_encoder) != BRUME_OK)
        fuzz_broken(brume_error());
    return m;
}

void fuzz_lora(const uint8_t *data, size_t n)
{
    static brume_model *m;
    static float *fresh;
    char note[256];
    if (!m) {
        m = tiny_model();
        fresh = malloc((size_t)m->n_params * sizeof *fresh);
        memcpy(fresh, m->params, (size_t)m->n_params * sizeof *fresh);
    }
    const brume_status s = brume_lora_merge(m, fuzz_put("adapters.safetensors", data, n), 0.5, note);
    if (s != BRUME_OK && memcmp(fresh, m->params, (size_t)m->n_params * sizeof *fresh))
        fuzz_broken("a refused file changed the model");
    memcpy(m->params, fresh, (size_t)m->n_params * sizeof *fresh);
}

/* Bytes of an element of a type in a safetensors file; 0: none that is known here. */
static long long element(const char *dtype)
{
    static const struct {
        const char *name;
        int bytes;
    } types[] = { { "F16", 2 }, { "BF16", 2 }, { "F32", 4 }, { "F64", 8 }, { "I64", 8 }, { "I32", 4 } };
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (!strcmp(dtype, types[i].name)) return types[i].bytes;
    return 0;
}

/*
 * Writes model.safetensors, whose tensors are zeros, of lines "NAME TYPE N,N,N" up to the first that is none: so a change of a
 * name or shape leaves the file sound, and what is read is how names and shapes fit. A file of more than 4 MiB is not written.
 */
static void put_tensors(const uint8_t *data, size_t n)
{
    enum { MOST = 4 << 20 };
    char *header = malloc(2 * n + 4096), *text = malloc(n + 1), *next;
    long long offset = 0;
    size_t used = 8;
    memcpy(text, data, n);
    text[n] = 0;
    for (char *line = strtok_r(text, "\n", &next); line && used < 2 * n; line = strtok_r(NULL, "\n", &next)) {
        char name[160], dtype[8], dims[64] = "";
        if (sscanf(line, "%150[a-zA-Z0-9_.] %7s %60[0-9,]", name, dtype, dims) < 2 || !element(dtype)) break;
        long long bytes = element(dtype);
        for (char *d = dims; *d && bytes <= MOST;) {
            char *end;
            const long long k = strtoll(d, &end, 10);
            bytes = end == d || k > MOST ? MOST + 1 : bytes * k;
            d = *end == ',' ? end + 1 : end;
        }
        if (bytes > MOST) break;
        used += (size_t)snprintf(header + used, 4096, "%c\"%s\":{\"dtype\":\"%s\",\"shape\":[%s],\"data_offsets\":[%lld,%lld]}",
                                 used == 8 ? '{' : ',', name, dtype, dims, offset, offset + bytes);
        if ((offset += bytes) > MOST) break;
    }
    used += (size_t)snprintf(header + used, 8, used == 8 ? "{}" : "}");
    const uint64_t length = used - 8;
    memcpy(header, &length, sizeof length);
    const char *path = offset <= MOST ? fuzz_put("model.safetensors", header, used) : NULL;
    if (path && truncate(path, (off_t)used + offset)) fuzz_broken("no room for a file");
    free(header);
    free(text);
}

/* An archive with model.safetensors, or with its tensors in words, to a folder; or a folder, to a single file. */
void fuzz_convert(const uint8_t *data, size_t n)
{
    char note[512];
    size_t length, lines;
    const uint8_t *tensors = fuzz_entry(data, n, "tensors", &lines), *file = fuzz_entry(data, n, "model.safetensors", &length),
                  *given = fuzz_entry(data, n, "options", &length);
    const unsigned bits = given && length ? given[0] : 0;
    const brume_convert_options o = { .keep_dtype = bits & 1, .heads = bits & 2 ? 2 : 0, .head_channels = bits & 4 ? 4 : 0,
                                      .new_attention_order = bits & 8, .image_size = bits & 16 ? 16 : 0,
                                      .self_condition = bits & 32, .averages = bits & 64, .text_heads = bits & 128 ? 3 : 0 };
    fuzz_unpack(data, n);
    if (tensors) put_tensors(tensors, lines);
    if (file || tensors) (void)brume_convert_to_folder(fuzz_path("model.safetensors"), fuzz_path("folder"), &o, note);
    else (void)brume_convert_to_single(fuzz_folder(), fuzz_path("single.safetensors"), &o, note);
}
