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
};

/* ---- tuner_time.c ----------------------------------------------------------------------------------------------------------- */

double brume_tuner_now(void); /* seconds */
/* Makes the shared inputs large enough for every node noted, and fills them with numbers. */
brume_status brume_tuner_inputs(struct brume_tuner *t);
/* A plan of the node by one choice. arena: NULL or a plan whose arena it may use, too. */
brume_status brume_tuner_plan(struct brume_tuner *t, const struct brume_noted *n, struct brume_choice k, const brume_plan *arena, brume_plan **out);
/* Milliseconds of one run, from `runs` in a row. */
brume_status brume_tuner_time(struct brume_tuner *t, brume_plan *p, int runs, double *ms);

#endif
