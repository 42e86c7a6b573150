/* SPDX-License-Identifier: MIT
 * Planted errors (BRUME_PLANT, in builds with -Dplant=true): each kind spoils what it says, and only the kernel that is named. */
#include <math.h>

#include "brume/ops.h"
#include "brume/plan.h"
#include "check.h"

#define N 8

static const float x[N] = { 1, -2, 3, -4, 5, -9, 7, 8 }; /* of largest magnitude: number 5 */

/* y = x, by a chain of two functions; and sum is set to x by an update. */
struct fixture { brume_device *d; brume_graph *g; brume_plan *p; brume_tensor x, y, sum; float got_y[N], got_sum[N]; };

static brume_status run(struct fixture *f, const char *plant)
{
    const float zero[N] = { 0 };
    setenv("BRUME_PLANT", plant, 1);
    brume_status s = brume_plan_write(f->p, f->x, x, sizeof x);
    if (s == BRUME_OK) s = brume_plan_write(f->p, f->sum, zero, sizeof zero);
    if (s == BRUME_OK) s = brume_plan_run(f->p);
    unsetenv("BRUME_PLANT");
    if (s == BRUME_OK) s = brume_plan_read(f->p, f->y, f->got_y, sizeof f->got_y);
    return s == BRUME_OK ? brume_plan_read(f->p, f->sum, f->got_sum, sizeof f->got_sum) : s;
}

static int same(float a, float b) { return a == b || (isnan(a) && isnan(b)); }

/* Number of values that differ from x, and whether number i is `want`. */
static void expect(const float *got, int i, float want, int differ)
{
    int n = 0;
    for (int k = 0; k < N; k++) n += !same(got[k], x[k]);
    CHECK_INT(n, differ);
    if (!CHECK(same(got[i], want))) fprintf(stderr, "    got %g, expected %g\n", (double)got[i], (double)want);
}

int main(void)
{
    static const struct { const char *kind; int at; float value; int differ; } kinds[] = {
        { "", 5, -9 * 1.01f, 1 }, { ":off", 5, -9 * 1.01f, 1 }, { ":sign", 5, 9, 1 }, { ":zero", 5, 0, 1 }, { ":nan", 5, NAN, 1 },
        { ":inf", 5, INFINITY, 1 }, { ":next", 5, 7, 1 }, { ":scale", 7, 8 * 1.01f, N },
    };
    struct fixture f = { 0 };
    if (!CHECK_OK(brume_device_open("cpu", NULL, &f.d)) || !CHECK((f.g = brume_graph_new()) != NULL)) return check_report();
    f.x = brume_input(f.g, "x", BRUME_F32, BRUME_SHAPE(N));
    f.sum = brume_persistent(f.g, "sum", BRUME_F32, BRUME_SHAPE(N));
    f.y = brume_affine(f.g, brume_stop_gradient(f.g, f.x), 1, 0);
    brume_assign(f.g, f.sum, f.x);
    brume_output(f.g, f.y, "y");
    if (CHECK_OK(brume_plan_new(f.d, f.g, NULL, &f.p)) && CHECK_OK(run(&f, ""))) {
        CHECK(!memcmp(f.got_y, x, sizeof x) && !memcmp(f.got_sum, x, sizeof x));
        for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
            char text[64];
            snprintf(text, sizeof text, "stop_gradient%s", kinds[i].kind); /* a member of a chain */
            CHECK_OK(run(&f, text));
            expect(f.got_y, kinds[i].at, kinds[i].value, kinds[i].differ);
            expect(f.got_sum, 0, x[0], 0);
            snprintf(text, sizeof text, "elementwise%s", kinds[i].kind); /* the chain as tables call it */
            CHECK_OK(run(&f, text));
            expect(f.got_y, kinds[i].at, kinds[i].value, kinds[i].differ);
            snprintf(text, sizeof text, "assign@cpu%s", kinds[i].kind); /* an update */
            CHECK_OK(run(&f, text));
            expect(f.got_sum, kinds[i].at, kinds[i].value, kinds[i].differ);
            expect(f.got_y, 0, x[0], 0);
        }
        /* the last value stays what it was before: zero */
        CHECK_OK(run(&f, "assign/any:unwritten"));
        expect(f.got_sum, N - 1, 0, 1);
        /* what is named is not there: another backend, variant, op, result */
        static const char *const elsewhere[] = { "assign@opencl", "assign/other", "softmax", "assign.1" };
        for (size_t i = 0; i < sizeof elsewhere / sizeof *elsewhere; i++) {
            CHECK_OK(run(&f, elsewhere[i]));
            expect(f.got_sum, 0, x[0], 0);
        }
        static const char *const wrong[] = { "assign:bogus", "@cpu", "assign.x", "assign.-1", "assign/", "assign@gpu",
                                             "assign:offf", "assign:" };
        for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) CHECK_FAILS(run(&f, wrong[i]), BRUME_E_ARG, "expected OP");
    }
    brume_plan_free(f.p);
    brume_graph_free(f.g);
    brume_device_close(f.d);
    return check_report();
}
