/* SPDX-License-Identifier: MIT
 * PGM and PPM files (netpbm.sourceforge.net/doc/pgm.html, ppm.html): P2 and P3 as text, P5 and P6 as bytes. */
#include <stdlib.h>

#include "base/fail.h"
#include "io/picture_files.h"

#define MAX_VALUES ((size_t)1 << 27) /* with their 16 bits as much memory as a PNG may take */

struct text { const uint8_t *at, *end; };

static int space(int c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

/* The next number, after blanks and comments; -1 where there is none. */
static int64_t number(struct text *t)
{
    while (t->at < t->end && (space(*t->at) || *t->at == '#'))
        if (*t->at++ == '#')
            while (t->at < t->end && *t->at != '\n' && *t->at != '\r') t->at++;
    int64_t v = -1;
    for (; t->at < t->end && *t->at >= '0' && *t->at <= '9'; t->at++) {
        v = (v < 0 ? 0 : v) * 10 + (*t->at - '0');
        if (v > 1 << 20) return -1;
    }
    return v;
}

/* All values, 0 .. max, into v. Returns how many there were. */
static size_t values(struct text *t, int text, int64_t max, uint16_t *v, size_t n)
{
    const size_t wide = max > 255 ? 2 : 1;
    if (!text && (size_t)(t->end - t->at) / wide < n) return (size_t)(t->end - t->at) / wide;
    for (size_t i = 0; i < n; i++) {
        const int64_t x = text ? number(t) : wide == 2 ? t->at[2 * i] << 8 | t->at[2 * i + 1] : t->at[i];
        if (x < 0 || x > max) return i;
        v[i] = (uint16_t)x;
    }
    return n;
}

brume_status brume_pnm_read_memory(const void *bytes, size_t n, const char *name, brume_image **out)
{
    struct text t = { bytes, (const uint8_t *)bytes + n };
    *out = NULL;
    if (n < 3 || t.at[0] != 'P' || !(t.at[1] == '2' || t.at[1] == '3' || t.at[1] == '5' || t.at[1] == '6'))
        return brume_fail(BRUME_E_FORMAT, "%s: is no PGM or PPM file (P2, P3, P5 or P6)", name);
    const int kind = t.at[1] - '0', text = kind < 4, channels = kind == 2 || kind == 5 ? 1 : 3;
    t.at += 2;
    const int64_t w = number(&t), h = number(&t), max = number(&t);
    if (w < 1 || h < 1 || w > 65535 || h > 65535 || max < 1 || max > 65535 || t.at >= t.end || !space(*t.at++))
        return brume_fail(
            BRUME_E_FORMAT,
            "%s: not a good PGM or PPM: its header must be P%d, width, height (1 to 65535) and largest value (1 to 65535)", name,
            kind);
    const size_t count = (size_t)(w * h) * (size_t)channels;
    if (count > MAX_VALUES) return brume_fail(BRUME_E_UNSUPPORTED, "%s: more than %zu values", name, MAX_VALUES);
    if (count > n)
        return brume_fail(BRUME_E_FORMAT, "%s: %zu bytes, expected at least %zu for %lld x %lld pixels", name, n, count,
                          (long long)w, (long long)h);
    brume_image *im;
    const brume_status s = brume_image_new((int32_t)h, (int32_t)w, channels, &im);
    if (s != BRUME_OK) return s;
    im->deep = malloc(count * sizeof *im->deep);
    const size_t got = im->deep ? values(&t, text, max, im->deep, count) : 0;
    if (got < count) {
        const brume_status why =
            im->deep ? brume_fail(BRUME_E_FORMAT, "%s: not a good PGM or PPM: value %zu of %zu is missing or above %lld", name,
                                  got, count, (long long)max)
                     : brume_fail(BRUME_E_MEMORY, "%s: no memory for %zu values", name, count);
        brume_image_free(im);
        return why;
    }
    for (size_t i = 0; i < count; i++) {
        im->pixels[i] = (uint8_t)((im->deep[i] * 255u + (uint32_t)max / 2) / (uint32_t)max);
        im->deep[i] = (uint16_t)((im->deep[i] * 65535u + (uint32_t)max / 2) / (uint32_t)max);
    }
    if (max == 255) { /* pixels hold it all */
        free(im->deep);
        im->deep = NULL;
    }
    *out = im;
    return BRUME_OK;
}
