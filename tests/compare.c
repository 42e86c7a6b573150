/* SPDX-License-Identifier: MIT
 * Comparing two devices: what is equal passes, and an error planted into any op is found and named, alone and inside a fused
 * chain.
 * usage: test_compare OP...   the ops that there are; without -Dplant=true nothing is planted */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../src/cli/compare.h"
#include "brume/ops.h"
#include "brume/plan.h"
#include "check.h"
#include "config.h"

/* Every op that ran, and whether all that failed are called `name`. */
static void look(brume_device *d, const char *name, const char *plant, bool must_fail)
{
    int failed = 0, others = 0;
    for (int i = 0; i < brume_compare_count(d); i++) {
        const brume_compare_node *n = brume_compare_get(d, i);
        if (!n->failed) continue;
        failed++;
        others += strcmp(*n->culprit ? n->culprit : n->op, name) != 0;
        if (others == 1) fprintf(stderr, "    BRUME_PLANT=%s: also named %s (%s) '%s'\n", plant, n->op, n->culprit, n->name);
    }
    if (!CHECK(failed > 0 || !must_fail)) fprintf(stderr, "    BRUME_PLANT=%s was not noticed\n", plant);
    CHECK_INT(others, 0);
}

static bool same_bits(brume_device *d)
{
    for (int i = 0; i < brume_compare_count(d); i++)
        if (brume_compare_get(d, i)->share > 0) return false;
    return true;
}

/* All ops on a pair; plant: NULL, or what is planted meanwhile. */
static void compare_all(brume_device *a, brume_device *b, const char *name, const char *plant, bool must_fail)
{
    brume_device *d = NULL;
    const struct compare_args args = { .seed = 3 };
    if (plant) setenv("BRUME_PLANT", plant, 1);
    if (CHECK_OK(brume_compare_open(a, b, NULL, &d)) && CHECK_OK(compare_ops(d, &args))) {
        if (plant) look(d, name, plant, must_fail);
        else CHECK(!brume_compare_first(d) && brume_compare_count(d) > 100);
        if (a == b && !plant) CHECK(same_bits(d));
    }
    unsetenv("BRUME_PLANT");
    brume_device_close(d);
}

/* Each op with a value off by 1%, with one of the other kinds in turn, and in results that only some have. */
static void every_op(brume_device *a, brume_device *b, int n_ops, char **ops)
{
    static const char *const kinds[] = { "@b:sign", "@b:nan", "@b:unwritten", "@b:scale", "@b:inf" }, *const results[] = {
        ".1@b", ".2@b", ".1@b:nan"
    };
    char plant[96];
    for (int i = 0; i < n_ops; i++) {
        snprintf(plant, sizeof plant, "%s@b", ops[i]);
        compare_all(a, b, ops[i], plant, true);
        snprintf(plant, sizeof plant, "%s%s", ops[i], kinds[i % 5]);
        compare_all(a, b, ops[i], plant, true);
        snprintf(plant, sizeof plant, "%s%s", ops[i], results[i % 3]);
        compare_all(a, b, ops[i], plant, false);
    }
}

static bool fails(brume_device *d, const char *op)
{
    for (int i = 0; i < brume_compare_count(d); i++) {
        const brume_compare_node *n = brume_compare_get(d, i);
        if (n->failed && !strcmp(*n->culprit ? n->culprit : n->op, op)) return true;
    }
    return false;
}

/* Where plans take long to make: every fourth op at once. As nodes are judged alone, exactly those must be named. */
static void many_ops(brume_device *a, brume_device *b, int n_ops, char **ops)
{
    const struct compare_args args = { .seed = 3 };
    for (int turn = 0; turn < 4; turn++) {
        brume_device *d = NULL;
        char list[4096] = "";
        for (int i = turn; i < n_ops; i += 4)
            snprintf(list + strlen(list), sizeof list - strlen(list), "%s%s@b", *list ? "," : "", ops[i]);
        setenv("BRUME_PLANT", list, 1);
        if (CHECK_OK(brume_compare_open(a, b, NULL, &d)) && CHECK_OK(compare_ops(d, &args)))
            for (int i = 0; i < n_ops; i++)
                if (!CHECK_INT(fails(d, ops[i]), i % 4 == turn)) fprintf(stderr, "    op %s\n", ops[i]);
        unsetenv("BRUME_PLANT");
        brume_device_close(d);
    }
}

/* y = tanh(x / 2 + 0.1) sigmoid(x - exp(x)) is one chain: which function is wrong? */
static void chain(brume_device *a, brume_device *b)
{
    static const char *const names[] = { "affine", "tanh", "exp", "sub", "sigmoid", "mul" };
    brume_graph *g = brume_graph_new();
    const brume_tensor x = brume_input(g, "x", BRUME_F32, BRUME_SHAPE(5, 301));
    const brume_tensor t = brume_tanh(g, brume_affine(g, x, 0.5f, 0.1f)), s = brume_sigmoid(g, brume_sub(g, x, brume_exp(g, x)));
    brume_output(g, brume_mul(g, t, s), "y");
    float values[5 * 301];
    for (int i = 0; i < 5 * 301; i++) values[i] = (float)sin(i) * 2;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        brume_device *d = NULL;
        brume_plan *p = NULL;
        char plant[64];
        snprintf(plant, sizeof plant, "%s@b:sign", names[i]);
        setenv("BRUME_PLANT", plant, 1);
        if (CHECK_OK(brume_compare_open(a, b, NULL, &d)) && CHECK_OK(brume_plan_new(d, g, NULL, &p)) &&
            CHECK_OK(brume_plan_write(p, x, values, sizeof values)) && CHECK_OK(brume_plan_run(p))) {
            CHECK_INT(brume_compare_count(d), 1);
            look(d, names[i], plant, true);
            CHECK(brume_compare_first(d) && !strcmp(brume_compare_first(d)->kernel[0], "chain"));
        }
        unsetenv("BRUME_PLANT");
        brume_plan_free(p);
        brume_device_close(d);
    }
    brume_graph_free(g);
}

/* NaN on both sides is told and no failure; on one side it fails. Sums of terms that cancel pass; what they hide does not. */
static void numbers(brume_device *a, brume_device *b)
{
    brume_graph *g = brume_graph_new();
    brume_plan *p = NULL;
    brume_device *d = NULL;
    brume_compare_summary s = { 0 };
    const brume_tensor x = brume_input(g, "x", BRUME_F32, BRUME_SHAPE(64, 6)), root = brume_sqrt(g, x),
                       total = brume_sum(g, x, 1, 0);
    brume_output(g, root, "root");
    brume_output(g, total, "total");
    float values[64 * 6];
    for (int i = 0; i < 64 * 6; i++) values[i] = (float)((i / 6 % 2 ? -1 : 1) * (1 + i / 12 * 0.1)) + (float)sin(i) * 1e-6f;
    if (CHECK_OK(brume_compare_open(a, b, NULL, &d)) && CHECK_OK(brume_plan_new(d, g, NULL, &p)) &&
        CHECK_OK(brume_plan_write(p, x, values, sizeof values)) && CHECK_OK(brume_plan_run(p))) {
        brume_compare_get_summary(d, &s);
        CHECK_INT(s.not_finite, 32 * 6); /* roots of negative numbers */
        CHECK_INT(s.failed, 0);
        CHECK_INT(s.nodes, 2);
    }
    brume_plan_free(p);
    brume_device_close(d);
    brume_graph_free(g);
}

static void refusals(brume_device *a)
{
    brume_device *d = NULL, *of_two = NULL;
    CHECK_FAILS(brume_compare_open(a, NULL, NULL, &d), BRUME_E_ARG, "two open devices");
    if (!CHECK_OK(brume_compare_open(a, a, NULL, &d))) return;
    CHECK_FAILS(brume_compare_open(d, a, NULL, &of_two), BRUME_E_ARG, "cannot be one of two");
    CHECK(brume_compare_get(d, 0) == NULL && brume_compare_first(d) == NULL);
    brume_device_close(d);
}

int main(int argc, char **argv)
{
    brume_device *a = NULL, *b = NULL, *c = NULL;
    const brume_device_options other = { .isa = "generic", .threads = 3 };
    if (!CHECK_OK(brume_device_open("cpu", NULL, &a)) || !CHECK_OK(brume_device_open("cpu", &other, &b))) return check_report();
    compare_all(a, a, NULL, NULL, false);
    compare_all(a, b, NULL, NULL, false);
    numbers(a, b);
    refusals(a);
    if (brume_device_open("opencl", NULL, &c) == BRUME_OK) {
        compare_all(a, c, NULL, NULL, false);
        compare_all(c, a, NULL, NULL, false);
    }
    if (BRUME_HAVE_PLANT) {
        CHECK(argc > 90); /* the list of ops is there */
        every_op(a, b, argc - 1, argv + 1);
        chain(a, b);
        if (c) many_ops(a, c, argc - 1, argv + 1);
    }
    brume_device_close(c);
    brume_device_close(b);
    brume_device_close(a);
    return check_report();
}
