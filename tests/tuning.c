/* SPDX-License-Identifier: MIT
 * Tuned choices of kernels: their file, damaged at every place; plans that take them, and that refuse those which do not apply;
 * the tuner and its budget. Usage: tuning FOLDER [--device D ...]; it keeps its files in FOLDER/tuning_cache. */
#include <inttypes.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/hash.h"
#include "brume/ops.h"
#include "brume/rng.h"
#include "check.h"
#include "devices.h"
#include "plan/tuner.h"

enum { N = 2, H = 8, C = 16, PIXELS = N * H * H };

static const struct brume_tuning_id id = { "a \"device\"", "platform", "driver 1", "1.2, 2 units", "0.1.0 00" };
static char path[4096];

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void put(struct brume_tuning *t, const char *key, const char *choice)
{
    char own[BRUME_TUNING_KEY];
    snprintf(own, sizeof own, "%s", key);
    struct brume_tuned e = { .key = own, .rule = "any", .ms = 0.125, .rule_ms = 1.0 / 3 };
    snprintf(e.choice, sizeof e.choice, "%s", choice);
    CHECK_OK(brume_tuning_put(t, &e));
}

static void write_text(const char *text, size_t bytes) { CHECK_OK(brume_file_write(path, text, bytes)); }

/* Writes text, whose checksum is made right again. */
static void write_sealed(const char *text)
{
    const size_t bytes = strlen(text), head = bytes - strlen("  \"checksum\": \"0123456789abcdef\"\n}\n");
    char *sealed = malloc(bytes + 64);
    const int n =
        snprintf(sealed, bytes + 64, "%.*s  \"checksum\": \"%016" PRIx64 "\"\n}\n", (int)head, text, brume_fnv1a(text, head));
    write_text(sealed, (size_t)n);
    free(sealed);
}

/* The text with the first `from` replaced; to be freed. */
static char *replaced(const char *text, const char *from, const char *to)
{
    char *out = malloc(strlen(text) + strlen(to) + 1), *at = strstr(text, from);
    CHECK(at != NULL);
    if (at) sprintf(out, "%.*s%s%s", (int)(at - text), text, to, at + strlen(from));
    return out;
}

static void refused(brume_status want, const char *says)
{
    struct brume_tuning *t = brume_tuning_new();
    put(t, "before", "stays");
    CHECK_FAILS(brume_tuning_read(t, path, &id), want, says);
    CHECK_INT(t->n, 1);
    brume_tuning_free(t);
}

static void test_file(void)
{
    struct brume_tuning *a = brume_tuning_new(), *b = brume_tuning_new();
    char *text, *again;
    size_t bytes, bytes2;
    put(a, "conv2d 1x2, \"quoted\\\" -> 3", "tile:6x2");
    put(a, "add", "any");
    put(a, "conv2d 1x2", "winograd");
    put(a, "conv2d 1x2", "tile"); /* replaces */
    CHECK_INT(a->n, 3);
    CHECK_FAILS(brume_tuning_put(a, &(struct brume_tuned){ .key = (char[]){ "" }, .choice = "x" }), BRUME_E_ARG, "key");
    CHECK_FAILS(brume_tuning_put(a, &(struct brume_tuned){ .key = (char[]){ "k" } }), BRUME_E_ARG, "choice");
    CHECK_OK(brume_tuning_write(a, path, &id));
    CHECK_OK(brume_file_read(path, 1 << 20, (void **)&text, &bytes));
    CHECK_OK(brume_tuning_read(b, path, &id));
    CHECK_INT(b->n, 3);
    for (int i = 0; i < b->n && i < a->n; i++) {
        CHECK_STR(b->entries[i].key, a->entries[i].key);
        CHECK_STR(b->entries[i].choice, a->entries[i].choice);
        CHECK_STR(b->entries[i].rule, a->entries[i].rule);
        CHECK(b->entries[i].ms == a->entries[i].ms && b->entries[i].rule_ms == a->entries[i].rule_ms);
    }
    CHECK_STR(brume_tuning_find(b, "conv2d 1x2") ? brume_tuning_find(b, "conv2d 1x2")->choice : "", "tile");
    CHECK(!brume_tuning_find(b, "conv2d 1x") && !brume_tuning_find(b, "") && !brume_tuning_find(b, "zzz"));
    CHECK_OK(brume_tuning_write(b, path, &id));
    CHECK_OK(brume_file_read(path, 1 << 20, (void **)&again, &bytes2));
    CHECK(bytes == bytes2 && !memcmp(text, again, bytes));

    for (size_t n = 0; n < bytes; n++) { /* cut short anywhere, the last newline included */
        write_text(text, n);
        refused(BRUME_E_FORMAT, "damaged");
    }
    for (size_t i = 0; i < bytes; i++) {
        again[i] ^= 1;
        write_text(again, bytes);
        refused(BRUME_E_FORMAT, "damaged");
        again[i] ^= 1;
    }
    again = realloc(again, bytes + 2);
    again[bytes] = '\n';
    write_text(again, bytes + 1);
    refused(BRUME_E_FORMAT, "damaged");

    /* Whole, but of others; and what only a wrong program could have written. */
    const struct { const char *from, *to; brume_status want; const char *says; } changes[] = {
        { "\"version\": 1", "\"version\": 2", BRUME_E_UNSUPPORTED, "version 2" },
        { "\"version\": 1", "\"version\": \"1\"", BRUME_E_UNSUPPORTED, "version" },
        { "a \\\"device\\\"", "another", BRUME_E_UNSUPPORTED, "device" },
        { "driver 1", "driver 2", BRUME_E_UNSUPPORTED, "driver" },
        { "2 units", "3 units", BRUME_E_UNSUPPORTED, "driver_version" },
        { "0.1.0 00", "0.1.0 01", BRUME_E_UNSUPPORTED, "kernels" },
        { "\"platform\"", "\"form\"", BRUME_E_UNSUPPORTED, "platform" },
        { "brume tuned", "brume other", BRUME_E_FORMAT, "another kind" },
        { "\"key\": \"add\"", "\"key\": 3", BRUME_E_FORMAT, "no key" },
        { "\"key\": \"add\"", "\"key\": \"\"", BRUME_E_FORMAT, "no key" },
        { "\"choice\": \"any\"", "\"choice\": []", BRUME_E_FORMAT, "no choice" },
        { "\"choice\": \"any\"", "\"choice\": \"0123456789012345678901234567890123456789012345678901234567890123\"",
          BRUME_E_FORMAT, "no choice" },
        { "\"entries\": [", "\"entries\": [ 7,", BRUME_E_FORMAT, "no key" },
        { "\"entries\": [", "\"entries\": [[", BRUME_E_FORMAT, "no JSON" },
    };
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        char *other = replaced(text, changes[i].from, changes[i].to);
        write_sealed(other);
        refused(changes[i].want, changes[i].says);
        free(other);
    }
    write_sealed(text); /* which it does rightly */
    CHECK_OK(brume_tuning_read(b, path, &id));
    unlink(path);
    refused(BRUME_E_IO, "cannot open");
    free(text);
    free(again);
    brume_tuning_free(a);
    brume_tuning_free(b);
}

/* Two convolutions, one with constant weights, a product and a norm, with gradients. */
struct net { brume_graph *g; brume_plan *plan; brume_tensor x, w, y, dw; };

/* dry: to be looked at only. */
static int net_new(brume_device *d, struct net *n, int dry)
{
    const brume_conv2d_params p = { .stride = 1, .pad = { 1, 1, 1, 1 } }, halve = { .stride = 2, .pad = { 1, 1, 1, 1 } };
    static float x[PIXELS * C], w[9 * C * C];
    brume_graph *g = n->g = brume_graph_new();
    n->x = brume_input(g, "x", BRUME_F32, BRUME_SHAPE(N, H, H, C));
    n->w = brume_input(g, "w", BRUME_F32, BRUME_SHAPE(3, 3, C, C));
    const brume_tensor constant = brume_persistent(g, "constant", BRUME_F32, BRUME_SHAPE(3, 3, C, C));
    brume_tensor h = brume_conv2d(g, n->x, constant, BRUME_NONE, BRUME_NONE, &p);
    h = brume_group_norm(g, h, BRUME_NONE, BRUME_NONE, 4, 1e-5f, BRUME_ACT_SILU);
    h = brume_conv2d(g, h, n->w, BRUME_NONE, n->x, &p);
    h = brume_conv2d(g, h, n->w, BRUME_NONE, BRUME_NONE, &halve);
    const brume_tensor rows = brume_reshape(g, h, BRUME_SHAPE(PIXELS / 4, C));
    n->y = brume_matmul(g, rows, rows, 1, 0);
    brume_grad(g, brume_mean(g, n->y, 3, 0), BRUME_NONE, 1, &n->w, &n->dw);
    brume_output(g, n->y, "y");
    brume_output(g, n->dw, "dw");
    brume_fill_normal(1, 1, 0, 0, PIXELS * C, x);
    brume_fill_normal(2, 1, 0, 0, 9 * C * C, w);
    for (int i = 0; i < 9 * C * C; i++) w[i] *= 0.1f;
    if (dry) return CHECK_OK(brume_plan_new(d, g, &(brume_plan_options){ .dry = 1 }, &n->plan));
    return CHECK_OK(brume_plan_new(d, g, NULL, &n->plan)) && CHECK_OK(brume_plan_write(n->plan, n->x, x, sizeof x)) &&
           CHECK_OK(brume_plan_write(n->plan, n->w, w, sizeof w)) && CHECK_OK(brume_plan_write(n->plan, constant, w, sizeof w));
}

static void net_free(struct net *n)
{
    brume_plan_free(n->plan);
    brume_graph_free(n->g);
}

struct results { float y[C * C], dw[9 * C * C]; };

static void run(struct net *n, struct results *r)
{
    CHECK_OK(brume_plan_run(n->plan));
    CHECK_OK(brume_plan_read(n->plan, n->y, r->y, sizeof r->y));
    CHECK_OK(brume_plan_read(n->plan, n->dw, r->dw, sizeof r->dw));
}

/* Steps that run tuned kernels; *name: of the last one. */
static int tuned_steps(const struct net *n, char name[48])
{
    int count = 0;
    brume_plan_step s;
    brume_plan_stats stats;
    for (int i = 0; i < brume_plan_step_count(n->plan); i++) {
        brume_plan_get_step(n->plan, i, &s);
        if (!s.tuned) continue;
        memcpy(name, s.kernel, 48);
        count++;
    }
    brume_plan_get_stats(n->plan, &stats);
    CHECK_INT(stats.tuned, count);
    CHECK((brume_plan_tuning(n->plan) != 0) == (count > 0));
    return count;
}

/* |a - b| against the largest value: each is a sum of up to 9 C PIXELS products, whose order a kernel may choose: 1e-4 is ample
 * for f32. */
static int near(const float *a, const float *b, int n)
{
    double worst = 0, most = 0;
    for (int i = 0; i < n; i++) {
        worst = fmax(worst, fabs((double)a[i] - b[i]));
        most = fmax(most, fabs((double)b[i]));
        if (!isfinite(a[i])) return 0;
    }
    return most > 0 && worst <= 1e-4 * most;
}

/* Plants a choice for one kind of step: the plan must take it, and compute the same (want NULL: only the first). Returns its
 * hash. */
static uint64_t plant(brume_device *d, const struct brume_noted *noted, struct brume_choice k, const struct results *want,
                      const char *where)
{
    static struct results got, again;
    char text[BRUME_CHOICE_NAME], name[48] = "";
    struct net n = { 0 };
    uint64_t hash = 0;
    brume_choice_name(k, text);
    brume_tuning_free(d->tuning);
    d->tuning = brume_tuning_new();
    put(d->tuning, noted->key, text);
    if (net_new(d, &n, !want)) {
        CHECK_INT(tuned_steps(&n, name), noted->step.count);
        CHECK_STR(name, text);
        if (want) {
            run(&n, &got);
            run(&n, &again);
            CHECK(!memcmp(&got, &again, sizeof got));
            if (!CHECK(near(got.y, want->y, C * C) && near(got.dw, want->dw, 9 * C * C)))
                fprintf(stderr, "    %s: %s by %s\n", where, noted->key, text);
        }
        hash = brume_plan_tuning(n.plan);
    }
    net_free(&n);
    return hash;
}

/* Entries that do not apply: the rule's choice must stay. */
static void stale(brume_device *d, const char *key, const char *choice)
{
    struct net n = { 0 };
    char name[48];
    brume_tuning_free(d->tuning);
    d->tuning = brume_tuning_new();
    put(d->tuning, key, choice);
    if (net_new(d, &n, 1)) CHECK_INT(tuned_steps(&n, name), 0);
    net_free(&n);
}

static void test_plans(brume_device *d, const char *where)
{
    static struct results want;
    struct net n = { 0 };
    struct brume_tuning *own = d->tuning;
    brume_tuner *t = NULL, *second = NULL;
    char name[48];
    d->tuning = NULL;
    CHECK_OK(brume_tuner_new(d, &t));
    CHECK_FAILS(brume_tuner_new(d, &second), BRUME_E_ARG, "has a tuner");
    if (net_new(d, &n, 0)) {
        CHECK_INT(tuned_steps(&n, name), 0);
        run(&n, &want);
    }
    net_free(&n);
    d->tuner = NULL; /* it shall not see what follows */
    CHECK(t->n >= (d->caps.opencl ? 5 : 3));
    uint64_t before = 0;
    int planted = 0;
    for (int i = 0; i < t->n; i++) {
        const struct brume_noted *noted = &t->noted[i];
        for (const struct brume_variant *v = noted->node->op->kernels; v->name; v++) {
            struct brume_choice k;
            /* the other backend's, which may have one of that name, or one that does not fit */
            if (!brume_variant_runs(v, noted->node, &d->caps)) {
                if (!brume_variant_find(noted->node, &d->caps, v->name, &k)) stale(d, noted->key, v->name);
                continue;
            }
            for (int row = 0; row <= (v->rows ? v->rows->n : 0); row++) {
                if ((v == noted->rule.variant && row == noted->rule.row) || (row && !v->rows->fits(row, &d->caps))) continue;
                /* OpenCL compilers take seconds for each: it runs three of them. */
                const bool runs = !d->caps.opencl || (strstr(noted->key, "constant") && (!v->suits || row == 2));
                const uint64_t hash = plant(d, noted, (struct brume_choice){ v, row }, runs ? &want : NULL, where);
                CHECK(hash != before);
                before = hash;
                planted++;
            }
        }
        stale(d, noted->key, noted->step.rule);
        stale(d, noted->key, "nonsense");
        stale(d, noted->key, "tile:9x9");
        stale(d, noted->key, "tile:");
        stale(d, noted->key, "local:../../x");
        stale(d, noted->key, ":");
    }
    CHECK(planted >= 3);
    stale(d, "conv2d", "any");
    brume_tuner_free(t);
    brume_tuning_free(d->tuning);
    d->tuning = own;
}

static int stop_at_once(void *ctx, const brume_tuner_progress *p)
{
    (void)p;
    ++*(int *)ctx;
    return 1;
}

static void test_tuner(const char *spec)
{
    brume_device *d = NULL;
    brume_tuner *t = NULL;
    brume_tuning_info info;
    struct net n = { 0 };
    int calls = 0;
    const brume_device_options quiet = { .no_cache = 1 }, off = { .no_cache = 1, .no_tuning = 1 };
    if (!CHECK_OK(brume_device_open(spec, &quiet, &d))) return;
    brume_device_get_tuning(d, &info);
    CHECK(info.entries == 0 && !info.refused && strstr(info.file, "/tuning/"));
    CHECK_OK(brume_tuner_new(d, &t));
    net_new(d, &n, 1);
    net_free(&n);
    CHECK_FAILS(brume_tuner_run(t, &(brume_tuner_options){ .seconds = 0 }), BRUME_E_ARG, "more than 0");
    CHECK_OK(brume_tuner_run(t, &(brume_tuner_options){ 60, stop_at_once, &calls }));
    CHECK(calls >= 1 && calls <= 2 + brume_tuner_count(t));
    brume_device_get_tuning(d, &info);
    CHECK_INT(info.entries, 0); /* nothing is known yet */
    /* On the cpu all kernels are reached, however busy the machine is. On OpenCL they would take minutes to compile: the budget
     * must end that, where one kernel of this tiny network, which runs for less than a millisecond, may take seconds. */
    const double begin = now(), budget = d->caps.opencl ? 1 : 600;
    CHECK_OK(brume_tuner_run(t, &(brume_tuner_options){ .seconds = budget }));
    if (d->caps.opencl) CHECK(now() - begin < budget + 60);
    int reached = 0;
    for (int i = 0; i < brume_tuner_count(t); i++) {
        brume_tuner_step s;
        brume_tuner_get(t, i, &s);
        reached += s.reached;
        CHECK(s.candidates >= 2 && s.tried <= s.candidates && s.count >= 1);
        CHECK(s.best_ms <= s.rule_ms);
        CHECK(strcmp(s.rule, s.best) || s.best_ms == s.rule_ms);
        if (!s.reached) CHECK_STR(s.best, s.rule);
    }
    if (!d->caps.opencl) CHECK_INT(reached, brume_tuner_count(t));
    brume_device_get_tuning(d, &info);
    const int entries = info.entries;
    CHECK(entries <= reached);
    CHECK_OK(brume_tuner_save(t));
    brume_tuner_free(t);
    brume_device_close(d);

    /* The next process has them, unless it does not want them, and unless the file was damaged. */
    if (CHECK_OK(brume_device_open(spec, &quiet, &d))) {
        brume_device_get_tuning(d, &info);
        CHECK_INT(info.entries, entries);
        brume_device_close(d);
    }
    if (CHECK_OK(brume_device_open(spec, &off, &d))) {
        brume_device_get_tuning(d, &info);
        CHECK_INT(info.entries, 0);
        brume_device_close(d);
    }
    CHECK_OK(brume_device_open(spec, &quiet, &d));
    brume_device_get_tuning(d, &info);
    CHECK_OK(brume_file_write(info.file, "{}", 2));
    brume_device_close(d);
    if (!CHECK_OK(brume_device_open(spec, &quiet, &d))) return;
    brume_device_get_tuning(d, &info);
    CHECK(info.entries == 0 && info.refused && strstr(info.note, "damaged"));
    CHECK_OK(brume_tuner_new(d, &t));
    CHECK_OK(brume_tuner_save(t));
    brume_device_get_tuning(d, &info);
    CHECK(!info.refused);
    brume_tuner_free(t);
    brume_device_close(d);
    unlink(info.file);
}

int main(int argc, char **argv)
{
    struct test_devices devices;
    if (argc < 2) return 2;
    char folder[4000];
    snprintf(folder, sizeof folder, "%s/tuning_cache", argv[1]);
    setenv("BRUME_CACHE", folder, 1);
    CHECK_OK(brume_make_folders(folder));
    snprintf(path, sizeof path, "%s/table.json", folder);
    test_file();
    argv[1] = argv[0];
    argc--;
    test_devices_open(&devices, &argc, argv + 1, 0);
    for (int i = 0; i < devices.n; i++) {
        brume_device_info info;
        brume_device_get_info(devices.at[i].device, &info);
        test_plans(devices.at[i].device, devices.at[i].where);
        test_tuner(info.spec);
    }
    test_devices_close(&devices);
    return check_report();
}
