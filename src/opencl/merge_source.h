/* SPDX-License-Identifier: MIT
 * The text of a merged kernel. */
#ifndef BRUME_OPENCL_MERGE_SOURCE_H
#define BRUME_OPENCL_MERGE_SOURCE_H

#include <stdbool.h>

#include "opencl/pending.h"

#define BRUME_CL_MERGED "merged_launches" /* the kernel's name */

/** May the launch be a part: its work-items need neither each other nor a group, nor contraction off. */
bool brume_cl_merge_fits(const struct brume_cl_pending *q);

/* What the parts are made of: sources with defines, once each, and in them routines, that is kernels. */
struct brume_cl_routines {
    int n_units, n;
    const struct brume_cl_pending **unit;  /* one that has this source and these defines */
    const struct brume_cl_pending **at;    /* one that runs this routine */
    int *unit_of, *of_part;                /* unit of a routine; routine of a part */
};

brume_status brume_cl_routines_of(const struct brume_cl_pendings *p, int parts, struct brume_cl_routines *out);
void brume_cl_routines_free(struct brume_cl_routines *r);

/** The source, to be freed. slots: buffers among the arguments. */
brume_status brume_cl_merge_source(const struct brume_cl_routines *r, int parts, int slots, char **out);

#endif
