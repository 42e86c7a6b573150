/* SPDX-License-Identifier: MIT
 * Training of low-rank adapters: weights that stay as they are, adapters that learn beside them, and the file they end up in. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "base/file.h"
#include "brume/params.h"
#include "train/trainer.h"

const brume_lora *brume_adapters_for(struct brume_trainer *t, uint32_t target)
{
    const brume_train_lora *c = &t->config.lora;
    t->lora = (brume_lora){ .slab = t->params, .rank = c->rank, .alpha = c->alpha != 0 ? c->alpha : c->rank };
    return c->rank && (c->targets & target) ? &t->lora : NULL;
}

brume_status brume_adapters_check(const brume_train_config *c)
{
    const brume_train_lora *l = &c->lora;
    if (!l->rank) return BRUME_OK;
    if (l->rank < 0 || l->rank > BRUME_LORA_MAX_RANK || !(l->alpha >= 0 && l->alpha <= 1e6))
        return brume_fail(BRUME_E_ARG, "training: adapters have a rank of 1 to %d and an alpha of 0 to 1e6, got %d and %g",
                          BRUME_LORA_MAX_RANK, l->rank, l->alpha);
    if (!l->targets || l->targets & ~(uint32_t)(BRUME_LORA_OF_UNET | BRUME_LORA_OF_TEXT))
        return brume_fail(BRUME_E_ARG, "training: adapters are for the U-Net, the text encoder or both");
    if (brume_trainer_classifies(c))
        return brume_fail(BRUME_E_UNSUPPORTED, "training: adapters are for networks that draw, this one is a classifier");
    if ((l->targets & BRUME_LORA_OF_TEXT) && !c->text.frozen)
        return brume_fail(
            BRUME_E_ARG, "training: adapters of the text encoder need captions and a loaded encoder (--cond text, --init MODEL)");
    return BRUME_OK;
}

void brume_adapters_text(const brume_train_config *c, char text[96])
{
    const brume_train_lora *l = &c->lora;
    text[0] = 0;
    if (!l->rank) return;
    snprintf(text, 96, "adapters of rank %d, alpha %.9g, of %s, ", l->rank, l->alpha != 0 ? l->alpha : l->rank,
             l->targets == BRUME_LORA_OF_UNET   ? "the U-Net"
             : l->targets == BRUME_LORA_OF_TEXT ? "the text encoder"
                                                : "both networks");
}

/* FNV-1a over words: tells weights apart that differ anywhere. */
static uint64_t hash(const float *x, int64_t n)
{
    uint64_t h = 14695981039346656037u;
    for (int64_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, &x[i], sizeof bits);
        h = (h ^ bits) * 1099511628211u;
    }
    return h;
}

/* n: all weights, or those of the U-Net, behind a text encoder that was loaded. */
brume_status brume_adapters_set_weights(struct brume_trainer *t, const float *weights, int64_t n)
{
    const int64_t n_text = t->text.n_params;
    const bool behind = n_text && n == t->n_weights - n_text;
    if (n != t->n_weights && !behind)
        return brume_fail(BRUME_E_SHAPE, "training: the model has %lld parameters, %lld were given",
                          (long long)(t->n_weights - n_text), (long long)n);
    float *all = behind ? malloc((size_t)t->n_weights * sizeof *all) : NULL;
    if (behind && !all) return brume_fail(BRUME_E_MEMORY, "training: out of memory");
    if (behind) {
        memcpy(all, t->config.text.frozen->params, (size_t)n_text * sizeof *all);
        memcpy(all + n_text, weights, (size_t)n * sizeof *all);
        weights = all;
    }
    t->weights_hash = hash(weights, t->n_weights);
    const brume_status s = brume_plan_write(t->plan, t->weights, weights, (size_t)t->n_weights * sizeof *weights);
    free(all);
    return s;
}

brume_status brume_adapters_start(struct brume_trainer *t)
{
    const size_t bytes = (size_t)t->n_params * sizeof(float);
    float *fresh = malloc(bytes);
    if (!fresh) return brume_fail(BRUME_E_MEMORY, "training: out of memory");
    brume_params_init(t->graph, t->params, t->config.seed, fresh);
    brume_status s = brume_plan_write(t->update.plan, t->update.params, fresh, bytes);
    for (int i = 0; s == BRUME_OK && i < t->update.n_ema; i++)
        s = brume_plan_write(t->update.plan, t->update.ema[i], fresh, bytes);
    free(fresh);
    return s;
}

/* The averaged adapters; allocated. */
static brume_status averaged(struct brume_trainer *t, float **adapters)
{
    *adapters = malloc((size_t)t->n_params * sizeof **adapters);
    return *adapters ? brume_trainer_get_params(t, 1, *adapters) : brume_fail(BRUME_E_MEMORY, "training: out of memory");
}

brume_status brume_adapters_merged(struct brume_trainer *t, float *weights)
{
    float *adapters;
    brume_status s = averaged(t, &adapters);
    if (s == BRUME_OK) s = brume_plan_read(t->plan, t->weights, weights, (size_t)t->n_weights * sizeof *weights);
    if (s == BRUME_OK) s = brume_lora_add(t->graph, &t->lora, adapters, 1, t->weights, weights);
    free(adapters);
    return s;
}

brume_status brume_adapters_save(struct brume_trainer *t, const char *folder)
{
    float *adapters = NULL;
    char *file = brume_path_join(folder, BRUME_LORA_FILE), *scheduler = brume_path_join(folder, "scheduler");
    char *config = scheduler ? brume_path_join(scheduler, "scheduler_config.json") : NULL;
    brume_status s = file && config ? BRUME_OK : brume_fail(BRUME_E_MEMORY, "%s: out of memory", folder);
    if (s == BRUME_OK) s = averaged(t, &adapters);
    if (s == BRUME_OK) s = brume_lora_save(file, t->graph, &t->lora, adapters, t->config.lora.format);
    if (s == BRUME_OK) s = brume_make_folders(scheduler); /* a resume asks it for the process */
    if (s == BRUME_OK) s = brume_scheduler_config_write(config, &t->config.scheduler);
    free(adapters);
    free(file);
    free(scheduler);
    free(config);
    return s;
}
