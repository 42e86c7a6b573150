/* SPDX-License-Identifier: MIT
 * A text encoder on a device, for one text at a time. */
#include <stdlib.h>

#include "base/fail.h"
#include "brume/params.h"
#include "brume/plan.h"
#include "brume/text_encoder.h"

struct brume_text_run {
    brume_graph *graph;
    brume_plan *plan;
    brume_tensor ids, hidden;
    size_t id_bytes, hidden_bytes;
};

static brume_status start(brume_text_run *r, brume_device *d, const brume_text_encoder_config *c, const float *params,
                          int32_t tokens)
{
    brume_graph *g = r->graph = brume_graph_new();
    if (!g) return brume_fail(BRUME_E_MEMORY, "out of memory for a text encoder");
    const brume_tensor slab = brume_slab(g, "params");
    r->ids = brume_input(g, "ids", BRUME_I32, BRUME_SHAPE(1, tokens));
    r->hidden = brume_text_encoder(g, c, slab, "", r->ids);
    r->id_bytes = (size_t)tokens * sizeof(int32_t);
    r->hidden_bytes = (size_t)tokens * (size_t)c->hidden_size * sizeof(float);
    brume_output(g, r->hidden, "hidden");
    brume_status s = brume_graph_status(g);
    if (s != BRUME_OK) return brume_fail(s, "%s", brume_graph_error(g));
    const brume_plan_options options = { .drop_packed = true };
    s = brume_plan_new(d, g, &options, &r->plan);
    /* A projection lies behind the parameters that this graph reads. */
    return s == BRUME_OK ? brume_plan_write(r->plan, slab, params, (size_t)brume_params_numel(g, slab) * sizeof *params) : s;
}

brume_status brume_text_run_new(brume_device *d, const brume_text_encoder_config *c, const float *params, int32_t tokens,
                                brume_text_run **out)
{
    brume_text_run *r = *out = calloc(1, sizeof *r);
    if (!r) return brume_fail(BRUME_E_MEMORY, "out of memory for a text encoder");
    const brume_status s = start(r, d, c, params, tokens);
    if (s == BRUME_OK) return s;
    brume_text_run_free(r);
    *out = NULL;
    return s;
}

brume_status brume_text_run_encode(brume_text_run *r, const int32_t *ids, float *hidden)
{
    brume_status s = brume_plan_write(r->plan, r->ids, ids, r->id_bytes);
    if (s == BRUME_OK) s = brume_plan_run(r->plan);
    return s == BRUME_OK ? brume_plan_read(r->plan, r->hidden, hidden, r->hidden_bytes) : s;
}

void brume_text_run_free(brume_text_run *r)
{
    if (!r) return;
    brume_plan_free(r->plan);
    brume_graph_free(r->graph);
    free(r);
}
