/* SPDX-License-Identifier: MIT
 * The table of kernels that gave right results. */
#include "devices_check.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "brume/json.h"
#include "brume/self_test.h"
#include "options.h"
#include "progress.h"

#define MOST_FAILURES 64 /* that are told one by one */

/* All tests of one op. */
struct row { char op[64], kernels[400]; int passed, failed; double worst; };
struct failure { char text[640]; };
struct table {
    struct row *rows;
    struct failure *failures;
    int n, n_failures, lost, tests;
    struct cli_progress bar;
    char what[64];
};

/* "winograd" of "winograd", "local" of "local:64x64x16": variants are listed once, with a count of their sets of parameters. */
static void add_kernel(struct row *r, const char *kernel)
{
    const size_t length = strcspn(kernel, ":"), used = strlen(r->kernels);
    for (const char *at = r->kernels; *at; at += strcspn(at, " "), at += *at == ' ')
        if (strcspn(at, " ") == length && !strncmp(at, kernel, length)) return;
    snprintf(r->kernels + used, sizeof r->kernels - used, "%s%.*s", used ? " " : "", (int)length, kernel);
}

static void found(void *ctx, const brume_finding *f)
{
    struct table *t = ctx;
    int i = 0;
    t->bar.total = f->of;
    cli_progress_step(&t->bar, ++t->tests, "%s by %s", f->op, f->kernel);
    while (i < t->n && strcmp(t->rows[i].op, f->op)) i++;
    if (i == t->n) {
        struct row *grown = realloc(t->rows, (size_t)(t->n + 1) * sizeof *grown);
        if (!grown) {
            t->lost = 1;
            return;
        }
        t->rows = grown;
        t->rows[t->n] = (struct row){ .worst = 0 };
        snprintf(t->rows[t->n++].op, sizeof t->rows->op, "%s", f->op);
    }
    struct row *r = &t->rows[i];
    add_kernel(r, f->kernel);
    r->passed += f->passed;
    r->failed += !f->passed;
    if (f->excess > r->worst) r->worst = f->excess;
    if (f->passed || t->n_failures == MOST_FAILURES) return;
    struct failure *grown = realloc(t->failures, (size_t)(t->n_failures + 1) * sizeof *grown);
    if (!grown) {
        t->lost = 1;
        return;
    }
    t->failures = grown;
    snprintf(grown[t->n_failures++].text, sizeof grown->text, "%s by kernel '%s': %s (of %s)", f->op, f->kernel, f->text,
             f->shapes);
}

static void print_text(const brume_device_info *d, const struct table *t)
{
    int passed = 0, failed = 0;
    printf("%s: %s, %s\n  %-22s %6s %6s  %-15s %s\n", d->spec, d->name, d->platform, "op", "passed", "failed", "error/tolerance",
           "kernels");
    for (int i = 0; i < t->n; i++) {
        const struct row *r = &t->rows[i];
        printf("  %-22s %6d %6d  %-15.3g %s\n", r->op, r->passed, r->failed, r->worst, r->kernels);
        passed += r->passed;
        failed += r->failed;
    }
    for (int i = 0; i < t->n_failures; i++) printf("  FAILED %s\n", t->failures[i].text);
    printf("  %d passed, %d failed%s\n", passed, failed,
           failed ? "; such kernels are not used: others take their place, or brume says that there is none" : "");
}

static void put_json(brume_json_writer *w, const brume_device_info *d, const struct table *t)
{
    brume_json_begin_object(w, NULL);
    brume_json_put_string(w, "device", d->spec);
    brume_json_put_string(w, "name", d->name);
    brume_json_put_string(w, "platform", d->platform);
    brume_json_put_string(w, "driver", d->driver);
    brume_json_begin_array(w, "ops", 0);
    for (int i = 0; i < t->n; i++) {
        const struct row *r = &t->rows[i];
        brume_json_begin_object(w, NULL);
        brume_json_put_string(w, "op", r->op);
        brume_json_put_string(w, "kernels", r->kernels);
        brume_json_put_int(w, "passed", r->passed);
        brume_json_put_int(w, "failed", r->failed);
        if (isfinite(r->worst)) brume_json_put_double(w, "error_per_tolerance", r->worst);
        brume_json_end(w);
    }
    brume_json_end(w);
    brume_json_begin_array(w, "failures", 0);
    for (int i = 0; i < t->n_failures; i++) brume_json_put_string(w, NULL, t->failures[i].text);
    brume_json_end(w);
    brume_json_end(w);
}

/* One device; *failed counts. */
static int check(const brume_device_info *info, int json, brume_json_writer *w, int *failed)
{
    const brume_device_options options = { .no_tuning = 1, .clblast = -1 };
    struct table t = { .n = 0 };
    snprintf(t.what, sizeof t.what, "checking %s", info->spec);
    brume_device *d = NULL;
    int n = 0;
    cli_progress_begin(&t.bar, t.what, 0, 0, 0);
    fprintf(stderr, "%s: compiling kernels and comparing what they compute with plain C\n", t.what);
    brume_status s = brume_device_open(info->spec, &options, &d);
    if (s == BRUME_OK) s = brume_device_check(d, found, &t, &n);
    cli_progress_end(&t.bar);
    if (s == BRUME_OK && t.lost) s = BRUME_E_MEMORY;
    if (s == BRUME_OK && json) put_json(w, info, &t);
    if (s == BRUME_OK && !json) print_text(info, &t);
    fflush(stdout);
    const int status = s == BRUME_OK ? CLI_DONE : cli_failed();
    brume_device_close(d);
    free(t.rows);
    free(t.failures);
    *failed += n;
    return status;
}

brume_status cli_device_describe(const char *spec, brume_device_info *info)
{
    brume_device *d = NULL;
    const brume_status s = brume_device_open(spec, &(brume_device_options){ .no_tuning = 1, .clblast = -1 }, &d);
    if (s == BRUME_OK) brume_device_get_info(d, info);
    brume_device_close(d);
    return s;
}

int cli_devices_check(const brume_device_info *list, int n, const char *spec, int json)
{
    brume_json_writer *w = brume_json_writer_new();
    int status = w ? CLI_DONE : CLI_FAILED, failed = 0;
    brume_device_info one;
    if (spec) {
        if (cli_device_describe(spec, &one) != BRUME_OK) status = cli_failed();
        list = &one;
        n = 1;
    }
    if (w) brume_json_begin_object(w, NULL);
    if (w) brume_json_begin_array(w, "devices", 0);
    for (int i = 0; i < n && status != CLI_FAILED; i++)
        if (list[i].usable) status = check(&list[i], json, w, &failed);
    if (w) brume_json_end(w);
    if (w) brume_json_put_int(w, "failed", failed);
    if (w) brume_json_end(w);
    const char *text = w && json && status != CLI_FAILED ? brume_json_writer_text(w) : NULL;
    if (text) puts(text);
    brume_json_writer_free(w);
    return status == CLI_FAILED || failed ? CLI_FAILED : CLI_DONE;
}
