/* SPDX-License-Identifier: MIT
 * brume tune: measures which kernels are fastest for a model on a device, and keeps that. */
#include <ctype.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"
#include "brume/tune.h"
#include "commands.h"
#include "device_options.h"
#include "model_plan.h"
#include "names.h"
#include "options.h"

#define LINE 5.0 /* seconds between two lines of progress where there is no terminal */

struct tune_args {
    struct cli_device device;
    const char *preset, *budget;
    int64_t batch, micro_batch, size;
    double seconds;
    int train, infer, both, storage, all, json, quiet;
};

static volatile sig_atomic_t interrupted;

static void on_interrupt(int signal_number)
{
    interrupted = 1;
    signal(signal_number, SIG_DFL); /* a second Ctrl-C ends at once, and nothing is kept */
}

/* "60", "60s", "2m" or "1h" into seconds; 0 if it is none of these. */
static int parse_seconds(const char *text, double *seconds)
{
    char *end;
    double x = strtod(text, &end);
    if (end == text || !isdigit((unsigned char)*text)) return 0;
    if (*end == 'm') x *= 60;
    else if (*end == 'h') x *= 3600;
    if (*end && (!strchr("smh", *end) || end[1])) return 0;
    *seconds = x;
    return x > 0 && x <= 1e6;
}

struct telling { double budget, told; int quiet, terminal; };

static int tell(void *ctx, const brume_tuner_progress *p)
{
    struct telling *t = ctx;
    const int end = !*p->op;
    if (t->quiet) return interrupted;
    if (t->terminal && end) fprintf(stderr, "\r\033[K");
    else if (t->terminal)
        fprintf(stderr, "\rtuning %d/%d, %.0f of %.0f s: %s %s\033[K", p->done, p->total, p->seconds, t->budget, p->op,
                p->kernel);
    else if (!end && p->seconds - t->told >= LINE)
        fprintf(stderr, "tuning %d/%d, %.0f of %.0f s\n", p->done, p->total, t->told = p->seconds, t->budget);
    fflush(stderr);
    return interrupted;
}

/* Times of all steps that have several kernels, before and after, and how many of them were compared and changed. */
struct totals { double rule_ms, best_ms; int reached, changed; };

static struct totals totals_of(const brume_tuner *t)
{
    struct totals x = { 0 };
    for (int i = 0; i < brume_tuner_count(t); i++) {
        brume_tuner_step s;
        brume_tuner_get(t, i, &s);
        x.rule_ms += s.rule_ms * s.count;
        x.best_ms += s.best_ms * s.count;
        x.reached += s.reached;
        x.changed += s.reached && strcmp(s.rule, s.best) != 0;
    }
    return x;
}

static void print_lines(const brume_tuner *t, int all)
{
    printf("\n%6s %5s  %-18s %10s  %-18s %10s %6s  %s\n", "share", "calls", "rule", "us", "tuned", "us", "gain",
           "operator, shapes");
    const struct totals x = totals_of(t);
    for (int i = 0; i < brume_tuner_count(t); i++) {
        brume_tuner_step s;
        brume_tuner_get(t, i, &s);
        const int changed = s.reached && strcmp(s.rule, s.best);
        if (!all && !changed) continue;
        char gain[16] = "";
        if (changed) snprintf(gain, sizeof gain, "%.2fx", s.rule_ms / s.best_ms);
        printf("%5.1f%% %5d  %-18s %10.1f  %-18s %10.1f %6s  %s %s\n", 100 * s.rule_ms * s.count / x.rule_ms, s.count, s.rule,
               1e3 * s.rule_ms,
               changed     ? s.best
               : s.reached ? "="
                           : "not reached",
               1e3 * s.best_ms, gain, s.op, s.shapes);
    }
}

static void put_steps(brume_json_writer *w, const brume_tuner *t)
{
    brume_json_begin_array(w, "steps", 0);
    for (int i = 0; i < brume_tuner_count(t); i++) {
        brume_tuner_step s;
        brume_tuner_get(t, i, &s);
        brume_json_begin_object(w, NULL);
        brume_json_put_string(w, "op", s.op);
        brume_json_put_string(w, "shapes", s.shapes);
        brume_json_put_int(w, "calls", s.count);
        brume_json_put_int(w, "candidates", s.candidates);
        brume_json_put_int(w, "tried", s.tried);
        brume_json_put_bool(w, "reached", s.reached);
        brume_json_put_string(w, "rule", s.rule);
        brume_json_put_double(w, "rule_ms", s.rule_ms);
        brume_json_put_string(w, "best", s.best);
        brume_json_put_double(w, "best_ms", s.best_ms);
        brume_json_end(w);
    }
    brume_json_end(w);
}

static void report(const struct tune_args *a, const brume_device *d, const brume_tuner *t, double seconds)
{
    struct cli_report r;
    brume_tuning_info info;
    const struct totals x = totals_of(t);
    brume_device_get_tuning(d, &info);
    if (!cli_report_begin(&r, a->json)) return;
    cli_report_device(&r, d);
    cli_report_float(&r, "seconds", "measured for", seconds, "s");
    cli_report_int(&r, "kinds", "different steps with several kernels", brume_tuner_count(t));
    cli_report_int(&r, "compared", "of these compared (the others keep the rule's choice)", x.reached);
    cli_report_int(&r, "changed", "of these faster by another kernel", x.changed);
    cli_report_float(&r, "rule_ms", "their time in one run by the rules", x.rule_ms, "ms");
    cli_report_float(&r, "tuned_ms", "and tuned", x.best_ms, "ms");
    cli_report_text(&r, "file", "kept in", info.file);
    if (r.w) put_steps(r.w, t);
    else if (x.changed || a->all) print_lines(t, a->all);
    cli_report_end(&r);
}

/* The plans whose steps the tuner shall see; they are made dry, and it notes them. */
static brume_status make_plans(brume_device *d, const struct tune_args *a, brume_train_config *c)
{
    brume_plan_stats stats;
    int64_t largest;
    brume_status s = BRUME_OK;
    if (a->infer) s = cli_plan_infer(d, c, a->batch ? a->batch : 1, 0, &stats, NULL, &largest);
    if (a->batch) c->batch = (int32_t)a->batch;
    c->micro_batch = (int32_t)a->micro_batch;
    if (s == BRUME_OK && a->train) s = brume_train_estimate(d, c, &stats);
    return s;
}

static brume_status tune(const struct tune_args *a, const char *model)
{
    char note[512];
    brume_train_config c;
    brume_device *d = NULL;
    brume_tuner *t = NULL;
    struct telling telling = { .budget = a->seconds, .told = -LINE, .quiet = a->quiet, .terminal = isatty(STDERR_FILENO) };
    brume_status s = brume_train_config_load(model, a->preset, (int32_t)a->size, &c, note);
    if (s != BRUME_OK) return s;
    c.storage = (brume_storage)a->storage;
    if ((s = cli_device_open(&a->device, 1, &d)) != BRUME_OK) return s;
    brume_tuning_info info;
    brume_device_get_tuning(d, &info);
    if (!*info.file) { /* better now than after the measurements */
        s = brume_tuner_new(d, &t);
        if (s == BRUME_OK) s = brume_tuner_save(t);
    }
    const double begin = bench_now_ms();
    if (s == BRUME_OK) s = brume_tuner_new(d, &t);
    if (s == BRUME_OK) s = make_plans(d, a, &c);
    if (s == BRUME_OK) {
        signal(SIGINT, on_interrupt);
        signal(SIGTERM, on_interrupt);
        s = brume_tuner_run(t, &(brume_tuner_options){ a->seconds, tell, &telling });
    }
    const double seconds = 1e-3 * (bench_now_ms() - begin);
    if (s == BRUME_OK) s = brume_tuner_save(t);
    if (s == BRUME_OK) report(a, d, t, seconds);
    brume_tuner_free(t);
    brume_device_close(d);
    return s;
}

int cmd_tune(int argc, char **argv)
{
    static const char *const examples[] = { "brume tune --preset mnist --size 28 --device opencl",
                                            "brume tune RUN --infer --batch 16 --budget 2m",
                                            "brume tune examples/unet_cifar10.json --train --batch 64 --json", NULL };
    const struct cli_usage u = {
        "tune",
        "[MODEL|CONFIG.json]",
        "Times every kernel that could compute a step of a model, with the step's shapes, and keeps the fastest for this device "
        "and driver: commands use them from then on, unless --no-tuning. Ctrl-C ends it early and keeps what is known. The steps "
        "that take most of the time come first; those that the budget does not reach keep the choice of brume's rules.",
        examples,
        0,
        1,
        NULL
    };
    struct tune_args a = { .device = CLI_DEVICE_DEFAULT, .budget = "60s" };
    struct cli_option options[] = {
        OPT_PRESET(&a.preset),
        OPT_STRING("budget", &a.budget, "TIME", "how long to measure, compilation included: 90s, 2m"),
        OPT_FLAG("train", &a.train, "the steps of training"),
        OPT_FLAG("infer", &a.infer, "the steps of an evaluation, as sampling needs it"),
        OPT_FLAG("both", &a.both, "both, which is also what no choice means"),
        OPT_INT("batch", &a.batch, 0, 65536, "N",
                "images at once; 0: for training as the preset says, for an evaluation 1 (guidance takes twice its images)"),
        OPT_INT("micro-batch", &a.micro_batch, 0, 65536, "N", "train: images at once, a divisor of the batch; 0: all"),
        OPT_STORAGE(&a.storage),
        OPT_INT("size", &a.size, 0, 4096, "N", "height and width of the images; 0: as the config says"),
        OPT_DEVICE(&a.device),
        OPT_FLAG("all", &a.all, "list all steps, not only those that changed"),
        OPT_FLAG("json", &a.json, "print JSON"),
        OPT_FLAG("quiet", &a.quiet, "no progress"),
        { 0 } };
    const char *model;
    const int status = cli_parse_model(&u, options, argc, argv, &a.preset, &model);
    if (status != CLI_GO_ON) return status;
    if (!parse_seconds(a.budget, &a.seconds))
        return cli_wrong(&u, "--budget %s: expected a time above 0, as in 90s or 2m", a.budget);
    if (!a.device.tuning) return cli_wrong(&u, "--no-tuning makes no sense here");
    if (a.both || !(a.train || a.infer)) a.train = a.infer = 1;
    return tune(&a, model) == BRUME_OK ? CLI_DONE : cli_failed();
}
