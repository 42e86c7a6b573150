/* SPDX-License-Identifier: MIT
 * Self-tests: an op whose kernels are broken at will. The broken one is replaced, and told once; the result is right; what passed
 * is kept in a file, and no damaged file is taken; where nothing is left there is an error. And every kernel of the cpu passes.
 * Usage: self_test FOLDER */
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "brume/ops.h"
#include "brume/plan.h"
#include "brume/self_test.h"
#include "check.h"
#include "graph/op.h"
#include "plan/known.h"
#include "simd/simd.h"

enum { N = 1000 };

/* Which kernels are wrong, and how often each ran; the reference of self-tests has the generic instruction set. */
enum broken { NONE, FIRST, FIRST_IS_NAN, FIRST_WRITES_NOTHING, FIRST_PAST_END, BOTH };
static enum broken broken;
static int runs;

static brume_status shape(struct brume_node *n)
{
    n->out_v[0]->shape = n->in_v[0]->shape;
    return brume_want(n, 0, "x", BRUME_F32, 1);
}

static void twice(const struct brume_cpu_call *c, bool wrong)
{
    const int64_t n = brume_shape_numel(c->node->out_v[0]->shape);
    const float *x = c->in[0];
    float *y = c->out[0];
    runs++;
    if (wrong && broken == FIRST_WRITES_NOTHING) return;
    for (int64_t i = 0; i < n; i++) y[i] = 2 * x[i];
    if (wrong && (broken == FIRST || broken == BOTH)) y[n - 1] += 1e-2f;
    if (wrong && broken == FIRST_IS_NAN) y[n / 2] = NAN;
    if (wrong && broken == FIRST_PAST_END) y[n] = 1;
}

static bool reference(const struct brume_cpu_call *c) { return !strcmp(c->simd->isa, "generic"); }
static void cpu_first(const struct brume_cpu_call *c) { twice(c, !reference(c) && broken != NONE); }
static void cpu_last(const struct brume_cpu_call *c) { twice(c, !reference(c) && broken == BOTH); }

static const struct brume_variant kernels[] = { { .name = "first", .cpu = cpu_first },
                                                { .name = "any", .cpu = cpu_last }, { 0 } };
static const struct brume_op twice_op = { .name = "twice", .n_in_min = 1, .n_in_max = 1, .n_out = 1,
                                          .shape = shape, .kernels = kernels };

static struct { int n; char text[1500]; } warned;

static void warn(void *ctx, const char *text)
{
    (void)ctx;
    warned.n++;
    snprintf(warned.text, sizeof warned.text, "%s", text);
}

/* Opens the device anew, as another process would, and plans; then the kernel that was taken and its result. tested: kernels
 * known then. */
static brume_status plan_once(int no_self_test, char kernel[48], float *last, int *tested)
{
    const brume_device_options options = { .threads = 1, .no_self_test = no_self_test, .warn = warn };
    brume_device *d = NULL;
    brume_graph *g = brume_graph_new();
    brume_plan *p = NULL;
    brume_plan_step step;
    brume_self_test_info info;
    float x[N], y[N] = { 0 };
    for (int i = 0; i < N; i++) x[i] = (float)i / N;
    warned.n = 0;
    *last = 0;
    if (!CHECK_OK(brume_device_open("cpu", &options, &d))) return BRUME_E_DEVICE;
    const brume_tensor in = brume_input(g, "x", BRUME_F32, BRUME_SHAPE(N));
    const brume_tensor out = brume_node_add(g, &twice_op, 1, &in, NULL, 0);
    brume_output(g, out, "y");
    const brume_status s = brume_plan_new(d, g, NULL, &p);
    if (s == BRUME_OK) {
        CHECK_OK(brume_plan_write(p, in, x, sizeof x));
        CHECK_OK(brume_plan_run(p));
        CHECK_OK(brume_plan_read(p, out, y, sizeof y));
        brume_plan_get_step(p, 0, &step);
        memcpy(kernel, step.kernel, 48);
        *last = y[N - 1];
    }
    brume_device_get_self_test(d, &info);
    *tested = info.tested;
    CHECK_INT(info.on, !no_self_test);
    brume_plan_free(p);
    brume_graph_free(g);
    brume_device_close(d);
    return s;
}

/* Nothing is known any more. Returns the file's name. */
static const char *forget(void)
{
    static brume_self_test_info info;
    brume_device *d = NULL;
    CHECK_OK(brume_device_open("cpu", NULL, &d));
    brume_device_get_self_test(d, &info);
    brume_device_close(d);
    unlink(info.file);
    return info.file;
}

static const float right = 2.0f * (N - 1) / N;

static void test_replaced(void)
{
    static const struct { enum broken how; const char *says; } rows[] = {
        { FIRST, "expected" }, { FIRST_IS_NAN, "nan" }, { FIRST_WRITES_NOTHING, "nan" }, { FIRST_PAST_END, "guard words" } };
    char kernel[48];
    float last;
    int tested;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        forget();
        broken = rows[i].how;
        for (int again = 0; again < 2; again++) { /* the second process tests, and tells, again: only what is right is kept */
            CHECK_OK(plan_once(0, kernel, &last, &tested));
            CHECK_STR(kernel, "any");
            CHECK(last == right);
            CHECK_INT(warned.n, 1);
            CHECK_INT(tested, 2);
            if (!CHECK(strstr(warned.text, "twice") && strstr(warned.text, "'first'") && strstr(warned.text, "'any'") &&
                       strstr(warned.text, rows[i].says)))
                fprintf(stderr, "    %s\n", warned.text);
        }
    }
    broken = FIRST;
    CHECK_OK(plan_once(1, kernel, &last, &tested));
    CHECK_STR(kernel, "first");
    CHECK(last != right && warned.n == 0);
    setenv("BRUME_SELF_TEST", "off", 1);
    CHECK_OK(plan_once(1, kernel, &last, &tested));
    CHECK_STR(kernel, "first");
    unsetenv("BRUME_SELF_TEST");
    forget();
    broken = BOTH;
    CHECK_FAILS(plan_once(0, kernel, &last, &tested), BRUME_E_DEVICE, "no other kernel is left");
    CHECK(strstr(brume_error(), "'any'") && strstr(brume_error(), "--no-self-test"));
}

/* The file, whose name the device tells. */
static void test_kept(void)
{
    char kernel[48];
    float last;
    int tested;
    char *text = NULL;
    size_t bytes = 0;
    const char *const path = forget();
    broken = NONE;
    runs = 0;
    CHECK_OK(plan_once(0, kernel, &last, &tested));
    CHECK_INT(runs, 3); /* the test, its reference, the plan */
    CHECK_STR(kernel, "first");
    CHECK_OK(plan_once(0, kernel, &last, &tested));
    CHECK_INT(runs, 4);
    CHECK_OK(brume_file_read(path, 1 << 20, (void **)&text, &bytes));
    for (size_t i = 0; i < 2 * bytes; i += 1 + i % 7) { /* cut short, or changed */
        char *other = malloc(bytes);
        memcpy(other, text, bytes);
        other[i % bytes] ^= 1;
        CHECK_OK(brume_file_write(path, other, i < bytes ? i : bytes));
        free(other);
        runs = 0;
        CHECK_OK(plan_once(0, kernel, &last, &tested));
        if (!CHECK(runs == 3)) fprintf(stderr, "    byte %zu\n", i);
    }
    free(text);
}

struct seen { int n; char kernel[400][80]; };

static void count(void *ctx, const brume_finding *f)
{
    struct seen *seen = ctx;
    if (seen->n < 400) snprintf(seen->kernel[seen->n], sizeof *seen->kernel, "%.30s/%.40s", f->op, f->kernel);
    seen->n++;
    if (!CHECK(f->passed && f->excess <= 0.5)) fprintf(stderr, "    %s by %s: %g %s\n", f->op, f->kernel, f->excess, f->text);
}

/* Every kernel that the cpu has of these ops was tested. */
static void all_kernels(const struct seen *seen)
{
    brume_graph *g = brume_graph_new();
    if (!CHECK(g && seen->n <= 400)) return;
    brume_check_cases(g);
    for (int i = 0; i < brume_graph_node_count(g); i++) {
        const struct brume_op *op = brume_graph_node(g, i)->op;
        for (const struct brume_variant *v = op->ew || op->flags & BRUME_OP_ALIAS ? NULL : op->kernels; v && v->name; v++) {
            char want[80];
            int at = 0;
            snprintf(want, sizeof want, "%.30s/%.40s", op->name, v->name);
            while (at < seen->n && strcmp(seen->kernel[at], want)) at++;
            if (v->cpu && !CHECK(at < seen->n)) fprintf(stderr, "    %s was not tested\n", want);
        }
    }
    brume_graph_free(g);
}

/* Every kernel is well within its tolerance, so that no small difference between processors turns it away. */
static void test_check(void)
{
    for (int i = 0; brume_simd_nth(i); i++) {
        brume_device *d = NULL;
        struct seen seen = { .n = 0 };
        int failed = -1;
        if (!CHECK_OK(brume_device_open("cpu", &(brume_device_options){ .isa = brume_simd_nth(i)->isa }, &d))) continue;
        CHECK_OK(brume_device_check(d, count, &seen, &failed));
        all_kernels(&seen);
        CHECK_INT(failed, 0);
        brume_device_close(d);
    }
}

int main(int argc, char **argv)
{
    if (argc < 2) return 2;
    char folder[4000];
    snprintf(folder, sizeof folder, "%s/self_test_cache", argv[1]);
    setenv("BRUME_CACHE", folder, 1);
    if (!strcmp(brume_simd_choose(NULL)->isa, "generic")) return 77; /* nothing differs from the reference */
    test_replaced();
    test_kept();
    test_check();
    return check_report();
}
