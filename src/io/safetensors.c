/* SPDX-License-Identifier: MIT
 * Reading safetensors: 8 bytes of header size, a JSON header, the data. Every rule is checked at opening, values are read
 * later. */
#include "brume/safetensors.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/byte_order.h"
#include "base/fail.h"
#include "brume/json.h"

#define MAX_HEADER 100000000u /* the limit of the format */
#define CHUNK 4096            /* elements converted at a time */

struct brume_safetensors {
    char *name;
    int fd;                       /* -1: bytes in memory */
    const unsigned char *bytes;
    uint64_t size;
    brume_json *header;           /* owns names and metadata */
    const brume_json *metadata;
    int64_t n, *shapes;
    brume_st_tensor *tensors;     /* by place */
    brume_st_tensor **sorted;     /* by name */
};

static const struct {
    const char *name;
    int bytes;
} dtypes[] = {
    [BRUME_ST_F32] = { "F32", 4 }, [BRUME_ST_F16] = { "F16", 2 }, [BRUME_ST_BF16] = { "BF16", 2 }, [BRUME_ST_F64] = { "F64", 8 },
    [BRUME_ST_I64] = { "I64", 8 }, [BRUME_ST_I32] = { "I32", 4 }, [BRUME_ST_I16] = { "I16", 2 }, [BRUME_ST_I8] = { "I8", 1 },
    [BRUME_ST_U64] = { "U64", 8 }, [BRUME_ST_U32] = { "U32", 4 }, [BRUME_ST_U16] = { "U16", 2 }, [BRUME_ST_U8] = { "U8", 1 },
    [BRUME_ST_BOOL] = { "BOOL", 1 }, [BRUME_ST_F8_E4M3] = { "F8_E4M3", 1 }, [BRUME_ST_F8_E5M2] = { "F8_E5M2", 1 },
};
#define N_DTYPES ((int)(sizeof dtypes / sizeof *dtypes))

const char *brume_st_dtype_name(brume_st_dtype t) { return (unsigned)t < (unsigned)N_DTYPES ? dtypes[t].name : "unknown"; }

int64_t brume_st_dtype_bytes(brume_st_dtype t) { return (unsigned)t < (unsigned)N_DTYPES ? dtypes[t].bytes : 0; }

static brume_status read_at(const brume_safetensors *f, uint64_t offset, void *dst, size_t bytes)
{
    if (f->fd < 0) {
        memcpy(dst, f->bytes + offset, bytes);
        return BRUME_OK;
    }
    for (char *p = dst; bytes;) {
        const ssize_t got = pread(f->fd, p, bytes < ((size_t)1 << 30) ? bytes : ((size_t)1 << 30), (off_t)offset);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return brume_fail(BRUME_E_IO, "%s: cannot read: %s", f->name, strerror(errno));
        if (got == 0) return brume_fail(BRUME_E_IO, "%s: became shorter while it was read", f->name);
        p += got;
        offset += (uint64_t)got;
        bytes -= (size_t)got;
    }
    return BRUME_OK;
}

/* A non-negative integer written as such: 1.0 is not one here. */
static int get_size(const brume_json *v, uint64_t *out)
{
    const int64_t x = brume_json_integer(v, -1);
    if (brume_json_typeof(v) != BRUME_JSON_INT || x < 0) return 0;
    *out = (uint64_t)x;
    return 1;
}

static brume_status parse_tensor(const brume_safetensors *f, const brume_json *v, uint64_t data_bytes, brume_st_tensor *t,
                                 int64_t *shape)
{
    t->file = f;
    t->name = brume_json_key(v);
    t->shape = shape;
    const char *dtype = brume_json_string(brume_json_find(v, "dtype"), NULL);
    const brume_json *dims = brume_json_find(v, "shape"), *span = brume_json_find(v, "data_offsets");
    if (!dtype || brume_json_typeof(dims) != BRUME_JSON_ARRAY || brume_json_typeof(span) != BRUME_JSON_ARRAY ||
        brume_json_count(span) != 2)
        return brume_fail(BRUME_E_FORMAT, "%s: tensor '%s' needs \"dtype\", \"shape\": [...] and \"data_offsets\": [begin, end]",
                          f->name, t->name);
    int k = 0;
    while (k < N_DTYPES && strcmp(dtype, dtypes[k].name)) k++;
    if (k == N_DTYPES)
        return brume_fail(BRUME_E_FORMAT, "%s: tensor '%s' has the unknown dtype '%.40s'", f->name, t->name, dtype);
    t->dtype = (brume_st_dtype)k;
    t->ndim = (int)brume_json_count(dims);

    uint64_t count = 1;
    int overflow = 0, empty = 0;
    for (int i = 0; i < t->ndim; i++) {
        uint64_t d;
        if (!get_size(brume_json_at(dims, i), &d))
            return brume_fail(BRUME_E_FORMAT, "%s: tensor '%s': shape[%d] is no size", f->name, t->name, i);
        shape[i] = (int64_t)d;
        empty |= d == 0;
        overflow |= __builtin_mul_overflow(count, d, &count);
    }
    if (empty) count = 0;
    uint64_t bytes, begin, end;
    overflow |= __builtin_mul_overflow(count, (uint64_t)dtypes[k].bytes, &bytes);
    if (overflow)
        return brume_fail(BRUME_E_FORMAT, "%s: tensor '%s': its shape has more elements than can be counted", f->name, t->name);
    if (!get_size(brume_json_at(span, 0), &begin) || !get_size(brume_json_at(span, 1), &end) || begin > end || end > data_bytes)
        return brume_fail(BRUME_E_FORMAT,
                          "%s: tensor '%s': data_offsets are not a part of the %llu data bytes; is the file cut short?", f->name,
                          t->name, (unsigned long long)data_bytes);
    if (end - begin != bytes)
        return brume_fail(BRUME_E_FORMAT, "%s: tensor '%s': data_offsets span %llu bytes, shape and dtype need %llu", f->name,
                          t->name, (unsigned long long)(end - begin), (unsigned long long)bytes);
    if (count > SIZE_MAX / 8) /* on a machine of 32 bits: no array of its values, as floats or integers, could be addressed */
        return brume_fail(BRUME_E_UNSUPPORTED, "%s: tensor '%s' has %llu elements, expected at most %llu on this machine",
                          f->name, t->name, (unsigned long long)count, (unsigned long long)(SIZE_MAX / 8));
    t->count = (int64_t)count;
    t->bytes = bytes;
    t->offset = begin;
    return BRUME_OK;
}

static int by_place(const void *a, const void *b)
{
    const brume_st_tensor *x = a, *y = b;
    if (x->offset != y->offset) return x->offset < y->offset ? -1 : 1;
    if (x->bytes != y->bytes) return x->bytes < y->bytes ? -1 : 1; /* empty tensors first: they take no place */
    return strcmp(x->name, y->name);
}

static int by_name(const void *a, const void *b)
{
    return strcmp((*(brume_st_tensor *const *)a)->name, (*(brume_st_tensor *const *)b)->name);
}

static brume_status parse_header(brume_safetensors *f, uint64_t data_bytes)
{
    if (brume_json_typeof(f->header) != BRUME_JSON_OBJECT)
        return brume_fail(BRUME_E_FORMAT, "%s: the header is no JSON object", f->name);
    const int64_t members = brume_json_count(f->header);
    f->metadata = brume_json_find(f->header, "__metadata__");
    if (f->metadata) {
        int ok = brume_json_typeof(f->metadata) == BRUME_JSON_OBJECT;
        for (int64_t i = 0; ok && i < brume_json_count(f->metadata); i++)
            ok = brume_json_typeof(brume_json_at(f->metadata, i)) == BRUME_JSON_STRING;
        if (!ok) return brume_fail(BRUME_E_FORMAT, "%s: __metadata__ must map strings to strings", f->name);
    }
    int64_t dims = 0;
    for (int64_t i = 0; i < members; i++) dims += brume_json_count(brume_json_find(brume_json_at(f->header, i), "shape"));
    f->tensors = calloc((size_t)members + 1, sizeof *f->tensors);
    f->sorted = calloc((size_t)members + 1, sizeof *f->sorted);
    f->shapes = calloc((size_t)dims + 1, sizeof *f->shapes);
    if (!f->tensors || !f->sorted || !f->shapes)
        return brume_fail(BRUME_E_MEMORY, "%s: no memory for %lld tensors", f->name, (long long)members);

    int64_t *shape = f->shapes;
    for (int64_t i = 0; i < members; i++) {
        const brume_json *v = brume_json_at(f->header, i);
        if (v == f->metadata) continue;
        const brume_status s = parse_tensor(f, v, data_bytes, &f->tensors[f->n], shape);
        if (s != BRUME_OK) return s;
        shape += f->tensors[f->n++].ndim;
    }
    qsort(f->tensors, (size_t)f->n, sizeof *f->tensors, by_place);
    uint64_t end = 0;
    for (int64_t i = 0; i < f->n; i++) {
        brume_st_tensor *t = &f->tensors[i];
        if (t->offset < end)
            return brume_fail(BRUME_E_FORMAT, "%s: the data of tensors '%s' and '%s' overlap", f->name, f->tensors[i - 1].name,
                              t->name);
        if (t->offset > end)
            return brume_fail(BRUME_E_FORMAT, "%s: %llu bytes of data before tensor '%s' belong to no tensor", f->name,
                              (unsigned long long)(t->offset - end), t->name);
        end = t->offset + t->bytes;
        t->offset += f->size - data_bytes;
        f->sorted[i] = t;
    }
    if (end != data_bytes)
        return brume_fail(BRUME_E_FORMAT, "%s: the last %llu bytes of data belong to no tensor", f->name,
                          (unsigned long long)(data_bytes - end));
    qsort(f->sorted, (size_t)f->n, sizeof *f->sorted, by_name);
    return BRUME_OK;
}

static brume_status parse(brume_safetensors *f)
{
    unsigned char length[8];
    if (f->size < 8)
        return brume_fail(BRUME_E_FORMAT, "%s: %llu bytes are too few for a safetensors file", f->name,
                          (unsigned long long)f->size);
    brume_status s = read_at(f, 0, length, 8);
    if (s != BRUME_OK) return s;
    uint64_t n = 0;
    for (int i = 7; i >= 0; i--) n = n << 8 | length[i];
    if (n > MAX_HEADER || n > f->size - 8)
        return brume_fail(BRUME_E_FORMAT,
                          "%s: a header of %llu bytes does not fit into %llu (limit %u): not a safetensors file, or cut short",
                          f->name, (unsigned long long)n, (unsigned long long)f->size, MAX_HEADER);
    char *text = malloc((size_t)n + 1);
    if (!text) return brume_fail(BRUME_E_MEMORY, "%s: no memory for a header of %llu bytes", f->name, (unsigned long long)n);
    s = read_at(f, 8, text, (size_t)n);
    if (s == BRUME_OK && (n == 0 || text[0] != '{'))
        s = brume_fail(BRUME_E_FORMAT, "%s: the header does not begin with '{'", f->name);
    if (s == BRUME_OK) s = brume_json_parse(text, (size_t)n, f->name, &f->header);
    free(text);
    return s == BRUME_OK ? parse_header(f, f->size - 8 - n) : s;
}

static brume_status open_any(int fd, const void *bytes, uint64_t size, const char *name, brume_safetensors **out)
{
    *out = NULL;
    brume_safetensors *f = calloc(1, sizeof *f);
    if (!f || !(f->name = strdup(name))) {
        free(f);
        if (fd >= 0) close(fd);
        return brume_fail(BRUME_E_MEMORY, "%s: no memory", name);
    }
    f->fd = fd;
    f->bytes = bytes;
    f->size = size;
    const brume_status s = parse(f);
    if (s != BRUME_OK) brume_safetensors_close(f);
    else *out = f;
    return s;
}

brume_status brume_safetensors_open_memory(const void *bytes, size_t n, const char *name, brume_safetensors **out)
{
    return open_any(-1, bytes, n, name, out);
}

/* Not mapped: a mapped file that another program cuts short kills the reader with SIGBUS. */
brume_status brume_safetensors_open(const char *path, brume_safetensors **out)
{
    *out = NULL;
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat st;
    if (fd < 0 || fstat(fd, &st)) {
        const int why = errno;
        if (fd >= 0) close(fd);
        return brume_fail(BRUME_E_IO, "%s: cannot open: %s", path, strerror(why));
    }
    if (!S_ISREG(st.st_mode)) {
        close(fd);
        return brume_fail(BRUME_E_IO, "%s: is no regular file", path);
    }
    return open_any(fd, NULL, (uint64_t)st.st_size, path, out);
}

void brume_safetensors_close(brume_safetensors *f)
{
    if (!f) return;
    if (f->fd >= 0) close(f->fd);
    brume_json_free(f->header);
    free(f->tensors);
    free(f->sorted);
    free(f->shapes);
    free(f->name);
    free(f);
}

const char *brume_safetensors_name(const brume_safetensors *f) { return f->name; }

int64_t brume_safetensors_count(const brume_safetensors *f) { return f->n; }

const brume_st_tensor *brume_safetensors_at(const brume_safetensors *f, int64_t i)
{
    return i >= 0 && i < f->n ? &f->tensors[i] : NULL;
}

const brume_st_tensor *brume_safetensors_find(const brume_safetensors *f, const char *name)
{
    const brume_st_tensor key = { .name = name }, *p = &key;
    brume_st_tensor *const *hit = bsearch(&p, f->sorted, (size_t)f->n, sizeof *f->sorted, by_name);
    return hit ? *hit : NULL;
}

int64_t brume_safetensors_metadata_count(const brume_safetensors *f) { return brume_json_count(f->metadata); }

void brume_safetensors_metadata_at(const brume_safetensors *f, int64_t i, const char **key, const char **value)
{
    const brume_json *v = brume_json_at(f->metadata, i);
    *key = v ? brume_json_key(v) : NULL;
    *value = brume_json_string(v, NULL);
}

const char *brume_safetensors_metadata(const brume_safetensors *f, const char *key)
{
    return brume_json_string(brume_json_find(f->metadata, key), NULL);
}

static brume_status check_range(const brume_st_tensor *t, int64_t first, int64_t n)
{
    if (first < 0 || n < 0 || first > t->count || n > t->count - first)
        return brume_fail(BRUME_E_ARG, "%s: tensor '%s' has %lld elements, asked for %lld from %lld", t->file->name, t->name,
                          (long long)t->count, (long long)n, (long long)first);
    return BRUME_OK;
}

/* OFP8 (Micikevicius et al. 2022): E4M3 has no infinity, and NaN only where all bits are one. */
static float e4m3_to_f32(uint8_t b)
{
    const int e = b >> 3 & 15, m = b & 7;
    const float x = (b & 127) == 127 ? NAN : e ? ldexpf((float)(8 + m), e - 10) : ldexpf((float)m, -9);
    return b & 128 ? -x : x;
}

#define EACH(type, expr)                                  \
    {                                                     \
        for (int64_t i = 0; i < n; i++) {                 \
            type v;                                       \
            memcpy(&v, raw + i * (int64_t)sizeof v, sizeof v); \
            dst[i] = (expr);                              \
        }                                                 \
        break;                                            \
    }

static void to_f32(brume_st_dtype dtype, const unsigned char *raw, int64_t n, float *dst)
{
    switch (dtype) {
    case BRUME_ST_F32: EACH(float, v)
    case BRUME_ST_F16: EACH(uint16_t, brume_f16_to_f32(v))
    case BRUME_ST_BF16: EACH(uint16_t, brume_bf16_to_f32(v))
    case BRUME_ST_F64: EACH(double, (float)v)
    case BRUME_ST_I64: EACH(int64_t, (float)v)
    case BRUME_ST_I32: EACH(int32_t, (float)v)
    case BRUME_ST_I16: EACH(int16_t, (float)v)
    case BRUME_ST_I8: EACH(int8_t, (float)v)
    case BRUME_ST_U64: EACH(uint64_t, (float)v)
    case BRUME_ST_U32: EACH(uint32_t, (float)v)
    case BRUME_ST_U16: EACH(uint16_t, (float)v)
    case BRUME_ST_U8: EACH(uint8_t, (float)v)
    case BRUME_ST_BOOL: EACH(uint8_t, v ? 1.0f : 0.0f)
    case BRUME_ST_F8_E4M3: EACH(uint8_t, e4m3_to_f32(v))
    case BRUME_ST_F8_E5M2: EACH(uint8_t, brume_f16_to_f32((uint16_t)(v << 8)))
    }
}

static int to_i64(brume_st_dtype dtype, const unsigned char *raw, int64_t n, int64_t *dst)
{
    switch (dtype) {
    case BRUME_ST_I64: EACH(int64_t, v)
    case BRUME_ST_I32: EACH(int32_t, v)
    case BRUME_ST_I16: EACH(int16_t, v)
    case BRUME_ST_I8: EACH(int8_t, v)
    case BRUME_ST_U32: EACH(uint32_t, v)
    case BRUME_ST_U16: EACH(uint16_t, v)
    case BRUME_ST_U8: EACH(uint8_t, v)
    case BRUME_ST_BOOL: EACH(uint8_t, v != 0)
    case BRUME_ST_U64:
        for (int64_t i = 0; i < n; i++) {
            uint64_t v;
            memcpy(&v, raw + i * 8, 8);
            if (v > INT64_MAX) return 0;
            dst[i] = (int64_t)v;
        }
        break;
    default: return 0;
    }
    return 1;
}

/* Elements as they are in the file, in the machine's order of bytes. */
static brume_status read_raw(const brume_st_tensor *t, int64_t first, int64_t n, void *dst)
{
    const size_t size = (size_t)dtypes[t->dtype].bytes;
    const brume_status s = read_at(t->file, t->offset + (uint64_t)first * size, dst, (size_t)n * size);
    if (s == BRUME_OK) brume_little_endian(dst, (size_t)n, size);
    return s;
}

brume_status brume_st_read_f32(const brume_st_tensor *t, int64_t first, int64_t n, float *dst)
{
    unsigned char raw[CHUNK * 8];
    brume_status s = check_range(t, first, n);
    if (s == BRUME_OK && t->dtype == BRUME_ST_F32) return read_raw(t, first, n, dst);
    while (s == BRUME_OK && n) {
        const int64_t m = n < CHUNK ? n : CHUNK;
        s = read_raw(t, first, m, raw);
        if (s == BRUME_OK) to_f32(t->dtype, raw, m, dst);
        first += m;
        n -= m;
        dst += m;
    }
    return s;
}

brume_status brume_st_read_i64(const brume_st_tensor *t, int64_t first, int64_t n, int64_t *dst)
{
    unsigned char raw[CHUNK * 8];
    brume_status s = check_range(t, first, n);
    while (s == BRUME_OK && n) {
        const int64_t m = n < CHUNK ? n : CHUNK;
        s = read_raw(t, first, m, raw);
        if (s == BRUME_OK && !to_i64(t->dtype, raw, m, dst))
            s = brume_fail(BRUME_E_FORMAT, "%s: tensor '%s' (%s) cannot be read as integers", t->file->name, t->name,
                           dtypes[t->dtype].name);
        first += m;
        n -= m;
        dst += m;
    }
    return s;
}
