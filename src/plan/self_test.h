/* SPDX-License-Identifier: MIT
 * What is known of the kernels of a device, and testing those that a plan meets first. */
#ifndef BRUME_PLAN_SELF_TEST_H
#define BRUME_PLAN_SELF_TEST_H

#include "brume/self_test.h"
#include "plan/plan.h"
#include "plan/variants.h"

struct brume_verdict { uint64_t key; bool failed; };

struct brume_self_test {
    brume_status (*open_reference)(brume_device **out); /* a device of the cpu backend */
    brume_device *reference;        /* opened for the first test */
    brume_device_options options;   /* who is warned */
    bool on, testing;
    struct brume_verdict *known;
    int n, cap, n_failed;
    bool no_chains;                 /* a chain failed: plans are made without */
    uint64_t told[32];              /* kernels that users were told of */
    int n_told;
    char *path;                     /* NULL: nothing is kept */
    char note[256];
};

/** Gives the device its table, from its file if there is one; without `on`, one that knows nothing and asks nothing. */
brume_status brume_self_test_open(struct brume_device *d, const brume_device_options *o,
                                  brume_status (*open_reference)(brume_device **out));
/** NULL is fine. */
void brume_self_test_free(struct brume_self_test *t);

/** The variant for a node: the rule's, unless that failed on the device; then the next that did not. */
struct brume_choice brume_self_test_choose(const struct brume_device *d, const struct brume_node *n);
/** true if this choice is known to be wrong on the device. */
bool brume_self_test_failed(const struct brume_device *d, const struct brume_node *n, struct brume_choice k);
/** true if plans must do without chains. */
static inline bool brume_self_test_no_chains(const struct brume_device *d) { return d->self_test && d->self_test->no_chains; }

/**
 * Tests the kernels of a laid-out plan that are not known yet. *again: some failed, others are there: the plan must be made once
 * more. BRUME_E_DEVICE where nothing else is left.
 */
brume_status brume_self_test_plan(struct brume_plan *p, bool *again);

#endif
