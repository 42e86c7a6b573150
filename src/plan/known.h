/* SPDX-License-Identifier: MIT
 * Known-answer tests: steps on small shapes, on one device by chosen kernels, on another by the plainest. */
#ifndef BRUME_PLAN_KNOWN_H
#define BRUME_PLAN_KNOWN_H

#include "brume/self_test.h"
#include "plan/plan.h"
#include "plan/variants.h"

/* One test: a node, or the chain that ends there, and the kernel that computes it. */
struct brume_known {
    const struct brume_plan *plan;   /* of a chain: whose members are looked up there; else NULL */
    const struct brume_node *node;
    struct brume_choice choice;      /* variant NULL: a chain */
    int constant;                    /* input that is packed once; -1: none */
    bool keep_size;                  /* the node is small already */
    brume_finding found;
};

/**
 * Runs n tests on d, and fills their findings. reference: a device of the cpu backend. Where something cannot be compiled or run,
 * each test is made alone, so that it is known which. Fails where memory does, or the reference.
 */
brume_status brume_known_run(struct brume_device *d, struct brume_device *reference, struct brume_known *tests, int n);

/** Tells kernels apart: op, variant with its parameters, what decides about its programs. A chain's is that of its structure. */
uint64_t brume_known_key(const struct brume_device *d, const struct brume_node *n, struct brume_choice k);
uint64_t brume_known_chain_key(const struct brume_plan *p, const struct brume_fused *f, const struct brume_node *last);

/* ---- check_cases.c --------------------------------------------------------------------------------------------------------- */

/** Appends every op, with gradients. An error stays in the graph. */
void brume_check_cases(brume_graph *g);

/* ---- small.c --------------------------------------------------------------------------------------------------------------- */

#define BRUME_SMALL_IN 64 /* inputs of a node that is copied, at most */

/**
 * Appends a copy of the test's node, or of its chain, with small shapes for which the kernel is compiled with the same defines
 * where that can be. *at: the node that the chosen kernel computes; NULL with BRUME_OK: there is no copy that is small enough.
 */
brume_status brume_small_copy(brume_graph *g, const struct brume_device *d, const struct brume_known *t,
                              const struct brume_node **at);
/** What the launches of a node by a choice are compiled from; 0 on the cpu. */
uint64_t brume_launch_hash(const struct brume_node *n, const struct brume_caps *device, struct brume_choice k);

#endif
