/* SPDX-License-Identifier: MIT
 * Writing safetensors, whole or not at all. */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/byte_order.h"
#include "base/fail.h"
#include "base/file.h"
#include "brume/json.h"
#include "brume/safetensors.h"

#define CHUNK 65536 /* values at once */

static int supported(brume_st_dtype t)
{
    return t == BRUME_ST_F32 || t == BRUME_ST_F16 || t == BRUME_ST_BF16 || t == BRUME_ST_I32 || t == BRUME_ST_I64;
}

/* Larger types first keep every tensor aligned without gaps, which the format forbids. */
static int by_type_then_name(const void *a, const void *b)
{
    const brume_st_item *x = *(const brume_st_item *const *)a, *y = *(const brume_st_item *const *)b;
    const int64_t nx = brume_st_dtype_bytes(x->dtype), ny = brume_st_dtype_bytes(y->dtype);
    return nx != ny ? (nx > ny ? -1 : 1) : strcmp(x->name, y->name);
}

static int by_name(const void *a, const void *b)
{
    return strcmp((*(const brume_st_item *const *)a)->name, (*(const brume_st_item *const *)b)->name);
}

static brume_status count_of(const char *path, const brume_st_item *t, int64_t *count)
{
    if (!supported(t->dtype))
        return brume_fail(BRUME_E_ARG, "%s: tensor '%s': %s is not written", path, t->name, brume_st_dtype_name(t->dtype));
    int64_t n = 1, bytes;
    int bad = t->ndim < 0, empty = 0, overflow = 0;
    for (int i = 0; i < t->ndim && !bad; i++) {
        bad = t->shape[i] < 0;
        empty |= t->shape[i] == 0;
        overflow |= __builtin_mul_overflow(n, t->shape[i], &n);
    }
    if (empty) n = 0;
    if (bad || overflow || __builtin_mul_overflow(n, brume_st_dtype_bytes(t->dtype), &bytes) || (n && !t->data))
        return brume_fail(BRUME_E_ARG, "%s: tensor '%s' has an impossible shape or no data", path, t->name);
    *count = n;
    return BRUME_OK;
}

static brume_status write_values(brume_atomic *a, const brume_st_item *t, int64_t n, brume_st_reader *read)
{
    const bool narrow = t->dtype == BRUME_ST_F16 || t->dtype == BRUME_ST_BF16;
    const size_t size = narrow ? sizeof(float) : (size_t)brume_st_dtype_bytes(t->dtype); /* of a value as it is given */
    const size_t stored = narrow ? sizeof(uint16_t) : size;
    if (!narrow && !read && !BRUME_BIG_ENDIAN) return brume_atomic_write(a, t->data, (size_t)n * size);
    void *given = malloc(CHUNK * size);
    uint16_t *h = malloc(CHUNK * sizeof *h);
    brume_status s = given && h ? BRUME_OK : brume_fail(BRUME_E_MEMORY, "tensor '%s': out of memory while writing", t->name);
    for (int64_t i = 0; i < n && s == BRUME_OK; i += CHUNK) {
        const int64_t m = n - i < CHUNK ? n - i : CHUNK;
        if (read) s = read(t->data, i, m, given);
        else memcpy(given, (const char *)t->data + (size_t)i * size, (size_t)m * size);
        for (int64_t j = 0; narrow && s == BRUME_OK && j < m; j++) {
            const float x = ((const float *)given)[j];
            h[j] = t->dtype == BRUME_ST_F16 ? brume_f32_to_f16(x) : brume_f32_to_bf16(x);
        }
        void *values = narrow ? h : given;
        brume_little_endian(values, (size_t)m, stored);
        if (s == BRUME_OK) s = brume_atomic_write(a, values, (size_t)m * stored);
    }
    free(given);
    free(h);
    return s;
}

static brume_status put_header(brume_json_writer *w, const char *path, const brume_st_item *const *order, int64_t n,
                               const char *const *metadata)
{
    brume_json_begin_object(w, NULL);
    brume_json_begin_object(w, "__metadata__");
    brume_json_put_string(w, "format", "pt");
    for (const char *const *m = metadata; m && m[0]; m += 2)
        if (strcmp(m[0], "format")) brume_json_put_string(w, m[0], m[1]);
    brume_json_end(w);
    int64_t offset = 0;
    for (int64_t i = 0; i < n; i++) {
        int64_t count, end;
        const brume_status s = count_of(path, order[i], &count);
        if (s != BRUME_OK) return s;
        if (__builtin_add_overflow(offset, count * brume_st_dtype_bytes(order[i]->dtype), &end))
            return brume_fail(BRUME_E_ARG, "%s: more bytes than a file can hold", path);
        brume_json_begin_object(w, order[i]->name);
        brume_json_put_string(w, "dtype", brume_st_dtype_name(order[i]->dtype));
        brume_json_begin_array(w, "shape", 1);
        for (int d = 0; d < order[i]->ndim; d++) brume_json_put_int(w, NULL, order[i]->shape[d]);
        brume_json_end(w);
        brume_json_begin_array(w, "data_offsets", 1);
        brume_json_put_int(w, NULL, offset);
        brume_json_put_int(w, NULL, end);
        brume_json_end(w);
        brume_json_end(w);
        offset = end;
    }
    brume_json_end(w);
    return BRUME_OK;
}

brume_status brume_safetensors_write(const char *path, const brume_st_item *items, int64_t n, const char *const *metadata)
{
    return brume_safetensors_write_from(path, items, n, metadata, NULL);
}

brume_status brume_safetensors_write_from(const char *path, const brume_st_item *items, int64_t n, const char *const *metadata,
                                          brume_st_reader *read)
{
    brume_atomic *a = NULL;
    brume_status s = BRUME_OK;
    const brume_st_item **order = malloc(((size_t)n + 1) * sizeof *order);
    brume_json_writer *w = brume_json_writer_new();
    if (!order || !w) {
        s = brume_fail(BRUME_E_MEMORY, "%s: no memory for a header of %lld tensors", path, (long long)n);
        goto done;
    }
    for (int64_t i = 0; i < n; i++) order[i] = &items[i];
    qsort(order, (size_t)n, sizeof *order, by_name);
    for (int64_t i = 0; i < n && s == BRUME_OK; i++) {
        if (!*order[i]->name || !strcmp(order[i]->name, "__metadata__"))
            s = brume_fail(BRUME_E_ARG, "%s: a tensor cannot be called '%s'", path, order[i]->name);
        else if (i && !strcmp(order[i]->name, order[i - 1]->name))
            s = brume_fail(BRUME_E_ARG, "%s: two tensors are called '%s'", path, order[i]->name);
    }
    if (s != BRUME_OK) goto done;
    qsort(order, (size_t)n, sizeof *order, by_type_then_name);
    if ((s = put_header(w, path, order, n, metadata)) != BRUME_OK) goto done;
    const char *text = brume_json_writer_text(w);
    if (!text) {
        s = brume_fail(BRUME_E_MEMORY, "%s: no memory for its header", path);
        goto done;
    }
    const size_t length = strlen(text), padded = (length + 7) / 8 * 8;
    unsigned char prefix[8];
    for (int i = 0; i < 8; i++) prefix[i] = (unsigned char)((uint64_t)padded >> 8 * i);
    if ((s = brume_atomic_open(path, &a)) != BRUME_OK) goto done;
    if ((s = brume_atomic_write(a, prefix, 8)) != BRUME_OK) goto done;
    if ((s = brume_atomic_write(a, text, length)) != BRUME_OK) goto done;
    if ((s = brume_atomic_write(a, "       ", padded - length)) != BRUME_OK) goto done;
    for (int64_t i = 0; i < n && s == BRUME_OK; i++) {
        int64_t count = 0;
        count_of(path, order[i], &count);
        s = write_values(a, order[i], count, read);
    }
    if (s == BRUME_OK) {
        s = brume_atomic_commit(a);
        a = NULL;
    }
done:
    brume_atomic_abort(a);
    brume_json_writer_free(w);
    free(order);
    return s;
}
