/* SPDX-License-Identifier: MIT
 * The operator harness tests itself: an op that doubles its input, with planted errors, each of which must turn it red; and one
 * without, which must stay green. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "devices.h"
#include "graph/op.h"
#include "harness.h"

/* What the kernel of the op under test does wrong. */
enum plant { PLANT_NONE, PLANT_NAN, PLANT_SIGN, PLANT_ONE_IN_A_MILLION, PLANT_PAST_END, PLANT_BEFORE_BEGIN,
             PLANT_UNWRITTEN, PLANT_UNSTEADY,
             PLANT_WORKSPACE, PLANT_GRADIENT, PLANT_GRADIENT_MISSING, PLANT_READS_OUTPUT, PLANT_LAST_VARIANT };
static enum plant plant;
static int runs;

static brume_status shape(struct brume_node *n)
{
    n->out_v[0]->shape = n->in_v[0]->shape;
    return brume_want(n, 0, "x", BRUME_F32, 1);
}

static size_t work_bytes(const struct brume_node *n, const struct brume_caps *c)
{
    (void)n;
    (void)c;
    return 64;
}

static void twice(const struct brume_cpu_call *c, bool planted)
{
    const int64_t n = brume_shape_numel(c->node->out_v[0]->shape);
    const float *x = c->in[0];
    float *y = c->out[0];
    for (int64_t i = planted && plant == PLANT_UNWRITTEN ? 1 : 0; i < n; i++) {
        if (planted && plant == PLANT_READS_OUTPUT) y[i] = 2 * x[i] + 0 * y[i];
        else y[i] = 2 * x[i];
    }
    if (!planted) return;
    runs++;
    if (plant == PLANT_NAN) y[n / 2] = NAN;
    if (plant == PLANT_SIGN) y[n - 1] = -y[n - 1];
    if (plant == PLANT_ONE_IN_A_MILLION) y[n / 3] += 1e-4f;
    if (plant == PLANT_UNSTEADY) y[0] += (float)(runs & 1) * 1e-7f * fabsf(y[0]) + (float)(runs & 1) * 1e-7f;
    if (runs > 1) return; /* only the first run has guard words on all sides; later ones would write into others' memory */
    if (plant == PLANT_PAST_END) y[n] = 0;
    if (plant == PLANT_BEFORE_BEGIN) y[-1] = 0;
    if (plant == PLANT_WORKSPACE) ((float *)c->work)[16] = 1;
}

static void cpu_first(const struct brume_cpu_call *c) { twice(c, plant != PLANT_LAST_VARIANT); }
static void cpu_last(const struct brume_cpu_call *c)
{
    twice(c, false);
    if (plant == PLANT_LAST_VARIANT) ((float *)c->out[0])[0] += 1;
}

static void grad(brume_graph *g, const struct brume_node *n, const brume_tensor *dy, brume_tensor *dx, const bool *need)
{
    (void)n;
    if (need[0] && plant != PLANT_GRADIENT_MISSING) dx[0] = brume_affine(g, dy[0], plant == PLANT_GRADIENT ? 2.001f : 2, 0);
}

static const struct brume_variant kernels[] = {
    { .name = "first", .work_bytes = work_bytes, .cpu = cpu_first },
    { .name = "any", .cpu = cpu_last },
    { 0 },
};
static const struct brume_op twice_op = { .name = "twice", .n_in_min = 1, .n_in_max = 1, .n_out = 1, .shape = shape,
                                          .grad = grad, .kernels = kernels };

static int build(brume_graph *g, const struct test_case *k, const brume_tensor *in, brume_tensor *out)
{
    (void)k;
    out[0] = brume_node_add(g, &twice_op, 1, in, NULL, 0);
    return 1;
}

static void oracle(const struct test_case *k, const double *const *in, double *const *out, double *const *scale)
{
    for (int64_t i = 0; i < test_numel(k, 0); i++) {
        out[0][i] = 2 * in[0][i];
        scale[0][i] = fabs(out[0][i]);
    }
}

static struct test_report run(brume_device *d, enum plant what, int64_t n, brume_status refuse_with)
{
    struct test_report r = { .quiet = true };
    const struct test_case cases[] = { { .name = "case", .n_in = 1, .in = { { BRUME_F32, { 1, { n } }, 0.5,
                                                                              1, false } } }, { 0 } };
    const struct test_refusal refusals[] = {
        { "two dimensions", "expects 1 dimensions", refuse_with, { .n_in = 1,
                                                                   .in = { { BRUME_F32, { 2, { 2, 2 } }, 0, 0,
                                                                             false } } } }, { 0 } };
    const struct test_op op = { .name = "twice", .tolerance = "elementwise", .cases = cases, .refusals = refusals,
                                .build = build, .oracle = oracle };
    plant = what;
    runs = 0;
    test_run_op(&op, d, "cpu", &r);
    return r;
}

int main(void)
{
    static const struct { enum plant plant; int64_t n; const char *name; } plants[] = {
        { PLANT_NAN, 100, "a NaN" }, { PLANT_SIGN, 100, "a flipped sign" },
        { PLANT_ONE_IN_A_MILLION, 1000000, "one wrong element in a million" }, { PLANT_PAST_END, 64, "a write past the end" },
        { PLANT_BEFORE_BEGIN, 64, "a write before the begin" }, { PLANT_UNWRITTEN, 5, "an element not written" },
        { PLANT_UNSTEADY, 7, "a second run with other bytes" }, { PLANT_WORKSPACE, 7, "a write past the workspace" },
        { PLANT_GRADIENT, 7, "a gradient off by one in a thousand" }, { PLANT_GRADIENT_MISSING, 7, "a missing gradient" },
        { PLANT_READS_OUTPUT, 7, "a read of memory nobody wrote" }, { PLANT_LAST_VARIANT, 7,
                                                                      "an error in the last variant only" },
    };
    brume_device *d = NULL;
    if (!CHECK_OK(brume_device_open("cpu", NULL, &d))) return check_report();
    const struct test_report good = run(d, PLANT_NONE, 33, BRUME_E_SHAPE);
    CHECK_INT(good.failed, 0);
    CHECK_INT(good.passed, 4); /* two variants, reused memory, one refusal */
    for (size_t i = 0; i < sizeof plants / sizeof *plants; i++) {
        const struct test_report r = run(d, plants[i].plant, plants[i].n, BRUME_E_SHAPE);
        if (!CHECK(r.failed > 0)) fprintf(stderr, "    not noticed: %s\n", plants[i].name);
    }
    CHECK(run(d, PLANT_NONE, 3, BRUME_E_ARG).failed == 1); /* a refusal with another status */
    brume_device_close(d);
    return check_report();
}
