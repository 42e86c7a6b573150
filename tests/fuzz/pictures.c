/* SPDX-License-Identifier: MIT
 * Picture files in memory, each format by its own reader. */
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "brume/image.h"
#include "fuzz.h"
#include "io/picture_files.h"

enum { SMALL = 1 << 12 }; /* pixels, up to which a picture is worked with */

static void use_image(brume_image *im)
{
    float fit[4 * 4 * 4];
    const size_t n = (size_t)im->height * (size_t)im->width;
    if (n <= SMALL) {
        fuzz_use(im->pixels, n * (size_t)im->channels);
        if (im->deep) fuzz_use(im->deep, n * (size_t)im->channels * sizeof *im->deep);
        for (int32_t c = 1; c <= 4; c += c == 1 ? 2 : 1) brume_image_fit(im, 4, 3, c, fit);
    }
    for (int i = 0; i < 2 * im->n_text; i++) fuzz_use_text(im->text[i]);
}

static void use_png(const uint8_t *data, size_t n)
{
    brume_image *im, *again;
    void *bytes;
    size_t written;
    if (brume_png_read_memory(data, n, "input.png", &im) != BRUME_OK) return;
    use_image(im);
    if ((size_t)im->height * (size_t)im->width <= SMALL) {
        if (brume_png_write_memory(im, "written.png", &bytes, &written) != BRUME_OK)
            fuzz_broken("a picture that was read cannot be written");
        if (brume_png_read_memory(bytes, written, "written.png", &again) != BRUME_OK)
            fuzz_broken("a picture that was written cannot be read");
        if (again->height != im->height || again->width != im->width || again->channels != im->channels ||
            memcmp(again->pixels, im->pixels, (size_t)im->height * (size_t)im->width * (size_t)im->channels))
            fuzz_broken("a picture reads as another");
        for (int i = 0; i < im->n_text; i++) {
            const char *value = brume_image_text(again, im->text[2 * i]);
            if (!value || strcmp(value, im->text[2 * i + 1])) fuzz_broken("a text of a picture is lost, or another");
        }
        brume_image_free(again);
        free(bytes);
    }
    brume_image_free(im);
}

/* Makes the checksums of all whole chunks right. */
static void seal_chunks(uint8_t *data, size_t n)
{
    for (size_t at = 8; at < n && n - at >= 12;) {
        const size_t length = (size_t)data[at] << 24 | (size_t)data[at + 1] << 16 | (size_t)data[at + 2] << 8 | data[at + 3];
        if (length > n - at - 12) return;
        const uint32_t sum = (uint32_t)crc32_z(0, data + at + 4, length + 4);
        uint8_t *to = data + at + 8 + length;
        for (int i = 0; i < 4; i++) to[i] = (uint8_t)(sum >> (24 - 8 * i));
        at += length + 12;
    }
}

/* As it is, which few changes survive, and with the checksums of its chunks made right. */
void fuzz_png(const uint8_t *data, size_t n)
{
    uint8_t *sealed = malloc(n + !n);
    if (n) memcpy(sealed, data, n);
    seal_chunks(sealed, n);
    if (n && memcmp(sealed, data, n)) use_png(data, n);
    use_png(sealed, n);
    free(sealed);
}

static void use_reader(brume_status (*read)(const void *bytes, size_t n, const char *name, brume_image **out),
                       const uint8_t *data, size_t n)
{
    brume_image *im;
    if (read(data, n, "input", &im) != BRUME_OK) return;
    use_image(im);
    brume_image_free(im);
}

void fuzz_jpeg(const uint8_t *data, size_t n) { use_reader(brume_jpeg_read_memory, data, n); }
void fuzz_gif(const uint8_t *data, size_t n) { use_reader(brume_gif_read_memory, data, n); }
void fuzz_pnm(const uint8_t *data, size_t n) { use_reader(brume_pnm_read_memory, data, n); }
