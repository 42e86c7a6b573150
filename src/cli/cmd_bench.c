/* SPDX-License-Identifier: MIT
 * brume bench: time of a training step or of one evaluation of the network. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "commands.h"
#include "device_options.h"
#include "memory.h"
#include "options.h"
#include "report.h"

struct bench_args {
    struct cli_device device;
    const char *preset;
    int64_t batch, micro_batch, size, repeat, seed;
    double seconds;
    int mode, recompute, storage, json, quiet;
    double begin_ms;     /* when the program began */
};

/* What the first step costs: from the beginning of the program to its first kernel and to its end, and the OpenCL programs that it needed. */
struct startup { double first_ms, ms; int compiled, cached; };

/* Runs until --repeat runs or, if that is 0, --seconds are over (at least 3 runs); two runs before do not count. */
static brume_status measure(const struct bench_args *a, struct bench_subject *s, struct bench_times *t, struct startup *first)
{
    first->first_ms = bench_now_ms() - a->begin_ms;
    for (int i = 0; i < 2; i++) {
        const brume_status st = s->step(s);
        if (st != BRUME_OK) return st;
        if (i > 0) continue;
        first->ms = bench_now_ms() - a->begin_ms;
        brume_device_get_programs(s->device, &first->compiled, &first->cached);
    }
    const double begin = bench_now_ms();
    while (a->repeat ? t->n < a->repeat : t->n < 3 || bench_now_ms() - begin < 1e3 * a->seconds) {
        const double start = bench_now_ms();
        brume_status st = s->step(s);
        if (st == BRUME_OK) st = bench_add(t, bench_now_ms() - start);
        if (st != BRUME_OK) return st;
    }
    bench_sort(t);
    return BRUME_OK;
}

/* "conv2d: winograd 36, simd 15; group_norm: any 41; ...": how often each kernel runs; elementwise chains are left out. */
static void kernels_text(const brume_plan *plan, char *text, size_t size)
{
    struct { brume_plan_step step; int count; } *kinds = calloc((size_t)brume_plan_step_count(plan) + 1, sizeof *kinds);
    int n = 0;
    *text = 0;
    for (int i = 0; kinds && i < brume_plan_step_count(plan); i++) {
        brume_plan_step s;
        int k = 0;
        brume_plan_get_step(plan, i, &s);
        if (strcmp(s.kernel, "chain") == 0 || strcmp(s.kernel, "single") == 0) continue;
        while (k < n && (strcmp(kinds[k].step.op, s.op) || strcmp(kinds[k].step.kernel, s.kernel))) k++;
        if (k == n) kinds[n++].step = s;
        kinds[k].count++;
    }
    for (int k = 0; k < n; k++) {
        int first = 1;
        for (int j = 0; j < k; j++) first = first && strcmp(kinds[j].step.op, kinds[k].step.op);
        for (int j = k; first && j < n; j++) {
            if (strcmp(kinds[j].step.op, kinds[k].step.op)) continue;
            const size_t used = strlen(text);
            if (j == k) snprintf(text + used, size - used, "%s%s: ", k ? "; " : "", kinds[k].step.op);
            snprintf(text + strlen(text), size - strlen(text), "%s%s %d", j == k ? "" : ", ", kinds[j].step.kernel, kinds[j].count);
        }
    }
    free(kinds);
}

void bench_report_device(struct cli_report *r, const brume_device *d)
{
    brume_device_info info;
    brume_device_get_info(d, &info);
    cli_report_text(r, "device", "device", info.name);
    cli_report_text(r, "platform", "platform", info.platform);
    cli_report_int(r, "compute_units", info.is_opencl ? "compute units" : "threads", info.compute_units);
}

static void report(const struct bench_args *a, const struct bench_subject *s, const struct bench_times *t, const struct startup *first)
{
    struct cli_report r;
    brume_plan_stats stats;
    char kernels[2048];
    if (s->trainer) brume_trainer_get_stats(s->trainer, &stats);
    else brume_plan_get_stats(s->plan, &stats);
    kernels_text(s->plan, kernels, sizeof kernels);
    const double median = bench_median(t);
    if (!cli_report_begin(&r, a->json)) return;
    bench_report_device(&r, s->device);
    cli_report_text(&r, "mode", "mode", a->mode ? "train" : "infer");
    cli_report_int(&r, "batch", "batch", a->batch);
    cli_report_int(&r, "runs", "runs", t->n);
    cli_report_float(&r, "median_ms", "median", median, "ms");
    cli_report_float(&r, "min_ms", "fastest", t->ms[0], "ms");
    cli_report_float(&r, "max_ms", "slowest", t->ms[t->n - 1], "ms");
    cli_report_float(&r, "images_per_s", "images per second", 1e3 * (double)a->batch / median, "");
    cli_report_float(&r, "gflop", "arithmetic of one run", stats.flops / 1e9, "GFLOP");
    cli_report_float(&r, "gflops", "speed", stats.flops / median / 1e6, "GFLOP/s");
    cli_report_float(&r, "first_kernel_ms", "start to the first kernel", first->first_ms, "ms");
    cli_report_float(&r, "start_ms", "start to end of the first run", first->ms, "ms");
    cli_report_int(&r, "programs_compiled", "OpenCL programs compiled", first->compiled);
    cli_report_int(&r, "programs_cached", "OpenCL programs from the disk", first->cached);
    cli_report_float(&r, "peak_mib", "largest memory of the process", cli_peak() / 1048576, "MiB");
    cli_report_text(&r, "kernels", "kernels chosen", kernels);
    cli_report_end(&r);
}

static brume_status bench(const struct bench_args *a, const char *model)
{
    char note[512];
    brume_train_config c;
    brume_device *d = NULL;
    struct bench_times t = { 0 };
    struct bench_subject subject = { 0 };
    struct startup first = { 0 };
    brume_status s = brume_train_config_load(model, a->preset, (int32_t)a->size, &c, note);
    if (s == BRUME_OK) s = cli_device_open(&a->device, a->quiet || a->json, &d);
    if (s != BRUME_OK) return s;
    c.batch = (int32_t)a->batch;
    c.micro_batch = (int32_t)a->micro_batch;
    c.recompute = a->recompute;
    c.storage = (brume_storage)a->storage;
    c.seed = (uint64_t)a->seed;
    c.lr = 1e-4;
    s = bench_model(d, a->mode, &c, &subject);
    if (s == BRUME_OK) s = measure(a, &subject, &t, &first);
    if (s == BRUME_OK) report(a, &subject, &t, &first);
    free(t.ms);
    bench_subject_free(&subject);
    brume_device_close(d);
    return s;
}

int cmd_bench(int argc, char **argv)
{
    static const char *const examples[] = { "brume bench --preset mnist --mode train --batch 64", "brume bench examples/unet_mnist.json --mode infer --batch 1 --json",
                                            "brume bench ops examples/unet_mnist.json  # every operator alone; see brume bench ops --help", NULL };
    if (argc > 1 && !strcmp(argv[1], "ops")) return bench_ops_command(argc - 1, argv + 1);
    static const char *const modes[] = { "infer", "train", NULL };
    const struct cli_usage u = { "bench", "[MODEL|CONFIG.json]", "Measures a training step, or one evaluation of the network, with fresh weights.", examples, 0, 1 };
    struct bench_args a = { .device = CLI_DEVICE_DEFAULT, .batch = 1, .seconds = 5, .begin_ms = bench_now_ms() };
    struct cli_option options[] = {
        OPT_STRING("preset", &a.preset, "NAME", "a preset instead of a model: shapes, mnist"),
        OPT_CHOICE("mode", &a.mode, modes, "infer or train"),
        OPT_INT("batch", &a.batch, 1, 65536, "N", "images at once"),
        OPT_INT("micro-batch", &a.micro_batch, 0, 65536, "N", "train: images at once, a divisor of the batch; 0: all"),
        OPT_STORAGE(&a.storage),
        OPT_FLAG("recompute", &a.recompute, "train: keep less for the backward pass and compute it again"),
        OPT_INT("repeat", &a.repeat, 0, 1000000, "N", "runs to measure; 0: as many as fit in --seconds, at least 3"),
        OPT_FLOAT("seconds", &a.seconds, 0.01, 3600, "S", "how long to measure"),
        OPT_INT("size", &a.size, 0, 4096, "N", "height and width of the images; 0: as the config says"),
        OPT_INT("seed", &a.seed, 0, 9e15, "N", "seed of the weights"),
        OPT_DEVICE(&a.device),
        OPT_FLAG("json", &a.json, "print JSON"),
        OPT_FLAG("quiet", &a.quiet, "no messages"),
        { 0 } };
    const char *model = NULL;
    int n = 0;
    const int status = cli_parse(&u, options, argc, argv, &model, &n);
    if (status != CLI_GO_ON) return status;
    if ((n == 1) == (a.preset != NULL)) return cli_wrong(&u, "give either a model or --preset");
    return bench(&a, n ? model : NULL) == BRUME_OK ? CLI_DONE : cli_failed();
}
