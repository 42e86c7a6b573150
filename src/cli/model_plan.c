/* SPDX-License-Identifier: MIT
 * The plan of a network that is evaluated, made dry. */
#include "model_plan.h"

#include <stdio.h>

static void print_line(void *ctx, const char *text)
{
    (void)ctx;
    printf("%s\n", text);
}

brume_status cli_plan_infer(brume_device *d, const brume_train_config *c, int64_t batch, int steps, brume_plan_stats *stats,
                            brume_plan_bound *bound, int64_t *largest)
{
    const brume_unet2d_config *u = &c->unet;
    brume_plan *plan = NULL;
    brume_graph *g = brume_graph_new();
    const brume_tensor slab = brume_slab(g, "params");
    const brume_unet2d_inputs in = brume_unet2d_declare_inputs(g, u, batch, u->sample_size[0], u->sample_size[1], 77);
    brume_output(g, brume_unet2d(g, u, slab, &in, NULL), "prediction");
    if (c->storage == BRUME_STORAGE_F16) brume_store_half(g, slab);
    *largest = 0;
    for (int i = 0; i < brume_param_count(g, slab); i++) {
        const int64_t n = brume_shape_numel(brume_param_at(g, slab, i)->shape);
        if (n > *largest) *largest = n;
    }
    const brume_plan_options options = { .dry = 1, .drop_packed = 1 };
    brume_status s = brume_plan_new(d, g, &options, &plan);
    if (s == BRUME_OK) {
        brume_plan_get_stats(plan, stats);
        if (steps) brume_plan_describe(plan, print_line, NULL);
        if (bound) s = brume_plan_get_bound(plan, bound);
    }
    brume_plan_free(plan);
    brume_graph_free(g);
    return s;
}
