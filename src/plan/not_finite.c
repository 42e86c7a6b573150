/* SPDX-License-Identifier: MIT
 * Finds where NaN and infinity begin in a plan that has run. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "plan/plan.h"

/* Describes what is not finite in a value of f32, if anything is. */
static brume_status look(struct brume_plan *p, const struct brume_value *v, const char *what, char text[320])
{
    const int64_t n = brume_shape_numel(v->shape);
    int64_t bad = 0, first = 0;
    char shape[96];
    if (v->dtype != BRUME_F32 || brume_plan_place(p, v->id).slot < 0) return BRUME_OK;
    float *x = malloc((size_t)(n ? n : 1) * sizeof *x);
    const brume_status s =
        x ? brume_plan_read(p, v->id, x, (size_t)n * sizeof *x) : brume_fail(BRUME_E_MEMORY, "plan: out of host memory");
    for (int64_t i = 0; s == BRUME_OK && i < n; i++)
        if (!isfinite(x[i]) && bad++ == 0) first = i;
    if (bad)
        snprintf(text, 320,
                 "%.120s (%s, %s): %" PRId64 " of %" PRId64 " values are not finite, the first is number %" PRId64 ", %g",
                 brume_tensor_name(p->graph, v->id), what, brume_shape_text(v->shape, shape), bad, n, first, (double)x[first]);
    free(x);
    return s;
}

brume_status brume_plan_find_not_finite(brume_plan *p, char text[320])
{
    brume_status s = BRUME_OK;
    if (p->twin[0]) p = p->twin[0];
    text[0] = 0;
    if (!p->options.keep_all) return brume_fail(BRUME_E_ARG, "plan: values of all steps are there with keep_all only");
    for (brume_tensor t = 0; s == BRUME_OK && !text[0] && t < brume_graph_value_count(p->graph); t++) {
        const struct brume_value *v = brume_value_of(p->graph, t);
        if (!v || (v->kind != BRUME_VALUE_INPUT && v->kind != BRUME_VALUE_PARAM) || p->values[p->values[t].root].first < 0)
            continue;
        s = look(p, v, v->kind == BRUME_VALUE_INPUT ? "an input" : "a parameter", text);
    }
    for (int i = 0; s == BRUME_OK && !text[0] && i < p->n_steps; i++) {
        const struct brume_node *node = p->steps[i].node;
        for (int k = 0; s == BRUME_OK && !text[0] && k < node->n_out; k++) s = look(p, node->out_v[k], node->op->name, text);
    }
    return s;
}
