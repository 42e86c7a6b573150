/* SPDX-License-Identifier: MIT
 * brume bench: time of a training step or of one evaluation of the network. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "commands.h"
#include "device_options.h"
#include "memory.h"
#include "names.h"
#include "options.h"
#include "report.h"

struct bench_args {
    struct cli_device device;
    const char *preset;
    int64_t batch, micro_batch, size, repeat, seed;
    double seconds;
    int mode, part, recompute, storage, json, quiet, buckets;
    const char *limit;
    uint64_t memory_limit;
    double begin_ms;     /* when the program began */
};

/* What the first step costs: from the beginning of the program to its first kernel and to its end, and the OpenCL programs that
 * it needed. */
struct startup { double first_ms, ms; int compiled, cached; };

enum part { PART_ALL, PART_UNET, PART_TEXT_ENCODER, PART_VAE };

/* What measuring one part gave. */
struct result {
    brume_plan_stats stats;
    struct bench_times times;
    struct startup first;
    double peak;
    char kernels[2048], note[256];
    double gradient_ms;
    char buckets[1 << 15];
};

/* Runs until --repeat runs or, if that is 0, --seconds are over (at least 3 runs). Runs before that do not count: two, or a long
 * one. */
static brume_status measure(const struct bench_args *a, struct bench_subject *s, struct bench_times *t, struct startup *first)
{
    first->first_ms = bench_now_ms() - a->begin_ms;
    const double warm = bench_now_ms();
    for (int i = 0; i < 2 && (i == 0 || bench_now_ms() - warm < 1e3 * a->seconds); i++) {
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
        while (k < n &&
               (strcmp(kinds[k].step.op, s.op) || strcmp(kinds[k].step.kernel, s.kernel) || kinds[k].step.tuned != s.tuned))
            k++;
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
            snprintf(text + strlen(text), size - strlen(text), "%s%s%s %d", j == k ? "" : ", ", kinds[j].step.kernel,
                     kinds[j].step.tuned ? "*" : "", kinds[j].count);
        }
    }
    free(kinds);
}

enum { MOST_BUCKETS = 1024 };

/* "1048576:12.3 ...": of each part of the gradient its bytes and the milliseconds after which it is complete. The median of some
 * runs. */
static brume_status time_buckets(struct bench_subject *s, struct result *r)
{
    enum { RUNS = 5 };
    brume_train_bucket *const b = malloc(RUNS * MOST_BUCKETS * sizeof *b);
    double whole[RUNS];
    int n = 0;
    brume_status st = b ? BRUME_OK : BRUME_E_MEMORY;
    for (int k = 0; k < RUNS && st == BRUME_OK; k++)
        st = brume_trainer_time_buckets(s->trainer, b + k * MOST_BUCKETS, MOST_BUCKETS, &n, &whole[k]);
    for (int i = 0; st == BRUME_OK && i <= n && i <= MOST_BUCKETS; i++) { /* the last one is the whole gradient */
        struct bench_times t = { 0 };
        const bool all = i == n || i == MOST_BUCKETS;
        for (int k = 0; k < RUNS && st == BRUME_OK; k++)
            st = bench_add(&t, 1e3 * (all ? whole[k] : b[k * MOST_BUCKETS + i].ready));
        bench_sort(&t);
        const size_t used = strlen(r->buckets);
        if (st == BRUME_OK && all) r->gradient_ms = bench_median(&t);
        else if (st == BRUME_OK)
            snprintf(r->buckets + used, sizeof r->buckets - used, "%s%lld:%.4g", i ? " " : "", (long long)b[i].bytes,
                     bench_median(&t));
        free(t.ms);
        if (all) break;
    }
    free(b);
    return st;
}

/* Measures and frees the subject. opened: how opening it went. */
static brume_status measure_part(const struct bench_args *a, struct bench_subject *s, brume_status opened, struct result *r)
{
    brume_status st = opened;
    if (st == BRUME_OK) st = measure(a, s, &r->times, &r->first);
    r->stats = s->stats;
    r->peak = cli_peak();
    if (st == BRUME_OK && a->buckets) st = time_buckets(s, r);
    if (st == BRUME_OK && s->plan) kernels_text(s->plan, r->kernels, sizeof r->kernels);
    if (st == BRUME_OK && s->coder) snprintf(r->note, sizeof r->note, "%s", brume_latent_coder_note(s->coder));
    bench_subject_free(s);
    return st;
}

static void report_unet(const struct bench_args *a, const struct result *p, struct cli_report *r)
{
    const double median = bench_median(&p->times);
    cli_report_text(r, "mode", "mode", a->mode ? "train" : "infer");
    cli_report_int(r, "batch", "batch", a->batch);
    cli_report_int(r, "runs", "runs", p->times.n);
    cli_report_float(r, "median_ms", "median", median, "ms");
    cli_report_float(r, "min_ms", "fastest", p->times.ms[0], "ms");
    cli_report_float(r, "max_ms", "slowest", p->times.ms[p->times.n - 1], "ms");
    cli_report_float(r, "images_per_s", "images per second", 1e3 * (double)a->batch / median, "");
    cli_report_float(r, "gflop", "arithmetic of one run", p->stats.flops / 1e9, "GFLOP");
    cli_report_float(r, "gflops", "speed", p->stats.flops / median / 1e6, "GFLOP/s");
    cli_report_float(r, "first_kernel_ms", "start to the first kernel", p->first.first_ms, "ms");
    cli_report_float(r, "start_ms", "start to end of the first run", p->first.ms, "ms");
    cli_report_int(r, "programs_compiled", "OpenCL programs compiled", p->first.compiled);
    cli_report_int(r, "programs_cached", "OpenCL programs from the disk", p->first.cached);
    cli_report_float(r, "peak_mib", "largest memory of the process", p->peak / 1048576, "MiB");
    cli_report_int(r, "tuned", "launches by tuned kernels", p->stats.tuned);
    cli_report_text(r, "kernels", "kernels chosen (*: by tuning)", p->kernels);
    if (!a->buckets) return;
    cli_report_float(r, "gradient_ms", "loss and gradient of a micro-batch", p->gradient_ms, "ms");
    cli_report_text(r, "buckets", "parts of the gradient, bytes:ms when complete", p->buckets);
}

/* key and what begin the names of the values. */
static void report_part(const struct result *p, const char *key, const char *what, struct cli_report *r)
{
    static const struct {
        const char *key, *what, *unit;
    } rows[] = { { "ms", "median", "ms" },           { "min_ms", "fastest", "ms" },    { "max_ms", "slowest", "ms" },
                 { "gflop", "arithmetic", "GFLOP" }, { "gflops", "speed", "GFLOP/s" }, { "peak_mib", "largest memory", "MiB" } };
    const double ms = bench_median(&p->times);
    const double values[] = { ms, p->times.ms[0], p->times.ms[p->times.n - 1], p->stats.flops / 1e9,
                              p->stats.flops / ms / 1e6, p->peak / 1048576 };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char k[64], w[64];
        snprintf(k, sizeof k, "%s_%s", key, rows[i].key);
        snprintf(w, sizeof w, "%s: %s", what, rows[i].what);
        cli_report_float(r, k, w, values[i], rows[i].unit);
    }
    if (*p->note) cli_report_text(r, "vae_note", what, p->note);
}

/* The parts of the preset's pipeline that were asked for, one after the other, so that each has the memory for itself. */
static brume_status bench_all(const struct bench_args *a, const brume_preset *preset, brume_train_config *c, brume_device *d)
{
    struct cli_report r;
    struct bench_subject subject = { 0 };
    struct result *p = calloc(3, sizeof *p), *const unet = p, *const text = p + 1, *const vae = p + 2;
    brume_text_encoder_config text_config;
    brume_autoencoder_config vae_config;
    const bool parts = preset && preset->fill_parts;
    const bool run_text = parts && (a->part == PART_ALL || a->part == PART_TEXT_ENCODER),
               run_vae = parts && (a->part == PART_ALL || a->part == PART_VAE);
    const bool run_unet = a->part == PART_ALL || a->part == PART_UNET;
    if (!p) return BRUME_E_MEMORY;
    if (parts) preset->fill_parts(&text_config, &vae_config);
    brume_status s = BRUME_OK;
    if (run_text) s = measure_part(a, &subject, bench_text_encoder(d, &text_config, a->batch, c->seed, &subject), text);
    cli_peak_reset();
    if (s == BRUME_OK && run_vae)
        s = measure_part(a, &subject,
                         bench_decoder(d, &vae_config, a->batch, c->unet.sample_size[0], a->memory_limit, c->seed, &subject),
                         vae);
    cli_peak_reset();
    if (s == BRUME_OK && run_unet) s = measure_part(a, &subject, bench_model(d, a->mode, c, &subject), unet);
    if (s == BRUME_OK && cli_report_begin(&r, a->json)) {
        cli_report_device(&r, d);
        if (run_text) report_part(text, "text_encoder", "text encoder", &r);
        if (run_vae) report_part(vae, "vae", "latents to images", &r);
        if (run_unet) report_unet(a, unet, &r);
        cli_report_end(&r);
    }
    for (int i = 0; i < 3; i++) free(p[i].times.ms);
    free(p);
    return s;
}

static brume_status bench(const struct bench_args *a, const char *model)
{
    char note[512];
    brume_train_config c;
    brume_device *d = NULL;
    brume_status s = brume_train_config_load(model, a->preset, (int32_t)a->size, &c, note);
    if (s == BRUME_OK) s = cli_device_open(&a->device, a->quiet || a->json, &d);
    if (s != BRUME_OK) return s;
    c.batch = (int32_t)a->batch;
    c.micro_batch = (int32_t)a->micro_batch;
    c.recompute = a->recompute;
    c.storage = (brume_storage)a->storage;
    c.seed = (uint64_t)a->seed;
    c.lr = 1e-4;
    s = bench_all(a, a->preset ? brume_preset_find(a->preset) : NULL, &c, d);
    brume_device_close(d);
    return s;
}

int cmd_bench(int argc, char **argv)
{
    static const char *const examples[] = {
        "brume bench --preset mnist --mode train --batch 64",
        "brume bench examples/unet_mnist.json --mode infer --batch 1 --json",
        "brume bench --preset sd15 --storage f16 --part unet",
        "brume bench ops examples/unet_mnist.json  # every operator alone; see brume bench ops --help", NULL
    };
    static const char *const modes[] = { "infer", "train", NULL }, *const parts[] = { "all", "unet",
                                                                                      "text-encoder", "vae", NULL };
    const struct cli_usage u = { "bench", "[MODEL|CONFIG.json]",
                                 "Measures a training step, or one evaluation of the network, with fresh weights.",
                                 examples, 0, 1, NULL };
    struct bench_args a = { .device = CLI_DEVICE_DEFAULT, .batch = 1, .seconds = 5, .begin_ms = bench_now_ms() };
    struct cli_option options[] = {
        OPT_PRESET(&a.preset),
        OPT_CHOICE("mode", &a.mode, modes, "infer or train"),
        OPT_CHOICE("part", &a.part, parts, "of preset sd15, infer: all, unet, text-encoder, or vae (from latents to images)"),
        OPT_INT("batch", &a.batch, 1, 65536, "N", "images at once"),
        OPT_INT("micro-batch", &a.micro_batch, 0, 65536, "N", "train: images at once, a divisor of the batch; 0: all"),
        OPT_STORAGE(&a.storage),
        OPT_FLAG("recompute", &a.recompute, "train: keep less for the backward pass and compute it again"),
        OPT_FLAG("buckets", &a.buckets,
                 "train with --micro-batch, which stands for the share of a rank: when parts of the gradient can be sent; for "
                 "scripts/scaling.py"),
        OPT_STRING("memory-limit", &a.limit, "BYTES",
                   "of decoding's activations, as 300M or 1G: beyond, it goes in tiles; default: no limit"),
        OPT_INT("repeat", &a.repeat, 0, 1000000, "N", "runs to measure; 0: as many as fit in --seconds, at least 3"),
        OPT_FLOAT("seconds", &a.seconds, 0.01, 3600, "S", "how long to measure"),
        OPT_INT("size", &a.size, 0, 4096, "N", "height and width of the images; 0: as the config says"),
        OPT_INT("seed", &a.seed, 0, 9e15, "N", "seed of the weights"),
        OPT_DEVICE(&a.device),
        OPT_FLAG("json", &a.json, "print JSON"),
        OPT_FLAG("quiet", &a.quiet, "no messages"),
        { 0 }
    };
    const char *model;
    const int status = cli_parse_model(&u, options, argc, argv, &a.preset, &model);
    if (status != CLI_GO_ON) return status;
    if (a.limit && !cli_bytes(a.limit, &a.memory_limit))
        return cli_wrong(&u, "--memory-limit %s: expected bytes, as in 1500000, 800M or 2G", a.limit);
    const brume_preset *const preset = a.preset ? brume_preset_find(a.preset) : NULL;
    if ((a.part > PART_UNET || a.limit) && (a.mode || !preset || !preset->fill_parts))
        return cli_wrong(&u, "--part and --memory-limit are for --mode infer and a preset with more than a U-Net: sd15");
    if (a.buckets && (!a.mode || a.micro_batch < 1 || a.micro_batch >= a.batch))
        return cli_wrong(&u, "--buckets needs --mode train and a --micro-batch below --batch");
    return bench(&a, model) == BRUME_OK ? CLI_DONE : cli_failed();
}
