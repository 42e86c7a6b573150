/* SPDX-License-Identifier: MIT
 * The table of kernels known to be right or wrong, and what a plan does with it. */
#include "plan/self_test.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/sealed_file.h"
#include "plan/known.h"
#include "plan/tuning.h"

static brume_status no_memory(void) { return brume_fail(BRUME_E_MEMORY, "self-test: out of memory"); }

/* ---- the table ------------------------------------------------------------------------------------------------------------- */

static const struct brume_verdict *find(const struct brume_self_test *t, uint64_t key)
{
    for (int i = 0; i < t->n; i++)
        if (t->known[i].key == key) return &t->known[i];
    return NULL;
}

static brume_status put(struct brume_self_test *t, uint64_t key, bool failed)
{
    if (find(t, key)) return BRUME_OK;
    if (t->n == t->cap) {
        const int cap = t->cap ? 2 * t->cap : 64;
        struct brume_verdict *grown = realloc(t->known, (size_t)cap * sizeof *grown);
        if (!grown) return no_memory();
        t->known = grown;
        t->cap = cap;
    }
    t->known[t->n++] = (struct brume_verdict){ key, failed };
    t->n_failed += failed;
    return BRUME_OK;
}

/* ---- the file: a line for each kernel that is right ------------------------------------------------------------------------ */

#define MOST_BYTES (1 << 20)
#define KEY_BYTES 17 /* 16 digits and the end of the line */

static void identify(const struct brume_device *d, char line[640])
{
    struct brume_tuning_id id;
    brume_tuning_identify(d, &id);
    snprintf(line, 640, "brume self-test 1; %s; %s; %s; %s; %s", id.device, id.platform, id.driver, id.version, id.kernels);
    brume_sealed_owner(line);
}

/* Only what passed is kept: what failed is tested, and told, by every process. */
static brume_status read_file(struct brume_self_test *t, const char *owner)
{
    brume_status s = BRUME_OK;
    char *text = t->path ? brume_sealed_read(t->path, owner, MOST_BYTES) : NULL;
    for (const char *c = text; c && s == BRUME_OK && strlen(c) >= KEY_BYTES; c += KEY_BYTES)
        s = put(t, strtoull(c, NULL, 16), false);
    free(text);
    return s;
}

/* Nothing fails towards the caller: what is not kept is tested again. */
static void write_file(struct brume_self_test *t, const struct brume_device *d)
{
    char owner[640];
    struct brume_self_test others = { .path = t->path };
    if (!t->path) return;
    identify(d, owner);
    read_file(&others, owner); /* what other processes found meanwhile */
    for (int i = 0; i < others.n; i++) (void)put(t, others.known[i].key, false);
    const size_t bytes = KEY_BYTES * (size_t)t->n + 1;
    char *text = calloc(1, bytes);
    size_t at = 0;
    for (int i = 0; text && i < t->n; i++)
        if (!t->known[i].failed) at += (size_t)snprintf(text + at, bytes - at, "%016" PRIx64 "\n", t->known[i].key);
    if (text) (void)brume_sealed_write(t->path, owner, text);
    free(others.known);
    free(text);
}

brume_status brume_self_test_open(struct brume_device *d, const brume_device_options *o,
                                  brume_status (*open_reference)(brume_device **out))
{
    struct brume_self_test *t = d->self_test = calloc(1, sizeof *t);
    const char *env = getenv("BRUME_SELF_TEST");
    if (!t) return no_memory();
    if (o) t->options = *o;
    t->open_reference = open_reference;
    t->on = !t->options.no_self_test && !(env && !strcmp(env, "off"));
    if (!t->on) return BRUME_OK;
    char owner[640];
    identify(d, owner);
    t->path = brume_sealed_path("selftest", owner, t->note);
    return read_file(t, owner);
}

void brume_self_test_free(struct brume_self_test *t)
{
    if (!t) return;
    brume_device_close(t->reference);
    free(t->known);
    free(t->path);
    free(t);
}

void brume_device_get_self_test(const brume_device *d, brume_self_test_info *info)
{
    const struct brume_self_test *t = d->self_test;
    *info = (brume_self_test_info){ .on = t && t->on };
    if (!t) return;
    info->tested = t->n;
    info->failed = t->n_failed;
    snprintf(info->file, sizeof info->file, "%s", t->path ? t->path : "");
    memcpy(info->note, t->note, sizeof info->note);
}

/* ---- choosing -------------------------------------------------------------------------------------------------------------- */

bool brume_self_test_failed(const struct brume_device *d, const struct brume_node *n, struct brume_choice k)
{
    const struct brume_self_test *t = d->self_test;
    if (!t || !t->n_failed || !k.variant) return false;
    const struct brume_verdict *v = find(t, brume_known_key(d, n, k));
    return v && v->failed;
}

struct brume_choice brume_self_test_choose(const struct brume_device *d, const struct brume_node *n)
{
    const struct brume_choice rule = brume_variant_choose(n, &d->caps, NULL);
    if (!brume_self_test_failed(d, n, rule)) return rule;
    /* What was made for such a device, then what runs at all; by their rules, then with other parameters. */
    for (int pass = 0; pass < 4; pass++)
        for (const struct brume_variant *v = n->op->kernels; v && v->name; v++) {
            if (!brume_variant_runs(v, n, &d->caps) || (pass % 2 == 0 && v->suits && !v->suits(n, &d->caps))) continue;
            for (int row = pass < 2 ? 0 : 1; row <= (pass < 2 ? 0 : v->rows ? v->rows->n : 0); row++) {
                const struct brume_choice k = { v, row };
                if ((row == 0 || v->rows->fits(row, &d->caps)) && !brume_self_test_failed(d, n, k)) return k;
            }
        }
    return rule;
}

/* ---- plans ----------------------------------------------------------------------------------------------------------------- */

static void warn(const struct brume_self_test *t, const char *text)
{
    if (t->options.warn) t->options.warn(t->options.warn_ctx, text);
    else fprintf(stderr, "brume: %s\n", text);
}

/* "self-test: conv2d by kernel 'winograd' is wrong on opencl:0.0 (NAME, driver D): result 0, index 17: got 1.5, expected 1.25
 * (shapes ...)" */
static void describe(const struct brume_device *d, const brume_finding *f, char *text, size_t size)
{
    brume_device_info i;
    d->backend->info(d, &i);
    snprintf(text, size, "self-test: %s by kernel '%s' is wrong on %s (%s, driver %s): %s (of %s)", f->op, f->kernel, i.spec,
             i.name, i.driver, f->text, f->shapes);
}

/* What helps beside. */
static const char *advice(const struct brume_device *d)
{
    return d->caps.opencl ? "Update the driver, or use --device cpu"
                          : "BRUME_ISA=generic goes without this processor's vector units";
}

/* Once for each kernel, whatever the kinds of steps that it is wrong for. */
static bool to_tell(struct brume_self_test *t, const brume_finding *f)
{
    char text[128];
    const uint64_t h = brume_fnv1a(text, (size_t)snprintf(text, sizeof text, "%.70s %s", f->op, f->kernel));
    for (int i = 0; i < t->n_told; i++)
        if (t->told[i] == h) return false;
    if (t->n_told < (int)(sizeof t->told / sizeof *t->told)) t->told[t->n_told++] = h;
    return true;
}

/* A verdict into the table; what failed is told. *again: another kernel is to take its place. */
static brume_status take(struct brume_plan *p, const struct brume_known *k, uint64_t key, bool *again)
{
    struct brume_device *d = p->device;
    struct brume_self_test *t = d->self_test;
    char text[900], all[1400];
    brume_status s = put(t, key, !k->found.passed);
    if (s != BRUME_OK || k->found.passed) return s;
    describe(d, &k->found, text, sizeof text);
    const bool chain = !k->choice.variant;
    const struct brume_choice next = chain ? k->choice : brume_self_test_choose(d, k->node);
    if (chain ? t->no_chains || !strcmp(k->found.kernel, "single") : brume_self_test_failed(d, k->node, next))
        return brume_fail(BRUME_E_DEVICE, "%s; no other kernel is left. %s (--no-self-test goes on with wrong results)", text,
                          advice(d));
    char name[BRUME_CHOICE_NAME] = "";
    if (chain) t->no_chains = true;
    else brume_choice_name(next, name);
    if (chain)
        snprintf(all, sizeof all,
                 "%s; elementwise functions are computed one by one instead. %s; brume devices --check tests all kernels", text,
                 advice(d));
    else
        snprintf(all, sizeof all, "%s; '%s' takes its place. %s; brume devices --check tests all kernels", text, name, advice(d));
    if (to_tell(t, &k->found)) warn(t, all);
    *again = true;
    return BRUME_OK;
}

/* A row that is compiled as the rule's choice would be for this node: then a small copy, for which the rule may choose otherwise,
 * can ask for it. */
static struct brume_choice with_row(const struct brume_device *d, const struct brume_step *s)
{
    struct brume_choice k = { s->variant, s->row };
    for (int row = 1; !k.row && d->caps.opencl && s->variant->rows && row <= s->variant->rows->n; row++) {
        const struct brume_choice asked = { s->variant, row };
        if (s->variant->rows->fits(row, &d->caps) &&
            brume_launch_hash(s->node, &d->caps, asked) == brume_launch_hash(s->node, &d->caps, k))
            k = asked;
    }
    return k;
}

brume_status brume_self_test_plan(struct brume_plan *p, bool *again)
{
    struct brume_device *d = p->device;
    struct brume_self_test *t = d->self_test;
    struct brume_known *tests = calloc((size_t)p->n_steps + 1, sizeof *tests);
    uint64_t *keys = calloc((size_t)p->n_steps + 1, sizeof *keys);
    int n = 0, new = 0, new_chains = 0;
    *again = false;
    brume_status s = tests && keys ? BRUME_OK : no_memory();
    for (int i = 0; s == BRUME_OK && i < p->n_steps; i++) {
        const struct brume_step *st = &p->steps[i];
        const uint64_t key = st->fused ? brume_known_chain_key(p, st->fused, st->node)
                                       : brume_known_key(d, st->node, (struct brume_choice){ st->variant, st->row });
        const bool known = find(t, key);
        int at = 0;
        while (at < n && keys[at] != key) at++;
        /* Programs hold all chains of a plan: to find those of this plan again, all of them are tested if one is. */
        if (at < n || (known && !st->fused)) continue;
        keys[n] = key;
        tests[n++] = (struct brume_known){ .plan = st->fused ? p : NULL,
                                           .node = st->node,
                                           .constant = st->pack_once ? st->variant->pack_input : -1,
                                           .choice = st->fused ? (struct brume_choice){ NULL, 0 } : with_row(d, st) };
        new += !known;
        new_chains += st->fused && !known;
    }
    for (int i = n - 1; i >= 0 && new > 0 && new_chains == 0; i--) /* no chain is new: none is tested */
        if (!tests[i].choice.variant) {
            tests[i] = tests[--n];
            keys[i] = keys[n];
        }
    if (s == BRUME_OK && new > 0) {
        t->testing = d->trial = true;
        if (!t->reference) s = t->open_reference(&t->reference);
        if (s == BRUME_OK) s = brume_known_run(d, t->reference, tests, n);
        t->testing = d->trial = false;
        const bool tested = s == BRUME_OK;
        s = BRUME_OK; /* without memory for tests, kernels are used as if there were none */
        for (int i = 0; tested && s == BRUME_OK && i < n; i++) s = take(p, &tests[i], keys[i], again);
        if (tested && s == BRUME_OK) write_file(t, d);
    }
    free(tests);
    free(keys);
    return s;
}
