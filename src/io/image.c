/* SPDX-License-Identifier: MIT
 * Pictures in memory: pixels, text pairs, and grids of samples. */
#include "brume/image.h"

#include <stdlib.h>
#include <string.h>

#include "base/fail.h"

#define MAX_SIDE 65535

brume_status brume_image_new(int32_t height, int32_t width, int32_t channels, brume_image **out)
{
    *out = NULL;
    if (height < 1 || width < 1 || height > MAX_SIDE || width > MAX_SIDE || (channels != 1 && channels != 3 && channels != 4))
        return brume_fail(BRUME_E_ARG,
                          "image: %d x %d pixels of %d channels; expected 1 .. %d pixels a side and 1, 3 or 4 channels", height,
                          width, channels, MAX_SIDE);
    brume_image *im = calloc(1, sizeof *im);
    const size_t bytes = (size_t)height * (size_t)width * (size_t)channels;
    if (im) im->pixels = calloc(bytes, 1);
    if (!im || !im->pixels) {
        free(im);
        return brume_fail(BRUME_E_MEMORY, "image: no memory for %zu bytes", bytes);
    }
    im->height = height;
    im->width = width;
    im->channels = channels;
    *out = im;
    return BRUME_OK;
}

void brume_image_free(brume_image *im)
{
    if (!im) return;
    for (int i = 0; i < 2 * im->n_text; i++) free(im->text[i]);
    free(im->text);
    free(im->pixels);
    free(im->deep);
    free(im);
}

brume_status brume_image_set_text(brume_image *im, const char *key, const char *value)
{
    const size_t n = strlen(key);
    int bad = n < 1 || n > 79 || key[0] == ' ' || key[n - 1] == ' ';
    for (size_t i = 0; i < n && !bad; i++) bad = key[i] < 32 || key[i] > 126 || (key[i] == ' ' && key[i + 1] == ' ');
    if (bad)
        return brume_fail(BRUME_E_ARG,
                          "image: '%s' is no key for a text: 1 to 79 printable ASCII characters, spaces only one by one "
                          "between others",
                          key);
    char *copy = strdup(value);
    if (!copy) return brume_fail(BRUME_E_MEMORY, "image: no memory for text '%s'", key);
    for (int i = 0; i < im->n_text; i++)
        if (!strcmp(im->text[2 * i], key)) {
            free(im->text[2 * i + 1]);
            im->text[2 * i + 1] = copy;
            return BRUME_OK;
        }
    char **more = realloc(im->text, 2 * ((size_t)im->n_text + 1) * sizeof *more);
    char *name = strdup(key);
    if (more) im->text = more;
    if (!more || !name) {
        free(copy);
        free(name);
        return brume_fail(BRUME_E_MEMORY, "image: no memory for text '%s'", key);
    }
    im->text[2 * im->n_text] = name;
    im->text[2 * im->n_text++ + 1] = copy;
    return BRUME_OK;
}

const char *brume_image_text(const brume_image *im, const char *key)
{
    for (int i = 0; i < im->n_text; i++)
        if (!strcmp(im->text[2 * i], key)) return im->text[2 * i + 1];
    return NULL;
}

uint8_t brume_to_byte(float x)
{
    const float v = (x + 1.0f) * 127.5f + 0.5f;
    return v >= 255.0f ? 255 : v > 0.0f ? (uint8_t)v : 0; /* NaN is not above 0 */
}

float brume_from_byte(uint8_t b) { return (float)b / 127.5f - 1.0f; }

brume_status brume_image_grid(const float *images, int64_t n, int32_t height, int32_t width, int32_t channels, int32_t columns,
                              int32_t scale, brume_image **out)
{
    const int64_t gap = 2, pleasant = 720; /* pixels a side */
    *out = NULL;
    if (n < 1 || height < 1 || width < 1 || channels < 1 || columns < 0 || scale < 0 || n > MAX_SIDE || height > MAX_SIDE ||
        width > MAX_SIDE || scale > MAX_SIDE)
        return brume_fail(BRUME_E_ARG, "grid: %lld images of %dx%dx%d in %d columns at scale %d cannot be drawn", (long long)n,
                          height, width, channels, columns, scale);
    int64_t cols = columns;
    if (!cols) /* as many columns as make the picture about square */
        for (cols = 1; cols < n && cols * (width + gap) < (n + cols - 1) / cols * (height + gap);) cols++;
    if (cols > n) cols = n;
    const int64_t rows = (n + cols - 1) / cols;
    int64_t k = scale;
    if (!k) {
        const int64_t side = cols * width > rows * height ? cols * width : rows * height;
        k = pleasant / side < 1 ? 1 : pleasant / side > 8 ? 8 : pleasant / side;
    }
    const int64_t cell_h = height * k + gap, cell_w = width * k + gap, h = rows * cell_h + gap, w = cols * cell_w + gap;
    if (h > MAX_SIDE || w > MAX_SIDE)
        return brume_fail(BRUME_E_ARG,
                          "grid: %lld x %lld pixels, expected at most %d a side; draw fewer images or at a smaller scale",
                          (long long)h, (long long)w, MAX_SIDE);
    brume_image *im;
    const int32_t shown = channels < 3 ? 1 : channels > 4 ? 3 : channels;
    const brume_status s = brume_image_new((int32_t)h, (int32_t)w, shown, &im);
    if (s != BRUME_OK) return s;
    memset(im->pixels, 255, (size_t)(h * w * shown));
    for (int64_t i = 0; i < n; i++) {
        const float *src = images + i * height * width * channels;
        const int64_t top = i / cols * cell_h + gap, left = i % cols * cell_w + gap;
        for (int64_t y = 0; y < height * k; y++)
            for (int64_t x = 0; x < width * k; x++)
                for (int64_t c = 0; c < shown; c++)
                    im->pixels[((top + y) * w + left + x) * shown + c] =
                        brume_to_byte(src[(y / k * width + x / k) * channels + c]);
    }
    *out = im;
    return BRUME_OK;
}
