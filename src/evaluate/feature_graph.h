/* SPDX-License-Identifier: MIT
 * Feature networks described by their config.json: layers in order, each reading those before it. */
#ifndef BRUME_EVALUATE_FEATURE_GRAPH_H
#define BRUME_EVALUATE_FEATURE_GRAPH_H

#include "brume/graph.h"
#include "brume/json.h"

/* The member "layers" of root over x (N, H, W, C); parameters NAME.weight and so on in slab. Returns features (N, D); errors
 * stick to g. */
brume_tensor brume_feature_graph(brume_graph *g, const brume_json *root, brume_tensor slab, brume_tensor x);

#endif
