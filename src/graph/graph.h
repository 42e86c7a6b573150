/* SPDX-License-Identifier: MIT
 * Inside of a graph: arrays of values and nodes, each individually allocated so that pointers to them stay valid. */
#ifndef BRUME_GRAPH_GRAPH_H
#define BRUME_GRAPH_GRAPH_H

#include "graph/op.h"

struct brume_slab_info {
    brume_tensor slab;
    struct brume_param_info *params;
    int n, cap;
    int32_t *slots;      /* parameters by name, a hash table with open addressing: numbers, or -1 */
    uint32_t mask;       /* slots - 1, or 0 */
    const char *used_by; /* the first node that took the slab as it was: it can grow no more */
};

struct brume_graph {
    struct brume_value **values;
    int n_values, cap_values;
    struct brume_node **nodes;
    int n_nodes, cap_nodes;
    struct brume_slab_info *slabs;
    int n_slabs, cap_slabs;
    char scope[512];
    int scope_depth;
    size_t scope_end[32];
    int n_segments, segment_depth;
    bool recompute;
    brume_status status;
    char error[1024];
};

#endif
