/* SPDX-License-Identifier: MIT
 * Finds figures by their difference from the ground, measures their colour, and their shape by the outline that explains them
 * best. */
#include "shape_check.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { SIDE = 64, COLOURS = 8, SHAPES = 5 };

static const struct { const char *name; double rgb[3]; } colours[COLOURS] = {
    { "red", { 0.86, 0.14, 0.14 } },  { "orange", { 0.98, 0.55, 0.08 } }, { "yellow", { 0.97, 0.88, 0.16 } },
    { "green", { 0.13, 0.63, 0.22 } }, { "cyan", { 0.15, 0.80, 0.85 } }, { "blue", { 0.13, 0.27, 0.85 } },
    { "purple", { 0.50, 0.16, 0.65 } }, { "pink", { 0.98, 0.55, 0.75 } },
};

static const struct { const char *name; double area; } shapes[SHAPES] = { /* areas of radius 1 */
    { "circle", 3.1416 }, { "square", 2.56 }, { "triangle", 1.299 }, { "cross", 1.92 }, { "ring", 2.1564 },
};

/* Figures of radius 1 around 0, y downwards. */
static int inside(int shape, double x, double y)
{
    const double ax = fabs(x), ay = fabs(y), r2 = x * x + y * y;
    switch (shape) {
    case 0: return r2 <= 1;
    case 1: return ax <= 0.8 && ay <= 0.8;
    case 2: return y <= 0.5 && y >= -1 + sqrt(3) * ax;
    case 3: return (ax <= 0.3 && ay <= 0.95) || (ay <= 0.3 && ax <= 0.95);
    default: return r2 <= 1 && r2 >= 0.56 * 0.56;
    }
}

struct view {
    int n;
    double rgb[SIDE][SIDE][3], ground[SIDE][3], difference[SIDE][SIDE]; /* 0 .. 1 */
    int part[SIDE][SIDE];  /* number of the connected part, 0: ground */
};

/* Per channel the line over the rows that fits the border, from which figures that touch it are taken out by and by. */
static void find_ground(struct view *v)
{
    for (int c = 0; c < 3; c++) {
        double a = 0, b = 0, limit = INFINITY;
        for (int pass = 0; pass < 4; pass++) {
            double m = 0, sx = 0, sy = 0, sxx = 0, sxy = 0, values[4 * SIDE];
            int count = 0;
            for (int y = 0; y < v->n; y++)
                for (int x = 0; x < v->n; x++) {
                    if (y > 0 && y < v->n - 1 && x > 0 && x < v->n - 1) continue;
                    const double p = v->rgb[y][x][c];
                    if (!(fabs(p - a - b * y) <= limit)) continue;
                    values[count++] = p;
                    m++, sx += y, sy += p, sxx += (double)y * y, sxy += p * y;
                }
            if (pass == 0) { /* the median first */
                for (int i = 0; i <= count / 2; i++)
                    for (int k = i + 1; k < count; k++)
                        if (values[k] < values[i]) { const double t = values[i]; values[i] = values[k]; values[k] = t; }
                a = values[count / 2];
                limit = 0.15;
            } else if (m * sxx - sx * sx > 0) {
                b = (m * sxy - sx * sy) / (m * sxx - sx * sx);
                a = (sy - b * sx) / m;
                limit = 0.08;
            }
        }
        for (int y = 0; y < v->n; y++) v->ground[y][c] = a + b * y;
    }
}

/* How much of a colour (0 .. 1) over the ground explains a pixel best, and the squared error. */
static double share(const struct view *v, int y, int x, int colour, double *error)
{
    double dot = 0, length = 0;
    for (int c = 0; c < 3; c++) {
        const double d = colours[colour].rgb[c] - v->ground[y][c];
        dot += d * (v->rgb[y][x][c] - v->ground[y][c]);
        length += d * d;
    }
    const double a = fmin(fmax(dot / length, 0), 1);
    *error = 0;
    for (int c = 0; c < 3; c++) {
        const double e = v->rgb[y][x][c] - v->ground[y][c] - a * (colours[colour].rgb[c] - v->ground[y][c]);
        *error += e * e;
    }
    return a;
}

static void flood(struct view *v, int y, int x, int number)
{
    if (y < 0 || x < 0 || y >= v->n || x >= v->n || v->part[y][x] || v->difference[y][x] < 0.12) return;
    v->part[y][x] = number;
    for (int dy = -1; dy <= 1; dy++)
        for (int dx = -1; dx <= 1; dx++) flood(v, y + dy, x + dx, number);
}

/* The colours that explain the well covered pixels of a part: the first two by number of pixels. Returns how many there are. */
static int main_colours(const struct view *v, int part, int best[2])
{
    double votes[COLOURS] = { 0 };
    for (int y = 0; y < v->n; y++)
        for (int x = 0; x < v->n; x++) {
            if (v->part[y][x] != part) continue;
            int k = 0;
            double least = INFINITY, cover = 0;
            for (int c = 0; c < COLOURS; c++) {
                double error;
                const double a = share(v, y, x, c, &error);
                error += 0.02 * (1 - a); /* of two that explain it, the one that covers more */
                if (error < least) least = error, k = c, cover = a;
            }
            votes[k] += cover * cover;
        }
    best[0] = best[1] = -1;
    for (int c = 0; c < COLOURS; c++) {
        if (best[0] < 0 || votes[c] > votes[best[0]]) best[1] = best[0], best[0] = c;
        else if (best[1] < 0 || votes[c] > votes[best[1]]) best[1] = c;
    }
    return votes[best[1]] > 0.3 * votes[best[0]] ? 2 : 1;
}

/* Numbers parts; those of two colours, and those twice as long as wide, become two. Returns the number of parts. */
static int find_parts(struct view *v)
{
    int n = 0;
    for (int y = 0; y < v->n; y++)
        for (int x = 0; x < v->n; x++)
            if (!v->part[y][x] && v->difference[y][x] >= 0.12) flood(v, y, x, ++n);
    for (int p = 1, parts = n; p <= parts; p++) {
        int best[2], lo[2] = { SIDE, SIDE }, hi[2] = { -1, -1 };
        const int two = main_colours(v, p, best) == 2;
        for (int y = 0; y < v->n; y++)
            for (int x = 0; x < v->n; x++)
                if (v->part[y][x] == p) {
                    lo[0] = x < lo[0] ? x : lo[0], hi[0] = x > hi[0] ? x : hi[0];
                    lo[1] = y < lo[1] ? y : lo[1], hi[1] = y > hi[1] ? y : hi[1];
                }
        const double width = hi[0] - lo[0] + 1, height = hi[1] - lo[1] + 1;
        const int axis = height > width,
                  longish = fmax(width, height) > 0.5 * v->n && fmax(width, height) > 1.4 * fmin(width, height);
        if (!two && !longish) continue;
        int cut = 0;
        double least = INFINITY;
        for (int at = lo[axis] + 2; !two && at <= hi[axis] - 2; at++) { /* where it is thinnest, near the middle */
            double sum = 0;
            for (int k = lo[!axis]; k <= hi[!axis]; k++) {
                const int y = axis ? at : k, x = axis ? k : at;
                if (v->part[y][x] == p) sum += v->difference[y][x];
            }
            sum += 0.3 * fabs(at - 0.5 * (lo[axis] + hi[axis]));
            if (sum < least) least = sum, cut = at;
        }
        n++;
        for (int y = 0; y < v->n; y++)
            for (int x = 0; x < v->n; x++) {
                double e[2];
                if (v->part[y][x] != p) continue;
                if (two) share(v, y, x, best[0], &e[0]), share(v, y, x, best[1], &e[1]);
                if (two ? e[1] < e[0] : (axis ? y : x) > cut) v->part[y][x] = n;
            }
    }
    return n;
}

/* Squared error of a figure drawn in the place of a part. */
static double misfit(const struct view *v, const double cover[SIDE][SIDE], int shape, double cx, double cy, double radius)
{
    enum { FINE = 3 };
    double sum = 0;
    for (int y = 0; y < v->n; y++)
        for (int x = 0; x < v->n; x++) {
            int hits = 0;
            const double dx = x + 0.5 - cx, dy = y + 0.5 - cy;
            if (dx * dx + dy * dy < (radius + 1) * (radius + 1))
                for (int i = 0; i < FINE * FINE; i++)
                    hits += inside(shape, (dx + (i % FINE + 0.5) / FINE - 0.5) / radius,
                                   (dy + (i / FINE + 0.5) / FINE - 0.5) / radius);
            const double e = cover[y][x] - (double)hits / (FINE * FINE);
            sum += e * e;
        }
    return sum;
}

static void find_shape(const struct view *v, int part, int colour, struct seen_figure *f)
{
    static double cover[SIDE][SIDE];
    double area = 0, cx = 0, cy = 0, least = INFINITY;
    for (int y = 0; y < v->n; y++)
        for (int x = 0; x < v->n; x++) {
            double error, a = v->part[y][x] == part ? share(v, y, x, colour, &error) : 0;
            cover[y][x] = a;
            area += a;
            cx += a * (x + 0.5);
            cy += a * (y + 0.5);
        }
    cx /= area;
    cy /= area;
    for (int s = 0; s < SHAPES; s++)
        for (int r = -2; r <= 2; r++)
            for (int i = 0; i < 9; i++) {
                const double radius = sqrt(area / shapes[s].area) * (1 + 0.06 * r), x = cx + 0.35 * (i % 3 - 1),
                             y = cy + 0.35 * (i / 3 - 1);
                const double e = misfit(v, cover, s, x, y, radius);
                if (e >= least) continue;
                least = e;
                *f = (struct seen_figure){ colours[colour].name, shapes[s].name, x / v->n, y / v->n, radius / v->n };
            }
}

int shape_check_see(const float *hwc, int size, struct seen_figure *out)
{
    static struct view v;
    double area[SHAPE_CHECK_MOST];
    int n = 0;
    v.n = size;
    memset(v.part, 0, sizeof v.part);
    for (int y = 0; y < size; y++)
        for (int x = 0; x < size; x++)
            for (int c = 0; c < 3; c++) v.rgb[y][x][c] = fmin(fmax(0.5 + 0.5 * (double)hwc[(y * size + x) * 3 + c], 0), 1);
    find_ground(&v);
    for (int y = 0; y < size; y++)
        for (int x = 0; x < size; x++) {
            v.difference[y][x] = 0;
            for (int c = 0; c < 3; c++) v.difference[y][x] = fmax(v.difference[y][x], fabs(v.rgb[y][x][c] - v.ground[y][c]));
        }
    const int parts = find_parts(&v);
    for (int p = 1; p <= parts && n < SHAPE_CHECK_MOST; p++) {
        int best[2];
        double weight = 0, most = 0;
        for (int y = 0; y < size; y++)
            for (int x = 0; x < size; x++)
                if (v.part[y][x] == p) weight += v.difference[y][x], most = fmax(most, v.difference[y][x]);
        if (weight < 0.004 * size * size || most < 0.2) continue; /* a speck */
        main_colours(&v, p, best);
        int at = n++;
        for (; at > 0 && area[at - 1] < weight; at--) area[at] = area[at - 1], out[at] = out[at - 1];
        area[at] = weight;
        find_shape(&v, p, best[0], &out[at]);
    }
    return n;
}

int shape_check_parse(const char *prompt, struct wanted *w)
{
    static const char *const relations[2][2] = { { " left of ", " right of " }, { " above ", " below " } };
    const char *halves[2] = { prompt, NULL };
    memset(w, 0, sizeof *w);
    w->figures = 1;
    for (int i = 0; i < 4; i++) {
        const char *at = strstr(prompt, relations[i / 2][i % 2]);
        if (at) w->figures = 2, w->axis = i / 2, w->swapped = i % 2, halves[1] = at + 1;
    }
    for (int k = 0; k < w->figures; k++) {
        char text[200];
        snprintf(text, sizeof text, "%s", halves[k]);
        if (k == 0 && halves[1]) text[halves[1] - halves[0]] = 0;
        for (int c = 0; c < COLOURS; c++)
            if (strstr(text, colours[c].name)) snprintf(w->colour[k], sizeof w->colour[k], "%s", colours[c].name);
        for (int s = 0; s < SHAPES; s++)
            if (strstr(text, shapes[s].name)) snprintf(w->shape[k], sizeof w->shape[k], "%s", shapes[s].name);
        if (!w->colour[k][0] || !w->shape[k][0]) return 0;
    }
    return strlen(prompt) < 200;
}

static int is(const struct wanted *w, int k, const struct seen_figure *f)
{
    return !strcmp(w->colour[k], f->colour) && !strcmp(w->shape[k], f->shape);
}

int shape_check_judge(const struct wanted *w, const struct seen_figure *seen, int n)
{
    if (n != w->figures) return 0;
    if (n == 1) return is(w, 0, seen) ? SHAPE_CHECK_FIGURES | SHAPE_CHECK_PLACES : 0;
    const double d = w->axis ? seen[0].y - seen[1].y : seen[0].x - seen[1].x;
    const int first = (d < 0) == !w->swapped ? 0 : 1; /* the figure seen where the first one should be */
    int result = 0;
    if ((is(w, 0, &seen[0]) && is(w, 1, &seen[1])) || (is(w, 0, &seen[1]) && is(w, 1, &seen[0]))) result |= SHAPE_CHECK_FIGURES;
    if (is(w, 0, &seen[first]) && is(w, 1, &seen[!first]) && fabs(d) > 0.2) result |= SHAPE_CHECK_PLACES;
    return result;
}
