/* SPDX-License-Identifier: MIT
 * The launches of steps, and where their arguments lie. */
#include "opencl/pending.h"

#include <stdlib.h>
#include <string.h>

#include "opencl/internal.h"

static struct brume_cl_pending *pending_add(struct brume_cl_pendings *p)
{
    if (p->n == p->cap) {
        const int cap = p->cap ? 2 * p->cap : 64;
        struct brume_cl_pending *at = realloc(p->at, (size_t)cap * sizeof *at);
        if (!at) return NULL;
        p->at = at;
        p->cap = cap;
    }
    return memset(&p->at[p->n++], 0, sizeof(struct brume_cl_pending));
}

static brume_status no_memory(const char *what)
{
    return brume_fail(BRUME_E_MEMORY, "cannot allocate %s of an OpenCL plan", what);
}

static brume_status add_list(struct brume_cl_pendings *p, struct brume_cl_list *l, const struct brume_step *s, bool pack)
{
    brume_status status = l->status;
    for (int i = 0; i < l->n && !status; i++) {
        struct brume_cl_pending *q = pending_add(p);
        if (!q) {
            status = no_memory("the launches");
            break;
        }
        q->step = s;
        q->k = l->at[i];
        q->pack = pack;
    }
    free(l->at);
    *l = (struct brume_cl_list){ 0 };
    return status;
}

/* Chains are left blank until their source is made. */
static brume_status collect(const struct brume_caps *device, const struct brume_step *steps, int n, struct brume_cl_pendings *p)
{
    brume_status s = BRUME_OK;
    for (int i = 0; i < n && !s; i++) {
        struct brume_cl_list l = { 0 };
        const struct brume_step *step = &steps[i];
        if (step->fused) {
            struct brume_cl_pending *q = pending_add(p);
            if (!q) return no_memory("the launches");
            q->step = step;
            continue;
        }
        if (!step->variant->cl)
            return brume_fail(BRUME_E_UNSUPPORTED, "%s '%s': kernel '%s' does not run on OpenCL", step->node->op->name,
                              step->node->name, step->variant->name);
        const struct brume_caps caps = brume_step_caps(step, device);
        if (step->packed.slot >= 0 && step->variant->cl_pack) {
            step->variant->cl_pack(step->node, &caps, &l);
            s = add_list(p, &l, step, step->pack_once);
            if (s) return s;
        }
        step->variant->cl(step->node, &caps, &l);
        s = add_list(p, &l, step, false);
    }
    return s;
}

static brume_status generate(const struct brume_caps *device, struct brume_cl_pendings *p, char **source, char **names)
{
    int n = 0;
    for (int i = 0; i < p->n; i++) n += p->at[i].step->fused != NULL;
    if (!n) return BRUME_OK;
    const struct brume_fused **chains = calloc((size_t)n, sizeof(*chains));
    struct brume_cl_launch *launches = calloc((size_t)n, sizeof *launches);
    brume_status s = chains && launches ? BRUME_OK : no_memory("the chains");
    for (int i = 0, c = 0; i < p->n && !s; i++)
        if (p->at[i].step->fused) chains[c++] = p->at[i].step->fused;
    if (!s) s = brume_cl_fused(device, chains, n, source, names, launches);
    for (int i = 0, c = 0; i < p->n && !s; i++) {
        if (!p->at[i].step->fused) continue;
        p->at[i].k = launches[c++];
        p->at[i].k.file = "elementwise chains";
        p->at[i].source = *source;
    }
    free(chains);
    free(launches);
    return s;
}

brume_status brume_cl_collect(const struct brume_caps *device, const struct brume_step *steps, int n, struct brume_cl_pendings *p,
                              char **source, char **names)
{
    const brume_status s = collect(device, steps, n, p);
    return s ? s : generate(device, p, source, names);
}

brume_status brume_cl_place_of(const struct brume_cl_pending *q, const struct brume_cl_arg *a, struct brume_place *place,
                               int64_t *element)
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
            return brume_fail(BRUME_E_DEVICE, "%s '%s': kernel %s asks for %s, the plan gave it none", s->node->op->name,
                              s->node->name, q->k.kernel ? q->k.kernel : "gemm",
                              a->kind == BRUME_CL_WORK ? "a workspace" : "packed weights");
        place->offset += (uint64_t)a->index;
    }
    return BRUME_OK;
}
