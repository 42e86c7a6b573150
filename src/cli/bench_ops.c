/* SPDX-License-Identifier: MIT
 * brume bench ops: the time of every step of a plan, steps of one operator and one set of shapes together. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "commands.h"
#include "device_options.h"
#include "names.h"
#include "options.h"

struct ops_args {
    struct cli_device device;
    struct bench_op op;
    const char *preset;
    int64_t batch, size, repeat, seed;
    double seconds;
    int mode, json, quiet;
};

/* Steps that are alike. */
struct kind {
    brume_plan_step step;
    int count;
    struct bench_times times;  /* of one step */
    double total_ms;           /* of all of them in one run */
};

struct profile {
    struct kind *kinds;
    int n_kinds, n_steps, rounds;
    int *kind_of;              /* per step */
    struct bench_times *steps; /* per step */
    double whole_ms, all_ms, peak;
};

static int alike(const brume_plan_step *a, const brume_plan_step *b)
{
    return !strcmp(a->op, b->op) && !strcmp(a->kernel, b->kernel) && !strcmp(a->shapes, b->shapes);
}

static brume_status list_kinds(const brume_plan *plan, struct profile *p)
{
    p->n_steps = brume_plan_step_count(plan);
    p->kinds = calloc((size_t)p->n_steps + 1, sizeof *p->kinds);
    p->kind_of = calloc((size_t)p->n_steps + 1, sizeof *p->kind_of);
    p->steps = calloc((size_t)p->n_steps + 1, sizeof *p->steps);
    if (!p->kinds || !p->kind_of || !p->steps) return BRUME_E_MEMORY;
    for (int i = 0; i < p->n_steps; i++) {
        brume_plan_step s;
        int k = 0;
        brume_plan_get_step(plan, i, &s);
        while (k < p->n_kinds && !alike(&p->kinds[k].step, &s)) k++;
        if (k == p->n_kinds) p->kinds[p->n_kinds++].step = s;
        p->kinds[k].count++;
        p->kind_of[i] = k;
    }
    return BRUME_OK;
}

/* All steps in their order, each alone on the device. */
static brume_status one_round(struct bench_subject *s, struct profile *p)
{
    for (int i = 0; i < p->n_steps; i++) {
        const double begin = bench_now_ms();
        brume_status st = brume_plan_run_step(s->plan, i);
        if (st == BRUME_OK) st = brume_device_finish(s->device);
        const double ms = bench_now_ms() - begin;
        if (st == BRUME_OK) st = bench_add(&p->steps[i], ms);
        if (st == BRUME_OK) st = bench_add(&p->kinds[p->kind_of[i]].times, ms);
        if (st != BRUME_OK) return st;
    }
    p->rounds++;
    return BRUME_OK;
}

/* Half of the time for whole runs, half for single steps; a run before does not count. */
static brume_status measure(const struct ops_args *a, struct bench_subject *s, struct profile *p)
{
    struct bench_times whole = { 0 };
    brume_status st = brume_device_measure_peak(s->device, &p->peak);
    if (st == BRUME_OK) st = list_kinds(s->plan, p);
    if (st == BRUME_OK) st = s->step(s);
    const double begin = bench_now_ms();
    while (st == BRUME_OK && (a->repeat ? whole.n < a->repeat : whole.n < 3 || bench_now_ms() - begin < 500 * a->seconds)) {
        const double start = bench_now_ms();
        if ((st = s->step(s)) == BRUME_OK) st = bench_add(&whole, bench_now_ms() - start);
    }
    const double middle = bench_now_ms();
    while (st == BRUME_OK && (a->repeat ? p->rounds < a->repeat : p->rounds < 3 || bench_now_ms() - middle < 500 * a->seconds))
        st = one_round(s, p);
    bench_sort(&whole);
    p->whole_ms = bench_median(&whole);
    free(whole.ms);
    for (int i = 0; i < p->n_steps && st == BRUME_OK; i++) {
        bench_sort(&p->steps[i]);
        p->kinds[p->kind_of[i]].total_ms += bench_median(&p->steps[i]);
        p->all_ms += bench_median(&p->steps[i]);
    }
    for (int k = 0; k < p->n_kinds; k++) bench_sort(&p->kinds[k].times);
    return st;
}

static int by_total(const void *a, const void *b)
{
    const struct kind *x = a, *y = b;
    return (x->total_ms < y->total_ms) - (x->total_ms > y->total_ms);
}

static void print_lines(const struct profile *p)
{
    printf("\n%5s %5s %10s %10s %8s %6s %7s  %-8s %s\n", "share", "calls", "median us", "fastest us", "GFLOP/s", "peak", "GB/s",
           "kernel", "operator, shapes");
    for (int i = 0; i < p->n_kinds; i++) {
        const struct kind *k = &p->kinds[i];
        const double ms = bench_median(&k->times);
        printf("%4.1f%% %5d %10.1f %10.1f %8.1f %5.0f%% %7.1f  %-8s %s %s\n", 100 * k->total_ms / p->all_ms, k->count, 1e3 * ms,
               1e3 * k->times.ms[0], k->step.flops / ms / 1e6, k->step.flops / ms / 1e4 / p->peak, k->step.bytes / ms / 1e6,
               k->step.kernel, k->step.op, k->step.shapes);
    }
}

static void put_ops(brume_json_writer *w, const struct profile *p)
{
    brume_json_begin_array(w, "ops", 0);
    for (int i = 0; i < p->n_kinds; i++) {
        const struct kind *k = &p->kinds[i];
        const double ms = bench_median(&k->times);
        brume_json_begin_object(w, NULL);
        brume_json_put_string(w, "op", k->step.op);
        brume_json_put_string(w, "shapes", k->step.shapes);
        brume_json_put_string(w, "kernel", k->step.kernel);
        brume_json_put_bool(w, "tuned", k->step.tuned);
        brume_json_put_int(w, "calls", k->count);
        brume_json_put_double(w, "median_ms", ms);
        brume_json_put_double(w, "min_ms", k->times.ms[0]);
        brume_json_put_double(w, "gflop", k->step.flops / 1e9);
        brume_json_put_double(w, "gflops", k->step.flops / ms / 1e6);
        brume_json_put_double(w, "share_of_peak", k->step.flops / ms / 1e6 / p->peak);
        brume_json_put_double(w, "gbytes_per_s", k->step.bytes / ms / 1e6);
        brume_json_put_double(w, "share_of_step", k->total_ms / p->all_ms);
        brume_json_end(w);
    }
    brume_json_end(w);
}

static brume_status report(const struct ops_args *a, const brume_device *d, const struct profile *p)
{
    struct cli_report r;
    if (!cli_report_begin(&r, a->json)) return BRUME_E_MEMORY;
    cli_report_device(&r, d);
    cli_report_text(&r, "mode", "mode", a->mode ? "train" : "infer");
    if (!a->op.name) cli_report_int(&r, "batch", "batch", a->batch);
    cli_report_int(&r, "rounds", "rounds", p->rounds);
    cli_report_float(&r, "peak_gflops", "multiply-add rate of the device", p->peak, "GFLOP/s");
    cli_report_float(&r, "run_ms", "a whole run", p->whole_ms, "ms");
    cli_report_float(&r, "ops_ms", "its steps one by one", p->all_ms, "ms");
    if (r.w) put_ops(r.w, p);
    else print_lines(p);
    cli_report_end(&r);
    return BRUME_OK;
}

static void profile_free(struct profile *p)
{
    for (int k = 0; k < p->n_kinds; k++) free(p->kinds[k].times.ms);
    for (int i = 0; i < p->n_steps && p->steps; i++) free(p->steps[i].ms);
    free(p->kinds);
    free(p->kind_of);
    free(p->steps);
}

static brume_status bench_ops(const struct ops_args *a, const char *model)
{
    char note[512];
    brume_train_config c;
    brume_device *d = NULL;
    struct bench_subject s = { 0 };
    struct profile p = { 0 };
    brume_status st = a->op.name ? BRUME_OK : brume_train_config_load(model, a->preset, (int32_t)a->size, &c, note);
    if (st == BRUME_OK) st = cli_device_open(&a->device, a->quiet || a->json, &d);
    if (st != BRUME_OK) return st;
    if (a->op.name) {
        st = bench_op(d, a->mode, &a->op, &s);
    } else {
        c.batch = (int32_t)a->batch;
        c.seed = (uint64_t)a->seed;
        c.lr = 1e-4;
        st = bench_model(d, a->mode, &c, &s);
    }
    if (st == BRUME_OK) st = measure(a, &s, &p);
    if (st == BRUME_OK) {
        qsort(p.kinds, (size_t)p.n_kinds, sizeof *p.kinds, by_total);
        st = report(a, d, &p);
    }
    profile_free(&p);
    bench_subject_free(&s);
    brume_device_close(d);
    return st;
}

int cmd_bench_ops(int argc, char **argv)
{
    static const char *const examples[] = { "brume bench ops examples/unet_mnist.json --batch 64",
                                            "brume bench ops examples/unet_cifar10.json --mode infer --json",
                                            "brume bench ops --op conv2d --shape 16x32x32x64,3x3x64x64", NULL };
    static const char *const modes[] = { "infer", "train", NULL };
    char what[1024] =
        "Times every step of a training step or of an evaluation alone, steps of one operator and one set of shapes together: "
        "the kernel chosen, GFLOP/s, their share of the device's measured multiply-add rate (Winograd can exceed it) and of the "
        "run. Or one operator with its gradients. Shapes for --op:";
    for (int i = 0; bench_op_usage(i); i++) {
        const size_t used = strlen(what);
        snprintf(what + used, sizeof what - used, "%s %s", i ? ";" : "", bench_op_usage(i));
    }
    const struct cli_usage u = { "bench ops", "[MODEL|CONFIG.json]", what, examples, 0, 1, NULL };
    struct ops_args a = { .device = CLI_DEVICE_DEFAULT, .batch = 16, .seconds = 5, .mode = BENCH_TRAIN,
                          .op = { .stride = 1, .groups = 32, .heads = 1 } };
    struct cli_option options[] = {
        OPT_PRESET(&a.preset),
        OPT_STRING("op", &a.op.name, "OP", "one operator instead of a model"),
        OPT_STRING("shape", &a.op.shapes, "S,S", "shapes of its inputs"),
        OPT_INT("stride", &a.op.stride, 1, 64, "N", "of conv2d, which is padded by half its kernel"),
        OPT_INT("groups", &a.op.groups, 1, 1 << 20, "N", "of group_norm"),
        OPT_INT("heads", &a.op.heads, 1, 1 << 20, "N", "of sdpa"),
        OPT_CHOICE("mode", &a.mode, modes, "infer: forward, weights packed before; train: forward and backward"),
        OPT_INT("batch", &a.batch, 1, 65536, "N", "images at once"),
        OPT_INT("repeat", &a.repeat, 0, 1000000, "N", "rounds to measure; 0: as many as fit in --seconds, at least 3"),
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
    if ((n == 1) + (a.preset != NULL) + (a.op.name != NULL) != 1) return cli_wrong(&u, "give a model, --preset or --op");
    if (!a.op.name != !a.op.shapes) return cli_wrong(&u, "--op and --shape go together");
    const char *expected = a.op.name ? bench_op_expected(&a.op) : NULL;
    if (expected) return cli_wrong(&u, "--op %s --shape %s: expected %s", a.op.name, a.op.shapes, expected);
    return bench_ops(&a, n ? model : NULL) == BRUME_OK ? CLI_DONE : cli_failed();
}
