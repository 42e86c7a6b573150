/* SPDX-License-Identifier: MIT
 * Where the arguments of a launch lie. */
#include "opencl/pending.h"

brume_status brume_cl_place_of(const struct brume_cl_pending *q, const struct brume_cl_arg *a, struct brume_place *place, int64_t *element)
{
    const struct brume_step *s = q->step;
    const bool in = a->kind == BRUME_CL_IN, out = a->kind == BRUME_CL_OUT;
    *element = 4;
    if (in && a->index == -1) {
        *place = (struct brume_place){ -1, 0 };
        return BRUME_OK;
    }
    if ((in && (a->index < 0 || a->index >= s->n_in)) || (out && (a->index < 0 || a->index >= s->n_out)))
        return brume_fail(BRUME_E_DEVICE, "%s '%s': kernel %s asks for %s %d of %d", s->node->op->name, s->node->name,
                          q->k.kernel ? q->k.kernel : "gemm", in ? "input" : "output", (int)a->index, in ? s->n_in : s->n_out);
    if (in) {
        *place = s->in[a->index];
        if (!s->fused && s->node->in_v[a->index]) *element = brume_dtype_bytes(s->node->in_v[a->index]->dtype);
    } else if (out) {
        *place = s->out[a->index];
        if (!s->fused && s->node->out_v[a->index]) *element = brume_dtype_bytes(s->node->out_v[a->index]->dtype);
    } else {
        *place = a->kind == BRUME_CL_WORK ? s->work : s->packed;
        if (place->slot < 0)
            return brume_fail(BRUME_E_DEVICE, "%s '%s': kernel %s asks for %s, the plan gave it none", s->node->op->name, s->node->name,
                              q->k.kernel ? q->k.kernel : "gemm", a->kind == BRUME_CL_WORK ? "a workspace" : "packed weights");
        place->offset += (uint64_t)a->index;
    }
    return BRUME_OK;
}
