/* SPDX-License-Identifier: MIT
 * A small canvas for plots. */
#include "canvas.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "brume/file.h"

int canvas_is_vector(const char *path)
{
    const size_t n = strlen(path);
    return n >= 4 && !strcmp(path + n - 4, ".svg");
}

static void put(struct canvas *c, const char *fmt, ...)
{
    char text[512];
    va_list ap;
    va_start(ap, fmt);
    const int n = vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    if (n < 0 || (size_t)n >= sizeof text || c->failed) { c->failed = 1; return; }
    if (c->used + (size_t)n + 1 > c->room) {
        const size_t room = 2 * (c->used + (size_t)n) + 65536;
        char *grown = realloc(c->svg, room);
        if (!grown) { c->failed = 1; return; }
        c->svg = grown;
        c->room = room;
    }
    memcpy(c->svg + c->used, text, (size_t)n + 1);
    c->used += (size_t)n;
}

brume_status canvas_begin(struct canvas *c, int32_t width, int32_t height, int vector)
{
    *c = (struct canvas){ .width = width, .height = height };
    if (vector) {
        put(c,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" viewBox=\"0 0 %d %d\" "
            "font-family=\"sans-serif\">\n",
            width, height, width, height);
        put(c, "<rect width=\"%d\" height=\"%d\" fill=\"white\"/>\n", width, height);
        return c->failed ? BRUME_E_MEMORY : BRUME_OK;
    }
    const brume_status s = brume_image_new(height, width, 3, &c->image);
    if (s == BRUME_OK) memset(c->image->pixels, 255, (size_t)width * (size_t)height * 3);
    return s;
}

void canvas_free(struct canvas *c)
{
    brume_image_free(c->image);
    free(c->svg);
}

static void blend(struct canvas *c, int x, int y, struct colour k, double cover)
{
    if (x < 0 || y < 0 || x >= c->width || y >= c->height || cover <= 0) return;
    uint8_t *p = c->image->pixels + 3 * ((size_t)y * (size_t)c->width + (size_t)x);
    const double a = k.alpha * fmin(cover, 1), rgb[3] = { k.r, k.g, k.b };
    for (int i = 0; i < 3; i++) p[i] = (uint8_t)lround(p[i] + a * (rgb[i] - p[i]));
}

/* Paints what lies within `radius` of the segment, its edge one pixel soft. */
static void capsule(struct canvas *c, double x0, double y0, double x1, double y1, double radius, struct colour k)
{
    const double dx = x1 - x0, dy = y1 - y0, length2 = dx * dx + dy * dy, reach = radius + 1;
    if (!isfinite(length2) || fabs(x0) > 1e5 || fabs(y0) > 1e5 || fabs(x1) > 1e5 || fabs(y1) > 1e5) return;
    const int top = (int)fmax(0, floor(fmin(y0, y1) - reach)), bottom = (int)fmin(c->height - 1, ceil(fmax(y0, y1) + reach));
    const int left = (int)fmax(0, floor(fmin(x0, x1) - reach)), right = (int)fmin(c->width - 1, ceil(fmax(x0, x1) + reach));
    for (int y = top; y <= bottom; y++)
        for (int x = left; x <= right; x++) {
            const double px = x + 0.5 - x0, py = y + 0.5 - y0;
            const double u = length2 > 0 ? fmax(0, fmin(1, (px * dx + py * dy) / length2)) : 0;
            blend(c, x, y, k, radius + 0.5 - hypot(px - u * dx, py - u * dy));
        }
}

void canvas_disc(struct canvas *c, double x, double y, double radius, struct colour k)
{
    if (!isfinite(x) || !isfinite(y)) return;
    if (c->image) capsule(c, x, y, x, y, radius, k);
    else
        put(c, "<circle cx=\"%.2f\" cy=\"%.2f\" r=\"%.2f\" fill=\"#%02x%02x%02x\" fill-opacity=\"%.2f\"/>\n", x, y, radius, k.r,
            k.g, k.b, (double)k.alpha);
}

void canvas_line(struct canvas *c, double x0, double y0, double x1, double y1, double width, struct colour k)
{
    if (!isfinite(x0) || !isfinite(y0) || !isfinite(x1) || !isfinite(y1)) return;
    if (c->image) capsule(c, x0, y0, x1, y1, width / 2, k);
    else
        put(c,
            "<path d=\"M%.2f %.2fL%.2f %.2f\" stroke=\"#%02x%02x%02x\" stroke-opacity=\"%.2f\" stroke-width=\"%.2f\" "
            "stroke-linecap=\"round\"/>\n",
            x0, y0, x1, y1, k.r, k.g, k.b, (double)k.alpha, width);
}

void canvas_arrow(struct canvas *c, double x0, double y0, double x1, double y1, double width, struct colour k)
{
    const double dx = x1 - x0, dy = y1 - y0, length = hypot(dx, dy), head = fmin(3 * width, 0.5 * length);
    if (!(length > 0)) return;
    const double ux = dx / length, uy = dy / length;
    canvas_line(c, x0, y0, x1, y1, width, k);
    canvas_line(c, x1 - head * (ux + 0.6 * uy), y1 - head * (uy - 0.6 * ux), x1, y1, width, k);
    canvas_line(c, x1 - head * (ux - 0.6 * uy), y1 - head * (uy + 0.6 * ux), x1, y1, width, k);
}

void canvas_text(struct canvas *c, double x, double y, double size, const char *text)
{
    if (c->svg)
        put(c, "<text x=\"%.1f\" y=\"%.1f\" font-size=\"%.1f\" fill=\"#333\" text-anchor=\"middle\">%s</text>\n", x, y, size,
            text);
}

void canvas_frame(struct canvas *c, double x, double y, double width, double height, struct colour k)
{
    canvas_line(c, x, y, x + width, y, 1, k);
    canvas_line(c, x + width, y, x + width, y + height, 1, k);
    canvas_line(c, x + width, y + height, x, y + height, 1, k);
    canvas_line(c, x, y + height, x, y, 1, k);
}

brume_status canvas_write(struct canvas *c, const char *path)
{
    if (c->image) return brume_png_write(path, c->image);
    put(c, "</svg>\n");
    return c->failed ? BRUME_E_MEMORY : brume_file_write(path, c->svg, c->used);
}
