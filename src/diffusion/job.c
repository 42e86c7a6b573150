/* SPDX-License-Identifier: MIT
 * Small graphs of a sampler: building, planning, binding, running. */
#include "diffusion/job.h"

#include <stdio.h>

#include "base/fail.h"
#include "brume/ops.h"

void brume_job_free(struct brume_job *j)
{
    brume_plan_free(j->p);
    brume_graph_free(j->g);
    *j = (struct brume_job){ 0 };
}

brume_status brume_job_begin(struct brume_job *j, brume_shape shape, int n, int n_coef)
{
    brume_job_free(j); /* what a failed attempt left */
    j->g = brume_graph_new();
    if (!j->g) return brume_fail(BRUME_E_MEMORY, "out of memory for a sampler");
    for (int i = 0; i < n; i++) {
        char name[16];
        snprintf(name, sizeof name, "x%d", i);
        j->in[i] = brume_input(j->g, name, BRUME_F32, shape);
    }
    j->coef = n_coef ? brume_input(j->g, "coef", BRUME_F32, BRUME_SHAPE(n_coef)) : BRUME_NONE;
    return BRUME_OK;
}

brume_status brume_job_end(struct brume_job *j, brume_device *d, brume_tensor result)
{
    if (result != BRUME_NONE) {
        j->out = brume_persistent(j->g, "out", BRUME_F32, brume_tensor_shape(j->g, result));
        brume_assign(j->g, j->out, result);
    }
    if (brume_graph_status(j->g) != BRUME_OK) return brume_fail(brume_graph_status(j->g), "%s", brume_graph_error(j->g));
    return brume_plan_new(d, j->g, NULL, &j->p);
}

brume_status brume_job_run(struct brume_job *j, brume_buffer *const *x, int n, const double *coef, int n_coef, brume_buffer *out)
{
    float values[2 * BRUME_JOB_INPUTS];
    brume_status s = BRUME_OK;
    for (int i = 0; i < n_coef; i++) values[i] = (float)coef[i];
    for (int i = 0; i < n && s == BRUME_OK; i++) s = brume_plan_bind(j->p, j->in[i], x[i]);
    if (s == BRUME_OK && n_coef) s = brume_plan_write(j->p, j->coef, values, (size_t)n_coef * sizeof *values);
    if (s == BRUME_OK && out) s = brume_plan_bind(j->p, j->out, out);
    return s == BRUME_OK ? brume_plan_run(j->p) : s;
}
