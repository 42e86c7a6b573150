/* SPDX-License-Identifier: MIT
 * Files of a training state. */
#include "train/state_file.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "base/file.h"
#include "base/hash.h"

#define MOST_TENSORS 16
#define MOST_TEXTS 24
/* I32 and behind all other names, so that it is written when all other values have been seen */
#define CHECKSUM "values.checksum"

brume_status brume_state_file_path(const char *folder, const char *name, char path[4096])
{
    const int n = snprintf(path, 4096, "%s/training/%s", folder, name);
    return n > 0 && n < 4096 ? BRUME_OK : brume_fail(BRUME_E_ARG, "the folder's path is too long: %s", folder);
}

static uint64_t hash_text(uint64_t h, const char *text)
{
    const uint64_t n = strlen(text);
    return brume_hash_values(brume_hash_values(h, text, (size_t)n, 1), &n, 1, sizeof n);
}

/* Values on their way into the file, which the checksum sees as they pass. */
struct source { const struct brume_state_tensor *tensor; uint64_t *hash; }; /* tensor NULL: the checksum itself */

static brume_status read_values(const void *from, int64_t first, int64_t n, void *dst)
{
    const struct source *x = from;
    const size_t bytes = (size_t)n * sizeof(float), offset = (size_t)first * sizeof(float);
    if (!x->tensor) {
        /* the lower half first */
        for (int64_t i = 0; i < n; i++) ((uint32_t *)dst)[i] = (uint32_t)(*x->hash >> 32 * (first + i));
        return BRUME_OK;
    }
    brume_status s = BRUME_OK;
    if (x->tensor->buffer) s = brume_buffer_read(x->tensor->buffer, offset, dst, bytes);
    else memcpy(dst, x->tensor->host + first, bytes);
    *x->hash = brume_hash_values(*x->hash, dst, (size_t)n, sizeof(float));
    return s;
}

brume_status brume_state_file_write(const char *path, const struct brume_state_tensor *tensors, int n,
                                    const struct brume_state_text *texts, int n_texts)
{
    static const int64_t two = 2;
    struct source from[MOST_TENSORS + 1];
    brume_st_item items[MOST_TENSORS + 1];
    const char *metadata[2 * MOST_TEXTS + 1];
    uint64_t hash = 0;
    for (int i = 0; i < n; i++) {
        from[i] = (struct source){ &tensors[i], &hash };
        items[i] = (brume_st_item){ .name = tensors[i].name, .dtype = BRUME_ST_F32, .ndim = 1,
                                    .shape = &tensors[i].n, .data = &from[i] };
    }
    from[n] = (struct source){ NULL, &hash };
    items[n] = (brume_st_item){ .name = CHECKSUM, .dtype = BRUME_ST_I32, .ndim = 1, .shape = &two, .data = &from[n] };
    for (int i = 0; i < n_texts; i++) {
        metadata[2 * i] = texts[i].key;
        metadata[2 * i + 1] = texts[i].value;
        hash += hash_text(hash_text(0, texts[i].key), texts[i].value); /* whatever their order in the file */
    }
    metadata[2 * n_texts] = NULL;
    return brume_safetensors_write_from(path, items, n + 1, metadata, read_values);
}

/* Compares the checksum with what the file holds. */
static brume_status verify(const brume_safetensors *f)
{
    const brume_st_tensor *sum = brume_safetensors_find(f, CHECKSUM);
    uint64_t hash = 0, stored;
    int64_t halves[2];
    if (!sum)
        return brume_safetensors_metadata(f, "brume.ema")
                   ? brume_fail(BRUME_E_FORMAT, "%s: has no checksum", brume_safetensors_name(f))
                   : BRUME_OK;
    if (sum->count != 2 || brume_st_read_i64(sum, 0, 2, halves) != BRUME_OK)
        return brume_fail(BRUME_E_FORMAT, "%s: its checksum is none", brume_safetensors_name(f));
    stored = (uint64_t)(uint32_t)halves[0] | (uint64_t)(uint32_t)halves[1] << 32;
    for (int64_t i = 0; i < brume_safetensors_metadata_count(f); i++) {
        const char *key, *value;
        brume_safetensors_metadata_at(f, i, &key, &value);
        if (!strncmp(key, "brume.", 6)) hash += hash_text(hash_text(0, key), value);
    }
    float *host = malloc(BRUME_STATE_CHUNK * sizeof *host);
    brume_status s = host ? BRUME_OK : brume_fail(BRUME_E_MEMORY, "%s: out of memory", brume_safetensors_name(f));
    for (int64_t k = 0; s == BRUME_OK && k < brume_safetensors_count(f); k++) {
        const brume_st_tensor *x = brume_safetensors_at(f, k);
        for (int64_t at = 0; s == BRUME_OK && x != sum && at < x->count; at += BRUME_STATE_CHUNK) {
            const int64_t m = x->count - at < BRUME_STATE_CHUNK ? x->count - at : BRUME_STATE_CHUNK;
            if ((s = brume_st_read_f32(x, at, m, host)) == BRUME_OK)
                hash = brume_hash_values(hash, host, (size_t)m, sizeof *host);
        }
    }
    free(host);
    if (s == BRUME_OK && hash != stored)
        s = brume_fail(BRUME_E_FORMAT, "%s: its values do not match their checksum", brume_safetensors_name(f));
    return s;
}

brume_status brume_state_file_open(const char *path, brume_safetensors **out)
{
    brume_status s = brume_safetensors_open(path, out);
    if (s == BRUME_OK && (s = verify(*out)) != BRUME_OK) {
        brume_safetensors_close(*out);
        *out = NULL;
    }
    return s;
}

brume_status brume_state_file_find(const char *folder, brume_safetensors **out, bool *previous, char note[640])
{
    char path[4096], older[4096], why[512];
    *previous = false;
    *out = NULL;
    note[0] = 0;
    brume_status s = brume_state_file_path(folder, "state.safetensors", path), then;
    if (s == BRUME_OK) s = brume_state_file_path(folder, "state.previous.safetensors", older);
    if (s != BRUME_OK || (s = brume_state_file_open(path, out)) == BRUME_OK || s == BRUME_E_MEMORY || !brume_is_file(older))
        return s;
    snprintf(why, sizeof why, "%s", brume_error());
    if ((then = brume_state_file_open(older, out)) != BRUME_OK)
        return then == BRUME_E_MEMORY ? then : brume_fail(s, "%s; and the checkpoint before it is damaged, too", why);
    *previous = true;
    snprintf(note, 640, "the newest checkpoint cannot be used (%s); going on from the one before it", why);
    return BRUME_OK;
}

brume_status brume_state_file_advance(const char *folder, bool keep)
{
    char next[4096], path[4096], older[4096];
    brume_status s = brume_state_file_path(folder, "state.next.safetensors", next);
    if (s == BRUME_OK) s = brume_state_file_path(folder, "state.safetensors", path);
    if (s == BRUME_OK) s = brume_state_file_path(folder, "state.previous.safetensors", older);
    return s == BRUME_OK ? brume_file_replace(next, path, keep ? older : NULL) : s;
}
