/* SPDX-License-Identifier: MIT
 * Curves over steps as SVG. */
#include "report/chart.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* Units of the drawing; the page scales it to its column. */
enum { WIDTH = 640, HEIGHT = 250, LEFT = 58, RIGHT = 16, TOP = 12, BOTTOM = 30, BUCKETS = 300, MOST_TICKS = 8 };

/* A part of a line's steps: where they are, what they are on average, and between. */
struct bucket { double x, mean, lo, hi; };

struct axis { double lo, hi; int log; };

static double place(const struct axis *a, double v, double from, double to)
{
    const double x = a->log ? (log10(v) - log10(a->lo)) / (log10(a->hi) - log10(a->lo)) : (v - a->lo) / (a->hi - a->lo);
    return from + (to - from) * x;
}

/* A log axis has no place for what is not positive. */
static int shown(const struct axis *y, double v) { return !y->log || v > 0; }

static int buckets(const struct column *c, const struct axis *y, struct bucket out[BUCKETS])
{
    int n = 0;
    for (int b = 0; b < BUCKETS; b++) {
        const int64_t from = c->n * b / BUCKETS, to = c->n * (b + 1) / BUCKETS;
        struct bucket k = { .lo = INFINITY, .hi = -INFINITY };
        int64_t count = 0;
        for (int64_t i = from; i < to; i++) {
            const double v = c->value[i];
            if (!shown(y, v)) continue;
            k.x += c->step[i];
            k.mean += y->log ? log(v) : v;
            k.lo = fmin(k.lo, v);
            k.hi = fmax(k.hi, v);
            count++;
        }
        if (!count) continue;
        k.x /= (double)count;
        k.mean /= (double)count;
        if (y->log) k.mean = exp(k.mean);
        out[n++] = k;
    }
    return n;
}

/* The smallest of 1, 2, 5 times a power of ten that cuts a range into at most `most` parts. */
static double tidy_step(double range, int most)
{
    const double unit = pow(10, floor(log10(range / most)));
    for (int k = 0; k < 3; k++)
        if (range / (unit * (double[]){ 1, 2, 5 }[k]) <= most) return unit * (double[]){ 1, 2, 5 }[k];
    return 10 * unit;
}

/* Marks of an axis, which is widened to the outer ones if that is wanted. */
static int ticks(struct axis *a, int most, int widen, double out[3 * MOST_TICKS + 3])
{
    int n = 0;
    if (a->log) {
        static const int all[] = { 1, 2, 5 };
        const double decades = log10(a->hi / a->lo);
        for (double p = floor(log10(a->lo)); p <= log10(a->hi) + 1e-9; p += fmax(1, ceil(decades / most)))
            for (int k = 0; k < (decades < 2.5 ? 3 : 1); k++) {
                const double v = all[k] * pow(10, p);
                if (v >= a->lo * (1 - 1e-9) && v <= a->hi * (1 + 1e-9) && n < 3 * MOST_TICKS) out[n++] = v;
            }
        return n;
    }
    const double step = tidy_step(a->hi - a->lo, most);
    if (widen) {
        a->lo = floor(a->lo / step + 1e-9) * step;
        a->hi = ceil(a->hi / step - 1e-9) * step;
    }
    for (double v = ceil(a->lo / step - 1e-9) * step; v <= a->hi + 1e-9 * step && n < 3 * MOST_TICKS; v += step)
        out[n++] = fabs(v) < 1e-9 * step ? 0 : v;
    return n;
}

static void range(const struct chart_line *lines, int n, struct axis *x, struct axis *y)
{
    x->lo = y->lo = INFINITY;
    x->hi = y->hi = -INFINITY;
    for (int k = 0; k < n; k++)
        for (int64_t i = 0; i < lines[k].data->n; i++) {
            const double v = lines[k].data->value[i];
            if (!shown(y, v)) continue;
            y->lo = fmin(y->lo, v);
            y->hi = fmax(y->hi, v);
            x->lo = fmin(x->lo, lines[k].data->step[i]);
            x->hi = fmax(x->hi, lines[k].data->step[i]);
        }
    if (!(x->hi > x->lo)) x->lo -= 1, x->hi += 1;
    if (y->log && !(y->hi > 1.5 * y->lo)) y->lo /= 1.3, y->hi *= 1.3;
    if (!y->log && !(y->hi - y->lo > 1e-6 * fabs(y->hi))) y->lo -= fabs(y->lo) / 2 + 1e-9, y->hi += fabs(y->hi) / 2 + 1e-9;
}

static void number(struct html *h, double v)
{
    if (fabs(v) >= 1e6) html_add(h, "%gM", v / 1e6);
    else if (fabs(v) >= 1e4) html_add(h, "%gk", v / 1e3);
    else html_add(h, "%.4g", v);
}

static void axes(struct html *h, struct axis *x, struct axis *y)
{
    double at[3 * MOST_TICKS + 3];
    for (int i = 0, n = ticks(y, 5, 1, at); i < n; i++) {
        const double py = place(y, at[i], HEIGHT - BOTTOM, TOP);
        html_add(
            h, "<line class=\"grid\" x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\"/><text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">",
            LEFT, WIDTH - RIGHT, py, py, LEFT - 6, py + 4);
        number(h, at[i]);
        html_add(h, "</text>");
    }
    for (int i = 0, n = ticks(x, 6, 0, at); i < n; i++) {
        html_add(h, "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">", place(x, at[i], LEFT, WIDTH - RIGHT), HEIGHT - 10);
        number(h, at[i]);
        html_add(h, "</text>");
    }
}

static void curve(struct html *h, const struct axis *x, const struct axis *y, const struct bucket *b, int n, int colour,
                  const char *name)
{
    html_add(h, "<path class=\"band c%d\" d=\"", colour);
    for (int i = 0; i < 2 * n; i++) { /* there along the top, back along the bottom */
        const struct bucket *k = &b[i < n ? i : 2 * n - 1 - i];
        html_add(h, "%c%.1f %.1f", i ? 'L' : 'M', place(x, k->x, LEFT, WIDTH - RIGHT),
                 place(y, i < n ? k->hi : k->lo, HEIGHT - BOTTOM, TOP));
    }
    html_add(h, "Z\"/><path class=\"line c%d\" data-name=\"", colour);
    html_text(h, name);
    html_add(h, "\" data-points=\"");
    for (int i = 0; i < n; i++) html_add(h, "%s%.0f %.4g", i ? "," : "", b[i].x, b[i].mean);
    html_add(h, "\" d=\"");
    for (int i = 0; i < n; i++)
        html_add(h, "%c%.1f %.1f", i ? 'L' : 'M', place(x, b[i].x, LEFT, WIDTH - RIGHT),
                 place(y, b[i].mean, HEIGHT - BOTTOM, TOP));
    html_add(h, "\"/>");
    if (n < 60) /* few enough to be seen one by one */
        for (int i = 0; i < n; i++)
            html_add(h, "<circle class=\"dot c%d\" r=\"2.5\" cx=\"%.1f\" cy=\"%.1f\"/>", colour,
                     place(x, b[i].x, LEFT, WIDTH - RIGHT), place(y, b[i].mean, HEIGHT - BOTTOM, TOP));
}

void chart_add(struct html *h, const char *title, const char *unit, enum chart_scale scale, const struct chart_line *lines, int n)
{
    struct axis x = { 0 }, y = { .log = scale == CHART_LOG };
    struct bucket *b = malloc(BUCKETS * sizeof *b);
    int any = 0;
    range(lines, n, &x, &y);
    for (int k = 0; k < n; k++) any |= b && buckets(lines[k].data, &y, b) > 0;
    html_add(h, "<figure class=\"chart\"><figcaption><b>%s</b>", title);
    if (unit[0]) html_add(h, " <span class=\"unit\">%s</span>", unit);
    for (int k = 0; k < n && n > 1; k++)
        if (lines[k].data->n) html_add(h, " <span class=\"key c%d\">%s</span>", k + 1, lines[k].name);
    html_add(h, "</figcaption>");
    if (!any) {
        html_add(h, "<p class=\"none\">nothing logged yet</p></figure>\n");
        free(b);
        return;
    }
    html_add(h, "<svg viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"%s over steps\" data-range=\"%.9g %.9g %d %d\">", WIDTH,
             HEIGHT, title, x.lo, x.hi, LEFT, WIDTH - RIGHT);
    axes(h, &x, &y);
    for (int k = 0; k < n; k++) curve(h, &x, &y, b, buckets(lines[k].data, &y, b), k + 1, lines[k].name);
    html_add(h, "<line class=\"cursor\" y1=\"%d\" y2=\"%d\"/></svg><output></output></figure>\n", TOP, HEIGHT - BOTTOM);
    free(b);
}
