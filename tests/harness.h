/* SPDX-License-Identifier: MIT
 * Table-driven tests of operators: every case runs on every device and instruction set present, with every kernel variant that
 * fits, against a float64 oracle; gradients against central differences of the oracle. See tests/harness.c for what is
 * checked. */
#ifndef BRUME_TESTS_HARNESS_H
#define BRUME_TESTS_HARNESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "brume/graph.h"
#include "brume/ops.h"

#define TEST_MAX_IN 12
#define TEST_MAX_OUT 4
#define TEST_MAX_ARGS 12

/* An input is drawn uniformly from [lo, hi): f32, or integers lo .. hi - 1. lo == hi means [-1, 1) for f32. */
struct test_input {
    brume_dtype dtype;
    brume_shape shape;
    double lo, hi;
    bool persistent;   /* made with brume_persistent(): for in-place updates */
};

struct test_case {
    const char *name;
    double args[TEST_MAX_ARGS]; /* what build and oracle need: strides, groups, ... */
    int n_in;
    struct test_input in[TEST_MAX_IN];
};

/* A call that must be refused: build must leave `status` in the graph, and a text that contains `says`. */
struct test_refusal {
    const char *name, *says;
    brume_status status;
    struct test_case k;
};

struct test_op {
    const char *name;
    const char *tolerance;            /* row of src/graph/tolerance.def */
    const struct test_case *cases;    /* ended by a row with name NULL */
    const struct test_refusal *refusals; /* likewise, or NULL */
    /* Appends the op; stores its results in out (they are compared in this order) and returns their number. Result 0 is
     * differentiated. An update returns the persistent inputs that it changed. */
    int (*build)(brume_graph *g, const struct test_case *k, const brume_tensor *in, brume_tensor *out);
    /* The definition in double, straight from the formula. in[i]: values of input i (integers too). Fills out[j]; scale[j][e] is
     * the sum of |terms| of that element (set to |out| where nothing cancels). Must be pure: it is called many times. */
    void (*oracle)(const struct test_case *k, const double *const *in, double *const *out, double *const *scale);
    uint32_t no_grad;                 /* bit i: input i has no gradient; ~0u: none has */
};

/* Shapes and numbers for oracles. */
int64_t test_numel(const struct test_case *k, int input);
int64_t test_dim(const struct test_case *k, int input, int axis);

struct brume_device;
struct test_report {
    long passed, failed, left_out;
    int64_t max_values; /* cases with more values in all tensors are left out, 0: none is; for devices that take seconds for a
                           thousand */
    uint64_t bits;      /* a hash of all results */
    bool quiet;         /* count, but print nothing (self-test) */
};
/* Runs every case, variant and refusal of one op on one device. where: how messages name the device. */
void test_run_op(const struct test_op *op, struct brume_device *d, const char *where, struct test_report *r);
/* The largest case of one op, every variant: on `pieces`, the same device but one that cuts launches, results must have the same
 * bits, and launches[0] (whole) and launches[1] (in pieces) count what was submitted. */
void test_run_split(const struct test_op *op, struct brume_device *whole, struct brume_device *pieces, const char *where,
                    struct test_report *r, long launches[2]);

/* Each tests/ops/STEM.c ends with: const struct test_op *const tests_STEM[] = { &a, &b, NULL }; and stands in tests/ops.def. */

#endif
