/* SPDX-License-Identifier: MIT
 * Inside of a comparison, shared by its files. */
#ifndef BRUME_COMPARE_COMPARE_H
#define BRUME_COMPARE_COMPARE_H

#include "brume/compare.h"
#include "plan/plan.h"

/* A tensor on the host, read again and again into the same memory. */
struct brume_host { unsigned char *raw; float *x; size_t raw_cap, x_cap; };

struct brume_pair {                 /* the device that stands for two */
    struct brume_device base;
    brume_device *side[2];
    brume_compare_options options;
    char phase[64];
    brume_compare_node **nodes;     /* judged, in the order of their first runs */
    int n, cap;
    int first;                      /* that failed first; -1: none */
    int64_t apart;
    char apart_text[160];
    struct brume_host a, b, before[BRUME_FUSED_MAX_IN]; /* results at hand; inputs that the step at hand overwrites */
};

static inline struct brume_pair *brume_pair_of(const struct brume_device *d) { return (struct brume_pair *)d; }

/* What is known of a plan on both sides (brume_plan.watch). */
struct brume_watch {
    int *node;                      /* per step of side 0: its entry in nodes; -1: not run yet */
    int *first_input;               /* per step: where its inputs begin in */
    brume_tensor *inputs;
    bool counted;                   /* steps that one side alone has are in `apart` */
};

/* lockstep.c: what brume_twin_ops asks for. */
brume_status brume_pair_made(struct brume_plan *p);
void brume_pair_freed(struct brume_plan *p);
brume_status brume_pair_run(struct brume_plan *p, int from, int to);

/* host.c: reads a tensor from where it lies. x: its values as f32 (integers rounded). */
brume_status brume_host_read(struct brume_host *h, const struct brume_plan *p, const struct brume_value *v,
                             struct brume_place at);
void brume_host_free(struct brume_host *h);

/* judge.c: how far b is from a. */
struct brume_verdict {
    double relative, ulp, share, allowed;
    int64_t index, beyond, not_finite;
    double a, b;
    bool only_rounding;             /* beyond, but finite where a is: the sum of |terms| may explain it */
};
struct brume_bound { double rel, abs; };
/* Per value. terms: NULL, or what each may have been summed from; before: NULL, or what an update found. */
void brume_judge(const float *a, const float *b, int64_t n, struct brume_bound bound, const float *terms, const float *before,
                 struct brume_verdict *v);
/* The tensor as a whole: rms(b - a) <= limit rms(a). */
void brume_judge_whole(const float *a, const float *b, int64_t n, double limit, const float *terms, struct brume_verdict *v);
/* The bound of an op by the table of tolerances: twice what each side may be off. */
struct brume_bound brume_bound_of(const struct brume_op *op);
/* Of a step: of a chain the one of the function that may be off most, times the number of functions. */
struct brume_bound brume_bound_of_step(const struct brume_plan *p, const struct brume_step *s,
                                       const struct brume_tolerance **row);

/* lockstep.c: values of input j of the step, as they were when it ran. */
brume_status brume_pair_input(struct brume_plan *p, int step, int j, struct brume_host *h);

#endif
