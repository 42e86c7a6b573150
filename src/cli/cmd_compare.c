/* SPDX-License-Identifier: MIT
 * brume compare: the same computation on two devices, every node judged. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "brume/json.h"
#include "commands.h"
#include "compare.h"
#include "names.h"

/* What both sides can say; JSON has no infinity. */
static void put_number(brume_json_writer *w, const char *key, double x)
{
    if (isfinite(x)) brume_json_put_double(w, key, x);
    else brume_json_put_string(w, key, isnan(x) ? "nan" : x > 0 ? "inf" : "-inf");
}

static void put_node(brume_json_writer *w, const char *key, const brume_compare_node *n)
{
    brume_json_begin_object(w, key);
    const struct {
        const char *key, *value;
    } texts[] = { { "phase", n->phase },        { "op", n->op },
                  { "name", n->name },          { "shapes", n->shapes },
                  { "kernel_a", n->kernel[0] }, { "kernel_b", n->kernel[1] },
                  { "tolerance", n->tolerance } };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) brume_json_put_string(w, texts[i].key, texts[i].value);
    if (*n->culprit) brume_json_put_string(w, "culprit", n->culprit);
    brume_json_put_int(w, "runs", n->runs);
    brume_json_put_int(w, "values", n->values);
    put_number(w, "relative", n->relative);
    put_number(w, "ulp", n->ulp);
    put_number(w, "share", n->share);
    brume_json_put_bool(w, "failed", n->failed);
    if (n->not_finite) brume_json_put_int(w, "not_finite", n->not_finite);
    if (n->share > 0) {
        brume_json_put_int(w, "result", n->result);
        brume_json_put_int(w, "index", n->index);
        brume_json_put_string(w, "place", n->place);
        put_number(w, "a", n->a);
        put_number(w, "b", n->b);
        put_number(w, "allowed", n->allowed);
        brume_json_put_int(w, "beyond", n->beyond);
    }
    brume_json_end(w);
}

static void put_device(brume_json_writer *w, const char *key, const char *text, brume_device *d)
{
    brume_device_info info;
    brume_device_get_info(d, &info);
    brume_json_begin_object(w, key);
    brume_json_put_string(w, "asked", text);
    brume_json_put_string(w, "name", info.name);
    brume_json_put_string(w, "platform", info.platform);
    brume_json_put_string(w, "driver", info.driver);
    brume_json_put_int(w, info.is_opencl ? "compute_units" : "threads", info.compute_units);
    brume_json_end(w);
}

static brume_status print_json(brume_device *d, brume_device *const side[2], const struct compare_args *a,
                               const brume_compare_kind *kinds, int n_kinds)
{
    brume_compare_summary s;
    brume_json_writer *w = brume_json_writer_new();
    if (!w) return BRUME_E_MEMORY;
    brume_compare_get_summary(d, &s);
    brume_json_begin_object(w, NULL);
    brume_json_put_bool(w, "equal", s.failed == 0);
    brume_json_put_string(w, "mode", a->mode ? "drift" : "resync");
    put_device(w, "a", a->side[0].text, side[0]);
    put_device(w, "b", a->side[1].text, side[1]);
    const struct {
        const char *key;
        int64_t value;
    } numbers[] = { { "nodes", s.nodes },          { "runs", s.runs },
                    { "values", s.values },        { "failed", s.failed },
                    { "not_comparable", s.apart }, { "not_finite", s.not_finite } };
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) brume_json_put_int(w, numbers[i].key, numbers[i].value);
    brume_json_begin_array(w, "kinds", 0);
    for (int i = 0; i < n_kinds; i++) {
        const brume_compare_kind *k = &kinds[i];
        brume_json_begin_object(w, NULL);
        brume_json_put_string(w, "op", k->op);
        brume_json_put_int(w, "nodes", k->nodes);
        brume_json_put_int(w, "failed", k->failed);
        put_number(w, "relative", k->relative);
        put_number(w, "ulp", k->ulp);
        put_number(w, "share", k->share);
        brume_json_put_string(w, "tolerance", k->tolerance);
        brume_json_put_double(w, "allowed", k->rel);
        brume_json_put_string(w, "reason", k->reason);
        brume_json_end(w);
    }
    brume_json_end(w);
    if (brume_compare_first(d)) put_node(w, "first", brume_compare_first(d));
    brume_json_begin_array(w, "list", 0);
    for (int i = 0; i < brume_compare_count(d); i++) put_node(w, NULL, brume_compare_get(d, i));
    brume_json_end(w);
    brume_json_end(w);
    const char *text = brume_json_writer_text(w);
    if (text) puts(text);
    brume_json_writer_free(w);
    return text ? BRUME_OK : BRUME_E_MEMORY;
}

static void print_kinds(const struct compare_args *a, const brume_compare_kind *kinds, int n)
{
    printf("%-22s %6s %12s %10s %9s  %s\n", "op", "nodes", a->mode ? "worst rms" : "worst rel.", "worst ulp", "allowed", "");
    for (int i = 0; i < n; i++) {
        const brume_compare_kind *k = &kinds[i];
        char allowed[32];
        snprintf(allowed, sizeof allowed, k->rel > 0 ? "%.0e" : "equal", k->rel);
        printf("%-22.22s %6lld %12.2e %10.3g %9s  %s%s\n", k->op, (long long)k->nodes, k->relative, k->ulp, allowed,
               k->failed ? "FAIL" : "ok",
               k->failed       ? ""
               : k->share == 0 ? " (same bits)"
                               : "");
    }
    /* each row of the table of tolerances once, with its reason */
    printf("\nallowed of each side, by the %s:\n",
           a->mode ? "root mean square of a tensor" : "size of a value, of its tensor, or of the terms that cancel in it");
    for (int i = 0; i < n; i++) {
        int first = 1;
        for (int j = 0; j < i; j++) first = first && strcmp(kinds[j].tolerance, kinds[i].tolerance);
        if (first && kinds[i].rel > 0) printf("  %-14s %.0e  %s\n", kinds[i].tolerance, kinds[i].rel, kinds[i].reason);
    }
}

static const char *bare(const struct compare_side *s)
{
    static char text[64];
    snprintf(text, sizeof text, "%s:variant=any", s->spec);
    return text;
}

/* A device that is none of the two. */
static const char *third(const struct compare_args *a)
{
    static const char *const others[] = { "cpu:isa=generic", "cpu", "opencl" };
    int i = 0;
    while (i < 2 && (!strcmp(others[i], a->side[0].text) || !strcmp(others[i], a->side[1].text))) i++;
    return others[i];
}

/* The node that went wrong first, and what may be done. */
static void print_first(brume_device *d, const struct compare_args *a)
{
    const brume_compare_node *n = brume_compare_first(d);
    if (!n) return;
    printf("\nfirst beyond its tolerance: %s '%s', %s\n", *n->culprit ? n->culprit : n->op, n->name, n->phase);
    if (*n->culprit) printf("  in the chain  %s\n", n->op);
    printf("  shapes        %s\n  kernels       A %s, B %s\n", n->shapes, n->kernel[0], n->kernel[1]);
    if (a->mode) {
        printf("  result %d      differs by %.2e of its root mean square, allowed %.0e; most at %s: A %.9g, B %.9g\n", n->result,
               n->relative, n->rel, n->place, n->a, n->b);
        printf("  next          --mode resync judges every node alone and names the one that is wrong, if one is\n");
        return;
    }
    printf("  result %d      at %s: A %.9g, B %.9g", n->result, n->place, n->a, n->b);
    if (isfinite(n->share)) printf(", off by %.3g, allowed %.3g", fabs(n->b - n->a), n->allowed);
    printf("; %lld value%s beyond\n", (long long)n->beyond, n->beyond == 1 ? " is" : "s are");
    if (strcmp(n->kernel[1], "any") && strcmp(n->kernel[1], "single") && strcmp(n->kernel[1], "chain"))
        printf("  next          does --b %s agree? Then the kernel '%s' of %s is wrong there.\n", bare(&a->side[1]), n->kernel[1],
               n->op);
    else
        printf("  next          does another pair agree, say --a %s --b %s? Who differs from both is wrong.\n", third(a),
               a->side[1].text);
    printf("                BRUME_CACHE=off compiles OpenCL kernels anew. Please report it with the output of --json and of "
           "brume devices.\n");
}

static void print_text(brume_device *d, brume_device *const side[2], const struct compare_args *a,
                       const brume_compare_kind *kinds, int n_kinds)
{
    brume_compare_summary s;
    brume_device_info info[2];
    brume_compare_get_summary(d, &s);
    for (int i = 0; i < 2; i++) {
        brume_device_get_info(side[i], &info[i]);
        printf("%c  %-24s %s, %s, %d %s\n", 'A' + i, a->side[i].text, info[i].name, info[i].platform, info[i].compute_units,
               info[i].is_opencl ? "compute units" : "threads");
    }
    printf("\n");
    print_kinds(a, kinds, n_kinds);
    print_first(d, a);
    if (s.apart) printf("\nnot comparable: %lld (%s)\n", (long long)s.apart, s.apart_text);
    if (s.not_finite)
        printf("\nNaN or infinity at the same places on both sides: %lld values; they agree, but tell nothing\n",
               (long long)s.not_finite);
    printf("\n%lld nodes in %lld runs, %lld values: ", (long long)s.nodes, (long long)s.runs, (long long)s.values);
    if (s.failed) printf("%lld node%s beyond tolerance\n", (long long)s.failed, s.failed == 1 ? " is" : "s are");
    else printf("equal within tolerance\n");
}

static int compare(const struct compare_args *a, const char *what)
{
    brume_device *side[2] = { NULL, NULL }, *d = NULL;
    brume_compare_kind *kinds = NULL;
    brume_compare_summary sum = { 0 };
    int n_kinds = 0;
    brume_status s = BRUME_OK;
    for (int i = 0; s == BRUME_OK && i < 2; i++) {
        brume_device_options options = a->side[i].options;
        options.no_self_test = 1; /* wrong kernels are to be found here, not replaced */
        s = brume_device_open(a->side[i].spec, &options, &side[i]);
    }
    const brume_compare_options o = { .mode = (brume_compare_mode)a->mode, .variant = { a->side[0].variant, a->side[1].variant },
                                      .no_fusion = { a->side[0].no_fusion, a->side[1].no_fusion } };
    if (s == BRUME_OK) s = brume_compare_open(side[0], side[1], &o, &d);
    if (s == BRUME_OK) s = what && !strcmp(what, "ops") ? compare_ops(d, a) : compare_model(d, a, what);
    /* What a wrong kernel made may stop a computation: then it is what went wrong before that counts. */
    const bool found = d && brume_compare_first(d);
    if (s != BRUME_OK && found) fprintf(stderr, "brume: it ended early: %s\n", brume_error());
    if (s == BRUME_OK || found) s = brume_compare_kinds(d, &kinds, &n_kinds);
    if (s == BRUME_OK) {
        brume_compare_get_summary(d, &sum);
        if (a->json) s = print_json(d, side, a, kinds, n_kinds);
        else print_text(d, side, a, kinds, n_kinds);
    }
    if (s == BRUME_OK && a->html) {
        char title[256];
        snprintf(title, sizeof title, "%.100s: %.60s beside %.60s", what ? what : a->preset, a->side[0].text, a->side[1].text);
        s = brume_compare_write_page(d, title, a->html);
    }
    const int status = s != BRUME_OK ? cli_failed() : sum.failed ? CLI_FAILED : CLI_DONE;
    free(kinds);
    brume_device_close(d);
    for (int i = 0; i < 2; i++) brume_device_close(side[i]);
    return status;
}

int cmd_compare(int argc, char **argv)
{
    static const char *const examples[] = {
        "brume compare --preset mnist --a cpu --b opencl --train-step",
        "brume compare RUN --a cpu:isa=generic --b cpu:threads=3  # another instruction set, other threads",
        "brume compare RUN --b opencl:0.0:kind=gpu --mode drift --train-step --steps 5  # kernels made for GPUs; let roundings "
        "add up",
        "brume compare ops --a cpu --b opencl  # every operator and gradient, on small shapes",
        "brume compare RUN --b opencl:variant=any --json  # the plainest kernels, for scripts: exit status 0 equal, 1 not, 2 "
        "wrong usage",
        NULL
    };
    static const char *const modes[] = { "resync", "drift", NULL }, *const storages[] = { "f32", "f16", NULL };
    const struct cli_usage u = {
        "compare",
        "[MODEL|CONFIG.json|ops]",
        "Runs the same computation on two devices side by side and judges every node: the network, with --train-step loss, every "
        "gradient, optimizer and averages, and a whole sampling run; or, with ops in place of a model, every operator there is "
        "and its gradient. A and B: cpu, opencl, opencl:PLATFORM.DEVICE or auto, and behind colons what shall be different: "
        "threads=N, isa=NAME (cpu); kind=cpu|gpu, clblast=on|off, cache=on|off (opencl); variant=NAME (a kernel wherever it "
        "fits: any, winograd, ...), fusion=off, tuning=off.",
        examples,
        0,
        1,
        NULL
    };
    const char *sides[2] = { "cpu", "opencl" };
    struct compare_args a = { .batch = 2, .steps = 1, .sample_steps = 3 };
    struct cli_option options[] = {
        OPT_NAME("preset", &a.preset, cli_presets(), "NAME", "a preset with fresh weights instead of a model"),
        OPT_STRING("a", &sides[0], "A", "the reference"),
        OPT_STRING("b", &sides[1], "B", "what is compared with it"),
        OPT_CHOICE("mode", &a.mode, modes,
                   "resync: after each node B goes on with A's values, so that each is judged alone; drift: each keeps its own"),
        OPT_FLAG("train-step", &a.train, "training steps, too: loss, gradients, optimizer, averages"),
        OPT_INT("steps", &a.steps, 1, 1000, "N", "training steps"),
        OPT_INT("sample-steps", &a.sample_steps, 0, 1000, "N", "steps of the sampling run; 0: none"),
        OPT_INT("batch", &a.batch, 1, 4096, "N", "images at once"),
        OPT_INT("size", &a.size, 0, 4096, "N", "height and width of the images; 0: as the config says"),
        OPT_CHOICE("storage", &a.storage, storages, "what waits in memory, on both sides: f32, or f16 rounded to 11 bits"),
        OPT_INT("seed", &a.seed, 0, 9e15, "N", "seed of noise, and of weights where there are none"),
        OPT_STRING("html", &a.html, "FILE.html", "write a page with a picture of the error along the network"),
        OPT_FLAG("json", &a.json, "print JSON, with every node"),
        OPT_FLAG("quiet", &a.quiet, "no messages"),
        { 0 } };
    const char *model;
    const int status = cli_parse_model(&u, options, argc, argv, &a.preset, &model);
    if (status != CLI_GO_ON) return status;
    for (int i = 0; i < 2; i++) {
        const char *wrong = compare_side_parse(sides[i], &a.side[i]);
        if (wrong) return cli_wrong(&u, "--%c %s: expected %s", 'a' + i, sides[i], wrong);
    }
    return compare(&a, model);
}
