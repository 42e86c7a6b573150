/* SPDX-License-Identifier: MIT
 * Predictor-corrector samplers of SDEs (Song et al. 2021, algorithms 1-5): at every time Langevin steps, then one step of the
 * reverse SDE. Both return x and its noise-free mean; the result is the last mean. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "diffusion/sampling.h"

enum { SCORE, MEAN }; /* registers */
enum predictor { REVERSE_DIFFUSION, EULER_MARUYAMA, ANCESTRAL };
enum corrector { LANGEVIN, ALD, NONE };

static const char *const predictors[] = { "reverse_diffusion", "euler_maruyama", "ancestral" };
static const char *const correctors[] = { "langevin", "ald", "none" };

static int find(const char *const *names, const char *name, int fallback)
{
    for (int i = 0; name && i < 3; i++)
        if (!strcmp(names[i], name)) return i;
    return name ? -1 : fallback;
}

static int32_t corrections(const brume_scheduler_config *c, const brume_sampler_options *o)
{
    if (find(correctors, o->corrector, LANGEVIN) == NONE) return 0;
    return o->correct_steps >= 0 ? o->correct_steps : c->correct_steps;
}

int32_t brume_calls_pc(const brume_scheduler_config *c, const brume_sampler_options *o, int32_t n)
{
    return n * (1 + corrections(c, o));
}

/* One step on the way down: x' = mean + noise z, mean = keep x + gain S. The corrector's steps shrink by 1 - beta. */
struct update { double keep, gain, noise, beta; };

/* i-th of n equal steps from lo to hi */
static double between(double lo, double hi, int32_t i, int32_t n) { return n > 1 ? lo + (hi - lo) * i / (n - 1) : lo; }

/* Discrete sigmas of the VE SDE, ascending; none before the first. */
static double ve_sigma(const brume_scheduler_config *c, int32_t i, int32_t n)
{
    return i < 0 ? 0.0 : exp(between(log(c->sigma_min), log(c->sigma_max), i, n));
}

static struct update ve_update(double hi, double lo, enum predictor p)
{
    const double d = (hi - lo) * (hi + lo); /* difference of the variances */
    return (struct update){ 1, d, p == ANCESTRAL ? lo / hi * sqrt(d) : sqrt(d), 0 };
}

static struct update vp_update(double beta, enum predictor p)
{
    if (p == ANCESTRAL) return (struct update){ 1 / sqrt(1 - beta), beta / sqrt(1 - beta), sqrt(beta), beta };
    return (struct update){ 2 - sqrt(1 - beta), beta, sqrt(beta), beta };
}

/* The step from node i. Song et al. 2021, eq. 46 (reverse diffusion), eqs. 4 and 9 (ancestral) or Euler's rule for the reverse
 * SDE. */
static struct update update_of(const struct brume_sampling *s, enum predictor p, int32_t i)
{
    const brume_process_kind kind = brume_process_get_kind(s->process);
    const struct brume_node *at = &s->grid->node[i], *next = at + 1;
    const brume_scheduler_config *c = s->config;
    const int32_t n = s->grid->n;
    if (kind == BRUME_PROCESS_DISCRETE) { /* its own betas, of the stretch to the next time */
        const double log_keep = 2 * log(at->a / next->a), beta = -expm1(log_keep);
        return p == EULER_MARUYAMA ? (struct update){ 1 - 0.5 * log_keep, -log_keep, sqrt(-log_keep), beta } : vp_update(beta, p);
    }
    if (kind == BRUME_PROCESS_NCSN)
        return ve_update(at->s, i + 1 < n ? next->s : 0.0, p == ANCESTRAL ? ANCESTRAL : REVERSE_DIFFUSION);
    const int32_t k = (int32_t)(at->u * (n - 1)); /* its place in tables of n steps */
    double drift = 0, diffusion = 0;
    brume_process_sde(s->process, at->u, &drift, &diffusion);
    const struct update euler = { 1 - drift / n, diffusion * diffusion / n, diffusion / sqrt(n), 0 };
    if (kind == BRUME_PROCESS_VE) return p == EULER_MARUYAMA ? euler : ve_update(ve_sigma(c, k, n), ve_sigma(c, k - 1, n), p);
    const double beta = brume_process_discrete_beta(s->process, at->u, n);
    struct update u = p == EULER_MARUYAMA || kind == BRUME_PROCESS_SUBVP ? euler : vp_update(beta, p);
    u.beta = beta;
    return u;
}

static brume_status score_at(struct brume_sampling *s, const struct brume_node *at, brume_buffer **score)
{
    brume_status e = brume_sampling_register(s, SCORE, score);
    if (e == BRUME_OK) e = brume_sampling_predict(s, s->x, at);
    return e == BRUME_OK ? brume_sampling_score(s, s->x, *score) : e;
}

/* mean over the batch of the norm of each image */
static brume_status mean_norm(struct brume_sampling *s, double *scratch, brume_buffer *x, double *mean)
{
    const brume_status e = brume_sampling_norms(s, x, scratch);
    *mean = 0;
    for (int64_t i = 0; e == BRUME_OK && i < s->images; i++) *mean += scratch[i] / (double)s->images;
    return e;
}

/* x += k S + sqrt(2 k) z with k = 2 al (r |z| / |S|)^2 ("langevin", algorithms 4 and 5) or 2 al (r s(t))^2 ("ald"), al = 1 -
 * beta. */
static brume_status correct(struct brume_sampling *s, enum corrector how, const struct brume_node *at, double beta, double *norms)
{
    const double snr = s->options->snr > 0 ? s->options->snr : s->config->snr;
    brume_buffer *score;
    brume_status e = score_at(s, at, &score);
    double z = at->s, g = 1;
    if (e == BRUME_OK) e = brume_sampling_noise(s);
    if (e == BRUME_OK && how == LANGEVIN) e = mean_norm(s, norms, s->z, &z);
    if (e == BRUME_OK && how == LANGEVIN) e = mean_norm(s, norms, score, &g);
    if (e != BRUME_OK) return e;
    const double k = 2 * (1 - beta) * (snr * z / g) * (snr * z / g);
    if (!isfinite(k))
        return brume_fail(BRUME_E_NUMERIC,
                          "Langevin corrector: the step size is not finite at time %g (norm of the noise %g, of the score %g)",
                          at->u, z, g);
    struct brume_terms x = { 0 };
    brume_terms_add(&x, 1, s->x);
    brume_terms_add(&x, k, score);
    brume_terms_add(&x, sqrt(2 * k), s->z);
    return brume_sampling_update(s, &x);
}

/* The noise-free mean becomes the result; known data in it are free of noise, too (app. I.2). */
static brume_status finish(struct brume_sampling *s, brume_buffer *mean, const struct brume_node *at)
{
    const struct brume_node end = { .t = at->t, .u = at->u, .a = 1, .s = 0, .scale = 1 };
    struct brume_terms x = { 0 };
    brume_terms_add(&x, 1, mean);
    brume_status e = brume_sampling_update(s, &x);
    if (e == BRUME_OK && s->in->mask) e = brume_sampling_replace(s, &(struct brume_node){ .a = at->a, .s = 0, .scale = 1 });
    return e == BRUME_OK ? brume_sampling_step(s, &end) : e;
}

static brume_status predict(struct brume_sampling *s, enum predictor how, int32_t i, struct update u)
{
    const struct brume_node *at = &s->grid->node[i];
    const int flow = s->options->probability_flow && how != ANCESTRAL, last = i + 1 == s->grid->n;
    brume_buffer *score, *mean_of;
    struct brume_terms mean = { 0 }, x = { 0 };
    brume_status e = score_at(s, at, &score);
    if (e == BRUME_OK) e = brume_sampling_register(s, MEAN, &mean_of);
    if (e == BRUME_OK) e = brume_sampling_noise(s); /* drawn for the ODE, too: draws keep their numbers */
    if (e != BRUME_OK) return e;
    brume_terms_add(&mean, u.keep, s->x);
    brume_terms_add(&mean, flow ? 0.5 * u.gain : u.gain, score);
    e = brume_sampling_combine(s, &mean, mean_of);
    brume_terms_add(&x, 1, mean_of);
    brume_terms_add(&x, flow ? 0.0 : u.noise, s->z);
    if (e == BRUME_OK) e = brume_sampling_update(s, &x);
    if (e == BRUME_OK) e = brume_sampling_replace(s, at);
    if (e == BRUME_OK) e = brume_sampling_step(s, at + 1);
    return e == BRUME_OK && last && s->options->denoise_last != 0 ? finish(s, mean_of, at) : e;
}

static brume_status check(const struct brume_sampling *s, int predictor, int corrector)
{
    const brume_process_kind kind = brume_process_get_kind(s->process);
    const int32_t n = s->grid->n;
    if (predictor < 0)
        return brume_fail(BRUME_E_ARG,
                          "predictor \"%.40s\" is unknown; there are reverse_diffusion, euler_maruyama and ancestral",
                          s->options->predictor);
    if (corrector < 0)
        return brume_fail(BRUME_E_ARG, "corrector \"%.40s\" is unknown; there are langevin, ald and none", s->options->corrector);
    if (kind == BRUME_PROCESS_SUBVP && predictor == ANCESTRAL)
        return brume_fail(BRUME_E_UNSUPPORTED,
                          "the sub-VP SDE has no ancestral predictor; choose reverse_diffusion or euler_maruyama");
    const int tables = predictor != EULER_MARUYAMA || corrector != NONE;
    if ((kind == BRUME_PROCESS_VP || (kind == BRUME_PROCESS_SUBVP && corrector != NONE)) && tables && !(s->config->beta_max < n))
        return brume_fail(
            BRUME_E_ARG,
            "steps %d are too few for this SDE: beta_max / steps = %g must be below 1; take more, or euler_maruyama without "
            "a corrector",
            n, s->config->beta_max / n);
    return BRUME_OK;
}

brume_status brume_run_pc(struct brume_sampling *s)
{
    const int predictor = find(predictors, s->options->predictor, REVERSE_DIFFUSION),
              corrector = find(correctors, s->options->corrector, LANGEVIN);
    const int32_t steps = corrections(s->config, s->options);
    brume_status e = check(s, predictor, corrector);
    if (e != BRUME_OK) return e;
    double *norms = malloc((size_t)s->images * sizeof *norms);
    if (!norms) return brume_fail(BRUME_E_MEMORY, "out of memory for a sampler");
    s->n = s->grid->n + (s->options->denoise_last != 0); /* the last mean counts as a step */
    for (int32_t i = s->first; i < s->grid->n && e == BRUME_OK; i++) {
        const struct brume_node *at = &s->grid->node[i];
        const struct update u = update_of(s, predictor, i);
        for (int32_t k = 0; k < steps && e == BRUME_OK; k++) e = correct(s, corrector, at, u.beta, norms);
        if (e == BRUME_OK && corrector != NONE) e = brume_sampling_replace(s, at);
        if (e == BRUME_OK) e = predict(s, predictor, i, u);
    }
    free(norms);
    return e;
}
