/* SPDX-License-Identifier: MIT
 * PNG files through libpng. Its errors come back by longjmp: everything a jump may leave behind lives in struct job. */
#include <png.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "base/file.h"
#include "brume/image.h"

#define MAX_SIDE 65535
#define MAX_BYTES ((size_t)1 << 28)
/* bytes that one of deflate can become (Deutsch 1996: 258 bytes of 2 bits, with the code of distance) */
#define DEFLATE_MOST 1032
#define MAX_FILE ((size_t)1 << 30)

struct job {
    const char *name;
    png_structp png;
    png_infop info;
    brume_image *image;
    png_bytep *rows;
    png_text *texts;
    const unsigned char *in; /* bytes still to read */
    size_t in_left, in_all;
    unsigned char *out;      /* bytes written */
    size_t out_n, out_cap;
    char message[256];
    int lacked;              /* memory, so that what libpng says or leaves out is not the file's fault */
};

static png_voidp on_malloc(png_structp png, png_alloc_size_t n)
{
    struct job *j = png_get_mem_ptr(png);
    void *p = malloc(n);
    if (!p) j->lacked = 1;
    return p;
}

static void on_free(png_structp png, png_voidp p)
{
    (void)png;
    free(p);
}

static void *take(struct job *j, size_t n)
{
    void *p = on_malloc(j->png, n);
    if (!p) png_error(j->png, "no memory");
    return p;
}

static void on_error(png_structp png, png_const_charp text)
{
    struct job *j = png_get_error_ptr(png);
    snprintf(j->message, sizeof j->message, "%s", text);
    png_longjmp(png, 1);
}

static void on_warning(png_structp png, png_const_charp text)
{
    (void)png;
    (void)text;
}

static void on_read(png_structp png, png_bytep dst, size_t n)
{
    struct job *j = png_get_io_ptr(png);
    if (n > j->in_left) png_error(png, "the file is cut short");
    memcpy(dst, j->in, n);
    j->in += n;
    j->in_left -= n;
}

static void on_write(png_structp png, png_bytep src, size_t n)
{
    struct job *j = png_get_io_ptr(png);
    if (j->out_cap - j->out_n < n) {
        const size_t cap = (j->out_cap + n) * 2;
        unsigned char *more = realloc(j->out, cap);
        if (!more) j->lacked = 1;
        if (!more) png_error(png, "no memory");
        j->out = more;
        j->out_cap = cap;
    }
    memcpy(j->out + j->out_n, src, n);
    j->out_n += n;
}

static void on_flush(png_structp png) { (void)png; }

/* After a jump only what is reached through j is used, so that no local variable can be stale. */
static brume_status read_png(struct job *j)
{
    if (setjmp(png_jmpbuf(j->png)))
        return j->lacked ? brume_fail(BRUME_E_MEMORY, "%s: no memory to read it", j->name)
                         : brume_fail(BRUME_E_FORMAT, "%s: not a good PNG: %s", j->name, j->message);
    png_set_user_limits(j->png, MAX_SIDE, MAX_SIDE);
    png_set_chunk_malloc_max(j->png, 1 << 24);
    png_set_chunk_cache_max(j->png, 256);
    png_set_read_fn(j->png, j, on_read);
    png_read_info(j->png, j->info);
    if (png_get_image_height(j->png, j->info) >
        ((uint64_t)j->in_all + 64) * DEFLATE_MOST / (png_get_rowbytes(j->png, j->info) + 1))
        png_error(j->png, "more pixels than a file of its size can hold");
    png_set_expand(j->png); /* palette to RGB, few bits to 8, tRNS to alpha */
    png_set_interlace_handling(j->png);
    if (png_get_color_type(j->png, j->info) == PNG_COLOR_TYPE_GRAY_ALPHA ||
        (png_get_color_type(j->png, j->info) == PNG_COLOR_TYPE_GRAY && png_get_valid(j->png, j->info, PNG_INFO_tRNS)))
        png_set_gray_to_rgb(j->png);
    png_read_update_info(j->png, j->info);
    const png_uint_32 h = png_get_image_height(j->png, j->info), w = png_get_image_width(j->png, j->info);
    const int c = png_get_channels(j->png, j->info);
    const size_t bytes = png_get_bit_depth(j->png, j->info) == 16 ? 2 : 1;
    if (png_get_rowbytes(j->png, j->info) != (size_t)w * (size_t)c * bytes) png_error(j->png, "an unknown kind of pixels");
    if ((size_t)h * w > MAX_BYTES / (size_t)c) png_error(j->png, "more than 256 MiB of pixels");
    const brume_status s = brume_image_new((int32_t)h, (int32_t)w, c, &j->image);
    if (s != BRUME_OK) return s;
    const size_t count = (size_t)h * w * (size_t)c;
    if (bytes == 2) j->image->deep = take(j, count * sizeof *j->image->deep);
    j->rows = take(j, h * sizeof *j->rows);
    for (png_uint_32 y = 0; y < h; y++)
        j->rows[y] = (bytes == 2 ? (png_bytep)j->image->deep : j->image->pixels) + (size_t)y * w * (size_t)c * bytes;
    png_read_image(j->png, j->rows);
    for (size_t i = 0; bytes == 2 && i < count; i++) {
        const png_byte *b = (const png_byte *)&j->image->deep[i]; /* high byte first */
        const uint32_t v = (uint32_t)b[0] << 8 | b[1];
        j->image->deep[i] = (uint16_t)v;
        j->image->pixels[i] = (uint8_t)((v * 255 + 32895) >> 16); /* round(v / 257) */
    }
    png_read_end(j->png, j->info);
    if (j->lacked) png_error(j->png, "no memory"); /* a text may be missing */
    return BRUME_OK;
}

/* tEXt and zTXt are Latin-1, iTXt is UTF-8. */
static char *to_utf8(const png_text *t)
{
    const int utf8 = t->compression == PNG_ITXT_COMPRESSION_NONE || t->compression == PNG_ITXT_COMPRESSION_zTXt;
    const char *src = t->text ? t->text : "";
    if (utf8) return strdup(src);
    char *dst = malloc(2 * strlen(src) + 1), *d = dst;
    if (!dst) return NULL;
    for (const unsigned char *s = (const unsigned char *)src; *s; s++) {
        if (*s < 0x80) {
            *d++ = (char)*s;
        } else {
            *d++ = (char)(0xc0 | *s >> 6);
            *d++ = (char)(0x80 | (*s & 0x3f));
        }
    }
    *d = 0;
    return dst;
}

static brume_status take_text(struct job *j)
{
    png_textp t;
    int n = 0;
    png_get_text(j->png, j->info, &t, &n);
    for (int i = 0; i < n; i++) {
        char *value = to_utf8(&t[i]);
        if (!value) return brume_fail(BRUME_E_MEMORY, "%s: no memory for its text", j->name);
        const brume_status s = brume_image_set_text(j->image, t[i].key, value);
        free(value);
        if (s == BRUME_E_MEMORY) return s; /* a key that PNG does not allow is left out */
    }
    return BRUME_OK;
}

/* libpng takes memory for what a chunk claims to hold before it reads it. */
static int chunks_fit(const unsigned char *p, size_t n)
{
    for (size_t at = 8; at < n;) {
        const size_t left = n - at;
        if (left < 12) return 0;
        const size_t length = (size_t)p[at] << 24 | (size_t)p[at + 1] << 16 | (size_t)p[at + 2] << 8 | p[at + 3];
        if (length > left - 12) return 0;
        if (!memcmp(p + at + 4, "IEND", 4)) return 1; /* what follows is read by nobody */
        at += length + 12;
    }
    return 0;
}

brume_status brume_png_read_memory(const void *bytes, size_t n, const char *name, brume_image **out)
{
    struct job j = { .name = name, .in = bytes, .in_left = n, .in_all = n };
    brume_status s = BRUME_E_MEMORY;
    *out = NULL;
    if (n < 8 || png_sig_cmp(bytes, 0, 8)) return brume_fail(BRUME_E_FORMAT, "%s: is no PNG file", name);
    if (!chunks_fit(bytes, n)) return brume_fail(BRUME_E_FORMAT, "%s: not a good PNG: the file is cut short", name);
    j.png = png_create_read_struct_2(PNG_LIBPNG_VER_STRING, &j, on_error, on_warning, &j, on_malloc, on_free);
    if (j.png) j.info = png_create_info_struct(j.png);
    if (j.info) s = read_png(&j);
    else brume_fail(s, "%s: no memory for the PNG reader", name);
    if (s == BRUME_OK) s = take_text(&j);
    free(j.rows);
    png_destroy_read_struct(&j.png, &j.info, NULL);
    if (s != BRUME_OK) brume_image_free(j.image);
    else *out = j.image;
    return s;
}

brume_status brume_png_read(const char *path, brume_image **out)
{
    void *bytes;
    size_t n;
    *out = NULL;
    brume_status s = brume_file_read(path, MAX_FILE, &bytes, &n);
    if (s != BRUME_OK) return s;
    s = brume_png_read_memory(bytes, n, path, out);
    free(bytes);
    return s;
}

static brume_status write_png(struct job *j, const brume_image *im)
{
    if (setjmp(png_jmpbuf(j->png)))
        return j->lacked ? brume_fail(BRUME_E_MEMORY, "%s: no memory to make the PNG", j->name)
                         : brume_fail(BRUME_E_ARG, "%s: cannot make the PNG: %s", j->name, j->message);
    png_set_write_fn(j->png, j, on_write, on_flush);
    png_set_IHDR(j->png, j->info, (png_uint_32)im->width, (png_uint_32)im->height, 8,
                 im->channels == 1   ? PNG_COLOR_TYPE_GRAY
                 : im->channels == 3 ? PNG_COLOR_TYPE_RGB
                                     : PNG_COLOR_TYPE_RGB_ALPHA,
                 PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    if (im->n_text) {
        j->texts = take(j, (size_t)im->n_text * sizeof *j->texts);
        memset(j->texts, 0, (size_t)im->n_text * sizeof *j->texts);
        for (int i = 0; i < im->n_text; i++) {
            int ascii = 1;
            for (const unsigned char *c = (const unsigned char *)im->text[2 * i + 1]; *c; c++) ascii &= *c < 0x80;
            j->texts[i].compression = ascii ? PNG_TEXT_COMPRESSION_NONE : PNG_ITXT_COMPRESSION_NONE;
            j->texts[i].key = im->text[2 * i];
            j->texts[i].text = im->text[2 * i + 1];
        }
        png_set_text(j->png, j->info, j->texts, im->n_text);
    }
    j->rows = take(j, (size_t)im->height * sizeof *j->rows);
    for (int32_t y = 0; y < im->height; y++) j->rows[y] = im->pixels + (size_t)y * (size_t)im->width * (size_t)im->channels;
    png_write_info(j->png, j->info);
    png_write_image(j->png, j->rows);
    png_write_end(j->png, j->info);
    if (j->lacked) png_error(j->png, "no memory"); /* what libpng does without, such as a text */
    return BRUME_OK;
}

brume_status brume_png_write_memory(const brume_image *im, const char *name, void **bytes, size_t *n)
{
    struct job j = { .name = name };
    brume_status s = BRUME_E_MEMORY;
    *bytes = NULL;
    *n = 0;
    j.png = png_create_write_struct_2(PNG_LIBPNG_VER_STRING, &j, on_error, on_warning, &j, on_malloc, on_free);
    if (j.png) j.info = png_create_info_struct(j.png);
    if (j.info) s = write_png(&j, im);
    else brume_fail(s, "%s: no memory for the PNG writer", name);
    png_destroy_write_struct(&j.png, &j.info);
    free(j.rows);
    free(j.texts);
    if (s != BRUME_OK) {
        free(j.out);
        return s;
    }
    *bytes = j.out;
    *n = j.out_n;
    return s;
}

brume_status brume_png_write(const char *path, const brume_image *im)
{
    void *bytes;
    size_t n;
    brume_status s = brume_png_write_memory(im, path, &bytes, &n);
    if (s == BRUME_OK) s = brume_file_write(path, bytes, n);
    free(bytes);
    return s;
}
