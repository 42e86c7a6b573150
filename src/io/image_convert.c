/* SPDX-License-Identifier: MIT
 * Pictures of any kind to those that a model takes: file type by content, channels, size. */
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/fail.h"
#include "brume/image.h"
#include "io/jpeg.h"

brume_status brume_image_read(const char *path, brume_image **out)
{
    void *bytes;
    size_t n;
    *out = NULL;
    brume_status s = brume_file_read(path, (size_t)1 << 30, &bytes, &n);
    if (s != BRUME_OK) return s;
    const uint8_t *b = bytes;
    if (n >= 3 && b[0] == 0xff && b[1] == 0xd8 && b[2] == 0xff) s = brume_jpeg_read_memory(bytes, n, path, out);
    else if (n >= 4 && !memcmp(b, "\x89PNG", 4)) s = brume_png_read_memory(bytes, n, path, out);
    else s = brume_fail(BRUME_E_FORMAT, "%s: is neither PNG nor JPEG", path);
    free(bytes);
    return s;
}

/* One pixel in 0 .. 1 with `want` channels. What is transparent shows white. */
static void pixel(const brume_image *im, const uint8_t *p, int32_t want, float *out)
{
    const float a = im->channels == 4 ? (float)p[3] / 255.0f : 1.0f;
    float rgb[3];
    for (int c = 0; c < 3; c++) rgb[c] = (float)p[im->channels == 1 ? 0 : c] / 255.0f * a + (1.0f - a);
    if (want == 3) memcpy(out, rgb, sizeof rgb);
    else out[0] = im->channels == 1 ? rgb[0] : 0.299f * rgb[0] + 0.587f * rgb[1] + 0.114f * rgb[2];
}

void brume_image_fit(const brume_image *im, int32_t height, int32_t width, int32_t channels, float *hwc)
{
    /* The largest part from the middle with the wanted proportions; each pixel is the mean of the area it covers. */
    double h = im->height, w = im->width;
    if (h * width > w * height) h = w * height / width;
    else w = h * width / height;
    const double top = (im->height - h) / 2, left = (im->width - w) / 2, step_y = h / height, step_x = w / width;
    for (int32_t y = 0; y < height; y++)
        for (int32_t x = 0; x < width; x++, hwc += channels) {
            const double y0 = top + y * step_y, y1 = y0 + step_y, x0 = left + x * step_x, x1 = x0 + step_x;
            double sum[3] = { 0 }, area = 0;
            for (int32_t v = (int32_t)y0; v < im->height && v < y1; v++)
                for (int32_t u = (int32_t)x0; u < im->width && u < x1; u++) {
                    const double dy = (v + 1 < y1 ? v + 1 : y1) - (v > y0 ? v : y0), dx = (u + 1 < x1 ? u + 1 : x1) - (u > x0 ? u : x0);
                    float p[3] = { 0 };
                    pixel(im, im->pixels + ((size_t)v * (size_t)im->width + (size_t)u) * (size_t)im->channels, channels, p);
                    for (int32_t c = 0; c < channels; c++) sum[c] += dy * dx * (double)p[c];
                    area += dy * dx;
                }
            for (int32_t c = 0; c < channels; c++) {
                const float value = (float)(2 * sum[c] / area - 1);
                hwc[c] = value < -1 ? -1 : value > 1 ? 1 : value; /* rounding of the mean */
            }
        }
}
