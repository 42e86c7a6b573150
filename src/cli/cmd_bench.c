/* SPDX-License-Identifier: MIT
 * brume bench: time of a training step or of one evaluation of the network. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

#include "brume/model.h"
#include "brume/params.h"
#include "brume/train.h"
#include "commands.h"
#include "device_options.h"
#include "options.h"
#include "report.h"

struct bench_args {
    struct cli_device device;
    const char *preset;
    int64_t batch, micro_batch, size, repeat, seed;
    double seconds;
    int mode, json, quiet;
};

struct timing { double *ms; int n, cap; };

static double now_ms(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return 1e3 * (double)ts.tv_sec + 1e-6 * (double)ts.tv_nsec;
}

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Runs step until --repeat runs or, if that is 0, --seconds are over (at least 3 runs); two runs before do not count. */
static brume_status measure(const struct bench_args *a, brume_status (*step)(void *), void *ctx, struct timing *t)
{
    for (int i = 0; i < 2; i++) {
        const brume_status s = step(ctx);
        if (s != BRUME_OK) return s;
    }
    const double begin = now_ms();
    while (a->repeat ? t->n < a->repeat : t->n < 3 || now_ms() - begin < 1e3 * a->seconds) {
        if (t->n == t->cap) {
            const int cap = t->cap ? 2 * t->cap : 256;
            double *p = realloc(t->ms, (size_t)cap * sizeof *p);
            if (!p) return BRUME_E_MEMORY;
            t->ms = p;
            t->cap = cap;
        }
        const double start = now_ms();
        const brume_status s = step(ctx);
        if (s != BRUME_OK) return s;
        t->ms[t->n++] = now_ms() - start;
    }
    qsort(t->ms, (size_t)t->n, sizeof *t->ms, by_value);
    return BRUME_OK;
}

static brume_status train_step(void *ctx)
{
    brume_train_result r;
    return brume_trainer_step(ctx, &r);
}

static brume_status bench_train(brume_device *d, const struct bench_args *a, const brume_train_config *c, struct timing *t, double *flops)
{
    brume_trainer *trainer = NULL;
    brume_status s = brume_trainer_new(d, c, NULL, &trainer);
    if (s == BRUME_OK) s = measure(a, train_step, trainer, t);
    if (s == BRUME_OK) {
        brume_plan_stats stats;
        brume_trainer_get_stats(trainer, &stats);
        *flops = stats.flops;
    }
    brume_trainer_free(trainer);
    return s;
}

struct infer { brume_device *device; const brume_denoiser *denoiser; brume_buffer *x, *out; };

static brume_status infer_step(void *ctx)
{
    struct infer *f = ctx;
    const brume_status s = f->denoiser->predict(f->denoiser->self, f->x, 500, f->out);
    return s == BRUME_OK ? brume_device_finish(f->device) : s;
}

static brume_status bench_infer(brume_device *d, const struct bench_args *a, const brume_train_config *c, struct timing *t, double *flops)
{
    brume_model *m = NULL;
    brume_unet2d_denoiser *n = NULL;
    struct infer f = { .device = d };
    const brume_shape shape = BRUME_SHAPE(a->batch, c->unet.sample_size[0], c->unet.sample_size[1], c->unet.in_channels);
    const brume_shape out = BRUME_SHAPE(a->batch, shape.d[1], shape.d[2], c->unet.out_channels);
    const size_t bytes = (size_t)brume_shape_numel(shape) * sizeof(float);
    int32_t *labels = calloc((size_t)a->batch, sizeof *labels);
    float *zeros = calloc(1, bytes);
    const brume_unet2d_denoiser_options o = { .labels = c->unet.class_embed_type == BRUME_CLASS_TABLE ? labels : NULL, .guidance_scale = 1 };
    brume_status s = labels && zeros ? brume_model_new(&c->unet, NULL, (uint64_t)a->seed, &m) : BRUME_E_MEMORY;
    if (s == BRUME_OK) s = brume_unet2d_denoiser_new(d, &c->unet, m->params, shape, &o, &n);
    if (s == BRUME_OK) s = brume_buffer_new(d, bytes, &f.x);
    if (s == BRUME_OK) s = brume_buffer_new(d, (size_t)brume_shape_numel(out) * sizeof(float), &f.out);
    if (s == BRUME_OK) s = brume_buffer_write(f.x, 0, zeros, bytes);
    if (s == BRUME_OK) {
        f.denoiser = brume_unet2d_denoiser_get(n);
        s = measure(a, infer_step, &f, t);
    }
    if (s == BRUME_OK) {
        brume_plan_stats stats;
        brume_unet2d_denoiser_get_stats(n, &stats);
        *flops = stats.flops;
    }
    brume_buffer_free(f.x);
    brume_buffer_free(f.out);
    brume_unet2d_denoiser_free(n);
    brume_model_free(m);
    free(labels);
    free(zeros);
    return s;
}

static void report(const struct bench_args *a, const brume_device *d, const struct timing *t, double flops)
{
    struct cli_report r;
    struct rusage usage;
    brume_device_info info;
    brume_device_get_info(d, &info);
    getrusage(RUSAGE_SELF, &usage);
#ifdef __APPLE__
    const double peak_mib = (double)usage.ru_maxrss / 1048576; /* bytes there, KiB elsewhere */
#else
    const double peak_mib = (double)usage.ru_maxrss / 1024;
#endif
    const double median = t->ms[t->n / 2];
    if (!cli_report_begin(&r, a->json)) return;
    cli_report_text(&r, "device", "device", info.name);
    cli_report_text(&r, "platform", "platform", info.platform);
    cli_report_text(&r, "mode", "mode", a->mode ? "train" : "infer");
    cli_report_int(&r, "batch", "batch", a->batch);
    cli_report_int(&r, "runs", "runs", t->n);
    cli_report_float(&r, "median_ms", "median", median, "ms");
    cli_report_float(&r, "min_ms", "fastest", t->ms[0], "ms");
    cli_report_float(&r, "max_ms", "slowest", t->ms[t->n - 1], "ms");
    cli_report_float(&r, "images_per_s", "images per second", 1e3 * (double)a->batch / median, "");
    cli_report_float(&r, "gflop", "arithmetic of one run", flops / 1e9, "GFLOP");
    cli_report_float(&r, "gflops", "speed", flops / median / 1e6, "GFLOP/s");
    cli_report_float(&r, "peak_mib", "largest memory of the process", peak_mib, "MiB");
    cli_report_end(&r);
}

static brume_status bench(const struct bench_args *a, const char *model)
{
    char note[512];
    brume_train_config c;
    brume_device *d = NULL;
    struct timing t = { 0 };
    double flops = 0;
    brume_status s = brume_train_config_load(model, a->preset, (int32_t)a->size, &c, note);
    if (s == BRUME_OK) s = cli_device_open(&a->device, a->quiet || a->json, &d);
    if (s != BRUME_OK) return s;
    c.batch = (int32_t)a->batch;
    c.micro_batch = (int32_t)a->micro_batch;
    c.seed = (uint64_t)a->seed;
    c.lr = 1e-4;
    s = a->mode ? bench_train(d, a, &c, &t, &flops) : bench_infer(d, a, &c, &t, &flops);
    if (s == BRUME_OK) report(a, d, &t, flops);
    free(t.ms);
    brume_device_close(d);
    return s;
}

int cmd_bench(int argc, char **argv)
{
    static const char *const examples[] = { "brume bench --preset mnist --mode train --batch 64", "brume bench examples/unet_mnist.json --mode infer --batch 1 --json", NULL };
    static const char *const modes[] = { "infer", "train", NULL };
    const struct cli_usage u = { "bench", "[MODEL|CONFIG.json]", "Measures a training step, or one evaluation of the network, with fresh weights.", examples, 0, 1 };
    struct bench_args a = { .device = CLI_DEVICE_DEFAULT, .batch = 1, .seconds = 5 };
    struct cli_option options[] = {
        OPT_STRING("preset", &a.preset, "NAME", "a preset instead of a model: shapes, mnist"),
        OPT_CHOICE("mode", &a.mode, modes, "infer or train"),
        OPT_INT("batch", &a.batch, 1, 65536, "N", "images at once"),
        OPT_INT("micro-batch", &a.micro_batch, 0, 65536, "N", "train: images at once, a divisor of the batch; 0: all"),
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
