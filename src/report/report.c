/* SPDX-License-Identifier: MIT
 * A page about a run: curves, samples over time, evaluations, configuration. */
#include "brume/report.h"

#include <dirent.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "base/file.h"
#include "brume/json.h"
#include "report/chart.h"
#include "report/page.h"

enum { LOSS, GRAD_NORM, LR, RATE, SECONDS, ACCURACY, COLUMNS, MOST_PICTURES = 24 };
static const char *const log_keys[COLUMNS] = { "loss", "grad_norm", "lr", "images_per_s", "seconds", "accuracy" };

struct page {
    struct html h;
    const char *run;
    brume_json *config;                /* training/run.json; NULL if there is none */
    struct column log[COLUMNS], validation;
};

/* NULL without memory, which is noted. */
static char *inside(struct page *p, const char *name)
{
    char *training = brume_path_join(p->run, "training"), *path = training ? brume_path_join(training, name) : NULL;
    free(training);
    if (!path) p->h.failed = 1;
    return path;
}

static brume_status no_memory(const struct page *p)
{
    return brume_fail(BRUME_E_MEMORY, "%s: out of memory for the report", p->run);
}

static brume_status read_all(struct page *p)
{
    static const char *const validation_keys[] = { "loss" };
    char *log = inside(p, "log.jsonl"), *validation = inside(p, "validation.jsonl"), *config = inside(p, "run.json");
    brume_status s = log && validation && config ? BRUME_OK : no_memory(p);
    if (s == BRUME_OK && !brume_is_file(log))
        s = brume_fail(BRUME_E_IO,
                       "%s: there is no training/log.jsonl, so this is no folder of a run; brume train --out makes one", p->run);
    if (s == BRUME_OK) s = columns_read(log, log_keys, COLUMNS, p->log);
    if (s == BRUME_OK) s = columns_read(validation, validation_keys, 1, &p->validation);
    if (s == BRUME_OK && brume_is_file(config)) s = brume_json_load(config, &p->config);
    free(log);
    free(validation);
    free(config);
    return s;
}

/* ---- the head -------------------------------------------------------------------------------------------------------------- */

static void tile(struct page *p, const char *what, const char *value)
{
    html_add(&p->h, "<div class=\"tile\"><span>%s</span><b>", what);
    html_text(&p->h, value);
    html_add(&p->h, "</b></div>");
}

/* Mean of the last values, or NAN. */
static double recent(const struct column *c, int64_t most)
{
    const int64_t n = c->n < most ? c->n : most;
    double sum = 0;
    for (int64_t i = c->n - n; i < c->n; i++) sum += c->value[i];
    return n ? sum / (double)n : NAN;
}

/* The log's seconds begin at 0 whenever a run goes on. */
static double time_spent(const struct column *c)
{
    double sum = 0;
    for (int64_t i = 0; i < c->n; i++)
        if (i + 1 == c->n || c->value[i + 1] < c->value[i]) sum += c->value[i];
    return sum;
}

static void duration(double seconds, char text[32])
{
    const int64_t s = (int64_t)(seconds + 0.5);
    if (s < 60) snprintf(text, 32, "%" PRId64 " s", s);
    else if (s < 3600) snprintf(text, 32, "%" PRId64 " min %" PRId64 " s", s / 60, s % 60);
    else snprintf(text, 32, "%" PRId64 " h %" PRId64 " min", s / 3600, s / 60 % 60);
}

static void head(struct page *p)
{
    char text[64];
    const struct column *loss = &p->log[LOSS];
    const int64_t done = loss->n ? (int64_t)loss->step[loss->n - 1] : 0,
                  steps = brume_json_integer(brume_json_find(p->config, "_steps"), 0);
    const int64_t params = brume_json_integer(brume_json_find(p->config, "_parameters"), 0);
    const char *device = brume_json_string(brume_json_find(p->config, "_device"), NULL);
    html_add(&p->h, "<h1>");
    html_text(&p->h, p->run);
    html_add(&p->h, "</h1><p class=\"sub\">");
    html_text(&p->h, device ? device : "brume train");
    html_add(&p->h, "</p>\n<div class=\"tiles\">");
    if (steps > 0) snprintf(text, sizeof text, "%" PRId64 " of %" PRId64, done, steps);
    else snprintf(text, sizeof text, "%" PRId64, done);
    tile(p, "steps", text);
    if (loss->n) {
        snprintf(text, sizeof text, "%.4g", recent(loss, 100));
        tile(p, "loss, mean of the last 100", text);
    }
    if (p->validation.n) {
        snprintf(text, sizeof text, "%.4g", recent(&p->validation, 1));
        tile(p, "validation loss", text);
    }
    if (p->log[ACCURACY].n) {
        snprintf(text, sizeof text, "%.1f %%", 100 * recent(&p->log[ACCURACY], 100));
        tile(p, "accuracy", text);
    }
    if (p->log[RATE].n) {
        snprintf(text, sizeof text, "%.3g", recent(&p->log[RATE], 100));
        tile(p, "images per second", text);
    }
    duration(time_spent(&p->log[SECONDS]), text);
    tile(p, "time spent", text);
    if (params > 0) {
        snprintf(text, sizeof text, params < 10000000 ? "%.2f M" : "%.0f M", (double)params / 1e6);
        tile(p, "parameters", text);
    }
    html_add(&p->h, "</div>\n");
}

/* The last validation's losses from clean to noise. */
static void by_time(struct page *p)
{
    enum { MOST = 64 };
    double way[MOST], loss[MOST];
    struct column c = { .step = way, .value = loss };
    void *bytes = NULL;
    size_t n = 0;
    brume_json *root = NULL;
    char *path = inside(p, "validation.jsonl");
    if (path && p->validation.n && html_has(&p->h, brume_file_read(path, (size_t)1 << 30, &bytes, &n))) {
        char *text = bytes, *end = strrchr(text, '\n'); /* what follows is being written */
        while (end && end > text && end[-1] == '\n') end--;
        if (end) *end = 0;
        char *begin = end ? strrchr(text, '\n') : NULL;
        begin = begin ? begin + 1 : text;
        if (end && !html_has(&p->h, brume_json_parse(begin, (size_t)(end - begin), path, &root))) root = NULL;
    }
    const brume_json *list = brume_json_find(root, "by_time");
    const int64_t bins = brume_json_typeof(list) == BRUME_JSON_ARRAY ? brume_json_count(list) : 0;
    for (int64_t k = 0; k < bins && c.n < MOST; k++) {
        const double x = brume_json_number(brume_json_at(list, k), NAN);
        if (!isfinite(x)) continue;
        way[c.n] = 100 * ((double)k + 0.5) / (double)bins;
        loss[c.n++] = x;
    }
    if (c.n)
        chart_add(&p->h, "Validation loss by time", "percent of the way from clean to noise", CHART_LOG,
                  &(struct chart_line){ "loss", &c }, 1);
    brume_json_free(root);
    free(bytes);
    free(path);
}

static void curves(struct page *p)
{
    html_add(&p->h, "<h2>Curves</h2>\n<div class=\"charts\">\n");
    const struct chart_line loss[] = { { "training", &p->log[LOSS] }, { "validation", &p->validation } };
    chart_add(&p->h, "Loss", "", CHART_LOG, loss, p->validation.n ? 2 : 1);
    by_time(p);
    chart_add(&p->h, "Gradient norm", "", CHART_LOG, &(struct chart_line){ "norm", &p->log[GRAD_NORM] }, 1);
    chart_add(&p->h, "Learning rate", "", CHART_LINEAR, &(struct chart_line){ "rate", &p->log[LR] }, 1);
    chart_add(&p->h, "Speed", "images per second", CHART_LINEAR, &(struct chart_line){ "images/s", &p->log[RATE] }, 1);
    if (p->log[ACCURACY].n)
        chart_add(&p->h, "Accuracy", "part of the batch", CHART_LINEAR, &(struct chart_line){ "accuracy", &p->log[ACCURACY] }, 1);
    html_add(&p->h, "</div>\n");
}

/* ---- pictures -------------------------------------------------------------------------------------------------------------- */

static void picture(struct page *p, const char *path, const char *caption)
{
    html_add(&p->h, "<figure><img alt=\"%s\" src=", caption);
    html_data(&p->h, "image/png", path);
    html_add(&p->h, "><figcaption>%s</figcaption></figure>\n", caption);
}

static int by_name(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

/* Names of the PNG files of a folder, sorted; their number. Free each and the list. */
static int pictures_of(struct page *p, const char *folder, char ***names)
{
    DIR *d = opendir(folder);
    int n = 0, room = 0;
    *names = NULL;
    for (struct dirent *e; d && (e = readdir(d));) {
        const size_t length = strlen(e->d_name);
        if (e->d_name[0] == '.' || length < 5 || strcmp(e->d_name + length - 4, ".png")) continue;
        if (n == room) {
            char **more = realloc(*names, (size_t)(room = 2 * room + 16) * sizeof *more);
            if (!more) p->h.failed = 1;
            if (!more) break;
            *names = more;
        }
        if (!((*names)[n] = strdup(e->d_name))) p->h.failed = 1;
        if (!(*names)[n]) break;
        n++;
    }
    if (d) closedir(d);
    if (n) qsort(*names, (size_t)n, sizeof **names, by_name);
    return n;
}

/* Of many, the last and others spread evenly. */
static void samples(struct page *p)
{
    char **names = NULL, *folder = inside(p, "samples");
    const int n = folder ? pictures_of(p, folder, &names) : 0, shown = n < MOST_PICTURES ? n : MOST_PICTURES;
    if (n)
        html_add(&p->h, "<h2>Samples over time</h2>\n<p class=\"sub\">drawn from the averaged weights, always from the same "
                        "noise</p>\n<div class=\"pictures\">\n");
    for (int i = 0; i < shown; i++) {
        char *name = names[(int)((int64_t)(i + 1) * n / shown) - 1], *path = brume_path_join(folder, name), caption[64];
        long long step = -1;
        if (sscanf(name, "step-%lld", &step) == 1) snprintf(caption, sizeof caption, "step %lld", step);
        else snprintf(caption, sizeof caption, "samples");
        if (path) picture(p, path, caption);
        else p->h.failed = 1;
        free(path);
    }
    if (n) html_add(&p->h, "</div>\n");
    for (int i = 0; i < n; i++) free(names[i]);
    free(names);
    free(folder);
}

static void strips(struct page *p)
{
    static const struct { const char *file, *caption; } all[] = {
        { "pictures/samples.png", "samples of the last checkpoint" },
        { "pictures/forward.png", "forward process: pictures, and what noise makes of them" },
        { "pictures/reverse.png", "reverse process: from noise to pictures" },
        { "pictures/x0.png", "on the way: what the network takes the picture to be" },
    };
    int begun = 0;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        char *path = inside(p, all[i].file);
        if (path && brume_is_file(path)) {
            if (!begun++) html_add(&p->h, "<h2>Processes</h2>\n<div class=\"pictures wide\">\n");
            picture(p, path, all[i].caption);
        }
        free(path);
    }
    if (begun) html_add(&p->h, "</div>\n");
}

/* ---- tables ---------------------------------------------------------------------------------------------------------------- */

static void value(struct html *h, const brume_json *v)
{
    char text[64];
    switch (brume_json_typeof(v)) {
    case BRUME_JSON_STRING: html_text(h, brume_json_string(v, "")); return;
    case BRUME_JSON_INT: snprintf(text, sizeof text, "%" PRId64, brume_json_integer(v, 0)); break;
    case BRUME_JSON_REAL: snprintf(text, sizeof text, "%.6g", brume_json_number(v, 0)); break;
    case BRUME_JSON_TRUE:
    case BRUME_JSON_FALSE: snprintf(text, sizeof text, "%s", brume_json_boolean(v, 0) ? "yes" : "no"); break;
    default: snprintf(text, sizeof text, "-"); break;
    }
    html_add(h, "%s", text);
}

/* Members that are no lists or objects. */
static void members(struct page *p, const brume_json *object, int hidden)
{
    for (int64_t i = 0; i < brume_json_count(object); i++) {
        const brume_json *v = brume_json_at(object, i);
        const char *name = brume_json_key(v);
        if ((name[0] == '_') != hidden || brume_json_typeof(v) == BRUME_JSON_ARRAY || brume_json_typeof(v) == BRUME_JSON_OBJECT)
            continue;
        html_add(&p->h, "<tr><th>");
        html_text(&p->h, name + hidden);
        html_add(&p->h, "</th><td>");
        value(&p->h, v);
        html_add(&p->h, "</td></tr>\n");
    }
}

static void configuration(struct page *p)
{
    if (!p->config) return;
    html_add(&p->h, "<h2>Configuration</h2>\n<div class=\"box\"><table>\n");
    members(p, p->config, 1);
    members(p, p->config, 0);
    html_add(&p->h, "</table></div>\n");
}

/* training/evaluation.jsonl: an object for each time that brume eval was asked. */
static void evaluations(struct page *p)
{
    void *bytes = NULL;
    size_t n = 0;
    char *path = inside(p, "evaluation.jsonl");
    int begun = 0;
    if (path && brume_is_file(path) && html_has(&p->h, brume_file_read(path, (size_t)16 << 20, &bytes, &n))) {
        char *line = bytes;
        for (char *end; (end = strchr(line, '\n')); line = end + 1) {
            brume_json *root = NULL;
            if (!html_has(&p->h, brume_json_parse(line, (size_t)(end - line), path, &root))) continue;
            if (!begun++) html_add(&p->h, "<h2>Evaluation</h2>\n");
            html_add(&p->h, "<div class=\"box\" style=\"margin-bottom:12px\"><table>\n");
            members(p, root, 0);
            html_add(&p->h, "</table></div>\n");
            brume_json_free(root);
        }
    }
    free(bytes);
    free(path);
}

brume_status brume_report_write(const char *run, const char *path, int refresh)
{
    struct page p = { .run = run };
    char *own = path ? strdup(path) : brume_path_join(run, "report.html");
    brume_status s = own ? read_all(&p) : no_memory(&p);
    if (s == BRUME_OK) {
        page_begin(&p.h, run, refresh);
        head(&p);
        curves(&p);
        samples(&p);
        strips(&p);
        evaluations(&p);
        configuration(&p);
        html_add(&p.h, "<footer>written by brume%s</footer>\n",
                 refresh > 0 ? "; the run goes on, and this page is loaded again by itself" : "");
        page_end(&p.h);
        s = html_save(&p.h, own);
    }
    columns_free(p.log, COLUMNS);
    columns_free(&p.validation, 1);
    brume_json_free(p.config);
    free(p.h.text);
    free(own);
    return s;
}
