/* SPDX-License-Identifier: MIT
 * What is trained and how: defaults, names, and what a config must be. */
#include "train/trainer.h"

#include <string.h>

#include "base/fail.h"

const char *brume_optimizer_name(brume_optimizer o)
{
    static const char *const names[] = { "adamw", "adam", "sgd" };
    return names[o];
}

void brume_train_config_default(brume_train_config *c)
{
    memset(c, 0, sizeof *c);
    brume_unet2d_config_default(&c->unet);
    brume_scheduler_config_default(&c->scheduler);
    brume_objective_default(&c->objective);
    c->batch = 64;
    c->steps = 1000;
    c->lr = 1e-3;
    c->beta1 = 0.9;
    c->beta2 = 0.999;
    c->eps = 1e-8;
    c->warmup = 100;
    c->clip = 1;
    c->ema_decay = 0.999;
    c->cond_drop = 0.1;
}

brume_status brume_train_config_check(const brume_train_config *c)
{
    if (c->batch < 1) return brume_fail(BRUME_E_ARG, "training: the batch must be at least 1, got %d", c->batch);
    const int ranks = brume_parallel_size(c->parallel);
    if (c->batch % ranks)
        return brume_fail(BRUME_E_ARG, "training: %d ranks must share the batch equally, got a batch of %d", ranks, c->batch);
    const int32_t share = c->batch / ranks;
    if (c->micro_batch < 0 || c->micro_batch > share || (c->micro_batch && share % c->micro_batch))
        return brume_fail(
            BRUME_E_ARG,
            "training: micro-batches must divide the %s of %d, got %d; the mean over parts of unequal size would be wrong",
            ranks > 1 ? "share of each rank" : "batch", share, c->micro_batch);
    if (!(c->lr_end >= 0 && c->lr_end <= c->lr))
        return brume_fail(BRUME_E_ARG, "training: the learning rate ends at %g, which must be within 0 .. lr, %g", c->lr_end,
                          c->lr);
    int n_ema = 1;
    while (n_ema < BRUME_MAX_EMAS && c->ema_more[n_ema - 1] > 0 && c->ema_more[n_ema - 1] <= 1) n_ema++;
    if (n_ema < BRUME_MAX_EMAS && c->ema_more[n_ema - 1] != 0)
        return brume_fail(BRUME_E_ARG, "training: EMA decays must be in 0 .. 1, got %g", c->ema_more[n_ema - 1]);
    if (c->ema_write < 0 || c->ema_write >= n_ema)
        return brume_fail(BRUME_E_ARG, "training: there are %d averages, number %d cannot be the one to write", n_ema,
                          c->ema_write);
    if (!(c->lr >= 0) || !(c->clip >= 0) || !(c->ema_decay >= 0 && c->ema_decay <= 1) ||
        !(c->cond_drop >= 0 && c->cond_drop <= 1))
        return brume_fail(BRUME_E_ARG,
                          "training: expected lr >= 0, clip >= 0, EMA decay and condition dropping in 0 .. 1; got lr %g, clip "
                          "%g, EMA %g, drop %g",
                          c->lr, c->clip, c->ema_decay, c->cond_drop);
    const int32_t out_channels = brume_train_out_channels(&c->scheduler, c->unet.in_channels);
    if (!brume_trainer_classifies(c) && c->unet.out_channels != out_channels)
        return brume_fail(BRUME_E_ARG, "training: the model takes %d channels and must predict %d%s, it predicts %d",
                          c->unet.in_channels, out_channels,
                          out_channels > c->unet.in_channels ? " (with those of the variance)" : "", c->unet.out_channels);
    if (c->unet.time_embedding_type == BRUME_TIME_LEARNED && c->scheduler.process != BRUME_PROCESS_DISCRETE)
        return brume_fail(BRUME_E_ARG, "training: a learned time embedding is a table of time steps, process '%s' has none",
                          brume_process_kind_name(c->scheduler.process));
    if (c->unet.time_embedding_type == BRUME_TIME_FOURIER && c->scheduler.process != BRUME_PROCESS_NCSN &&
        c->scheduler.process != BRUME_PROCESS_VE)
        return brume_fail(BRUME_E_ARG,
                          "training: a fourier time embedding takes sigma, the time of NCSN and VE; process '%s' has another",
                          brume_process_kind_name(c->scheduler.process));
    if (c->unet.time_embedding_type == BRUME_TIME_LEARNED && c->unet.num_train_timesteps < c->scheduler.num_train_timesteps)
        return brume_fail(BRUME_E_ARG,
                          "training: the learned time embedding has %d rows, the schedule %d steps; set num_train_timesteps in "
                          "the model's config",
                          c->unet.num_train_timesteps, c->scheduler.num_train_timesteps);
    if (c->unet.class_embed_type != BRUME_CLASS_NONE && !brume_train_has_labels(c))
        return brume_fail(BRUME_E_UNSUPPORTED, "training: class_embed_type must be null (a table of num_class_embeds rows)");
    const brume_status s = brume_trainer_text_check(c);
    return s == BRUME_OK ? brume_adapters_check(c) : s;
}
