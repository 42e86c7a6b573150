/* SPDX-License-Identifier: MIT
 * Inside of a trainer, shared by step, checkpoint and preview. */
#ifndef BRUME_TRAIN_TRAINER_H
#define BRUME_TRAIN_TRAINER_H

#include "brume/train.h"
#include "train/latent.h"
#include "train/ranks.h"
#include "train/text.h"

/* Of the loss with f16 storage: at the beginning, and good steps after which it is doubled. */
#define BRUME_LOSS_SCALE 65536.0
#define BRUME_LOSS_SCALE_STEPS 2000

/* The optimizer's half of a step: in the plan of loss and gradient, or, where that sums micro-batches, in one of its own. */
struct brume_update {
    brume_graph *graph; /* NULL: it is the trainer's */
    brume_plan *plan;
    brume_tensor hyper, max_norm;              /* inputs; max_norm: BRUME_NONE with f16 storage */
    brume_tensor ema_decay[BRUME_MAX_EMAS];    /* inputs */
    brume_tensor factor;                       /* of the gradient, an input: with f16 storage, else BRUME_NONE */
    brume_tensor params, grad, m, v;           /* state; grad: the sum of micro-batches, or BRUME_NONE; v: BRUME_NONE for SGD */
    brume_tensor ema[BRUME_MAX_EMAS];          /* state */
    int n_ema;
    brume_tensor grad_norm;                    /* result; with f16 storage of the trainer's plan, and times the loss scale */
    int judged;                                /* steps of plan until the norm is there and the host says whether the rest runs; 0
                                                  with f16 storage */
    double loss_scale;
    int64_t good_steps, skipped;               /* since the scale changed; since the beginning of the run */
};

/* How often a classifier was right, by noise level (classify.c has the bounds). */
enum { BRUME_TALLY_BINS = 8 };
struct brume_tally { int64_t seen[BRUME_TALLY_BINS], correct[BRUME_TALLY_BINS]; };

/* What was found when a run went on. */
struct brume_resumed {
    bool newest_damaged;  /* its newest checkpoint was damaged, so that it went on from the one before, which the next one must
                             not replace */
    char warning[1024];   /* what is to be told, or "" */
};

struct brume_validation;

struct brume_trainer {
    brume_device *device;
    brume_train_config config;
    const brume_dataset *data;
    brume_loader *loader;
    bool evaluates;          /* a twin: without dropout and gradient */
    int32_t part;            /* images of one run of plan: the batch, or a micro-batch */
    brume_graph *graph;      /* loss and gradient of a part */
    brume_plan *plan;
    /* its inputs, and its result */
    brume_tensor grad;       /* the slab that sums micro-batches up, or BRUME_NONE */
    brume_tensor x0, coef, t, labels, seeds, step, keep, share;
    brume_tensor weights, params; /* slabs: of the networks; of what learns, the same unless those are adapters */
    brume_lora lora;         /* rank 0: none */
    brume_loss loss;
    brume_tensor logits;     /* of a classifier */
    struct brume_trainer_text text;
    struct brume_trainer_latent latent;
    struct brume_update update;
    int64_t n_params, n_weights, done;
    uint64_t weights_hash;   /* of weights that stay as they are */
    struct brume_resumed resumed;
    struct brume_validation *validation; /* of a run that validates, else NULL */
    brume_process *process;
    brume_time_sampler *time_sampler;
    /* host copies of a part */
    float *images, *coef_values, *times, *logit_values;
    int64_t *classes, *seed_values;
    int32_t *time_index, *label_values;
    /* of the whole batch: own times of the process, factors for unevenly drawn times, and losses with these */
    double *own_times, *importance;
    float *losses;
    struct brume_ranks ranks;
    struct brume_tally last, recent; /* of the last step; since the run last told them */
};

/* The shape of a batch of n images, or latents of images. */
brume_shape brume_trainer_image_shape(const struct brume_trainer *t, int64_t n);
/* update.c: appends the update of params by the gradient to g; numbers of the update go into u. */
void brume_update_build(struct brume_update *u, brume_graph *g, const brume_train_config *c, brume_tensor params,
                        brume_tensor grad);
/* What an update by itself shares: parameters and the slab of their gradient, of a plan that sums that up. */
struct brume_gradient { brume_graph *graph; brume_plan *plan; brume_tensor params, grad; };
/* update.c: a graph and plan of the update alone. options: dry or not. */
brume_status brume_update_new(struct brume_update *u, brume_device *d, const brume_train_config *c,
                              const struct brume_gradient *from, const brume_plan_options *options);
void brume_update_free(struct brume_update *u);
/* update.c: sets the inputs for step `done`. */
brume_status brume_update_write(const struct brume_update *u, const brume_train_config *c, int64_t done, double lr);
/* update.c: once the gradient is there: tells its norm. */
brume_status brume_update_judge(struct brume_trainer *t, brume_train_result *r);
/* update.c: then: updates, and tells whether the step was skipped. */
brume_status brume_update_run(struct brume_trainer *t, brume_train_result *r);
/* The average that is shown and saved. */
static inline brume_tensor brume_trainer_ema(const struct brume_trainer *t) { return t->update.ema[t->config.ema_write]; }
/* trainer.c: what a trainer for these images (NULL: of the config's size) would take; BRUME_E_MEMORY: a tensor alone is too
 * large. */
brume_status brume_trainer_estimate(brume_device *d, const brume_train_config *c, const brume_dataset *data,
                                    brume_plan_stats *stats);
/* fit.c: see brume_train_check_memory(). */
brume_status brume_trainer_check_memory(brume_device *d, const brume_train_config *c, const brume_dataset *data);
static inline bool brume_trainer_classifies(const brume_train_config *c)
{
    return c->unet.architecture == BRUME_ARCHITECTURE_CLASSIFIER;
}
static inline bool brume_train_has_labels(const brume_train_config *c)
{
    return c->unet.class_embed_type == BRUME_CLASS_TABLE || brume_trainer_classifies(c);
}
/* config.c: what needs neither device nor data. */
brume_status brume_train_config_check(const brume_train_config *c);
static inline bool brume_trainer_scaled(const struct brume_trainer *t) { return t->config.storage == BRUME_STORAGE_F16; }
/* Two plans: the sum of gradients must be complete, or be judged by the host, before anything is updated. */
static inline bool brume_trainer_apart(const struct brume_trainer *t)
{
    return t->part != t->config.batch || brume_trainer_scaled(t);
}
/*
 * trainer.c: a twin of t, which reads its weights where they are. data: its loss alone on other images, `part` at once, by the
 * averaged weights and within the arena of t. NULL: the gradient of t's own step with every tensor kept, to be looked at.
 */
brume_status brume_trainer_twin(struct brume_trainer *t, const brume_dataset *data, int32_t part, struct brume_trainer **out);
void brume_trainer_twin_free(struct brume_trainer *x);
/* step.c: the examples of a part: images from a position of the loader on; what is drawn for number i of them; all of it into
 * the plan; the three for images `first` and on of step `done`. */
brume_status brume_trainer_read_images(struct brume_trainer *t, int64_t position);
brume_status brume_trainer_set_example(struct brume_trainer *t, int32_t i, uint64_t seed, double u, double importance,
                                       bool dropped);
brume_status brume_trainer_write_inputs(struct brume_trainer *t, int32_t first);
brume_status brume_trainer_load_part(struct brume_trainer *t, int32_t first);
/* not_finite.c: the first tensor of the step after `done` that is not finite, in words; "" if none is. */
brume_status brume_trainer_find_not_finite(struct brume_trainer *t, char what[320]);
/* classify.c: the loss of a classifier's logits; what a config and data must be for it; counts a part that has run; words and a
 * number for counts. */
void brume_classify_build(struct brume_trainer *t, brume_tensor logits);
brume_status brume_classify_check(const brume_train_config *c, const brume_dataset *data);
brume_status brume_classify_tally(struct brume_trainer *t, struct brume_tally *tally);
void brume_tally_text(const struct brume_tally *tally, char *text, size_t size);
double brume_tally_accuracy(const struct brume_tally *tally);
static inline bool brume_trainer_adapts(const brume_train_config *c) { return c->lora.rank != 0; }
/* adapters.c: which adapters the networks get, or NULL; what config and graph must be for them; alpha and targets for a state's
 * metadata. */
const brume_lora *brume_adapters_for(struct brume_trainer *t, uint32_t target);
brume_status brume_adapters_check(const brume_train_config *c);
void brume_adapters_text(const brume_train_config *c, char text[96]);
/* adapters.c: weights that stay as they are, n of them; fresh adapters; weights with the averaged adapters merged; the files of a
 * run. */
brume_status brume_adapters_set_weights(struct brume_trainer *t, const float *weights, int64_t n);
brume_status brume_adapters_start(struct brume_trainer *t);
brume_status brume_adapters_merged(struct brume_trainer *t, float *weights);
brume_status brume_adapters_save(struct brume_trainer *t, const char *folder);
/* checkpoint.c: the averaged weights as a pipeline, or of adapters their file. */
brume_status brume_trainer_save_model(struct brume_trainer *t, const char *folder);
/* checkpoint.c: writes the folder's model again if a run ended between its state and its model. */
brume_status brume_trainer_finish_save(struct brume_trainer *t, const char *folder, bool *was_unfinished);
/* checkpoint.c: the state before a step that failed, with the items of its batch. */
brume_status brume_trainer_save_abort(struct brume_trainer *t, const char *path);
/* Images of a step that this rank takes. */
static inline int32_t brume_trainer_share(const struct brume_trainer *t)
{
    return t->config.batch / brume_parallel_size(t->config.parallel);
}
/* ranks.c: loss and what else belongs to the whole batch, but for the gradient, become those of all ranks. */
brume_status brume_ranks_sum(struct brume_trainer *t, double *loss);
/* preview.c: draws count images of the EMA model (classes, or captions of the data, in turn) into a PNG. */
brume_status brume_trainer_preview(struct brume_trainer *t, int32_t count, double guidance, const char *path);

#endif
