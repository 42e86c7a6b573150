/* SPDX-License-Identifier: MIT
 * Training: the loop of Ho et al. (2020), algorithm 1, with checkpoints from which it goes on.
 *
 * Step k (counted from 0) is a pure function of the state before it and of (seed, k): data order, times, noise, dropped
 * conditions and dropout come from counters. A run that stops and resumes therefore computes the same as one that does not. */
#ifndef BRUME_TRAIN_H
#define BRUME_TRAIN_H

#include <signal.h>
#include <stdint.h>

#include "brume/api.h"
#include "brume/autoencoder.h"
#include "brume/data.h"
#include "brume/device.h"
#include "brume/lora.h"
#include "brume/model.h"
#include "brume/objective.h"
#include "brume/parallel.h"
#include "brume/plan.h"
#include "brume/schedule.h"
#include "brume/text_encoder.h"
#include "brume/tokenizer.h"
#include "brume/unet2d.h"

BRUME_API_BEGIN

/** Philox streams used with the seed of a training example; dropout layers count up from the last. */
enum { BRUME_STREAM_TRAIN_NOISE = 0x200, BRUME_STREAM_TRAIN_TIME = 0x201, BRUME_STREAM_TRAIN_DROP = 0x202,
       BRUME_STREAM_TRAIN_OFFSET = 0x203,
       BRUME_STREAM_TRAIN_LATENT = 0x204, BRUME_STREAM_TRAIN_DROPOUT = 0x1000 };

/** What turns gradients into updates: AdamW (Loshchilov & Hutter 2019), Adam (Kingma & Ba 2015), plain gradient descent. */
typedef enum brume_optimizer { BRUME_ADAMW = 0, BRUME_ADAM, BRUME_SGD } brume_optimizer;
/** "adamw", "adam", "sgd". */
const char *brume_optimizer_name(brume_optimizer o);

/** How the learning rate goes on after the warm-up: brume_lr_schedule_row(i) until NULL. */
typedef struct brume_lr_schedule {
    const char *name, *what;        /**< for --lr-schedule, and a line for the help */
    double (*shape)(double u);      /**< from 1 at u = 0 to 0 at u = 1; NULL: the inverse square root of the step */
} brume_lr_schedule;
const brume_lr_schedule *brume_lr_schedule_row(int i);
const brume_lr_schedule *brume_lr_schedule_find(const char *name);

/**
 * What captions pass through on their way to the network's cross-attention. Tokenizer and encoder belong to the caller and must
 * outlive trainers.
 */
typedef struct brume_train_text {
    const brume_tokenizer *tokenizer;  /**< NULL: no captions */
    brume_text_encoder_config encoder; /**< of the encoder, frozen or not */
    const brume_text_model *frozen;    /**< one that stays as it is: texts are encoded once and kept, up to 1 GiB. NULL: the
                                            encoder learns with the network; its parameters come first in the slab, named
                                            "text_encoder." */
} brume_train_text;

enum { BRUME_MAX_EMAS = 8 };

enum { BRUME_LORA_OF_UNET = 1, BRUME_LORA_OF_TEXT = 2 };

/** Training of low-rank adapters on attention beside weights that stay as they are: those of brume_trainer_set_params(). */
typedef struct brume_train_lora {
    int32_t rank;                      /**< 0: none, all weights learn */
    double alpha;                      /**< the product is scaled by alpha / rank; 0: alpha is the rank */
    uint32_t targets;                  /**< BRUME_LORA_OF_UNET, BRUME_LORA_OF_TEXT or both; the text encoder must be loaded
                                            (brume_train_text.frozen) */
    brume_lora_format format;          /**< of BRUME_LORA_FILE in the run's folder */
} brume_train_lora;

/** Everything that a training step is a function of, beside its data. */
typedef struct brume_train_config {
    brume_unet2d_config unet;         /**< the network */
    brume_scheduler_config scheduler; /**< noise process, prediction target, and whether the variance is learned */
    brume_objective objective;        /**< weighting, bound, times */
    int32_t batch;                    /**< images a step, >= 1 */
    int32_t micro_batch;              /**< images at once, a divisor of batch: gradients of the parts are added up, which takes
                                           less memory and differs from the whole batch by roundings only; 0: all */
    int64_t steps;                    /**< steps in all, counted from the beginning of the run */
    brume_storage storage;            /**< f16: activations kept for the backward pass wait in f16, with a scaled loss; state and
                                           sums stay f32 */
    int recompute;                    /**< 1: keep only what goes into each block and compute the rest again: see
                                           brume_graph_recompute() */
    uint64_t memory_limit;            /**< bytes on the device beyond which a run is refused; 0: what the device has */
    brume_optimizer optimizer;        /**< the defaults are AdamW's */
    double lr;                        /**< learning rate behind the warm-up */
    double beta1, beta2;              /**< decay rates of the moments */
    double eps;                       /**< added to the root of the second moment */
    double weight_decay;              /**< decoupled (AdamW) */
    int64_t warmup;                   /**< steps over which lr rises linearly from 0 */
    const brume_lr_schedule *lr_schedule; /**< after them; NULL: constant */
    double lr_end;                    /**< learning rate of the last step; inverse-sqrt: the smallest one */
    double clip;                      /**< largest gradient norm; 0: no clipping */
    double ema_decay;                 /**< d of ema = d ema + (1 - d) param; warm start min(d, (1 + k) / (10 + k)) */
    double ema_more[BRUME_MAX_EMAS - 1]; /**< decays of further averages, each a vector more; 0 ends them */
    int32_t ema_write;                /**< the average that previews draw with and the folder gets: 0, or 1 + i for ema_more[i] */
    const brume_autoencoder *autoencoder; /**< NULL, or what turns images into the latents that are learnt (Rombach et al. 2022):
                                               belongs to the caller and must outlive trainers. Moments of an item are computed
                                               once and kept, up to 1 GiB in all; every use of the item takes a fresh sample of
                                               them */
    brume_train_text text;            /**< how captions are read, for networks with cross-attention; the data set then must have
                                           captions */
    brume_train_lora lora;            /**< adapters instead of all weights; rank 0 */
    double cond_drop;                 /**< probability of training an example without its class, or with the empty text (Ho &
                                           Salimans 2022) */
    uint64_t seed;                    /**< of parameters, order, times and noise */
    brume_parallel *parallel;         /**< NULL, or the ranks that share each batch, which must be a multiple of their number;
                                           belongs to the caller. All make the same calls with the same config; the result is that
                                           of one process, up to the order of sums */
} brume_train_config;

/** Defaults: AdamW 1e-3 (0.9, 0.999), eps 1e-8, decay 0, batch 64, warm-up 100, clip 1, EMA 0.999, drop 0.1, DDPM linear
 * schedule. */
void brume_train_config_default(brume_train_config *c);

/** Learning rate of a step, counted from 0: a function of the config and the step alone, so a resumed run takes the same. */
double brume_learning_rate(const brume_train_config *c, int64_t step);

/** A training run: graph, plan, optimizer state and data order, on one device. */
typedef struct brume_trainer brume_trainer;

/**
 * accuracy: of classifiers, part of the batch; else NaN. reconstruction and kl (nats per image): of autoencoders; else NaN.
 * skipped 1: with f16 storage, a gradient that is not finite; nothing was updated, the next step has half the loss scale.
 * data_wait: seconds that the step waited for its images; sum_wait: that it waited, its own gradient being complete, for the sum
 * of all ranks' gradients; 0 in one process.
 */
typedef struct brume_train_result {
    double loss, grad_norm, lr;          /**< mean over the batch; norm before clipping; of this step */
    double accuracy, reconstruction, kl; /**< see above */
    int skipped;                         /**< see above */
    double data_wait, sum_wait;          /**< seconds */
} brume_train_result;

/**
 * Plans a training step for images of the data set on device d; both must outlive the trainer. Parameters are fresh, from
 * config.seed. data NULL: for measuring; images are noise of unet.sample_size and unet.in_channels.
 */
brume_status brume_trainer_new(brume_device *d, const brume_train_config *c, const brume_dataset *data, brume_trainer **out);
void brume_trainer_free(brume_trainer *t);
/**
 * Starts from given parameters (laid out as brume_model.params; n of them) instead of fresh ones; EMA too. With adapters these
 * are the weights that stay as they are, before a resume as well: a checkpoint holds a checksum of them alone.
 */
brume_status brume_trainer_set_params(brume_trainer *t, const float *params, int64_t n);
/**
 * Starts from a model that may be of other classes, channels or conditions: every parameter whose name and shape the model has
 * (of a text encoder that learns along, too) is the model's, all others stay fresh. Of conv_out the channels of the mean are kept
 * where those of a learned variance come or go. BRUME_E_ARG: no parameter fits. With adapters nothing may differ, see
 * brume_trainer_set_params().
 * note   which parameters are new and which of the model's were left out, or ""
 */
brume_status brume_trainer_init(brume_trainer *t, const brume_model *m, char note[1024]);
/** What brume_trainer_new() would take, without allocating it: memory and work of one step. */
brume_status brume_train_estimate(brume_device *d, const brume_train_config *c, brume_plan_stats *s);
/** How long its launches would be: brume_plan_get_bound() of a step, all micro-batches and the update together (longest_step then
 * counts in the plan of one of them). */
brume_status brume_train_get_bound(brume_device *d, const brume_train_config *c, brume_plan_bound *b);
/**
 * BRUME_OK if brume_trainer_new() would fit into the device's memory and c->memory_limit; else BRUME_E_MEMORY with the numbers
 * and what would make it fit: recomputation, the largest micro-batch, or both.
 */
brume_status brume_train_check_memory(brume_device *d, const brume_train_config *c);
/**
 * One optimizer step. BRUME_E_NUMERIC if the loss or the gradient is not finite: names the step; nothing was updated, the state
 * is that before the step. With f16 storage the loss is scaled (Micikevicius et al. 2018): by 65536 at first, by half of it after
 * a step whose gradient is not finite (which updates nothing), by twice as much after 2000 good steps. The scale is part of a
 * checkpoint.
 */
brume_status brume_trainer_step(brume_trainer *t, brume_train_result *r);
/** Steps done since the beginning of the run. */
int64_t brume_trainer_steps_done(const brume_trainer *t);
/** Number of parameters that learn (of the adapters alone, if there are any); and the EMA (or, if ema is 0, the raw) parameters
 * into host. */
int64_t brume_trainer_param_count(const brume_trainer *t);
brume_status brume_trainer_get_params(brume_trainer *t, int ema, float *host);
/** Memory and work of the plan. */
void brume_trainer_get_stats(const brume_trainer *t, brume_plan_stats *s);
/** A part of the gradient that ranks sum by itself, and when it is complete: seconds from the beginning of loss and gradient of a
 * share. */
typedef struct brume_train_bucket {
    int64_t bytes; /**< of gradient */
    double ready;  /**< when it is complete */
} brume_train_bucket;
/**
 * Measures them on a trainer with micro-batches (which stand for the shares of ranks) that has made a step; the next one is as if
 * it had not happened. buckets: room for n; *count: those that there are; *gradient: seconds of loss and gradient of one
 * micro-batch. BRUME_E_ARG: no micro-batches.
 */
brume_status brume_trainer_time_buckets(brume_trainer *t, brume_train_bucket *buckets, int n, int *count, double *gradient);
/** The plan of a step (with micro-batches: of the gradient of one), for profiles; owned by t. Its inputs are those of the last
 * step. */
brume_plan *brume_trainer_plan(brume_trainer *t);

/**
 * Writes a checkpoint: FOLDER/training/state.safetensors (everything needed to go on; the one before is kept as
 * state.previous.safetensors), then the EMA weights as a diffusers pipeline in FOLDER; of adapters
 * FOLDER/pytorch_lora_weights.safetensors (EMA) and the scheduler's config. Each file is whole or as it was before. note: a
 * number kept in the state, given back by resume.
 */
brume_status brume_trainer_save(brume_trainer *t, const char *folder, int64_t note);
/**
 * Goes on from a checkpoint of the same model, schedule and prediction target; the message of a mismatch names what differs. note
 * may be NULL. A checkpoint is verified by a checksum; where it is damaged or gone, the one before it is taken
 * (training/state.previous.safetensors).
 */
brume_status brume_trainer_resume(brume_trainer *t, const char *folder, int64_t *note);
/** The same from one file, say the training/abort.safetensors of a run that met a loss that is not finite. */
brume_status brume_trainer_resume_file(brume_trainer *t, const char *path);
/**
 * After brume_trainer_resume(): NULL, or what is worth telling: that the newest checkpoint was damaged; that the run may from now
 * on differ in its last bits from one without interruption, as kernels were tuned differently then (see brume/tune.h). Owned by
 * the trainer.
 */
const char *brume_trainer_resume_warning(const brume_trainer *t);

/**
 * Puts another average of a run's weights into its model: that of a decay of ema_decay or ema_more, which its training state
 * holds. m: as loaded from the folder. BRUME_E_ARG: there is no such average, and those there are; BRUME_E_UNSUPPORTED: the run
 * learns adapters.
 */
brume_status brume_train_read_average(const char *folder, double decay, brume_model *m);

/** Model and training settings for a kind of data: brume_preset_row(i) until NULL. */
typedef struct brume_preset {
    const char *name, *data, *what; /**< what: one line for the help */
    void (*fill)(brume_train_config *c); /**< sets what differs from the defaults */
    int32_t size, channels;         /**< of "shapes"; of files: as they are */
    /** what a pipeline has beside the network; NULL: nothing */
    void (*fill_parts)(brume_text_encoder_config *text, brume_autoencoder_config *vae);
    int flip;            /**< 1: pictures are mirrored by chance, see brume_dataset_options.flip */
    const char *expect;  /**< how long all its steps take, on two cores unless said otherwise, and what comes out;
                              docs/performance.md has the figures */
} brume_preset;
const brume_preset *brume_preset_row(int i);
const brume_preset *brume_preset_find(const char *name);
/** Name of the preset for a data set: that of a built-in set, else "mnist". */
const char *brume_preset_for_data(const char *data);

/**
 * Fills c with defaults and the network of `what`: a model folder (config.json or unet/config.json in it) or a config.json
 * itself; or, if what is NULL, of a preset with its training settings. size > 0 sets sample_size. note (may be NULL): see
 * brume_unet2d_config_read().
 */
brume_status brume_train_config_load(const char *what, const char *preset, int32_t size, brume_train_config *c, char note[512]);

/**
 * Takes the noise schedule and the prediction target of a model folder or a run into c->scheduler, which then may own memory:
 * brume_scheduler_config_clear(). A folder without scheduler_config.json leaves c as it is. note: see
 * brume_scheduler_config_read().
 */
brume_status brume_train_config_schedule(const char *folder, brume_train_config *c, char note[512]);

/** A noise process that is no table of betas, with settings for images in [-1, 1]: brume_process_preset_row(i) until NULL. */
typedef struct brume_process_preset {
    const char *name;        /**< for --schedule */
    const char *paper, *what; /**< where it comes from, and a line for the help */
    const char *class_name;  /**< of the scheduler's config */
    const char *objective;   /**< unless another is asked for */
    int32_t T;               /**< levels; 0: by NCSNv2's rule */
    double sigma_min, sigma_max; /**< 0: the class' own; sigma_max of ladders and VE: by NCSNv2's rule */
} brume_process_preset;
const brume_process_preset *brume_process_preset_row(int i);
const brume_process_preset *brume_process_preset_find(const char *name);
/** c->scheduler becomes that process; objective and network (unless network_given) become what suits it. */
brume_status brume_train_config_process(brume_train_config *c, const brume_process_preset *p, int network_given);
/**
 * Sets what the network predicts, and (unless network_given) its time embedding: Fourier features of sigma for scores of NCSN and
 * VE, whose networks divide their output by sigma; else positional. Networks that do not divide learn the score as eps, score =
 * -eps / s: the same loss.
 */
void brume_train_config_objective(brume_train_config *c, const brume_objective_kind *objective, int network_given);
/**
 * NCSNv2's rules (Song & Ermon 2020): sigma_max the largest distance of two images of the data (of 500), levels so that
 * neighbours overlap, 10 at least. BRUME_E_UNSUPPORTED: a rule is asked for, but c->autoencoder says that latents are learnt.
 */
brume_status brume_train_config_ladder(brume_train_config *c, const brume_dataset *data, int sigma_max, int levels);

/** Channels that a model of `channels` predicts: twice as many with a learned variance. */
int32_t brume_train_out_channels(const brume_scheduler_config *c, int32_t channels);

/**
 * Fits a config to a data set: channels, sample size, and (class_conditional) one row per class and one more for "no class".
 * With c->autoencoder these are channels and size of its latents, and estimates of x0 are no longer clipped, as latents are not
 * bounded. Images whose sides the model's levels do not divide are refused with the sizes that would do.
 */
brume_status brume_train_config_fit(brume_train_config *c, const brume_dataset *data, int class_conditional);

/**
 * Makes what reads captions, for a network with cross-attention: a tokenizer of at most 512 merges, learnt from the captions of
 * the data (of the first 65536 items), whose texts are as long as the longest of these needs, 77 ids at most; and the config of
 * an encoder of 2 layers as wide as the network's cross_attention_dim. *tokenizer belongs to the caller and must outlive
 * trainers. BRUME_E_ARG: the network has no cross-attention; else see brume_dataset_check_captions().
 */
brume_status brume_train_config_text(brume_train_config *c, const brume_dataset *data, brume_tokenizer **tokenizer);
/**
 * Takes tokenizer and encoder of a folder instead: of a pipeline (text_encoder/ and tokenizer/), or with both in one. frozen
 * NULL: the config of the encoder alone, which is to learn; else the encoder, which stays as it is: *frozen belongs to the caller
 * and must outlive trainers. Networks whose width of cross-attention is not the encoder's are refused when a trainer is made.
 * note (may be NULL): as that of brume_text_model_load().
 */
brume_status brume_train_config_text_load(brume_train_config *c, const char *folder, brume_tokenizer **tokenizer,
                                          brume_text_model **frozen, char note[1100]);

/**
 * The config's network becomes a classifier of noisy images: the way down of its U-Net (see BRUME_ARCHITECTURE_CLASSIFIER).
 * Trained by cross-entropy on noisy images x_t of the scheduler's process; brume_train_config_fit() sets its classes. (Dhariwal &
 * Nichol 2021, sec. 4)
 */
void brume_train_config_classifier(brume_train_config *c);

/** A whole run. Progress is told after every step. */
typedef struct brume_run_options {
    const char *folder;             /**< made if missing; gets the pipeline, training/log.jsonl, training/samples/ */
    const char *config;             /**< text of training/run.json, written once the run has begun: how it was asked for; may be
                                         NULL */
    int resume;                     /**< 1: go on from the folder's checkpoint; 0: the folder must not hold one */
    const char *resume_from;        /**< without resume: NULL, or a state to begin at, such as another run's
                                         training/abort.safetensors */
    int64_t save_every, sample_every; /**< steps; 0: only at the end */
    int64_t keep_every;             /**< steps between models that stay, each a folder like RUN/steps/000500, whole or not there;
                                         0: none */
    int64_t report_every;           /**< steps between new versions of report.html (see brume/report.h); 0: only at the end */
    const brume_dataset *validation; /**< NULL, or images like those of training, whose loss is told in
                                          training/validation.jsonl */
    int64_t validate_every, validation_images; /**< steps between such lines, 0: only at the end; at most so many images */
    int32_t sample_count;           /**< images of a preview grid */
    double sample_guidance;         /**< classifier-free guidance scale of previews of class models */
    double max_seconds;             /**< stop (with a checkpoint) after this time; 0: no limit */
    const volatile sig_atomic_t *stop; /**< set from a signal handler: finish the step, save, return BRUME_E_STOPPED; may be
                                            NULL */
    /** after every step; may be NULL */
    void (*progress)(void *ctx, int64_t step, int64_t steps, const brume_train_result *r, double images_per_second);
    void (*event)(void *ctx, const char *text); /**< "checkpoint ...", "samples ..."; may be NULL */
    void *ctx;                                  /**< handed to progress and event */
} brume_run_options;
/**
 * Runs to the last step. A run that is killed at any moment and goes on by resume ends with the same bits, and has every step
 * once in its log. BRUME_E_NUMERIC: a loss or gradient that is not finite; training/abort.safetensors holds the state before that
 * step and which items it takes, and the message names the first tensor that is not finite.
 */
brume_status brume_train_run(brume_trainer *t, const brume_train_config *c, const brume_run_options *o);

BRUME_API_END

#endif
