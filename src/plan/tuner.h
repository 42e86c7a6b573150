/* SPDX-License-Identifier: MIT
 * Inside of a tuner: what it notes, and how a candidate is timed. */
#ifndef BRUME_PLAN_TUNER_H
#define BRUME_PLAN_TUNER_H

#include "brume/plan.h"
#include "brume/tune.h"
#include "plan/tuning.h"

#define BRUME_TUNER_IN 8 /* inputs of a node that is tuned, at most */

/* Steps that are alike, as a graph of one node. */
struct brume_noted {
    char *key;
    brume_graph *graph;
    const struct brume_node *node;
    brume_tensor in[BRUME_TUNER_IN];
    struct brume_choice rule;
    double flops;            /* of all of them: an order before anything is measured */
    brume_tuner_step step;
};

struct brume_tuner {
    struct brume_device *device;
    struct brume_noted *noted;
    int n, cap;
    brume_buffer *input[BRUME_TUNER_IN]; /* for input i of whichever node; as large as the largest needs */
    brume_buffer *others;                /* stands for what the other steps of a plan read and write between two runs of one */
    float *numbers;                      /* what inputs hold, repeated */
};

/* ---- tuner_time.c ---------------------------------------------------------------------------------------------------------- */

double brume_tuner_now(void); /* seconds */
/* Makes the shared buffers large enough for every node noted, and fills inputs with numbers. */
brume_status brume_tuner_inputs(struct brume_tuner *t);
/* A plan of the node by one choice. arena: NULL or a plan whose arena it may use, too. */
brume_status brume_tuner_plan(struct brume_tuner *t, const struct brume_noted *n, struct brume_choice k, const brume_plan *arena,
                              brume_plan **out);
/*
 * Milliseconds of one run of the node as in a plan: weights have left the caches since they were used last, and the other inputs
 * are just made. (Hot weights would favour kernels that need more memory for them.)
 */
brume_status brume_tuner_time(struct brume_tuner *t, const struct brume_noted *n, brume_plan *p, double *ms);

#endif
