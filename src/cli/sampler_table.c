/* SPDX-License-Identifier: MIT
 * Samplers side by side, as a self-contained HTML file. */
#include "sampler_table.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "brume/file.h"
#include "brume/image.h"
#include "progress.h"

#define MOST 32 /* samplers, or numbers of steps */

struct table {
    struct drawing *d;
    FILE *out;
    const brume_sampler_kind *samplers[MOST];
    int64_t steps[MOST];
    int n_samplers, n_steps;
    float *reference;      /* pictures of the reference, or NULL */
    struct cli_progress bar;
    int64_t calls_before;
};

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void step(void *ctx, int64_t done)
{
    struct table *t = ctx;
    cli_progress_step(&t->bar, t->calls_before + done, "%s", "");
}

static int parse(struct table *t, const struct cli_usage *u, const char *samplers, const char *steps)
{
    for (const char *p = samplers; *p;) {
        char name[64];
        const size_t length = strcspn(p, ",");
        snprintf(name, sizeof name, "%.*s", (int)(length < 63 ? length : 63), p);
        if (t->n_samplers == MOST) return cli_wrong(u, "--samplers: at most %d", MOST);
        if (!(t->samplers[t->n_samplers++] = brume_sampler_find(name)))
            return cli_wrong(u, "--samplers: there is no sampler '%s'; brume methods lists them", name);
        p += length + (p[length] == ',');
    }
    for (const char *p = steps; *p;) {
        char *end;
        const long long n = strtoll(p, &end, 10);
        if (end == p || n < 1 || n > 1000000 || (*end && *end != ',') || t->n_steps == MOST)
            return cli_wrong(u, "--steps: expected at most %d numbers separated by commas, such as 5,10,20; got '%s'", MOST,
                             steps);
        t->steps[t->n_steps++] = n;
        p = *end ? end + 1 : end;
    }
    return t->n_samplers && t->n_steps ? CLI_GO_ON : cli_wrong(u, "--table needs --samplers A,B,... and --steps N,N,...");
}

static void base64(FILE *out, const unsigned char *b, size_t n)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < n; i += 3) {
        const unsigned v = (unsigned)b[i] << 16 | (i + 1 < n ? (unsigned)b[i + 1] << 8 : 0) | (i + 2 < n ? b[i + 2] : 0);
        fputc(digits[v >> 18], out);
        fputc(digits[v >> 12 & 63], out);
        fputc(i + 1 < n ? digits[v >> 6 & 63] : '=', out);
        fputc(i + 2 < n ? digits[v & 63] : '=', out);
    }
}

static brume_status picture(struct table *t, const float *images)
{
    const struct drawing *d = t->d;
    brume_image *grid = NULL;
    void *bytes = NULL;
    size_t n = 0;
    const int32_t columns = (int32_t)ceil(sqrt((double)d->n)),
                  scale = (int32_t)fmax(1, 96 / (double)d->view.width / (columns > 3 ? 2 : 1));
    brume_status s = brume_image_grid(images, d->n, (int32_t)d->view.height, (int32_t)d->view.width, (int32_t)d->view.channels,
                                      columns, scale, &grid);
    if (s == BRUME_OK) s = brume_png_write_memory(grid, "table", &bytes, &n);
    if (s == BRUME_OK) {
        fprintf(t->out, "<img alt=\"samples\" width=\"%d\" height=\"%d\" src=\"data:image/png;base64,", grid->width,
                grid->height);
        base64(t->out, bytes, n);
        fprintf(t->out, "\">");
    }
    free(bytes);
    brume_image_free(grid);
    return s;
}

/* Draws with a sampler; *seconds of it all but decoding, counts of one run. */
static brume_status draw(struct table *t, const char *name, int64_t steps, double *seconds, brume_sampler_stats *stats)
{
    struct drawing *d = t->d;
    brume_status s = drawing_sampler(d, name, steps);
    if (s != BRUME_OK) return s;
    const double begin = now();
    d->step = step;
    d->ctx = t;
    s = drawing_draw(d);
    *seconds = now() - begin;
    brume_sampler_get_stats(d->sampler, stats);
    t->calls_before += d->calls_done;
    return s == BRUME_OK ? drawing_decode(d) : s;
}

static double distance(const struct table *t)
{
    const int64_t n = t->d->n * t->d->view.height * t->d->view.width * t->d->view.channels;
    double sum = 0;
    for (int64_t i = 0; i < n; i++) {
        const double e = (double)t->d->pictures[i] - t->reference[i];
        sum += e * e;
    }
    return sqrt(sum / (double)n);
}

static brume_status cell(struct table *t, const brume_sampler_kind *k, int64_t steps)
{
    double seconds;
    brume_sampler_stats stats;
    brume_status s = draw(t, k->name, steps, &seconds, &stats);
    if (s == BRUME_E_ARG || s == BRUME_E_UNSUPPORTED) { /* this many steps, or this model, are not for this sampler */
        fprintf(t->out, "<td class=\"none\">%s</td>\n", brume_error());
        return BRUME_OK;
    }
    if (s != BRUME_OK) return s;
    fprintf(t->out, "<td>");
    s = picture(t, t->d->pictures);
    fprintf(t->out, "<br>%d calls, %.2f s%s", (int)stats.calls, seconds, stats.draws ? ", adds noise" : "");
    if (t->reference) fprintf(t->out, "<br>distance %.4f", distance(t));
    fprintf(t->out, "</td>\n");
    return s;
}

static void head(const struct table *t, int64_t reference)
{
    brume_device_info device;
    brume_device_get_info(t->d->device, &device);
    fprintf(t->out,
            "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" "
            "content=\"width=device-width\">\n"
            "<title>Samplers side by side</title>\n<style>\n"
            ":root { color-scheme: light dark; }\nbody { font: 15px/1.45 system-ui, sans-serif; margin: 2em auto; max-width: "
            "90em; padding: 0 1em; }\n"
            ".scroll { overflow-x: auto; }\ntable { border-collapse: collapse; }\n"
            "th, td { padding: 8px 10px; text-align: center; vertical-align: top; border-bottom: 1px solid #8884; font-size: "
            "13px; }\n"
            "th { font-size: 15px; }\nth.row { text-align: left; max-width: 16em; vertical-align: middle; }\nth small { "
            "font-weight: normal; opacity: .75; display: block; }\n"
            "td.none { opacity: .6; max-width: 12em; }\nimg { image-rendering: pixelated; border-radius: 3px; max-width: none; "
            "}\n</style></head><body>\n"
            "<h1>Samplers side by side</h1>\n<p>%" PRId64
            " images of the same seeds in every cell, on %s. Calls are evaluations of the network for one batch. ",
            t->d->n, device.name);
    if (t->reference)
        fprintf(t->out,
                "Distance is the root mean square difference (of pixel values in [-1, 1]) to the probability-flow ODE from the "
                "same noise, solved with %" PRId64
                " DDIM steps; samplers that add noise draw other images, so theirs does not fall to zero.",
                reference);
    fprintf(t->out, "</p>\n<div class=\"scroll\"><table>\n<tr><th></th>");
    for (int k = 0; k < t->n_steps; k++) fprintf(t->out, "<th>%" PRId64 " steps</th>", t->steps[k]);
    fprintf(t->out, "</tr>\n");
}

static brume_status fill(struct table *t, int64_t reference)
{
    struct drawing *d = t->d;
    const size_t bytes = (size_t)(d->n * d->view.height * d->view.width * d->view.channels) * sizeof(float);
    double seconds;
    brume_sampler_stats stats;
    brume_status s = BRUME_OK;
    if (d->model->scheduler.process == BRUME_PROCESS_DISCRETE) {
        if (reference > d->model->scheduler.num_train_timesteps) reference = d->model->scheduler.num_train_timesteps;
        s = draw(t, "ddim", reference, &seconds, &stats);
        if (s == BRUME_OK && !(t->reference = malloc(bytes))) s = BRUME_E_MEMORY;
        if (s == BRUME_OK) memcpy(t->reference, d->pictures, bytes);
    }
    head(t, reference);
    for (int i = 0; i < t->n_samplers && s == BRUME_OK; i++) {
        const brume_sampler_kind *k = t->samplers[i];
        fprintf(t->out, "<tr><th class=\"row\">%s<small>%s</small></th>\n", k->name, k->paper);
        for (int n = 0; n < t->n_steps && s == BRUME_OK; n++) s = cell(t, k, t->steps[n]);
        fprintf(t->out, "</tr>\n");
    }
    if (s == BRUME_OK && t->reference) {
        fprintf(t->out, "<tr><th class=\"row\">reference<small>ddim, %" PRId64 " steps</small></th><td>", reference);
        s = picture(t, t->reference);
        fprintf(t->out, "</td></tr>\n");
    }
    fprintf(t->out, "</table></div></body></html>\n");
    return s;
}

int sampler_table(struct drawing *d, const struct cli_usage *u, const char *samplers, const char *steps, int64_t reference,
                  const char *path)
{
    struct table t = { .d = d };
    const int status = parse(&t, u, samplers, steps);
    if (status != CLI_GO_ON) return status;
    int64_t total = d->model->scheduler.process == BRUME_PROCESS_DISCRETE ? reference : 0;
    for (int i = 0; i < t.n_samplers; i++)
        for (int k = 0; k < t.n_steps; k++) /* a sampler that refuses these steps counts as if it took them */
            total += drawing_sampler(d, t.samplers[i]->name, t.steps[k]) == BRUME_OK ? drawing_calls(d) : t.steps[k];
    t.out = tmpfile(); /* the page is put in place when it is complete */
    if (!t.out) return cli_wrong(u, "cannot make a temporary file: %s", strerror(errno));
    cli_progress_begin(&t.bar, "sampling", 0, total, d->a->quiet);
    brume_status s = fill(&t, reference);
    cli_progress_end(&t.bar);
    free(t.reference);
    const long bytes = ftell(t.out);
    char *html = s == BRUME_OK && bytes > 0 ? malloc((size_t)bytes) : NULL;
    rewind(t.out);
    const bool whole = html && fread(html, 1, (size_t)bytes, t.out) == (size_t)bytes && !ferror(t.out);
    fclose(t.out);
    if (s == BRUME_OK && whole) s = brume_file_write(path, html, (size_t)bytes);
    free(html);
    if (s == BRUME_OK && !whole) return cli_wrong(u, "the page cannot be read back from its temporary file");
    if (s != BRUME_OK) return cli_failed();
    if (!d->a->quiet) fprintf(stderr, "wrote   %s\n", path);
    return CLI_DONE;
}
