/* SPDX-License-Identifier: MIT
 * Plans of two devices side by side: every call goes to both. */
#include "plan/twin.h"

#include <stdlib.h>

static const struct brume_twin_ops *ops(const struct brume_plan *p) { return p->device->backend->twins; }

brume_status brume_twins_new(brume_device *d, const brume_graph *g, const brume_plan_options *options, brume_plan **out)
{
    *out = NULL;
    struct brume_plan *p = calloc(1, sizeof *p);
    if (!p) return brume_fail(BRUME_E_MEMORY, "plan: out of host memory");
    p->device = d;
    p->graph = g;
    if (options) p->options = *options;
    p->joined = calloc((size_t)brume_graph_value_count(g) + 1, sizeof(*p->joined));
    brume_status s = p->joined ? BRUME_OK : brume_fail(BRUME_E_MEMORY, "plan: out of host memory");
    for (int i = 0; s == BRUME_OK && i < 2; i++) {
        brume_plan_options o = p->options;
        if (o.arena) o.arena = o.arena->twin[i];
        brume_device *const side = ops(p)->side(d, i, &o);
        s = brume_plan_new(side, g, &o, &p->twin[i]);
        if (s == BRUME_OK) p->twin[i]->side = (char)('a' + i);
    }
    if (s == BRUME_OK && !p->options.dry) s = ops(p)->made(p);
    if (s == BRUME_OK) *out = p;
    else brume_twins_free(p);
    return s;
}

void brume_twins_free(brume_plan *p)
{
    ops(p)->freed(p);
    for (int t = 0; p->joined && t < brume_graph_value_count(p->graph); t++)
        if (p->joined[t]) brume_buffer_free(p->joined[t]);
    for (int i = 0; i < 2; i++) brume_plan_free(p->twin[i]);
    free(p->joined);
    free(p);
}

brume_status brume_twins_write(brume_plan *p, brume_tensor t, const void *src, size_t bytes)
{
    const brume_status s = brume_plan_write(p->twin[0], t, src, bytes);
    return s == BRUME_OK ? brume_plan_write(p->twin[1], t, src, bytes) : s;
}

brume_status brume_twins_bind(brume_plan *p, brume_tensor t, brume_buffer *buffer)
{
    brume_status s = BRUME_OK;
    if (buffer && buffer->device != p->device)
        return brume_fail(BRUME_E_ARG, "plan: cannot bind '%s': the buffer is of another device", brume_tensor_name(p->graph, t));
    for (int i = 0; s == BRUME_OK && i < 2; i++) s = brume_plan_bind(p->twin[i], t, buffer ? ops(p)->part(buffer, i) : NULL);
    return s;
}

/* Made at the first question, and again where another buffer was bound meanwhile. */
brume_buffer *brume_twins_buffer(brume_plan *p, brume_tensor t)
{
    brume_buffer *part[2];
    if (t < 0 || t >= brume_graph_value_count(p->graph)) return NULL;
    for (int i = 0; i < 2; i++)
        if (!(part[i] = brume_plan_buffer(p->twin[i], t))) return NULL;
    brume_buffer **const at = &p->joined[t];
    if (*at && ops(p)->part(*at, 0) == part[0] && ops(p)->part(*at, 1) == part[1]) return *at;
    if (*at) brume_buffer_free(*at);
    *at = NULL;
    return ops(p)->join(p->device, part, at) == BRUME_OK ? *at : NULL;
}

void brume_twins_touch(brume_plan *p)
{
    for (int i = 0; i < 2; i++) brume_plan_touch(p->twin[i]);
}

brume_status brume_twins_check_guards(brume_plan *p)
{
    const brume_status s = brume_plan_check_guards(p->twin[0]);
    return s == BRUME_OK ? brume_plan_check_guards(p->twin[1]) : s;
}
