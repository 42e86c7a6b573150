/* SPDX-License-Identifier: MIT
 * The optimizer's half of a training step: norm and clipping of the gradient, update of the parameters, moving average. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/fail.h"
#include "brume/ops.h"
#include "train/trainer.h"

void brume_update_build(struct brume_update *u, brume_graph *g, const brume_train_config *c, brume_tensor params,
                        brume_tensor grad)
{
    if (brume_graph_status(g) != BRUME_OK) return;
    const brume_shape flat = brume_tensor_shape(g, grad);
    char name[32];
    u->hyper = brume_input(g, "hyper", BRUME_F32, BRUME_SHAPE(BRUME_HYPER_COUNT));
    /* then the host judges the norm, and factor is clipping over loss scale */
    const bool scaled = c->storage == BRUME_STORAGE_F16;
    u->max_norm = scaled ? BRUME_NONE : brume_input(g, "max_norm", BRUME_F32, BRUME_SCALAR);
    u->factor = scaled ? brume_input(g, "factor", BRUME_F32, BRUME_SCALAR) : BRUME_NONE;
    for (u->n_ema = 1; u->n_ema < BRUME_MAX_EMAS && c->ema_more[u->n_ema - 1] > 0;) u->n_ema++;
    for (int i = 0; i < u->n_ema; i++) {
        snprintf(name, sizeof name, i ? "ema_decay.%d" : "ema_decay", i);
        u->ema_decay[i] = brume_input(g, name, BRUME_F32, BRUME_SCALAR);
    }
    u->params = params;
    u->m = brume_persistent(g, "m", BRUME_F32, flat);
    u->v = c->optimizer == BRUME_SGD ? BRUME_NONE : brume_persistent(g, "v", BRUME_F32, flat);
    for (int i = 0; i < u->n_ema; i++) {
        snprintf(name, sizeof name, i ? "ema.%d" : "ema", i);
        u->ema[i] = brume_persistent(g, name, BRUME_F32, flat);
    }
    brume_tensor scale = u->factor;
    if (!scaled) {
        u->grad_norm = brume_l2_norm(g, grad);
        brume_output(g, u->grad_norm, "grad_norm");
        if (c->clip > 0) scale = brume_clip_scale(g, u->grad_norm, u->max_norm);
    }
    if (c->optimizer == BRUME_SGD) brume_sgd_update(g, params, u->m, grad, u->hyper, scale);
    else brume_adamw_update(g, params, u->m, u->v, grad, u->hyper, scale, c->optimizer == BRUME_ADAMW);
    for (int i = 0; i < u->n_ema; i++) brume_ema_update(g, u->ema[i], params, u->ema_decay[i]);
}

brume_status brume_update_new(struct brume_update *u, brume_device *d, const brume_train_config *c,
                              const struct brume_gradient *from, const brume_plan_options *options)
{
    brume_graph *g = u->graph = brume_graph_new();
    const brume_shape flat = brume_tensor_shape(from->graph, from->params);
    const brume_tensor params = brume_persistent(g, "params", BRUME_F32, flat);
    u->grad = brume_persistent(g, "grad", BRUME_F32, flat);
    brume_update_build(u, g, c, params, u->grad);
    brume_status s = brume_graph_status(g);
    if (s != BRUME_OK) return brume_fail(s, "%s", brume_graph_error(g));
    brume_plan_options shared = *options;
    shared.arena = from->plan;
    shared.elsewhere = (const brume_tensor[]){ params, u->grad, BRUME_NONE };
    s = brume_plan_new(d, g, &shared, &u->plan);
    if (s != BRUME_OK || options->dry) return s;
    if (u->factor == BRUME_NONE) u->judged = brume_plan_step_of(u->plan, u->grad_norm) + 1;
    s = brume_plan_bind(u->plan, params, brume_plan_buffer(from->plan, from->params));
    return s == BRUME_OK ? brume_plan_bind(u->plan, u->grad, brume_plan_buffer(from->plan, from->grad)) : s;
}

void brume_update_free(struct brume_update *u)
{
    if (!u->graph) return;
    brume_plan_free(u->plan);
    brume_graph_free(u->graph);
}

brume_status brume_update_write(const struct brume_update *u, const brume_train_config *c, int64_t done, double lr)
{
    const double k = (double)(done - u->skipped) + 1;
    const float hyper[BRUME_HYPER_COUNT] = {
        [BRUME_HYPER_LR] = (float)lr, [BRUME_HYPER_BETA1] = (float)c->beta1, [BRUME_HYPER_BETA2] = (float)c->beta2,
        [BRUME_HYPER_EPS] = (float)c->eps, [BRUME_HYPER_DECAY] = (float)c->weight_decay,
        [BRUME_HYPER_BIAS1] = (float)(1 - pow(c->beta1, k)), [BRUME_HYPER_BIAS2] = (float)(1 - pow(c->beta2, k)),
    };
    const float max_norm = (float)c->clip;
    brume_status s = brume_plan_write(u->plan, u->hyper, hyper, sizeof hyper);
    if (s == BRUME_OK && u->max_norm != BRUME_NONE) s = brume_plan_write(u->plan, u->max_norm, &max_norm, sizeof max_norm);
    for (int i = 0; i < u->n_ema && s == BRUME_OK; i++) {
        const float decay = (float)fmin(i ? c->ema_more[i - 1] : c->ema_decay, k / (9 + k));
        s = brume_plan_write(u->plan, u->ema_decay[i], &decay, sizeof decay);
    }
    return s;
}

/* Dynamic loss scaling: Micikevicius et al. 2018, section 3.2; numbers as PyTorch's GradScaler. */
static brume_status run_scaled(struct brume_trainer *t, brume_train_result *r)
{
    struct brume_update *u = &t->update;
    if (!isfinite(r->grad_norm)) {
        r->skipped = 1;
        u->skipped++;
        u->good_steps = 0;
        u->loss_scale /= 2;
        return BRUME_OK;
    }
    const double clip = t->config.clip > 0 ? fmin(1, t->config.clip / (r->grad_norm + 1e-6)) : 1; /* as brume_clip_scale() */
    const float factor = (float)(clip / u->loss_scale);
    brume_status s = brume_plan_write(u->plan, u->factor, &factor, sizeof factor);
    if (s != BRUME_OK || (s = brume_plan_run(u->plan)) != BRUME_OK) return s;
    if (++u->good_steps == BRUME_LOSS_SCALE_STEPS) {
        u->good_steps = 0;
        u->loss_scale *= 2;
    }
    return BRUME_OK;
}

brume_status brume_update_judge(struct brume_trainer *t, brume_train_result *r)
{
    struct brume_update *u = &t->update;
    const bool scaled = u->factor != BRUME_NONE;
    float norm = 0;
    brume_status s = scaled || u->plan == t->plan ? BRUME_OK : brume_plan_run_steps(u->plan, 0, u->judged);
    if (s == BRUME_OK && scaled && t->config.parallel) norm = brume_ranks_norm(&t->ranks);
    else if (s == BRUME_OK) s = brume_plan_read(scaled ? t->plan : u->plan, u->grad_norm, &norm, sizeof norm);
    r->grad_norm = (double)norm / u->loss_scale;
    return s;
}

brume_status brume_update_run(struct brume_trainer *t, brume_train_result *r)
{
    struct brume_update *u = &t->update;
    if (u->factor != BRUME_NONE) return run_scaled(t, r);
    return brume_plan_run_steps(u->plan, u->judged, brume_plan_step_count(u->plan) - u->judged);
}
