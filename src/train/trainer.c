/* SPDX-License-Identifier: MIT
 * A trainer and its twins: the graph of a step from images to loss, gradient and update; its plans; what it takes. */
#include "train/trainer.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "brume/ops.h"
#include "brume/params.h"
#include "brume/rng.h"

brume_shape brume_trainer_image_shape(const struct brume_trainer *t, int64_t n)
{
    const brume_unet2d_config *u = &t->config.unet;
    if (!t->data || t->config.autoencoder) return BRUME_SHAPE(n, u->sample_size[0], u->sample_size[1], u->in_channels);
    return BRUME_SHAPE(n, brume_dataset_height(t->data), brume_dataset_width(t->data), brume_dataset_channels(t->data));
}

static brume_status build(struct brume_trainer *t)
{
    const brume_train_config *c = &t->config;
    brume_graph *g = t->graph;
    const int64_t B = t->part;
    t->x0 = brume_input(g, "x0", BRUME_F32, brume_trainer_image_shape(t, B));
    t->coef = brume_input(g, "coef", BRUME_F32, BRUME_SHAPE(B, BRUME_COEF_COUNT));
    t->t = brume_input(g, "t", c->unet.time_embedding_type == BRUME_TIME_LEARNED ? BRUME_I32 : BRUME_F32, BRUME_SHAPE(B));
    t->labels = brume_train_has_labels(c) ? brume_input(g, "labels", BRUME_I32, BRUME_SHAPE(B)) : BRUME_NONE;
    t->seeds = brume_input(g, "seeds", BRUME_I64, BRUME_SHAPE(B));
    t->step = brume_input(g, "step", BRUME_I32, BRUME_SCALAR);
    t->weights = t->params = brume_slab(g, "params");
    if (brume_trainer_adapts(c)) t->params = brume_slab(g, "adapters");
    const brume_tensor context =
        brume_trainer_text_build(&t->text, &c->text, g, t->weights, brume_adapters_for(t, BRUME_LORA_OF_TEXT), B);

    const brume_tensor eps = brume_objective_noise(g, &c->objective, t->seeds, t->step, brume_trainer_image_shape(t, B));
    const brume_tensor xt = brume_objective_mix(g, t->x0, eps, t->coef);
    const brume_dropout_source dropout = { t->seeds, t->step, BRUME_STREAM_TRAIN_DROPOUT };
    const brume_unet2d_inputs in = { .x = xt, .t = t->t,
                                     .labels = brume_trainer_classifies(c) ? BRUME_NONE : t->labels, .context = context,
                                     .lora = brume_adapters_for(t, BRUME_LORA_OF_UNET) };
    const brume_tensor out = brume_unet2d(g, &c->unet, t->weights, &in, t->evaluates ? NULL : &dropout);
    if (brume_trainer_adapts(c) && !brume_param_count(g, t->params))
        brume_graph_fail(g, BRUME_E_ARG, "training: the network has no attention to adapt");
    if (brume_trainer_classifies(c)) {
        brume_classify_build(t, out);
    } else {
        t->loss = brume_objective_loss(g, &c->objective, c->scheduler.variance_type, t->x0, eps, t->coef, out);
        brume_output(g, t->loss.weighted, "losses");
    }
    brume_output(g, t->loss.loss, "loss");
    return brume_graph_status(g);
}

/* Gradient and update: a whole batch in one plan; micro-batches in a plan that adds gradients up, and one that updates by their
 * sum. */
static brume_status plan_update(struct brume_trainer *t, const brume_plan_options *options)
{
    brume_graph *g = t->graph;
    struct brume_update *u = &t->update;
    brume_tensor sum = BRUME_NONE;
    u->loss_scale = brume_trainer_scaled(t) ? BRUME_LOSS_SCALE : 1;
    brume_graph_recompute(g, t->config.recompute);
    if (brume_trainer_apart(t)) {
        t->keep = brume_input(g, "keep", BRUME_F32, BRUME_SCALAR);
        t->share = brume_input(g, "share", BRUME_F32, BRUME_SCALAR);
        sum = brume_grad_slab_sum(g, t->loss.loss, t->share, t->params, "grad", t->keep);
    } else {
        u->grad = BRUME_NONE;
        brume_update_build(u, g, &t->config, t->params, brume_grad_slab(g, t->loss.loss, t->params));
    }
    t->grad = sum;
    if (brume_trainer_scaled(t) && !t->config.parallel) { /* ranks ask for the norm of their sum */
        u->grad_norm = brume_l2_norm(g, sum);
        brume_output(g, u->grad_norm, "grad_norm");
    }
    if (brume_trainer_scaled(t)) brume_store_half(g, BRUME_NONE);
    if (brume_graph_status(g) != BRUME_OK) return brume_fail(brume_graph_status(g), "%s", brume_graph_error(g));
    t->n_params = brume_params_numel(g, t->params);
    t->n_weights = brume_params_numel(g, t->weights);
    brume_plan_options o = *options;
    /* the latter as packed copies of all weights would take thrice their memory */
    o.repack = brume_trainer_apart(t) || brume_trainer_adapts(&t->config);
    brume_status s = brume_plan_new(t->device, g, &o, &t->plan);
    if (s == BRUME_OK && brume_trainer_apart(t))
        return brume_update_new(u, t->device, &t->config, &(struct brume_gradient){ g, t->plan, t->params, sum }, options);
    u->plan = t->plan;
    if (s == BRUME_OK) u->judged = brume_plan_step_of(t->plan, u->grad_norm) + 1;
    return s;
}

brume_status brume_trainer_set_params(brume_trainer *t, const float *params, int64_t n)
{
    if (brume_trainer_adapts(&t->config)) return brume_adapters_set_weights(t, params, n);
    if (n != t->n_params)
        return brume_fail(BRUME_E_SHAPE, "training: the model has %" PRId64 " parameters, %" PRId64 " were given", t->n_params,
                          n);
    const size_t bytes = (size_t)n * sizeof *params;
    brume_status s = brume_plan_write(t->update.plan, t->update.params, params, bytes);
    for (int i = 0; s == BRUME_OK && i < t->update.n_ema; i++)
        s = brume_plan_write(t->update.plan, t->update.ema[i], params, bytes);
    return s;
}

static brume_status no_memory(void) { return brume_fail(BRUME_E_MEMORY, "training: out of memory"); }

/* A trainer with its graph up to the loss. */
static brume_status begin(brume_device *d, const brume_train_config *c, const brume_dataset *data, bool evaluates,
                          brume_trainer **out)
{
    *out = NULL;
    brume_status s = brume_train_config_check(c);
    if (s == BRUME_OK && brume_trainer_classifies(c)) s = brume_classify_check(c, data);
    if (s != BRUME_OK) return s;
    if (!data && (c->unet.sample_size[0] < 1 || c->unet.sample_size[1] < 1))
        return brume_fail(BRUME_E_ARG, "training: without data the config must give sample_size");
    if ((s = brume_trainer_latent_check(c, data)) != BRUME_OK) return s;
    struct brume_trainer *t = calloc(1, sizeof *t);
    if (!t) return no_memory();
    *out = t;
    t->device = d;
    t->config = *c;
    t->config.scheduler.trained_betas = NULL;
    t->data = data;
    t->evaluates = evaluates;
    t->part = c->micro_batch ? c->micro_batch : brume_trainer_share(t);
    if ((s = brume_scheduler_config_copy(&t->config.scheduler, &c->scheduler)) != BRUME_OK) return s;
    if ((s = brume_process_new(&c->scheduler, &t->process)) != BRUME_OK) return s;
    if ((s = brume_objective_check(&c->objective, &c->scheduler, t->process)) != BRUME_OK) return s;
    t->keep = t->share = BRUME_NONE;
    t->graph = brume_graph_new();
    if (!t->graph) return no_memory();
    if ((s = build(t)) != BRUME_OK) return brume_fail(s, "%s", brume_graph_error(t->graph));
    return BRUME_OK;
}

/* The graph and its plan; dry: laid out only. */
static brume_status plan_step(brume_device *d, const brume_train_config *c, const brume_dataset *data, int dry,
                              brume_trainer **out)
{
    const brume_plan_options options = { .dry = dry };
    const brume_status s = begin(d, c, data, false, out);
    return s == BRUME_OK ? plan_update(*out, &options) : s;
}

brume_status brume_train_estimate(brume_device *d, const brume_train_config *c, brume_plan_stats *stats)
{
    return brume_trainer_estimate(d, c, NULL, stats);
}

brume_status brume_trainer_estimate(brume_device *d, const brume_train_config *c, const brume_dataset *data,
                                    brume_plan_stats *stats)
{
    brume_trainer *t;
    brume_status s = plan_step(d, c, data, 1, &t);
    if (s == BRUME_OK) brume_trainer_get_stats(t, stats);
    brume_trainer_free(t);
    return s;
}

brume_status brume_train_get_bound(brume_device *d, const brume_train_config *c, brume_plan_bound *b)
{
    brume_trainer *t;
    brume_plan_bound u = { .gflops = b->gflops };
    brume_status s = plan_step(d, c, NULL, 1, &t);
    if (s == BRUME_OK) s = brume_plan_get_bound(t->plan, b);
    if (s == BRUME_OK && brume_trainer_apart(t)) {
        const int runs = (int)(brume_trainer_share(t) / t->part);
        s = brume_plan_get_bound(t->update.plan, &u);
        const brume_plan_bound *longer = u.longest_ms > b->longest_ms ? &u : b;
        brume_plan_bound sum = *longer;
        sum.launches = b->launches * runs + u.launches;
        sum.cut = b->cut * runs + u.cut;
        sum.pieces = b->pieces * runs + u.pieces;
        sum.piece_ms = b->piece_ms > u.piece_ms ? b->piece_ms : u.piece_ms;
        *b = sum;
    }
    brume_trainer_free(t);
    return s;
}

static brume_status allocate_batch(struct brume_trainer *t)
{
    const size_t B = (size_t)t->part, batch = (size_t)t->config.batch,
                 numel = (size_t)brume_shape_numel(brume_trainer_image_shape(t, t->part));
    t->images = malloc(numel * sizeof *t->images);
    t->coef_values = malloc(B * BRUME_COEF_COUNT * sizeof *t->coef_values);
    t->times = malloc(B * sizeof *t->times);
    t->classes = calloc(B, sizeof *t->classes);
    t->seed_values = malloc(B * sizeof *t->seed_values);
    t->time_index = malloc(B * sizeof *t->time_index);
    t->label_values = malloc(B * sizeof *t->label_values);
    t->logit_values = malloc(B * (size_t)t->config.unet.out_channels * sizeof *t->logit_values);
    t->own_times = malloc(batch * sizeof *t->own_times);
    t->importance = malloc(batch * sizeof *t->importance);
    t->losses = malloc(batch * sizeof *t->losses);
    if (!t->images || !t->coef_values || !t->times || !t->classes || !t->seed_values || !t->time_index || !t->label_values ||
        !t->logit_values || !t->own_times || !t->importance || !t->losses)
        return no_memory();
    if (!t->data) brume_fill_normal(t->config.seed, BRUME_STREAM_TRAIN_NOISE, 0, 0, (int64_t)numel, t->images);
    brume_status s = brume_trainer_text_allocate(&t->text, t->device, t->part);
    if (s == BRUME_OK) s = brume_trainer_latent_open(&t->latent, t->device, &t->config, t->data, t->part);
    if (s != BRUME_OK) return s;
    if (t->data) s = brume_loader_new(t->data, t->config.seed, &t->loader);
    if (!t->data || s != BRUME_OK) return s;
    if (t->config.parallel) brume_loader_share(t->loader, brume_trainer_share(t), t->config.batch);
    return brume_loader_ahead(t->loader);
}

brume_status brume_trainer_new(brume_device *d, const brume_train_config *c, const brume_dataset *data, brume_trainer **out)
{
    *out = NULL;
    brume_trainer *t = NULL;
    float *fresh = NULL;
    brume_status s = brume_trainer_check_memory(d, c, data);
    if (s == BRUME_OK) s = plan_step(d, c, data, 0, &t);
    if (s == BRUME_OK) s = allocate_batch(t);
    if (s == BRUME_OK) s = brume_ranks_open(&t->ranks, c->parallel, t->plan, t->grad, t->n_params);
    if (s == BRUME_OK) s = brume_time_sampler_new(&c->objective, &c->scheduler, t->process, &t->time_sampler);
    if (s == BRUME_OK && !(fresh = malloc((size_t)t->n_weights * sizeof *fresh))) s = no_memory();
    if (s == BRUME_OK) {
        brume_params_init(t->graph, t->weights, c->seed, fresh);
        if (t->text.n_params && c->text.frozen) memcpy(fresh, c->text.frozen->params, (size_t)t->text.n_params * sizeof *fresh);
        s = brume_trainer_set_params(t, fresh, t->n_weights);
    }
    if (s == BRUME_OK && brume_trainer_adapts(c)) s = brume_adapters_start(t);
    free(fresh);
    if (s == BRUME_OK) *out = t;
    else brume_trainer_free(t);
    return s;
}

void brume_trainer_free(brume_trainer *t)
{
    if (!t) return;
    brume_ranks_close(&t->ranks);
    brume_update_free(&t->update);
    brume_plan_free(t->plan);
    brume_graph_free(t->graph);
    brume_loader_free(t->loader);
    brume_trainer_text_free(&t->text);
    brume_trainer_latent_close(&t->latent);
    brume_time_sampler_free(t->time_sampler);
    brume_process_free(t->process);
    brume_scheduler_config_clear(&t->config.scheduler);
    free(t->images);
    free(t->coef_values);
    free(t->times);
    free(t->classes);
    free(t->seed_values);
    free(t->time_index);
    free(t->label_values);
    free(t->logit_values);
    free(t->own_times);
    free(t->importance);
    free(t->losses);
    free(t);
}

/* The graph of a twin: the loss alone, or the gradient with all that leads to it. */
static brume_status plan_twin(struct brume_trainer *x, struct brume_trainer *t)
{
    brume_graph *g = x->graph;
    const bool adapts = brume_trainer_adapts(&x->config);
    const brume_tensor elsewhere[] = { x->weights, adapts ? x->params : BRUME_NONE, BRUME_NONE };
    if (!x->evaluates) {
        x->keep = brume_input(g, "keep", BRUME_F32, BRUME_SCALAR);
        x->share = brume_input(g, "share", BRUME_F32, BRUME_SCALAR);
        brume_grad_slab_sum(g, x->loss.loss, x->share, x->params, "grad", x->keep);
        if (brume_trainer_scaled(x)) brume_store_half(g, BRUME_NONE);
    }
    if (brume_graph_status(g) != BRUME_OK) return brume_fail(brume_graph_status(g), "%s", brume_graph_error(g));
    const brume_plan_options options = { .elsewhere = elsewhere, .repack = 1, .arena = x->evaluates ? t->plan : NULL,
                                         .keep_all = !x->evaluates };
    brume_status s = brume_plan_new(x->device, g, &options, &x->plan);
    brume_buffer *own = brume_plan_buffer(t->update.plan, x->evaluates ? brume_trainer_ema(t) : t->update.params);
    if (s == BRUME_OK) s = brume_plan_bind(x->plan, x->params, own);
    return s == BRUME_OK && adapts ? brume_plan_bind(x->plan, x->weights, brume_plan_buffer(t->plan, t->weights)) : s;
}

brume_status brume_trainer_twin(struct brume_trainer *t, const brume_dataset *data, int32_t part, struct brume_trainer **out)
{
    brume_train_config c = t->config;
    struct brume_trainer *x = NULL;
    c.parallel = NULL; /* one rank looks at everything, */
    c.micro_batch = t->part; /* as much at once as it otherwise takes */
    if (data) {
        c.batch = part;
        c.micro_batch = 0;
    }
    brume_status s = begin(t->device, &c, data ? data : t->data, data != NULL, &x);
    if (s == BRUME_OK) s = plan_twin(x, t);
    if (s == BRUME_OK) s = allocate_batch(x);
    if (s == BRUME_OK) {
        x->time_sampler = t->time_sampler;
        x->update.loss_scale = t->update.loss_scale;
        x->done = t->done;
        *out = x;
    } else {
        brume_trainer_free(x);
    }
    return s;
}

void brume_trainer_twin_free(struct brume_trainer *x)
{
    if (x) x->time_sampler = NULL; /* its twin's */
    brume_trainer_free(x);
}

int64_t brume_trainer_steps_done(const brume_trainer *t) { return t->done; }
int64_t brume_trainer_param_count(const brume_trainer *t) { return t->n_params; }

void brume_trainer_get_stats(const brume_trainer *t, brume_plan_stats *s)
{
    const double runs = brume_trainer_share(t) / t->part;
    brume_plan_stats u;
    brume_plan_get_stats(t->plan, s);
    const uint64_t image = (uint64_t)brume_shape_numel(brume_trainer_image_shape(t, 1)) * sizeof *t->images + 28;
    s->host_bytes += (uint64_t)t->part * image * 3; /* the batch, and the next two */
    if (!brume_trainer_apart(t)) return;
    brume_plan_get_stats(t->update.plan, &u);
    s->nodes += u.nodes;
    s->tuned = s->tuned * (int)runs + u.tuned;
    s->kernels = s->kernels * (int)runs + u.kernels;
    s->arena_bytes += u.arena_bytes;
    s->persistent_bytes += u.persistent_bytes;
    s->input_bytes += u.input_bytes;
    s->packed_bytes += u.packed_bytes;
    s->host_bytes += u.host_bytes;
    s->prepared += u.prepared;
    s->flops = s->flops * runs + u.flops;
}

brume_plan *brume_trainer_plan(brume_trainer *t) { return t->plan; }

brume_status brume_trainer_get_params(brume_trainer *t, int ema, float *host)
{
    return brume_plan_read(t->update.plan, ema ? brume_trainer_ema(t) : t->update.params, host,
                           (size_t)t->n_params * sizeof *host);
}
