/* SPDX-License-Identifier: MIT
 * Training of autoencoders: reconstruction and KL divergence (Rombach et al. 2022; Kingma & Welling 2014). */
#include "train/autoencoder.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "brume/params.h"
#include "brume/rng.h"

/* |x|, whose gradient is 0 at 0 */
static brume_tensor magnitude(brume_graph *g, brume_tensor x)
{
    return brume_add(g, brume_relu(g, x), brume_relu(g, brume_affine(g, x, -1.0f, 0.0f)));
}

/* The gradient of a share of the batch, which all ranks add up, and the update by the sum. */
static brume_status plan_shared(brume_autoencoder_trainer *t, brume_device *d)
{
    brume_graph *g = t->graph;
    const brume_plan_options options = { .repack = 1 };
    const float keep = 0, share = (float)t->part / (float)t->config.batch;
    t->keep = brume_input(g, "keep", BRUME_F32, BRUME_SCALAR);
    t->share = brume_input(g, "share", BRUME_F32, BRUME_SCALAR);
    t->grad = brume_grad_slab_sum(g, t->loss, t->share, t->slab, "grad", t->keep);
    if (brume_graph_status(g) != BRUME_OK) return brume_fail(brume_graph_status(g), "%s", brume_graph_error(g));
    t->n_params = brume_params_numel(g, t->slab);
    brume_status s = brume_plan_new(d, g, &options, &t->plan);
    if (s == BRUME_OK)
        s = brume_update_new(&t->update, d, &t->config, &(struct brume_gradient){ g, t->plan, t->slab, t->grad }, &options);
    if (s == BRUME_OK) s = brume_plan_write(t->plan, t->keep, &keep, sizeof keep);
    if (s == BRUME_OK) s = brume_plan_write(t->plan, t->share, &share, sizeof share);
    return s == BRUME_OK ? brume_ranks_open(&t->ranks, t->config.parallel, t->plan, t->grad, t->n_params) : s;
}

static brume_status build(brume_autoencoder_trainer *t, brume_device *d, const brume_autoencoder_objective *o, brume_shape images)
{
    brume_graph *g = t->graph = brume_graph_new();
    const brume_autoencoder_config *c = &t->autoencoder;
    const int64_t f = brume_autoencoder_factor(c);
    if (!g) return brume_fail(BRUME_E_MEMORY, "out of memory for training");
    t->slab = brume_slab(g, "params");
    t->x = brume_input(g, "x", BRUME_F32, images);
    t->eps = brume_input(g, "eps", BRUME_F32, BRUME_SHAPE(images.d[0], images.d[1] / f, images.d[2] / f, c->latent_channels));
    const brume_tensor moments = brume_autoencoder_encode(g, c, t->slab, t->x);
    const brume_tensor y = brume_autoencoder_decode(g, c, t->slab, brume_autoencoder_sample(g, moments, t->eps)),
                       e = brume_sub(g, y, t->x);
    t->reconstruction = brume_mean(g, o->reconstruction == BRUME_RECONSTRUCTION_L1 ? magnitude(g, e) : brume_square(g, e), 15, 0);
    t->kl = brume_mean(g, brume_autoencoder_kl(g, moments), 1, 0);
    t->loss = brume_add(g, t->reconstruction, brume_affine(g, t->kl, (float)(o->kl_weight / (double)t->image), 0.0f));
    brume_output(g, t->reconstruction, "reconstruction");
    brume_output(g, t->kl, "kl");
    brume_output(g, t->loss, "loss");
    t->update.loss_scale = 1;
    if (t->config.parallel) return plan_shared(t, d);
    brume_update_build(&t->update, g, &t->config, t->slab, brume_grad_slab(g, t->loss, t->slab));
    if (brume_graph_status(g) != BRUME_OK) return brume_fail(brume_graph_status(g), "%s", brume_graph_error(g));
    t->n_params = brume_params_numel(g, t->slab);
    const brume_status s = brume_plan_new(d, g, NULL, &t->plan);
    t->update.plan = t->plan;
    return s;
}

/* The average begins at the parameters, as if they had always been there. */
static brume_status start(brume_autoencoder_trainer *t, const brume_autoencoder *init)
{
    brume_autoencoder *fresh = NULL;
    brume_status s = init ? BRUME_OK : brume_autoencoder_new(&t->autoencoder, t->config.seed, &fresh);
    const brume_autoencoder *a = init ? init : fresh;
    if (s == BRUME_OK && a->n_params != t->n_params)
        s = brume_fail(BRUME_E_ARG, "training begins from %lld parameters, the autoencoder to be trained has %lld",
                       (long long)a->n_params, (long long)t->n_params);
    if (s == BRUME_OK) s = brume_plan_write(t->plan, t->slab, a->params, (size_t)t->n_params * 4);
    if (s == BRUME_OK) s = brume_plan_write(t->update.plan, t->update.ema[0], a->params, (size_t)t->n_params * 4);
    brume_autoencoder_free(fresh);
    return s;
}

static brume_status check(const brume_train_config *c, const brume_autoencoder_config *ac, const brume_autoencoder_objective *o,
                          const brume_dataset *data)
{
    const brume_status s = brume_autoencoder_config_check(ac);
    if (s != BRUME_OK) return s;
    const long long f = brume_autoencoder_factor(ac);
    const int32_t height = brume_dataset_height(data), width = brume_dataset_width(data), channels = brume_dataset_channels(data);
    if (height % f || width % f)
        return brume_fail(BRUME_E_ARG, "an autoencoder of %d levels needs images whose sides are multiples of %lld, got %d x %d",
                          ac->levels, f, height, width);
    if (ac->in_channels != channels || ac->out_channels != channels)
        return brume_fail(BRUME_E_ARG, "images have %d channels, the autoencoder takes %d and gives %d", channels,
                          ac->in_channels, ac->out_channels);
    if (!(o->kl_weight >= 0) || (unsigned)o->reconstruction > BRUME_RECONSTRUCTION_L2)
        return brume_fail(BRUME_E_ARG,
                          "training an autoencoder: the weight of KL must be 0 or more, the reconstruction L1 or L2");
    const int ranks = brume_parallel_size(c->parallel);
    if (c->batch >= 1 && c->batch % ranks)
        return brume_fail(BRUME_E_ARG, "training: %d ranks must share the batch equally, got a batch of %d", ranks, c->batch);
    return c->batch >= 1 ? BRUME_OK : brume_fail(BRUME_E_ARG, "batch must be 1 or more, got %d", c->batch);
}

brume_status brume_autoencoder_trainer_new(brume_device *d, const brume_train_config *c, const brume_autoencoder_config *ac,
                                           const brume_autoencoder_objective *o, const brume_dataset *data,
                                           const brume_autoencoder *init, brume_autoencoder_trainer **out)
{
    *out = NULL;
    brume_status s = check(c, ac, o, data);
    if (s != BRUME_OK) return s;
    brume_autoencoder_trainer *t = calloc(1, sizeof *t);
    if (!t) return brume_fail(BRUME_E_MEMORY, "out of memory for training");
    const int32_t part = c->batch / brume_parallel_size(c->parallel);
    const brume_shape images =
        BRUME_SHAPE(part, brume_dataset_height(data), brume_dataset_width(data), brume_dataset_channels(data));
    const int64_t f = brume_autoencoder_factor(ac);
    t->device = d;
    t->data = data;
    t->part = part;
    t->objective = *o;
    t->config = *c;
    t->config.storage = BRUME_STORAGE_F32;
    t->config.lora.rank = 0;
    t->autoencoder = *ac;
    t->image = images.d[1] * images.d[2] * images.d[3];
    t->latent = images.d[1] / f * (images.d[2] / f) * ac->latent_channels;
    t->images = malloc((size_t)(part * t->image) * 4);
    t->noise = malloc((size_t)(part * t->latent) * 4);
    if (!t->images || !t->noise) s = brume_fail(BRUME_E_MEMORY, "out of memory for a batch");
    if (s == BRUME_OK) s = brume_loader_new(data, c->seed, &t->loader);
    if (s == BRUME_OK && c->parallel) brume_loader_share(t->loader, part, c->batch);
    if (s == BRUME_OK) s = brume_loader_ahead(t->loader);
    if (s == BRUME_OK) s = build(t, d, o, images);
    if (s == BRUME_OK) s = start(t, init);
    if (s != BRUME_OK) brume_autoencoder_trainer_free(t);
    else *out = t;
    return s;
}

void brume_autoencoder_trainer_free(brume_autoencoder_trainer *t)
{
    if (!t) return;
    brume_ranks_close(&t->ranks);
    brume_update_free(&t->update);
    brume_plan_free(t->plan);
    brume_graph_free(t->graph);
    brume_loader_free(t->loader);
    free(t->images);
    free(t->noise);
    free(t);
}

/* Loss and its parts, which are means over the share of this rank. */
static brume_status read_losses(brume_autoencoder_trainer *t, brume_train_result *r)
{
    const struct {
        brume_tensor from;
        double *to;
    } results[] = { { t->loss, &r->loss }, { t->reconstruction, &r->reconstruction }, { t->kl, &r->kl } };
    double all[3] = { 0 };
    brume_status s = BRUME_OK;
    for (int i = 0; i < 3 && s == BRUME_OK; i++) {
        float value = 0;
        s = brume_plan_read(t->plan, results[i].from, &value, sizeof value);
        all[i] = (double)value / brume_parallel_size(t->config.parallel);
    }
    if (s == BRUME_OK) s = brume_parallel_sum_f64(t->config.parallel, all, 3);
    for (int i = 0; i < 3; i++) *results[i].to = all[i];
    return s;
}

brume_status brume_autoencoder_trainer_step(brume_autoencoder_trainer *t, brume_train_result *r)
{
    const int64_t n = t->part, first = t->done * t->config.batch + n * brume_parallel_rank(t->config.parallel);
    float norm = 0;
    *r = (brume_train_result){ .lr = brume_learning_rate(&t->config, t->done), .accuracy = NAN };
    const double waited = brume_loader_waited(t->loader);
    brume_status s = brume_loader_read(t->loader, first, n, t->images, NULL, NULL);
    r->data_wait = brume_loader_waited(t->loader) - waited;
    for (int64_t i = 0; i < n && s == BRUME_OK; i++)
        brume_fill_normal(brume_seed_mix(t->config.seed, (uint64_t)(first + i)), BRUME_STREAM_TRAIN_NOISE, 0, 0, t->latent,
                          t->noise + i * t->latent);
    if (s == BRUME_OK) s = brume_plan_write(t->plan, t->x, t->images, (size_t)(n * t->image) * 4);
    if (s == BRUME_OK) s = brume_plan_write(t->plan, t->eps, t->noise, (size_t)(n * t->latent) * 4);
    if (s == BRUME_OK) s = brume_update_write(&t->update, &t->config, t->done, r->lr);
    if (s == BRUME_OK) s = t->config.parallel ? brume_ranks_run(&t->ranks) : brume_plan_run(t->plan);
    if (s == BRUME_OK) s = brume_ranks_wait(&t->ranks, &r->sum_wait);
    if (s == BRUME_OK && t->config.parallel) s = brume_plan_run(t->update.plan);
    if (s == BRUME_OK) s = read_losses(t, r);
    if (s == BRUME_OK) s = brume_plan_read(t->update.plan, t->update.grad_norm, &norm, sizeof norm);
    if (s != BRUME_OK) return s;
    r->grad_norm = (double)norm;
    t->done++;
    if (isfinite(r->loss) && isfinite(r->grad_norm)) return BRUME_OK;
    return brume_fail(BRUME_E_NUMERIC,
                      "training: step %lld has a loss of %g and a gradient of norm %g; a smaller learning rate may help",
                      (long long)t->done, r->loss, r->grad_norm);
}

int64_t brume_autoencoder_trainer_steps_done(const brume_autoencoder_trainer *t) { return t->done; }

brume_status brume_autoencoder_trainer_get(brume_autoencoder_trainer *t, int ema, brume_autoencoder **out)
{
    brume_autoencoder *a = NULL;
    *out = NULL;
    brume_status s = brume_autoencoder_new(&t->autoencoder, 0, &a);
    if (s == BRUME_OK)
        s = brume_plan_read(t->update.plan, ema ? t->update.ema[0] : t->update.params, a->params, (size_t)t->n_params * 4);
    if (s != BRUME_OK) brume_autoencoder_free(a);
    else *out = a;
    return s;
}

brume_status brume_autoencoder_estimate_scaling(brume_device *d, brume_autoencoder *a, const brume_dataset *data, int64_t images,
                                                uint64_t seed)
{
    const int64_t f = brume_autoencoder_factor(&a->config), h = brume_dataset_height(data) / f, w = brume_dataset_width(data) / f;
    const int64_t latent = h * w * a->config.latent_channels, image = h * f * w * f * a->config.in_channels;
    const brume_autoencoder_objective any = { 0 };
    brume_train_config one = { .batch = 1 };
    brume_status s = check(&one, &a->config, &any, data);
    if (s != BRUME_OK) return s;
    brume_latent_coder *coder = NULL;
    float *x = malloc((size_t)image * 4), *z = malloc((size_t)latent * 4);
    double sum = 0, squares = 0;
    a->config.scaling_factor = 1;
    a->config.shift_factor = 0;
    s = x && z ? brume_latent_coder_new(d, a, h, w, NULL, &coder) : brume_fail(BRUME_E_MEMORY, "out of memory for an image");
    if (images > brume_dataset_count(data)) images = brume_dataset_count(data);
    for (int64_t i = 0; i < images && s == BRUME_OK; i++) {
        const uint64_t own = brume_seed_mix(seed, (uint64_t)i);
        s = brume_dataset_get(data, i, x, NULL);
        if (s == BRUME_OK) s = brume_latent_coder_encode(coder, x, 1, &own, z);
        for (int64_t k = 0; k < latent && s == BRUME_OK; k++) {
            sum += (double)z[k];
            squares += (double)z[k] * (double)z[k];
        }
    }
    const double n = (double)(images * latent), variance = squares / n - sum / n * (sum / n);
    if (s == BRUME_OK && !(variance > 1e-12 && isfinite(variance)))
        s = brume_fail(BRUME_E_NUMERIC, "latents of %lld images have a variance of %g, so that no factor brings it to 1",
                       (long long)images, variance);
    if (s == BRUME_OK) a->config.scaling_factor = 1 / sqrt(variance);
    brume_latent_coder_free(coder);
    free(x);
    free(z);
    return s;
}
