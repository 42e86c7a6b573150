/* SPDX-License-Identifier: MIT
 * Small graphs of a sampler, each with its plan: made at first use, then run on any buffers. */
#ifndef BRUME_DIFFUSION_JOB_H
#define BRUME_DIFFUSION_JOB_H

#include "brume/graph.h"
#include "brume/plan.h"

#define BRUME_JOB_INPUTS 8

struct brume_job {
    brume_graph *g;
    brume_plan *p;
    brume_tensor in[BRUME_JOB_INPUTS]; /* images, bound before each run */
    brume_tensor coef;                 /* scalars, written before each run; or BRUME_NONE */
    brume_tensor seeds, step;          /* noise */
    brume_tensor out;
};

/* Starts a job afresh with n image inputs of that shape and n_coef scalars. */
brume_status brume_job_begin(struct brume_job *j, brume_shape shape, int n, int n_coef);
/* Ends it: the result goes to j->out, which may be bound to any buffer of its size. */
brume_status brume_job_end(struct brume_job *j, brume_device *d, brume_tensor result);
/* Runs: out = job(x[0 .. n-1]; coef). */
brume_status brume_job_run(struct brume_job *j, brume_buffer *const *x, int n, const double *coef, int n_coef, brume_buffer *out);
void brume_job_free(struct brume_job *j);

#endif
