/* SPDX-License-Identifier: MIT
 * Pixels of any kind to the size and channels that a model takes: a window of the picture, resampled by areas. */
#include "io/raster.h"

#include <stdlib.h>
#include <string.h>

struct brume_raster brume_raster_of(const brume_image *im)
{
    struct brume_raster r = { im->height, im->width, im->channels, im->deep ? BRUME_RASTER_U16 : BRUME_RASTER_U8,
                              im->deep ? (const void *)im->deep : im->pixels, (int64_t)im->width * im->channels,
                              im->channels, 1, NULL, NULL };
    return r;
}

void brume_raster_free(struct brume_raster *r)
{
    brume_image_free(r->image);
    free(r->memory);
}

/* In 0 .. 1. */
static float value(const struct brume_raster *r, int64_t at)
{
    switch (r->type) {
    case BRUME_RASTER_U8: return (float)((const uint8_t *)r->values)[at] / 255.0f;
    case BRUME_RASTER_U16: return (float)((const uint16_t *)r->values)[at] / 65535.0f;
    case BRUME_RASTER_F32: break;
    }
    return 0.5f * ((const float *)r->values)[at] + 0.5f;
}

/* One pixel in 0 .. 1 with `want` channels. What is transparent shows white, unless transparency itself is wanted. */
static void pixel(const struct brume_raster *r, int64_t at, int32_t want, float *out)
{
    const float a = r->channels == 4 ? value(r, at + 3 * r->channel) : 1.0f;
    float rgb[3];
    for (int c = 0; c < 3; c++) rgb[c] = value(r, at + (r->channels == 1 ? 0 : c * r->channel));
    if (want == 4) {
        memcpy(out, rgb, sizeof rgb);
        out[3] = a;
        return;
    }
    for (int c = 0; c < 3; c++) rgb[c] = rgb[c] * a + (1.0f - a);
    if (want == 3) memcpy(out, rgb, sizeof rgb);
    else out[0] = r->channels == 1 ? rgb[0] : 0.299f * rgb[0] + 0.587f * rgb[1] + 0.114f * rgb[2];
}

static void copy(const struct brume_raster *r, float *hwc)
{
    for (int32_t y = 0; y < r->height; y++)
        for (int32_t x = 0; x < r->width; x++)
            for (int32_t c = 0; c < r->channels; c++) {
                const int64_t at = y * r->row + x * r->column + c * r->channel;
                switch (r->type) {
                case BRUME_RASTER_U8: *hwc++ = brume_from_byte(((const uint8_t *)r->values)[at]); break;
                case BRUME_RASTER_U16: *hwc++ = (float)((const uint16_t *)r->values)[at] / 32767.5f - 1.0f; break;
                case BRUME_RASTER_F32: *hwc++ = ((const float *)r->values)[at]; break;
                }
            }
}

void brume_raster_fit(const struct brume_raster *r, const struct brume_window *window, int32_t height, int32_t width,
                      int32_t channels, float *hwc)
{
    if (r->height == height && r->width == width && r->channels == channels && window->part == 1) {
        copy(r, hwc);
        return;
    }
    double h = r->height, w = r->width;
    if (h * width > w * height) h = w * height / width;
    else w = h * width / height;
    h *= window->part;
    w *= window->part;
    /* Each pixel is the mean of the area it covers. */
    const double top = (r->height - h) * window->y, left = (r->width - w) * window->x, step_y = h / height, step_x = w / width;
    for (int32_t y = 0; y < height; y++)
        for (int32_t x = 0; x < width; x++, hwc += channels) {
            const double y0 = top + y * step_y, y1 = y0 + step_y, x0 = left + x * step_x, x1 = x0 + step_x;
            double sum[4] = { 0 }, area = 0;
            for (int32_t v = (int32_t)y0; v < r->height && v < y1; v++)
                for (int32_t u = (int32_t)x0; u < r->width && u < x1; u++) {
                    const double dy = (v + 1 < y1 ? v + 1 : y1) - (v > y0 ? v : y0),
                                 dx = (u + 1 < x1 ? u + 1 : x1) - (u > x0 ? u : x0);
                    float p[4] = { 0 };
                    pixel(r, v * r->row + u * r->column, channels, p);
                    for (int32_t c = 0; c < channels; c++) sum[c] += dy * dx * (double)p[c];
                    area += dy * dx;
                }
            for (int32_t c = 0; c < channels; c++) {
                const float mean = (float)(2 * sum[c] / area - 1);
                hwc[c] = mean < -1 ? -1 : mean > 1 ? 1 : mean; /* rounding of the mean */
            }
        }
}
