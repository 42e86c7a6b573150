/* SPDX-License-Identifier: MIT
 * What the optimizer updates share. */
#include "ops/update.h"

#include "brume/ops.h"
#include "ops/chunks.h"

brume_status brume_update_want(const struct brume_node *n, int count, const char *const *names)
{
    for (int i = 0; i < count; i++) {
        const brume_status s = brume_want(n, i, names[i], BRUME_F32, -1);
        if (s) return s;
        if (!brume_shape_equal(n->in_v[i]->shape, n->in_v[0]->shape))
            return brume_node_fail(n, BRUME_E_SHAPE, "%s must have the shape of %s", names[i], names[0]);
    }
    return BRUME_OK;
}

brume_status brume_hyper_want(const struct brume_node *n, int input)
{
    const brume_status s = brume_want(n, input, "hyper", BRUME_F32, 1);
    if (s) return s;
    if (n->in_v[input]->shape.d[0] != BRUME_HYPER_COUNT)
        return brume_node_fail(n, BRUME_E_SHAPE, "hyper expects %d numbers, got %lld", BRUME_HYPER_COUNT,
                               (long long)n->in_v[input]->shape.d[0]);
    return BRUME_OK;
}

brume_status brume_scale_want(const struct brume_node *n, int input)
{
    if (!n->in_v[input]) return BRUME_OK;
    const brume_status s = brume_want(n, input, "the scalar", BRUME_F32, -1);
    if (s) return s;
    if (brume_shape_numel(n->in_v[input]->shape) != 1)
        return brume_node_fail(n, BRUME_E_SHAPE, "expects a scalar, got %lld elements",
                               (long long)brume_shape_numel(n->in_v[input]->shape));
    return BRUME_OK;
}

struct brume_cl_launch *brume_update_launch(const struct brume_node *n, const struct brume_caps *c, struct brume_cl_list *l,
                                            const char *kernel)
{
    const int vw = brume_cl_width(c);
    struct brume_cl_launch *k = brume_cl_add(l, "update.cl", kernel, "-DVW=%d", vw);
    brume_cl_size1(k, (size_t)brume_ceil_div(brume_shape_numel(n->in_v[0]->shape), vw), 64);
    return k;
}
