/* SPDX-License-Identifier: MIT
 * NumPy's files: a header that is a Python dictionary, then the values. */
#include "io/npy.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fail.h"
#include "brume/safetensors.h"

enum { MAX_HEADER = 1 << 16, CHUNK = 1 << 16 };

static int space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

static const char *skip(const char *p)
{
    while (space(*p)) p++;
    return p;
}

/* After the token at p, or NULL where it is another. */
static const char *token(const char *p, const char *text)
{
    p = skip(p);
    return strncmp(p, text, strlen(text)) ? NULL : p + strlen(text);
}

/* A short text in quotes; NULL where there is none. */
static const char *quoted(const char *p, char *out, size_t size)
{
    p = skip(p);
    const char quote = *p;
    size_t n = 0;
    if (quote != '\'' && quote != '"') return NULL;
    for (p++; *p && *p != quote; p++) {
        if (n + 1 >= size) return NULL;
        out[n++] = *p;
    }
    out[n] = 0;
    return *p ? p + 1 : NULL;
}

/* "(60000, 28, 28)", "(3,)", "()". */
static const char *shape(const char *p, struct brume_npy *a)
{
    p = token(p, "(");
    for (a->ndim = 0; p && !token(p, ")");) {
        char *end;
        p = skip(p);
        if (a->ndim == BRUME_NPY_DIMS || *p < '0' || *p > '9') return NULL;
        errno = 0;
        a->shape[a->ndim++] = strtoll(p, &end, 10);
        if (errno) return NULL;
        p = *end == 'L' ? end + 1 : end; /* as Python 2 wrote long integers */
        const char *comma = token(p, ",");
        if (!comma && !token(p, ")")) return NULL;
        if (comma) p = comma;
    }
    return p ? token(p, ")") : NULL;
}

static int little(void)
{
    const uint16_t one = 1;
    return *(const uint8_t *)&one;
}

/* "<f4", "|u1", ... Returns 0 for other types. */
static int type(const char *descr, struct brume_npy *a)
{
    if (!strchr("<>|=", descr[0]) || !descr[0] || !descr[1] || !strchr("biuf", descr[1]) || !strchr("1248", descr[2]) ||
        !descr[2] || descr[3])
        return 0;
    a->kind = descr[1];
    a->bytes = descr[2] - '0';
    a->swap = (descr[0] == '<' && !little()) || (descr[0] == '>' && little());
    return a->kind == 'f' ? a->bytes > 1 : a->kind == 'b' ? a->bytes == 1 : 1;
}

static brume_status parse(const char *p, struct brume_npy *a)
{
    char key[16], descr[32] = "";
    int seen = 0;
    p = token(p, "{");
    while (p && !token(p, "}")) {
        p = quoted(p, key, sizeof key);
        if (p) p = token(p, ":");
        if (p && !strcmp(key, "descr")) {
            if (token(p, "["))
                return brume_fail(BRUME_E_UNSUPPORTED, "%s: an array of records; expected one of numbers", a->name);
            p = quoted(p, descr, sizeof descr), seen |= 1;
        } else if (p && !strcmp(key, "fortran_order")) {
            const char *yes = token(p, "True");
            a->fortran = yes != NULL;
            p = yes ? yes : token(p, "False"), seen |= 2;
        } else if (p && !strcmp(key, "shape")) {
            p = shape(p, a), seen |= 4;
        } else {
            p = NULL;
        }
        if (p && !token(p, "}")) p = token(p, ",");
    }
    if (!p || seen != 7)
        return brume_fail(BRUME_E_FORMAT,
                          "%s: not a good .npy: its header must be {'descr': ..., 'fortran_order': ..., 'shape': (...)}",
                          a->name);
    if (!type(descr, a))
        return brume_fail(BRUME_E_UNSUPPORTED, "%s: an array of '%s'; expected integers or floats, such as |u1, <u2, <f4 or <f8",
                          a->name, descr);
    return BRUME_OK;
}

static brume_status read_at(const struct brume_npy *a, void *to, size_t n, uint64_t offset)
{
    for (uint8_t *p = to; n;) {
        const ssize_t got = pread(a->fd, p, n, (off_t)offset);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0)
            return brume_fail(BRUME_E_IO, "%s: cannot read: %s", a->name, got ? strerror(errno) : "it is shorter than it was");
        p += got;
        n -= (size_t)got;
        offset += (uint64_t)got;
    }
    return BRUME_OK;
}

static brume_status read_header(struct brume_npy *a)
{
    struct stat st;
    uint8_t head[12];
    if (fstat(a->fd, &st) || !S_ISREG(st.st_mode)) return brume_fail(BRUME_E_IO, "%s: is no regular file", a->name);
    const uint64_t size = (uint64_t)st.st_size;
    if (size < 12) return brume_fail(BRUME_E_FORMAT, "%s: %llu bytes are no .npy file", a->name, (unsigned long long)size);
    brume_status s = read_at(a, head, sizeof head, 0);
    if (s != BRUME_OK) return s;
    if (memcmp(head, "\x93NUMPY", 6) || head[6] < 1 || head[6] > 3)
        return brume_fail(BRUME_E_FORMAT, "%s: is no .npy file of version 1 to 3", a->name);
    const size_t start = head[6] == 1 ? 10 : 12;
    const uint32_t n = head[6] == 1 ? head[8] | (uint32_t)head[9] << 8
                                    : head[8] | (uint32_t)head[9] << 8 | (uint32_t)head[10] << 16 | (uint32_t)head[11] << 24;
    if (n > MAX_HEADER || start + n > size)
        return brume_fail(BRUME_E_FORMAT, "%s: not a good .npy: a header of %u bytes in a file of %llu", a->name, n,
                          (unsigned long long)size);
    char *text = calloc(n + 1, 1);
    if (!text) return brume_fail(BRUME_E_MEMORY, "%s: no memory", a->name);
    s = read_at(a, text, n, start);
    if (s == BRUME_OK) s = parse(text, a);
    free(text);
    if (s != BRUME_OK) return s;
    uint64_t bytes = (uint64_t)a->bytes;
    int overflow = 0;
    for (int i = 0; i < a->ndim; i++) overflow |= __builtin_mul_overflow(bytes, (uint64_t)a->shape[i], &bytes);
    a->offset = start + n;
    if (overflow || bytes != size - a->offset)
        return brume_fail(BRUME_E_FORMAT, "%s: not a good .npy: %llu bytes of values, expected %llu", a->name,
                          (unsigned long long)(size - a->offset), (unsigned long long)(overflow ? UINT64_MAX : bytes));
    a->count = (int64_t)(bytes / (uint64_t)a->bytes);
    return BRUME_OK;
}

brume_status brume_npy_open(const char *path, struct brume_npy *a)
{
    *a = (struct brume_npy){ .fd = open(path, O_RDONLY | O_CLOEXEC), .name = strdup(path) };
    brume_status s = !a->name ? brume_fail(BRUME_E_MEMORY, "%s: no memory", path)
                     : a->fd < 0 ? brume_fail(BRUME_E_IO, "%s: cannot open: %s", path, strerror(errno)) : read_header(a);
    if (s != BRUME_OK) brume_npy_close(a);
    return s;
}

void brume_npy_close(struct brume_npy *a)
{
    if (a->name && a->fd >= 0) close(a->fd);
    free(a->name);
    *a = (struct brume_npy){ .fd = -1 };
}

static int64_t integer(char kind, int bytes, uint64_t bits)
{
    if (kind != 'i' || bytes == 8) return (int64_t)bits;
    const uint64_t sign = (uint64_t)1 << (8 * bytes - 1);
    return (int64_t)((bits ^ sign) - sign);
}

static double real(const struct brume_npy *a, uint64_t bits)
{
    if (a->kind != 'f') return a->kind == 'u' ? (double)bits : (double)integer(a->kind, a->bytes, bits);
    if (a->bytes == 2) return (double)brume_f16_to_f32((uint16_t)bits);
    if (a->bytes == 4) {
        const uint32_t b = (uint32_t)bits;
        float f;
        memcpy(&f, &b, sizeof f);
        return (double)f;
    }
    double d;
    memcpy(&d, &bits, sizeof d);
    return d;
}

/* Reads values as bit patterns, chunk by chunk, and hands each to one of f and i. */
static brume_status read_values(const struct brume_npy *a, int64_t first, int64_t n, float *f, int64_t *i)
{
    uint8_t chunk[CHUNK];
    const int64_t per = CHUNK / a->bytes;
    for (int64_t done = 0; done < n;) {
        const int64_t now = n - done < per ? n - done : per;
        const brume_status s =
            read_at(a, chunk, (size_t)(now * a->bytes), a->offset + (uint64_t)(first + done) * (uint64_t)a->bytes);
        if (s != BRUME_OK) return s;
        for (int64_t k = 0; k < now; k++) {
            const uint8_t *p = chunk + k * a->bytes;
            uint64_t bits = 0;
            for (int b = 0; b < a->bytes; b++) bits |= (uint64_t)p[a->swap == little() ? a->bytes - 1 - b : b] << (8 * b);
            if (f) f[done + k] = (float)real(a, bits);
            else i[done + k] = integer(a->kind, a->bytes, bits);
        }
        done += now;
    }
    return BRUME_OK;
}

static brume_status check(const struct brume_npy *a, int64_t first, int64_t n)
{
    return first >= 0 && n >= 0 && n <= a->count && first <= a->count - n
               ? BRUME_OK
               : brume_fail(BRUME_E_ARG, "%s: has %lld values", a->name, (long long)a->count);
}

brume_status brume_npy_read_f32(const struct brume_npy *a, int64_t first, int64_t n, float *out)
{
    const brume_status s = check(a, first, n);
    return s == BRUME_OK ? read_values(a, first, n, out, NULL) : s;
}

brume_status brume_npy_read_i64(const struct brume_npy *a, int64_t first, int64_t n, int64_t *out)
{
    if (a->kind == 'f') return brume_fail(BRUME_E_FORMAT, "%s: holds floats, expected integers", a->name);
    const brume_status s = check(a, first, n);
    return s == BRUME_OK ? read_values(a, first, n, NULL, out) : s;
}
