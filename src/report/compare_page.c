/* SPDX-License-Identifier: MIT
 * A page about a comparison of two devices: the error along the network, the worst nodes, a table by kind. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "brume/compare.h"
#include "report/page.h"

enum { WIDTH = 1080, HEIGHT = 330, LEFT = 58, RIGHT = 16, TOP = 26, BOTTOM = 26, COLOURS = 4, WORST = 10,
       NAMES = 3, NAME_WIDTH = 150 };

static const char style[] = "<style>.fail{fill:#d22f3d;stroke:var(--card);stroke-width:1}.limit{stroke:#d22f3d;stroke-width:1.4}."
                            "part{stroke:var(--rule);stroke-dasharray:2 4}.along{overflow-x:auto}.along "
                            "svg{min-width:680px;width:100%;height:auto}.along "
                            "circle:hover{stroke:var(--ink);stroke-width:2}b.bad{color:#d22f3d}.along "
                            "text{font-size:12px;fill:var(--quiet)}.along text.name{fill:var(--ink);paint-order:stroke;"
                            "stroke:var(--card);stroke-width:3px}</style>\n";

/* What a chart shows of a node. */
static double share_of(const brume_compare_node *n) { return n->share; }
static double relative_of(const brume_compare_node *n) { return n->relative; }

/* Powers of ten that hold all values; what is zero lies on the lowest line, what is infinite on the highest. */
struct axis { double lo, hi; };

static struct axis axis_of(const brume_device *d, double (*of)(const brume_compare_node *), double most)
{
    double lo = -1, hi = log10(most);
    for (int i = 0; i < brume_compare_count(d); i++) {
        const double v = of(brume_compare_get(d, i));
        if (!(v > 0) || isinf(v)) continue;
        lo = fmin(lo, log10(v));
        hi = fmax(hi, log10(v));
    }
    return (struct axis){ fmax(floor(lo), -10) - 1, ceil(hi + 0.2) };
}

static double height(const struct axis *a, double v)
{
    const double x = v > 0 ? isinf(v) ? a->hi : fmin(fmax(log10(v), a->lo), a->hi) : a->lo;
    return HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * (x - a->lo) / (a->hi - a->lo);
}

static double along(int i, int n) { return LEFT + (WIDTH - LEFT - RIGHT) * (n > 1 ? (double)i / (n - 1) : 0.5); }

/* "training step 2" is of the part "training". */
static size_t part_length(const char *phase)
{
    const char *step = strstr(phase, " step ");
    return step ? (size_t)(step - phase) : strlen(phase);
}

static int same_part(const brume_compare_node *a, const brume_compare_node *b)
{
    const size_t n = part_length(a->phase);
    return n == part_length(b->phase) && !memcmp(a->phase, b->phase, n);
}

static void number(struct html *h, double v)
{
    if (isinf(v)) html_add(h, "NaN or infinity on one side");
    else html_add(h, v == 0 ? "0" : "%.2e", v);
}

static void title_of(struct html *h, const brume_compare_node *n, int i)
{
    html_add(h, "<title>%d: ", i + 1);
    html_text(h, *n->culprit ? n->culprit : n->op);
    html_add(h, " ");
    html_text(h, n->name);
    html_add(h, "\n%s, kernels %s and %s\n%s\nrelative ", n->phase, n->kernel[0], n->kernel[1], n->shapes);
    number(h, n->relative);
    html_add(h, ", of what is allowed ");
    number(h, n->share);
    if (n->share > 0) html_add(h, "\nworst at %s: A %.9g, B %.9g", n->place, n->a, n->b);
    html_add(h, "</title>");
}

/* Ranks of the nodes with the largest share, at most WORST. */
static int worst(const brume_device *d, int out[WORST])
{
    int n = 0;
    for (int i = 0; i < brume_compare_count(d); i++) {
        const double v = brume_compare_get(d, i)->share;
        if (v <= 0) continue;
        int at = n < WORST ? n++ : WORST;
        while (at > 0 && brume_compare_get(d, out[at - 1])->share < v) {
            if (at < WORST) out[at] = out[at - 1];
            at--;
        }
        if (at < WORST) out[at] = i;
    }
    return n;
}

/* Names of the worst nodes beside their points, as far as none lies on another; beneath a point at the top, where the parts are
 * named. */
static void names(struct html *h, const brume_device *d, const struct axis *y, double (*of)(const brume_compare_node *))
{
    int list[WORST], shown = 0;
    double taken[NAMES];
    const int n = brume_compare_count(d), candidates = worst(d, list);
    for (int k = 0; k < candidates && shown < NAMES; k++) {
        const brume_compare_node *x = brume_compare_get(d, list[k]);
        const double at = along(list[k], n), up = height(y, of(x));
        int free = 1;
        for (int i = 0; i < shown; i++) free = free && fabs(at - taken[i]) >= NAME_WIDTH;
        if (!free) continue;
        taken[shown++] = at;
        html_add(h, "<text class=\"name\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">", at + (at > WIDTH / 2 ? -8 : 8),
                 up + (up < TOP + 8 ? 18 : -7), at > WIDTH / 2 ? "end" : "start");
        html_text(h, x->failed && *x->culprit ? x->culprit : x->op);
        html_add(h, "</text>");
    }
}

/* limit: where the line of what is allowed lies, a power of ten; 0: nowhere. */
static void chart(struct html *h, const brume_device *d, const char *title, const char *unit,
                  double (*of)(const brume_compare_node *), double limit)
{
    const int n = brume_compare_count(d);
    const struct axis y = axis_of(d, of, limit > 0 ? 3 * limit : 1e-6);
    html_add(h,
             "<figure class=\"along\"><figcaption><b>%s</b> <span class=\"unit\">%s</span></figcaption>\n<svg viewBox=\"0 0 %d "
             "%d\" role=\"img\" aria-label=\"%s\">",
             title, unit, WIDTH, HEIGHT, title);
    for (double p = y.lo; p <= y.hi + 0.5; p += y.hi - y.lo > 9 ? 2 : 1) {
        const double at = height(&y, pow(10, p));
        html_add(
            h, "<line class=\"grid\" x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\"/><text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">",
            LEFT, WIDTH - RIGHT, at, at, LEFT - 6, at + 4);
        html_add(h, p == y.lo ? "0</text>" : limit > 0 && p == log10(limit) ? "allowed</text>" : "1e%g</text>", p);
    }
    if (limit > 0)
        html_add(h, "<line class=\"limit\" x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\"/>", LEFT, WIDTH - RIGHT, height(&y, limit),
                 height(&y, limit));
    for (int pass = 0; pass < 2; pass++) { /* what fails lies on top */
        int colour = 0;
        for (int i = 0; i < n; i++) {
            const brume_compare_node *x = brume_compare_get(d, i);
            if (i == 0 || !same_part(x, brume_compare_get(d, i - 1))) {
                colour = i ? colour % COLOURS + 1 : 1;
                if (pass == 0)
                    html_add(
                        h,
                        "<line class=\"part\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%d\" y2=\"%d\"/><text x=\"%.1f\" y=\"%d\">%.*s</text>",
                        along(i, n), along(i, n), TOP - 12, HEIGHT - BOTTOM, along(i, n) + 4, TOP - 10,
                        (int)part_length(x->phase), x->phase);
            }
            if (x->failed != pass) continue;
            html_add(h, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"%s\" class=\"", along(i, n), height(&y, of(x)),
                     x->failed ? "5" : "3");
            if (x->failed) html_add(h, "fail\">");
            else html_add(h, "dot c%d\">", colour);
            title_of(h, x, i);
            html_add(h, "</circle>");
        }
    }
    names(h, d, &y, of);
    html_add(h, "<text x=\"%d\" y=\"%d\" text-anchor=\"middle\">nodes in order of execution, 1 to %d</text></svg></figure>\n",
             (LEFT + WIDTH) / 2, HEIGHT - 6, n);
}

static void cell(struct html *h, const char *text)
{
    html_add(h, "<td>");
    html_text(h, text);
    html_add(h, "</td>");
}

static void value(struct html *h, double v)
{
    html_add(h, "<td>");
    number(h, v);
    html_add(h, "</td>");
}

static void worst_nodes(struct html *h, const brume_device *d)
{
    int list[WORST];
    const int n = worst(d, list);
    if (!n) return;
    html_add(h, "<h2>Worst nodes</h2>\n<div class=\"box\"><table><tr><th>op</th><th>name</th><th>kernels A, "
                "B</th><th>relative</th><th>of allowed</th><th>where, A and B</th></tr>\n");
    for (int k = 0; k < n; k++) {
        const brume_compare_node *x = brume_compare_get(d, list[k]);
        html_add(h, x->failed ? "<tr><td><b class=\"bad\">" : "<tr><td><b>");
        html_text(h, *x->culprit ? x->culprit : x->op);
        html_add(h, "</b></td><td>");
        html_text(h, x->name);
        html_add(h, "<br><span class=\"unit\">%s, %s</span></td><td>%s, %s</td>", x->phase, x->shapes, x->kernel[0],
                 x->kernel[1]);
        value(h, x->relative);
        value(h, x->share);
        html_add(h, "<td>%s<br>%.9g, %.9g</td></tr>\n", x->place, x->a, x->b);
    }
    html_add(h, "</table></div>\n");
}

static brume_status by_kind(struct html *h, const brume_device *d)
{
    brume_compare_kind *kinds;
    int n;
    const brume_status s = brume_compare_kinds(d, &kinds, &n);
    if (s != BRUME_OK) return s;
    html_add(h, "<h2>By kind</h2>\n<div class=\"box\"><table><tr><th>op</th><th>nodes</th><th>worst relative</th><th>worst "
                "ulp</th><th>of allowed</th><th>allowed each side</th><th></th></tr>\n");
    for (int i = 0; i < n; i++) {
        html_add(h, "<tr>");
        cell(h, kinds[i].op);
        html_add(h, "<td>%" PRId64 "</td>", kinds[i].nodes);
        value(h, kinds[i].relative);
        value(h, kinds[i].ulp);
        value(h, kinds[i].share);
        if (kinds[i].rel > 0) html_add(h, "<td>%.0e<br><span class=\"unit\">%s</span></td>", kinds[i].rel, kinds[i].reason);
        else html_add(h, "<td>equal<br><span class=\"unit\">%s</span></td>", kinds[i].reason);
        html_add(h, kinds[i].failed ? "<td><b class=\"bad\">FAIL: %" PRId64 "</b></td></tr>\n" : "<td>ok</td></tr>\n",
                 kinds[i].failed);
    }
    html_add(h, "</table></div>\n");
    free(kinds);
    return BRUME_OK;
}

static void tile(struct html *h, const char *what, int64_t n)
{
    html_add(h, "<div class=\"tile\"><span>%s</span><b>%" PRId64 "</b></div>", what, n);
}

brume_status brume_compare_write_page(const brume_device *d, const char *title, const char *path)
{
    struct html h = { 0 };
    brume_compare_summary s;
    brume_device_info info;
    brume_compare_get_summary(d, &s);
    brume_device_get_info(d, &info);
    page_begin(&h, title, 0);
    html_add(&h, "%s<h1>", style);
    html_text(&h, title);
    html_add(&h, "</h1><p class=\"sub\">");
    html_text(&h, info.name);
    html_add(&h, s.failed ? ": <b class=\"bad\">not equal</b>" : ": equal within tolerance");
    html_add(&h, "</p>\n<div class=\"tiles\">");
    tile(&h, "nodes", s.nodes);
    tile(&h, "runs of them", s.runs);
    tile(&h, "values", s.values);
    tile(&h, "nodes beyond tolerance", s.failed);
    if (s.apart) tile(&h, "not comparable", s.apart);
    if (s.not_finite) tile(&h, "NaN or infinity on both sides", s.not_finite);
    html_add(&h, "</div>\n<h2>Along the network</h2>\n");
    chart(&h, d, "Error of each node", "as part of what is allowed; 0: same bits", share_of, 1);
    html_add(&h, "<br>");
    chart(&h, d, "Relative error", "by the size of the value or the root mean square of its tensor, whichever is larger",
          relative_of, 0);
    worst_nodes(&h, d);
    const brume_status made = by_kind(&h, d);
    html_add(&h, "<footer>made by brume compare</footer>\n");
    page_end(&h);
    const brume_status saved = html_save(&h, path);
    return made == BRUME_OK ? saved : made;
}
