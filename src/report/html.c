/* SPDX-License-Identifier: MIT
 * HTML text under construction. */
#include "report/html.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "base/file.h"

#define LARGEST_FILE ((size_t)64 << 20)

/* Room for n more bytes and a final 0. */
static char *reserve(struct html *h, size_t n)
{
    if (h->failed) return NULL;
    if (h->room - h->used <= n) {
        const size_t room = 2 * h->room + n + 4096;
        char *more = realloc(h->text, room);
        if (!more) {
            h->failed = 1;
            return NULL;
        }
        h->text = more;
        h->room = room;
    }
    return h->text + h->used;
}

static void append(struct html *h, const char *bytes, size_t n)
{
    char *to = reserve(h, n);
    if (!to) return;
    memcpy(to, bytes, n);
    to[n] = 0;
    h->used += n;
}

void html_add(struct html *h, const char *fmt, ...)
{
    va_list ap, again;
    va_start(ap, fmt);
    va_copy(again, ap);
    const int n = vsnprintf(NULL, 0, fmt, ap);
    char *to = n < 0 ? NULL : reserve(h, (size_t)n);
    if (to) {
        vsnprintf(to, (size_t)n + 1, fmt, again);
        h->used += (size_t)n;
    }
    va_end(again);
    va_end(ap);
}

/* Bytes of the UTF-8 sequence at s, or 0: shortest forms of U+0000 .. U+10FFFF without surrogates (RFC 3629). */
static size_t sequence(const unsigned char *s)
{
    const unsigned char c = s[0];
    if (c < 0x80) return 1;
    const size_t n = c >= 0xc2 && c < 0xe0 ? 2 : c >= 0xe0 && c < 0xf0 ? 3 : c >= 0xf0 && c < 0xf5 ? 4 : 0;
    for (size_t i = 1; i < n; i++)
        if ((s[i] & 0xc0) != 0x80) return 0;
    if ((c == 0xe0 && s[1] < 0xa0) || (c == 0xed && s[1] >= 0xa0) || (c == 0xf0 && s[1] < 0x90) || (c == 0xf4 && s[1] >= 0x90))
        return 0;
    return n;
}

void html_text(struct html *h, const char *text)
{
    static const struct {
        unsigned char c;
        const char *entity;
    } special[] = { { '&', "&amp;" }, { '<', "&lt;" }, { '>', "&gt;" }, { '"', "&quot;" }, { '\'', "&#39;" } };
    for (const unsigned char *s = (const unsigned char *)text; *s;) {
        const char *entity = NULL;
        for (size_t i = 0; i < sizeof special / sizeof *special; i++)
            if (*s == special[i].c) entity = special[i].entity;
        const size_t n = sequence(s);
        if (entity) append(h, entity, strlen(entity));
        else if (!n || (*s < 0x20 && *s != '\n' && *s != '\t')) append(h, "\xef\xbf\xbd", 3);
        else append(h, (const char *)s, n);
        s += n ? n : 1;
    }
}

void html_data(struct html *h, const char *type, const char *path)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    void *bytes = NULL;
    size_t n = 0;
    html_add(h, "\"data:%s;base64,", type);
    if (html_has(h, brume_file_read(path, LARGEST_FILE, &bytes, &n))) {
        const uint8_t *b = bytes;
        char *to = reserve(h, (n + 2) / 3 * 4);
        for (size_t i = 0; to && i < n; i += 3, to += 4, h->used += 4) {
            const uint32_t v = (uint32_t)b[i] << 16 | (uint32_t)(i + 1 < n ? b[i + 1] : 0) << 8 | (i + 2 < n ? b[i + 2] : 0);
            to[0] = digits[v >> 18];
            to[1] = digits[v >> 12 & 63];
            to[2] = i + 1 < n ? digits[v >> 6 & 63] : '=';
            to[3] = i + 2 < n ? digits[v & 63] : '=';
        }
    }
    free(bytes);
    html_add(h, "\"");
}

brume_status html_save(struct html *h, const char *path)
{
    const brume_status s =
        h->failed ? brume_fail(BRUME_E_MEMORY, "%s: out of memory for the page", path) : brume_file_write(path, h->text, h->used);
    free(h->text);
    *h = (struct html){ 0 };
    return s;
}
