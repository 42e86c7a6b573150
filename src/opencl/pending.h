/* SPDX-License-Identifier: MIT
 * The launches of a plan while they are being prepared. */
#ifndef BRUME_OPENCL_PENDING_H
#define BRUME_OPENCL_PENDING_H

#include "graph/cl_launch.h"
#include "opencl/split.h"
#include "plan/backend.h"

struct brume_cl_pending {
    const struct brume_step *step;
    struct brume_cl_launch k;
    bool pack;
    const char *source;              /* of a generated kernel */
    struct brume_cl_cut cut;
    double ms;                       /* of a piece, by the estimate for poor kernels; 0: no matter */
    int part;                        /* of the merged launch (merge.h), from 0; -1: a launch of its own */
};

struct brume_cl_pendings { struct brume_cl_pending *at; int n, cap; };

/** Appends all launches of steps, those that pack first of each, in order. *source: of generated kernels, *names: what their
 * names point into; to be freed, also after a failure. */
brume_status brume_cl_collect(const struct brume_caps *device, const struct brume_step *steps, int n, struct brume_cl_pendings *p,
                              char **source, char **names);
/** Where argument a of a launch lies, and the bytes of its elements; slot -1: absent. */
brume_status brume_cl_place_of(const struct brume_cl_pending *q, const struct brume_cl_arg *a, struct brume_place *place,
                               int64_t *element);

static inline bool brume_cl_is_tensor(enum brume_cl_arg_kind k)
{
    return k == BRUME_CL_IN || k == BRUME_CL_OUT || k == BRUME_CL_WORK || k == BRUME_CL_PACKED;
}

#endif
