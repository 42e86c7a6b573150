/* SPDX-License-Identifier: MIT
 * Training with every process, objective, weighting and way to draw times: the loss falls, a resumed run equals an uninterrupted
 * one, times have their distributions, and what cannot be trained is refused. */
#include <unistd.h>

#include "brume/model.h"
#include "brume/rng.h"
#include "brume/train.h"
#include "check.h"
#include "train_steps.h"

static char folder[256];

struct way {
    const char *process, *objective, *weighting, *times, *schedule;
    brume_variance variance;
    brume_bound bound;
    double offset, falls; /* falls: the last losses are at most that part of the first */
};

static const struct way ways[] = {
    { .process = "flow", .falls = 0.8 },
    { .process = "flow", .objective = "v", .times = "logit-normal", .falls = 0.9 },
    { .process = "edm", .falls = 0.8 },
    { .process = "edm", .weighting = "edm", .times = "uniform", .falls = 0.97 },
    { .process = "ncsn", .falls = 0.8 },
    { .process = "ncsn", .objective = "x0", .times = "loss-second-moment", .falls = 0.9 },
    { .process = "ncsnv2", .times = "stratified", .falls = 0.8 },
    { .process = "ve", .falls = 0.8 },
    { .process = "vp", .falls = 0.8 },
    /* g^2 / s^2 leaves little but the smallest noise */
    { .process = "vp", .objective = "v", .weighting = "likelihood", .falls = 1.2 },
    { .process = "subvp", .falls = 0.8 },
    { .schedule = "squaredcos_cap_v2", .objective = "v", .variance = BRUME_VARIANCE_LEARNED_RANGE,
      .bound = BRUME_BOUND_HYBRID, .falls = 0.8 },
    { .schedule = "linear", .objective = "eps", .variance = BRUME_VARIANCE_LEARNED_RANGE, .bound = BRUME_BOUND_VLB,
      .times = "loss-second-moment", .falls = 0.9 },
    { .schedule = "linear", .objective = "eps", .bound = BRUME_BOUND_VLB, .variance = BRUME_VARIANCE_FIXED_LARGE, .falls = 0.9 },
    { .schedule = "linear", .objective = "eps", .weighting = "min-snr", .times = "stratified", .offset = 0.1, .falls = 0.8 },
    { .schedule = "linear", .objective = "eps", .weighting = "p2", .falls = 0.8 },
    { .schedule = "linear", .objective = "x0", .weighting = "truncated-snr", .falls = 0.9 },
    { .schedule = "linear", .objective = "score", .falls = 0.8 },
    { .schedule = "linear", .objective = "flow", .weighting = "snr+1", .times = "lognormal", .falls = 0.9 },
};

static void configure(const struct way *w, brume_train_config *c, const brume_dataset *data)
{
    brume_train_config_default(c);
    c->unet.levels = 2;
    c->unet.block_out_channels[0] = 8;
    c->unet.block_out_channels[1] = 16;
    c->unet.layers_per_block = 1;
    c->unet.norm_num_groups = 4;
    c->batch = 8;
    c->warmup = 10;
    c->lr = 2e-3;
    c->seed = 3;
    if (w->process) {
        const brume_process_preset *p = brume_process_preset_find(w->process);
        CHECK_OK(brume_train_config_process(c, p, 0));
        const int ladder = c->scheduler.process == BRUME_PROCESS_NCSN || c->scheduler.process == BRUME_PROCESS_VE;
        CHECK_OK(brume_train_config_ladder(c, data, ladder && p->sigma_max == 0, p->T == 0));
    }
    if (w->schedule) snprintf(c->scheduler.beta_schedule, sizeof c->scheduler.beta_schedule, "%s", w->schedule);
    if (w->objective) brume_train_config_objective(c, brume_objective_find(w->objective), 0);
    if (w->weighting) c->objective.weighting = brume_weighting_find(w->weighting);
    if (w->times) c->objective.times = brume_time_sampling_find(w->times)->value;
    if (!w->process) c->scheduler.variance_type = w->variance;
    c->objective.bound = w->bound;
    c->objective.offset_noise = w->offset;
    CHECK_OK(brume_train_config_fit(c, data, 0));
}

static const char *name_of(const struct way *w)
{
    static char text[128];
    snprintf(text, sizeof text, "%s, %s, %s", w->process ? w->process : w->schedule, w->objective ? w->objective : "default",
             w->weighting ? w->weighting : "simple");
    return text;
}

static void test_learns(const brume_dataset *data)
{
    enum { N = 120, EDGE = 30 };
    double losses[N];
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        brume_train_config c;
        configure(&ways[i], &c, data);
        double first = 0, last = 0;
        if (CHECK_OK(train_steps(&c, data, 1, folder, 0, N, 0, NULL, losses)))
            for (int k = 0; k < EDGE; k++) {
                first += losses[k] / EDGE;
                last += losses[N - 1 - k] / EDGE;
            }
        if (!CHECK(last < ways[i].falls * first)) fprintf(stderr, "    %s: loss %g -> %g\n", name_of(&ways[i]), first, last);
        brume_scheduler_config_clear(&c.scheduler);
    }
}

/* 3 + 3 steps are 6 for every way; with few levels the losses decide about the times before the checkpoint and after it. */
static void test_resume(const brume_dataset *data)
{
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        brume_train_config c;
        configure(&ways[i], &c, data);
        const bool learns = ways[i].times && !strcmp(ways[i].times, "loss-second-moment");
        const int half = learns ? 10 : 3;
        if (learns) {
            c.scheduler.num_train_timesteps = 3;
            c.scheduler.beta_start = 0.1;
            c.scheduler.beta_end = 0.5;
        }
        const size_t n = (size_t)brume_unet2d_param_count(&c.unet), bytes = n * sizeof(float);
        float *one = malloc(bytes), *other = malloc(bytes);
        double losses[20], again[20];
        CHECK_OK(train_steps(&c, data, 1, folder, 0, 2 * half, 0, one, losses));
        CHECK_OK(train_steps(&c, data, 1, folder, 0, half, 1, NULL, again));
        CHECK_OK(train_steps(&c, data, 1, folder, 1, half, 0, other, again + half));
        if (!CHECK(!memcmp(one, other, bytes) && !memcmp(losses, again, 2 * (size_t)half * sizeof *losses)))
            fprintf(stderr, "    %s\n", name_of(&ways[i]));
        brume_model *m = NULL; /* what is written says which process and prediction it was */
        if (CHECK_OK(brume_model_load(folder, NULL, &m))) {
            CHECK_INT(m->scheduler.process, c.scheduler.process);
            CHECK_INT(m->scheduler.prediction_type, c.scheduler.prediction_type);
            CHECK_INT(m->scheduler.num_train_timesteps, c.scheduler.num_train_timesteps);
            CHECK_INT(m->scheduler.variance_type, c.scheduler.variance_type);
            CHECK(m->scheduler.sigma_max == c.scheduler.sigma_max ||
                  (isnan(m->scheduler.sigma_max) && isnan(c.scheduler.sigma_max)));
        }
        brume_model_free(m);
        free(one);
        free(other);
        brume_scheduler_config_clear(&c.scheduler);
    }
}

/* ---- distributions of times ---- */

static brume_time_sampler *sampler_of(const brume_train_config *c, brume_process **p)
{
    brume_time_sampler *s = NULL;
    CHECK_OK(brume_process_new(&c->scheduler, p));
    CHECK_OK(brume_time_sampler_new(&c->objective, &c->scheduler, *p, &s));
    return s;
}

static void test_times(void)
{
    enum { N = 20000 };
    brume_train_config c;
    brume_process *p = NULL;
    double importance;
    brume_train_config_default(&c);

    /* uniform over 1000 steps: mean 499.5, deviation 288.7, of the mean 2.04 */
    brume_time_sampler *s = sampler_of(&c, &p);
    double sum = 0, lo = 1e9, hi = -1e9;
    for (int i = 0; s && i < N; i++) {
        const double u = brume_time_sampler_draw(s, 0, brume_seed_mix(1, (uint64_t)i), i, N, &importance);
        CHECK(u == floor(u) && importance == 1);
        sum += u / N;
        lo = fmin(lo, u), hi = fmax(hi, u);
    }
    CHECK_NEAR(sum, 499.5, 5 * 2.04);
    CHECK(lo == 0 && hi == 999);
    brume_time_sampler_free(s);

    /* stratified: of 500 examples exactly one lies in each stretch of two steps, whatever the seed */
    c.objective.times = BRUME_TIMES_STRATIFIED;
    s = sampler_of(&c, &p);
    int seen[501] = { 0 };
    for (int i = 0; s && i < 500; i++) {
        const double u = brume_time_sampler_draw(s, 77, brume_seed_mix(1, (uint64_t)i), i, 500, &importance);
        CHECK(u >= 0 && u < 1000);
        seen[(int)u / 2]++;
    }
    int twice = 0;
    for (int i = 0; i < 500; i++) twice += seen[i] > 1;
    CHECK_INT(twice, 0); /* strides of exactly 2 steps from a common start */
    brume_time_sampler_free(s);
    brume_process_free(p);

    /* loss-second-moment on four levels: p ~ rms loss, mixed with 0.1 %, importance 1 / (T p); uniform until every level has 10
     * losses */
    c.objective.times = BRUME_TIMES_LOSS_SECOND_MOMENT;
    c.scheduler.num_train_timesteps = 4;
    s = sampler_of(&c, &p);
    CHECK(s && brume_time_sampler_learns(s));
    for (int k = 0; k < 9; k++)
        for (int t = 0; t < 4; t++) brume_time_sampler_learn(s, t, 100 * t); /* the first of these are forgotten below */
    for (int i = 0; i < 100; i++) {
        brume_time_sampler_draw(s, 0, brume_seed_mix(2, (uint64_t)i), i, 100, &importance);
        CHECK_NEAR(importance, 1, 1e-12);
    }
    for (int k = 0; k < 10; k++)
        for (int t = 0; t < 4; t++) brume_time_sampler_learn(s, t, (t + 1) * (k % 2 ? 1 : 3)); /* rms (t + 1) sqrt 5 */
    double share[4] = { 0 };
    for (int i = 0; i < N; i++) {
        const int t = (int)brume_time_sampler_draw(s, 0, brume_seed_mix(3, (uint64_t)i), i, N, &importance);
        share[t] += 1.0 / N;
        CHECK_NEAR(importance, 1 / (4 * (0.999 * (t + 1) / 10 + 0.001 / 4)), 1e-6);
    }
    for (int t = 0; t < 4; t++) CHECK_NEAR(share[t], 0.999 * (t + 1) / 10 + 0.00025, 5 * sqrt(0.25 / N));
    /* what a damaged checkpoint may hold: 4 counts, then the losses */
    static const struct { int at; float value; } damage[] = { { 1, 11 }, { 0, 2.5f }, { 3, -1 }, { 2, NAN },
                                                              { 4, -1e-3f }, { 43, INFINITY } };
    int64_t n_state;
    float *state = brume_time_sampler_state(s, &n_state);
    CHECK_INT(n_state, 44);
    for (int i = 0; i < 6; i++) {
        const float kept = state[damage[i].at];
        state[damage[i].at] = damage[i].value;
        CHECK_FAILS(brume_time_sampler_restored(s), BRUME_E_FORMAT, "counts of 0 .. 10");
        state[damage[i].at] = kept;
    }
    CHECK_OK(brume_time_sampler_restored(s));
    brume_time_sampler_free(s);
    brume_process_free(p);

    /* EDM: ln sigma has mean -1.2 and deviation 1.2 */
    CHECK_OK(brume_train_config_process(&c, brume_process_preset_find("edm"), 0));
    c.objective.times = BRUME_TIMES_DEFAULT;
    s = sampler_of(&c, &p);
    double square = 0;
    sum = 0;
    for (int i = 0; s && i < N; i++) {
        const double u = log(brume_time_sampler_draw(s, 0, brume_seed_mix(4, (uint64_t)i), i, N, &importance));
        sum += u / N;
        square += u * u / N;
    }
    CHECK_NEAR(sum, -1.2, 5 * 1.2 / sqrt(N));
    CHECK_NEAR(sqrt(square - sum * sum), 1.2, 0.03);
    brume_time_sampler_free(s);
    brume_process_free(p);

    /* flow, logit-normal with mean 0.5 and deviation 0.7; and the SDE's uniform times, which never are 0 */
    CHECK_OK(brume_train_config_process(&c, brume_process_preset_find("flow"), 0));
    c.objective.times = BRUME_TIMES_LOGIT_NORMAL;
    c.objective.time_mean = 0.5;
    c.objective.time_std = 0.7;
    s = sampler_of(&c, &p);
    sum = square = 0;
    for (int i = 0; s && i < N; i++) {
        const double u = brume_time_sampler_draw(s, 0, brume_seed_mix(5, (uint64_t)i), i, N, &importance), x = log(u / (1 - u));
        sum += x / N;
        square += x * x / N;
    }
    CHECK_NEAR(sum, 0.5, 5 * 0.7 / sqrt(N));
    CHECK_NEAR(sqrt(square - sum * sum), 0.7, 0.02);
    brume_time_sampler_free(s);
    brume_process_free(p);
    CHECK_OK(brume_train_config_process(&c, brume_process_preset_find("vp"), 0));
    c.objective.times = BRUME_TIMES_DEFAULT;
    s = sampler_of(&c, &p);
    for (int i = 0; s && i < N; i++) {
        const double u = brume_time_sampler_draw(s, 0, brume_seed_mix(6, (uint64_t)i), i, N, &importance);
        CHECK(u >= 1e-5 && u <= 1);
    }
    brume_time_sampler_free(s);
    brume_process_free(p);
    brume_scheduler_config_clear(&c.scheduler);
}

/* ---- refusals ---- */

static void refused(const struct way *w, const char *says, const brume_dataset *data, void (*change)(brume_train_config *c))
{
    brume_train_config c;
    configure(w, &c, data);
    if (change) change(&c);
    CHECK_FAILS(train_steps(&c, data, 1, folder, 0, 1, 0, NULL, NULL), BRUME_E_ARG, says);
    brume_scheduler_config_clear(&c.scheduler);
}

static void fourier(brume_train_config *c) { c->unet.time_embedding_type = BRUME_TIME_FOURIER; }
static void learned_times(brume_train_config *c) { c->unet.time_embedding_type = BRUME_TIME_LEARNED; }
static void one_output(brume_train_config *c) { c->unet.out_channels = c->unet.in_channels; }
static void zero_snr(brume_train_config *c) { c->scheduler.rescale_betas_zero_snr = true; }
static void negative_gamma(brume_train_config *c) { c->objective.snr_gamma = -1; }

static void test_refusals(const brume_dataset *data)
{
    refused(&(struct way){ .process = "vp", .weighting = "vlb" }, "not defined for process 'vp'", data, NULL);
    refused(&(struct way){ .process = "flow", .weighting = "likelihood" }, "not defined for process 'flow'", data, NULL);
    refused(&(struct way){ .process = "vp", .times = "loss-second-moment" }, "counts losses per level", data, NULL);
    refused(&(struct way){ .process = "ve", .bound = BRUME_BOUND_VLB }, "needs a discrete schedule", data, NULL);
    refused(&(struct way){ .process = "flow", .objective = "edm" }, "go together", data, NULL);
    refused(&(struct way){ .process = "edm", .objective = "eps" }, "go together", data, NULL);
    refused(&(struct way){ .schedule = "linear", .variance = BRUME_VARIANCE_LEARNED_RANGE }, "choose bound hybrid or vlb", data,
            NULL);
    refused(&(struct way){ .schedule = "linear", .bound = BRUME_BOUND_HYBRID }, "trains a learned variance", data, NULL);
    refused(&(struct way){ .schedule = "linear", .variance = BRUME_VARIANCE_LEARNED_RANGE, .bound = BRUME_BOUND_VLB },
            "must predict 2", data, one_output);
    refused(&(struct way){ .schedule = "linear", .objective = "eps", .bound = BRUME_BOUND_VLB }, "at time 999", data, zero_snr);
    refused(&(struct way){ .schedule = "linear", .objective = "eps" }, "choose another objective, such as v", data, zero_snr);
    refused(&(struct way){ .schedule = "linear", .weighting = "min-snr" }, "gamma > 0", data, negative_gamma);
    refused(&(struct way){ .process = "vp" }, "takes sigma", data, fourier);
    refused(&(struct way){ .process = "edm" }, "takes sigma", data, fourier);
    refused(&(struct way){ .process = "ve" }, "table of time steps", data, learned_times);
    /* v is defined where nothing of the image is left, also with weights and bound */
    brume_train_config c;
    configure(&(struct way){ .schedule = "linear", .objective = "v", .weighting = "snr+1" }, &c, data);
    c.scheduler.rescale_betas_zero_snr = true;
    CHECK_OK(train_steps(&c, data, 1, folder, 0, 1, 0, NULL, NULL));
    c.objective.bound = BRUME_BOUND_VLB;
    CHECK_OK(train_steps(&c, data, 1, folder, 0, 1, 0, NULL, NULL));
    /* a resumed run must be trained in the same way */
    configure(&(struct way){ .process = "vp", .weighting = "snr" }, &c, data);
    CHECK_OK(train_steps(&c, data, 1, folder, 0, 1, 1, NULL, NULL));
    c.objective.weighting = NULL;
    CHECK_FAILS(train_steps(&c, data, 1, folder, 1, 1, 0, NULL, NULL), BRUME_E_ARG, "weighting snr");
    c.objective.weighting = brume_weighting_find("snr");
    c.scheduler.beta_max = 19;
    CHECK_FAILS(train_steps(&c, data, 1, folder, 1, 1, 0, NULL, NULL), BRUME_E_ARG, "process vp");
    brume_scheduler_config_clear(&c.scheduler);
}

/* NCSNv2's choice for 8x8 pictures: more levels than NCSN's ten, up to the largest distance. */
static void test_ladder(const brume_dataset *data)
{
    brume_train_config c;
    configure(&(struct way){ .process = "ncsnv2" }, &c, data);
    CHECK(c.scheduler.sigma_max > 5 && c.scheduler.sigma_max <= 2 * 8 + 0.1); /* two pictures of -1 and 1 are 16 apart */
    CHECK(c.scheduler.num_train_timesteps > 20 && c.scheduler.num_train_timesteps < 100);
    CHECK_INT(c.unet.time_embedding_type, BRUME_TIME_FOURIER);
    CHECK_INT(c.scheduler.prediction_type, BRUME_PREDICT_SCORE);
    brume_scheduler_config_clear(&c.scheduler);
}

/* No name is no row, as a wrong one. */
static void test_no_name(void)
{
    CHECK(!brume_process_preset_find(NULL) && !brume_objective_find(NULL) && !brume_weighting_find(NULL) &&
          !brume_time_sampling_find(NULL));
    CHECK(!brume_lr_schedule_find(NULL) && !brume_preset_find(NULL) && !brume_sampler_find(NULL) && !brume_schedule_find(NULL));
}

int main(void)
{
    const char *tmp = getenv("TMPDIR");
    brume_dataset *data = NULL;
    const brume_dataset_options o = { .size = 8, .channels = 1, .count = 64 };
    snprintf(folder, sizeof folder, "%s/brume-objectives-XXXXXX", tmp && *tmp ? tmp : "/tmp");
    if (!CHECK(mkdtemp(folder) != NULL)) return check_report();
    CHECK_OK(brume_dataset_open("shapes", &o, &data));
    test_no_name();
    test_times();
    test_ladder(data);
    test_refusals(data);
    test_resume(data);
    test_learns(data);
    brume_dataset_free(data);
    char command[300];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    CHECK_INT(system(command), 0);
    return check_report();
}
