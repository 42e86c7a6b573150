/* SPDX-License-Identifier: MIT
 * What samplers are written with: the grid and state of a run, and the few things done on the device. Each call returns the first
 * failure. */
#ifndef BRUME_DIFFUSION_SAMPLING_H
#define BRUME_DIFFUSION_SAMPLING_H

#include "brume/ladder.h"
#include "brume/sampler.h"

#define BRUME_SAMPLING_TERMS 8
#define BRUME_SAMPLING_REGISTERS 12

/* Families of grids: which times and noise levels a run visits (diffusion literature, time grids). */
enum brume_grid_family {
    BRUME_GRID_TIMES,       /* DDPM, DDIM, PNDM: integer times, leading / linspace / trailing, or sections */
    BRUME_GRID_SIGMAS,      /* Euler, Heun, DPM2, LMS: fractional times, their sigmas, final sigma appended */
    BRUME_GRID_MULTISTEP,   /* DPM-Solver multistep: n+1 points, the last dropped, lambda_min_clipped */
    BRUME_GRID_SINGLESTEP,  /* DPM-Solver singlestep: the same, always linspace */
    BRUME_GRID_UNIPC,
    BRUME_GRID_LCM,
    BRUME_GRID_FLOW,
    BRUME_GRID_LADDER,      /* the process' own levels, no end appended (NCSN) */
    BRUME_GRID_SDE,         /* times linspace(1, sampling_eps, n) */
    BRUME_GRID_ENDS,        /* just 1 and sampling_eps (adaptive) */
};

/* What the state of a sampler is: x of the process, or y = x / a = x0 + sigma eps. */
enum brume_state_space { BRUME_STATE_X, BRUME_STATE_SIGMA };

/* A place on the way: state = a x0 + s eps; the network takes scale * state at time t. u: the process' own time; of SDE grids
 * that of the SDE, in [0, 1]. The end of a grid over integer times has t = -1. */
struct brume_node { double t, u, a, s, scale; };

struct brume_grid {
    int32_t n;                 /* steps; node[n] is the end: clean, or the smallest noise of the process */
    struct brume_node *node;   /* n + 1 */
    double *t;                 /* n network times */
    double *sigma;             /* n + 1: s / a; flow's own grid: s */
    double start_scale;        /* of unit normal noise */
};
/* n steps; mu: see brume_sampler_options. Freed with brume_grid_free(). (grid.c) */
brume_status brume_grid_new(const brume_process *p, const brume_scheduler_config *c, const brume_sampler_options *o,
                            enum brume_grid_family family, enum brume_state_space space, int32_t n, struct brume_grid *g);
void brume_grid_free(struct brume_grid *g);
/* The node of a noise-to-signal ratio between grid points (multi-stage samplers); discrete: at time t, t < 0: the time of that
 * sigma. */
struct brume_node brume_node_of_sigma(const brume_process *p, enum brume_state_space space, double sigma, double t);
/* The node at time u in [0, 1] of the process' SDE (see brume_process_sde_level); the state is x. */
struct brume_node brume_node_of_sde_time(const brume_process *p, double u);

struct brume_sampling {
    brume_sampler *sampler;
    const brume_sampler_options *options;  /* with defaults filled in */
    const brume_sampler_kind *kind;
    const brume_process *process;
    const brume_schedule *schedule;        /* of a discrete process, else NULL */
    const brume_scheduler_config *config;
    const struct brume_grid *grid;
    int32_t n, first;                      /* steps first .. n-1 are to be done (first > 0: from a given image) */
    double eta;
    brume_prediction prediction;           /* of the denoiser */
    const brume_sampler_input *in;
    int64_t images, count;                 /* N; elements in all */
    brume_buffer *x;                       /* state */
    brume_buffer *m, *variance;            /* last prediction and its variance channels (NULL without) */
    brume_buffer *x0, *z;                  /* last x0 estimate; last noise */
    /* below: the run's own */
    brume_buffer *spare;                   /* becomes x when a step is done */
    int x0_fresh;                          /* x0 belongs to the last prediction */
    struct brume_node at;                  /* of the last prediction */
    int draws;
    int32_t calls, done, accepted, rejected;
};

/* A linear combination of tensors: terms are added by brume_terms_add(); one with coefficient 0 is left out, the same tensor
 * twice is one term. lost: terms that had no room, which brume_sampling_combine() refuses. */
struct brume_terms { int n, lost; double coef[BRUME_SAMPLING_TERMS]; brume_buffer *x[BRUME_SAMPLING_TERMS]; };
void brume_terms_add(struct brume_terms *s, double coef, brume_buffer *x);

/* Register i: a buffer for histories and stages, made at first use, kept for the sampler's life. */
brume_status brume_sampling_register(struct brume_sampling *s, int i, brume_buffer **out);

/* What the network is told, and the input it gets: the state, scaled where the network wants another scale. */
brume_level brume_sampling_level(const struct brume_sampling *s, const struct brume_node *at);
brume_status brume_sampling_input(struct brume_sampling *s, brume_buffer *state, const struct brume_node *at, brume_buffer **out);
/* m = prediction for the given state at a node (scaled for the network; classifier guidance added where the row does not do it
 * itself). */
brume_status brume_sampling_predict(struct brume_sampling *s, brume_buffer *state, const struct brume_node *at);
/* From the last prediction for that state: x0 (clipped or thresholded as the config says), eps, score into out; s->x0 may be out
 * of the first. BRUME_E_NUMERIC where the level leaves it undefined. The network's scale is taken care of. */
brume_status brume_sampling_x0(struct brume_sampling *s, brume_buffer *state, brume_buffer *out);
brume_status brume_sampling_eps(struct brume_sampling *s, brume_buffer *state, brume_buffer *out);
brume_status brume_sampling_score(struct brume_sampling *s, brume_buffer *state, brume_buffer *out);
/* Coefficients of the same, for rows that combine directly: x0 = *cx state + *cm m. */
void brume_sampling_x0_coef(const struct brume_sampling *s, double *cx, double *cm);
void brume_sampling_eps_coef(const struct brume_sampling *s, double *cx, double *cm);
/* 1 if x0 is changed by clipping or thresholding, so that it must be formed */
int brume_sampling_clips(const struct brume_sampling *s);
/* predict and x0 in one: out = D(state) at the node; the usual beginning of a stage */
brume_status brume_sampling_denoise(struct brume_sampling *s, brume_buffer *state, const struct brume_node *at,
                                    brume_buffer *out);
/* grad log p(y | x) of the classifier for that state at a node, in terms of the network's input; only if in->classifier */
brume_status brume_sampling_classifier(struct brume_sampling *s, brume_buffer *state, const struct brume_node *at,
                                       brume_buffer *out);

/* z = the next draw of unit normal noise */
brume_status brume_sampling_noise(struct brume_sampling *s);
/* out = the terms; out is none of them */
brume_status brume_sampling_combine(struct brume_sampling *s, const struct brume_terms *terms, brume_buffer *out);
/* x = the terms (which may hold x itself) */
brume_status brume_sampling_update(struct brume_sampling *s, const struct brume_terms *terms);
/* The observer sees x as an intermediate stage at that node ... */
brume_status brume_sampling_stage(struct brume_sampling *s, const struct brume_node *at);
/* ... or as the result of a step that ends at `at`: known data are put in first (inpainting by replacement). x must be up to
 * date. */
brume_status brume_sampling_step(struct brume_sampling *s, const struct brume_node *at);
/* x = mask (a known + s z) + (1 - mask) x with a fresh draw (none where s = 0); does nothing without a mask */
brume_status brume_sampling_replace(struct brume_sampling *s, const struct brume_node *at);
/* out = mask known + (1 - mask) unknown */
brume_status brume_sampling_merge(struct brume_sampling *s, brume_buffer *known, brume_buffer *unknown, brume_buffer *out);

/* Norms over the elements of each image, read back: norm[N]. */
brume_status brume_sampling_norms(struct brume_sampling *s, brume_buffer *x, double *norm);
/* Variance that the network predicted, for the last prediction: exp(w hi + (1 - w) lo), w = (v + 1) / 2 (Nichol & Dhariwal 2021,
 * eq. 15), or the variance channels as they are (type "learned").
 *   out = x + sqrt(variance) z    or    out = x + k variance z */
struct brume_learned_variance { int direct; double lo, hi; };
brume_status brume_sampling_add_learned(struct brume_sampling *s, const struct brume_learned_variance *how, brume_buffer *x,
                                        double k, int root, brume_buffer *z, brume_buffer *out);

/* rows, and how often those ask the network that do not ask once a step */
int32_t brume_calls_pndm(const brume_scheduler_config *c, const struct brume_sampler_options *o, int32_t n);
brume_status brume_run_ddpm(struct brume_sampling *s);
brume_status brume_run_ddim(struct brume_sampling *s);
brume_status brume_run_ddim_inverse(struct brume_sampling *s);
brume_status brume_run_pndm(struct brume_sampling *s);
brume_status brume_run_lcm(struct brume_sampling *s);
brume_status brume_run_dpm_multistep(struct brume_sampling *s);
brume_status brume_run_dpm_singlestep(struct brume_sampling *s);
brume_status brume_run_unipc(struct brume_sampling *s);
brume_status brume_run_euler(struct brume_sampling *s);
brume_status brume_run_euler_ancestral(struct brume_sampling *s);
brume_status brume_run_heun(struct brume_sampling *s);
brume_status brume_run_dpm2(struct brume_sampling *s);
brume_status brume_run_dpm2_ancestral(struct brume_sampling *s);
brume_status brume_run_lms(struct brume_sampling *s);
brume_status brume_run_dpmpp_2s_ancestral(struct brume_sampling *s);
brume_status brume_run_dpmpp_sde(struct brume_sampling *s);
brume_status brume_run_dpmpp_2m_sde(struct brume_sampling *s);
brume_status brume_run_dpmpp_3m_sde(struct brume_sampling *s);
brume_status brume_run_flow_euler(struct brume_sampling *s);
brume_status brume_run_flow_heun(struct brume_sampling *s);
brume_status brume_run_ald(struct brume_sampling *s);
brume_status brume_run_ald_paper(struct brume_sampling *s);
brume_status brume_run_pc(struct brume_sampling *s);
brume_status brume_run_ode(struct brume_sampling *s);
brume_status brume_run_repaint(struct brume_sampling *s);
int32_t brume_calls_ald(const brume_scheduler_config *c, const brume_sampler_options *o, int32_t n);
int32_t brume_calls_pc(const brume_scheduler_config *c, const brume_sampler_options *o, int32_t n);
int32_t brume_calls_repaint(const brume_scheduler_config *c, const brume_sampler_options *o, int32_t n);

/* Places that RePaint visits on a chain of n steps, n-1 first: jumps of `jump` >= 1 back up, each stretch passed `resample` >= 1
 * times. Returns how many; out may be NULL. -1 without memory. */
int64_t brume_repaint_times(int32_t n, int32_t jump, int32_t resample, int32_t *out);
/* Step size of annealed Langevin dynamics at the last level, sigma, for n steps a level and levels whose sigmas stand in that
 * ratio (> 1). */
double brume_langevin_step(double sigma, double ratio, int32_t n);

#endif
