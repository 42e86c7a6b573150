/* SPDX-License-Identifier: MIT
 * One step of a trainer: times and noise are drawn, inputs written, loss and gradient computed, judged, and taken. */
#include "train/trainer.h"

#include <inttypes.h>
#include <math.h>

#include "base/fail.h"
#include "brume/rng.h"

brume_status brume_trainer_set_example(struct brume_trainer *t, int32_t i, uint64_t seed, double u, double importance,
                                       bool dropped)
{
    const brume_train_config *c = &t->config;
    brume_objective_example(&c->objective, &c->scheduler, t->process, u, importance, t->coef_values + i * BRUME_COEF_COUNT,
                            &t->times[i]);
    t->seed_values[i] = (int64_t)seed;
    t->time_index[i] = (int32_t)u;
    t->label_values[i] = dropped ? c->unet.num_class_embeds - 1 : (int32_t)t->classes[i];
    return brume_trainer_text_set(&t->text, t->data, i, dropped);
}

/* Seed, noise level and label or caption of the examples of a part of step `done`, the first being number `first` of the batch:
 * functions of (seed, position) and, where times follow the losses, of the losses before. */
static brume_status draw_examples(struct brume_trainer *t, int32_t first)
{
    const brume_train_config *c = &t->config;
    const uint64_t step_seed = brume_seed_mix(c->seed, (uint64_t)t->done);
    brume_status s = BRUME_OK;
    for (int32_t i = 0; s == BRUME_OK && i < t->part; i++) {
        const uint64_t seed = brume_seed_mix(c->seed, (uint64_t)t->done * (uint64_t)c->batch + (uint64_t)(first + i));
        brume_rng drop = { .seed = seed, .stream = BRUME_STREAM_TRAIN_DROP };
        double importance;
        const double u = brume_time_sampler_draw(t->time_sampler, step_seed, seed, first + i, c->batch, &importance);
        t->own_times[first + i] = u;
        t->importance[first + i] = importance;
        s = brume_trainer_set_example(t, i, seed, u, importance,
                                      !brume_trainer_classifies(c) && brume_rng_uniform(&drop) < (float)c->cond_drop);
    }
    return s;
}

brume_status brume_trainer_write_inputs(struct brume_trainer *t, int32_t first)
{
    const size_t B = (size_t)t->part, n_images = B * (size_t)brume_shape_numel(brume_trainer_image_shape(t, 1));
    const float keep = first % brume_trainer_share(t) ? 1 : 0, share = (float)(t->update.loss_scale * t->part / t->config.batch);
    const bool index_times = t->config.unet.time_embedding_type == BRUME_TIME_LEARNED;
    const int32_t step = 0; /* every example has a seed of its own */
    const struct { brume_tensor to; const void *from; size_t bytes; } writes[] = {
        { t->x0, t->images, n_images * sizeof *t->images },
        { t->coef, t->coef_values, B * BRUME_COEF_COUNT * sizeof *t->coef_values },
        { t->t, index_times ? (const void *)t->time_index : t->times, B * sizeof *t->times },
        { t->labels, t->label_values, B * sizeof *t->label_values },
        { t->seeds, t->seed_values, B * sizeof *t->seed_values },
        { t->step, &step, sizeof step },
        { t->keep, &keep, sizeof keep },
        { t->share, &share, sizeof share },
    };
    for (size_t i = 0; i < sizeof writes / sizeof *writes; i++) {
        if (writes[i].to == BRUME_NONE) continue;
        brume_status s = brume_plan_write(t->plan, writes[i].to, writes[i].from, writes[i].bytes);
        if (s != BRUME_OK) return s;
    }
    return brume_trainer_text_write(&t->text, t->plan, t->part);
}

brume_status brume_trainer_read_images(struct brume_trainer *t, int64_t position)
{
    if (!t->loader) return BRUME_OK;
    return t->latent.coder
               ? brume_trainer_latent_read(&t->latent, t->loader, position, t->part, t->images, t->classes, t->text.items)
               : brume_loader_read(t->loader, position, t->part, t->images, t->classes, t->text.items);
}

brume_status brume_trainer_load_part(struct brume_trainer *t, int32_t first)
{
    brume_status s = brume_trainer_read_images(t, t->done * t->config.batch + first);
    if (s == BRUME_OK) s = draw_examples(t, first);
    return s == BRUME_OK ? brume_trainer_write_inputs(t, first) : s;
}

/* Loss and gradient of `part` images from number `first` of the batch on; last: of the own share of it, so that gradients may go
 * to other ranks. */
static brume_status run_part(struct brume_trainer *t, int32_t first, bool last, double *loss)
{
    float mean = 0;
    brume_status s = brume_trainer_load_part(t, first);
    if (s != BRUME_OK) return s;
    s = t->config.parallel && last ? brume_ranks_run(&t->ranks)
        : brume_trainer_apart(t) ? brume_plan_run(t->plan) : brume_plan_run_steps(t->plan, 0, t->update.judged);
    if (s != BRUME_OK) return s;
    s = brume_plan_read(t->plan, t->loss.loss, &mean, sizeof mean);
    *loss += (double)mean * t->part / t->config.batch;
    if (s == BRUME_OK && brume_trainer_classifies(&t->config)) return brume_classify_tally(t, &t->last);
    return s == BRUME_OK && brume_time_sampler_learns(t->time_sampler)
               ? brume_plan_read(t->plan, t->loss.weighted, t->losses + first, (size_t)t->part * sizeof *t->losses) : s;
}

/* With f16 storage a gradient that is not finite only lowers the scale of the loss, unless that is as low as it gets. */
static brume_status check_finite(const struct brume_trainer *t, const brume_train_result *r)
{
    const double scale = t->update.loss_scale;
    const bool norm = isfinite(r->grad_norm);
    if (isfinite(r->loss) && (brume_trainer_scaled(t) ? scale >= (norm ? 1 : 2) : norm)) return BRUME_OK;
    if (brume_trainer_scaled(t))
        return brume_fail(BRUME_E_NUMERIC,
                          "training: step %" PRId64
                          " gave loss %g at loss scale %g; resume from the last checkpoint with --storage f32: activations or "
                          "gradients leave the range of f16",
                          t->done + 1, r->loss, scale);
    return brume_fail(BRUME_E_NUMERIC,
                      "training: step %" PRId64
                      " gave loss %g and gradient norm %g; resume from the last checkpoint with a smaller --lr",
                      t->done + 1, r->loss, r->grad_norm);
}

brume_status brume_trainer_step(brume_trainer *t, brume_train_result *r)
{
    const brume_train_config *c = &t->config;
    double loss = 0;
    const double lr = brume_learning_rate(c, t->done), waited = t->loader ? brume_loader_waited(t->loader) : 0;
    t->last = (struct brume_tally){ 0 };
    brume_status s = brume_update_write(&t->update, c, t->done, lr);
    const int32_t share = brume_trainer_share(t), own = share * brume_parallel_rank(c->parallel);
    for (int32_t first = own; s == BRUME_OK && first < own + share; first += t->part)
        s = run_part(t, first, first + t->part == own + share, &loss);
    double sum_wait = 0;
    if (s == BRUME_OK) s = brume_ranks_wait(&t->ranks, &sum_wait);
    if (s == BRUME_OK) s = brume_ranks_sum(t, &loss);
    *r = (brume_train_result){ .loss = loss, .lr = lr, .accuracy = NAN, .reconstruction = NAN, .kl = NAN, .sum_wait = sum_wait,
                                 .data_wait = t->loader ? brume_loader_waited(t->loader) - waited : 0 };
    if (s == BRUME_OK) s = brume_update_judge(t, r);
    if (s == BRUME_OK) s = check_finite(t, r);
    if (s == BRUME_OK) s = brume_update_run(t, r);
    if (s != BRUME_OK) return s;
    for (int32_t i = 0; brume_time_sampler_learns(t->time_sampler) && i < c->batch; i++)
        brume_time_sampler_learn(t->time_sampler, t->own_times[i], (double)t->losses[i] / t->importance[i]);
    t->done++;
    for (int i = 0; i < BRUME_TALLY_BINS; i++) {
        t->recent.seen[i] += t->last.seen[i];
        t->recent.correct[i] += t->last.correct[i];
    }
    r->accuracy = brume_tally_accuracy(&t->last);
    return BRUME_OK;
}
