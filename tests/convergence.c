/* SPDX-License-Identifier: MIT
 * Measured orders of convergence of every deterministic solver, and moments of what the stochastic ones draw, with an exact
 * denoiser.
 *
 * Order: from sigma 10 to 0.05 in n and in 2n steps; the error is the distance to the exact solution of the probability-flow ODE.
 * States are f32, so errors of some 1e-7 remain however small the steps, and the asymptotic range of a method of order 3 lies
 * below that. So n is 24, and both errors are compared with those of a float64 program of the same methods (table below): a wrong
 * coefficient changes the error of its method by far more than the 3% allowed here, even one that leaves the order alone. Their
 * ratio gives the order. */
#include "brume/sampler.h"

#include "brume/rng.h"
#include "check.h"
#include "devices.h"
#include "diffusion/sampling.h"
#include "mixture.h"

static const double from = 10, to = 0.05;
enum { SIDE = 4, POINTS = SIDE * SIDE, COUNT = 2 * POINTS, COARSE = 24 };

static const struct mixture g1 = { 1, { 1 }, { { 0.25, -0.5 } }, { { 0.09, 0.25 } } };
static const struct mixture gm3 = {
    3, { 0.5, 0.3, 0.2 }, { { 0.6, -0.4 }, { -0.7, 0.3 }, { 0.1, 0.8 } }, { { 0.04, 0.01 }, { 0.0225, 0.09 }, { 0.01, 0.0025 } },
};

/* Equal steps of ln sigma or Karras et al. 2022, eq. 5. On one normal the exact solution is linear in y; on the mixture it is
 * not. */
static const struct problem { const char *name; const struct mixture *mixture; int karras; } problems[] = {
    { "one normal, equal steps of lambda", &g1, 0 },
    { "one normal, Karras grid", &g1, 1 },
    { "mixture, equal steps of lambda", &gm3, 0 },
};
enum { PROBLEMS = sizeof problems / sizeof *problems };

/* rate: order of the method, which one of the two grids on one normal must show; 0 where 24 to 48 steps are too few to (lms4 for
 * its start by lower orders). error[problem][0, 1]: root mean square after 24 and after 48 steps, in float64. */
static const struct solver {
    const char *name, *sampler, *class_name;
    int rate;
    int order;
    brume_algorithm algorithm;
    brume_solver_type type;
    bool exact;
    double error[PROBLEMS][2];
} solvers[] = {
    { "ddim", "ddim", "DDIMScheduler", 1,
      .error = { { 2.453e-2, 1.243e-2 }, { 2.693e-2, 1.367e-2 }, { 1.638e-2, 8.173e-3 } } },
    { "euler", "euler", "EulerDiscreteScheduler", 1,
      .error = { { 2.453e-2, 1.243e-2 }, { 2.693e-2, 1.367e-2 }, { 1.638e-2, 8.173e-3 } } },
    { "heun", "heun", "HeunDiscreteScheduler", 2,
      .error = { { 2.979e-3, 7.238e-4 }, { 3.169e-3, 7.740e-4 }, { 1.828e-3, 4.364e-4 } } },
    { "dpm2", "dpm2", "KDPM2DiscreteScheduler", 2,
      .error = { { 1.443e-3, 3.542e-4 }, { 1.785e-3, 4.371e-4 }, { 1.092e-3, 2.762e-4 } } },
    { "lms2", "lms", "LMSDiscreteScheduler", 2, .order = 2,
      .error = { { 5.956e-3, 1.619e-3 }, { 6.472e-3, 1.750e-3 }, { 4.689e-3, 1.370e-3 } } },
    { "lms3", "lms", "LMSDiscreteScheduler", 3, .order = 3,
      .error = { { 2.265e-3, 3.439e-4 }, { 2.285e-3, 3.377e-4 }, { 2.458e-3, 4.577e-4 } } },
    { "lms4", "lms", "LMSDiscreteScheduler", 0, .order = 4,
      .error = { { 1.137e-3, 1.036e-4 }, { 1.026e-3, 8.669e-5 }, { 1.657e-3, 1.988e-4 } } },
    { "plms", "plms", "PNDMScheduler", 2,
      .error = { { 9.589e-4, 2.338e-4 }, { 1.057e-3, 2.494e-4 }, { 6.352e-4, 1.299e-4 } } },
    { "dpmpp_1", "dpmpp_2m", "DPMSolverMultistepScheduler", 1, .order = 1,
      .error = { { 2.453e-2, 1.243e-2 }, { 2.693e-2, 1.367e-2 }, { 1.638e-2, 8.173e-3 } } },
    { "dpmpp_2m", "dpmpp_2m", "DPMSolverMultistepScheduler", 2, .order = 2,
      .error = { { 1.212e-3, 3.143e-4 }, { 2.779e-3, 6.910e-4 }, { 2.008e-3, 5.898e-4 } } },
    { "dpmpp_2m_heun", "dpmpp_2m", "DPMSolverMultistepScheduler", 2, .order = 2, .type = BRUME_SOLVER_HEUN,
      .error = { { 2.243e-3, 5.587e-4 }, { 4.181e-3, 1.006e-3 }, { 2.152e-3, 5.963e-4 } } },
    { "dpmpp_3m", "dpmpp_3m", "DPMSolverMultistepScheduler", 2, .order = 3,
      .error = { { 5.434e-4, 1.162e-4 }, { 7.241e-4, 1.735e-4 }, { 1.177e-3, 2.221e-4 } } },
    { "dpmpp_3m exact", "dpmpp_3m_exact", "DPMSolverMultistepScheduler", 0, .order = 3, .exact = true,
      .error = { { 1.207e-4, 8.131e-6 }, { 2.728e-4, 4.273e-5 }, { 1.126e-3, 1.574e-4 } } },
    { "dpmsolver_2m", "dpmsolver_2m", "DPMSolverMultistepScheduler", 2, .order = 2, .algorithm = BRUME_DPMSOLVER,
      .error = { { 1.490e-3, 3.749e-4 }, { 8.916e-4, 2.049e-4 }, { 2.411e-3, 7.320e-4 } } },
    { "dpmsolver_2m heun", "dpmsolver_2m", "DPMSolverMultistepScheduler", 2, .order = 2, .algorithm = BRUME_DPMSOLVER,
      .type = BRUME_SOLVER_HEUN, .error = { { 2.315e-3, 5.935e-4 }, { 1.955e-3, 4.803e-4 }, { 2.763e-3, 8.268e-4 } } },
    { "dpmsolver_3m", "dpmsolver_2m", "DPMSolverMultistepScheduler", 2, .order = 3, .algorithm = BRUME_DPMSOLVER,
      .error = { { 5.099e-4, 1.246e-4 }, { 1.965e-4, 6.895e-5 }, { 1.557e-3, 3.399e-4 } } },
    { "deis2", "deis", "DEISMultistepScheduler", 2, .order = 2, .type = BRUME_SOLVER_HEUN, .exact = true,
      .error = { { 2.315e-3, 5.935e-4 }, { 1.955e-3, 4.803e-4 }, { 2.763e-3, 8.268e-4 } } },
    { "deis3", "deis", "DEISMultistepScheduler", 3, .order = 3, .type = BRUME_SOLVER_HEUN, .exact = true,
      .error = { { 6.845e-5, 8.807e-6 }, { 2.493e-4, 3.465e-5 }, { 1.296e-3, 2.259e-4 } } },
    { "dpmpp_2s", "dpmpp_2s", "DPMSolverSinglestepScheduler", 2, .order = 2,
      .error = { { 5.105e-3, 1.336e-3 }, { 6.082e-3, 1.618e-3 }, { 4.435e-3, 1.426e-3 } } },
    { "dpmpp_2s_heun", "dpmpp_2s", "DPMSolverSinglestepScheduler", 2, .order = 2, .type = BRUME_SOLVER_HEUN,
      .error = { { 1.834e-3, 4.619e-4 }, { 2.114e-3, 5.499e-4 }, { 3.006e-3, 1.068e-3 } } },
    { "dpmpp_3s", "dpmpp_3s", "DPMSolverSinglestepScheduler", 3, .order = 3,
      .error = { { 4.597e-4, 5.725e-5 }, { 3.451e-4, 4.454e-5 }, { 1.023e-3, 5.171e-4 } } },
    { "dpmpp_3s_heun", "dpmpp_3s", "DPMSolverSinglestepScheduler", 3, .order = 3, .type = BRUME_SOLVER_HEUN,
      .error = { { 1.362e-4, 1.928e-5 }, { 3.302e-4, 4.308e-5 }, { 7.048e-4, 4.087e-4 } } },
    { "unipc_1", "unipc", "UniPCMultistepScheduler", 2, .order = 1, .type = BRUME_SOLVER_BH2,
      .error = { { 4.242e-3, 1.068e-3 }, { 5.979e-3, 1.517e-3 }, { 3.779e-3, 1.084e-3 } } },
    { "unipc_2", "unipc", "UniPCMultistepScheduler", 3, .order = 2, .type = BRUME_SOLVER_BH2,
      .error = { { 4.329e-4, 5.450e-5 }, { 1.081e-3, 1.319e-4 }, { 1.236e-3, 2.003e-4 } } },
    { "unipc_3", "unipc", "UniPCMultistepScheduler", 4, .order = 3, .type = BRUME_SOLVER_BH2,
      .error = { { 3.783e-5, 3.004e-6 }, { 2.870e-4, 1.892e-5 }, { 5.772e-4, 3.001e-5 } } },
    { "unipc_2_bh1", "unipc", "UniPCMultistepScheduler", 3, .order = 2, .type = BRUME_SOLVER_BH1,
      .error = { { 8.472e-4, 1.005e-4 }, { 1.908e-3, 2.178e-4 }, { 1.087e-3, 1.643e-4 } } },
    { "unipc_3_bh1", "unipc", "UniPCMultistepScheduler", 4, .order = 3, .type = BRUME_SOLVER_BH1,
      .error = { { 3.466e-5, 2.655e-6 }, { 2.859e-4, 1.881e-5 }, { 5.773e-4, 2.999e-5 } } },
    { "dpmpp_2s_ancestral", "dpmpp_2s_ancestral", "EulerDiscreteScheduler", 2,
      .error = { { 1.336e-3, 3.410e-4 }, { 1.637e-3, 4.189e-4 }, { 1.426e-3, 4.019e-4 } } },
    { "dpmpp_sde", "dpmpp_sde", "EulerDiscreteScheduler", 2,
      .error = { { 1.336e-3, 3.410e-4 }, { 1.637e-3, 4.189e-4 }, { 1.426e-3, 4.019e-4 } } },
    { "dpmpp_2m_sde", "dpmpp_2m_sde_k", "EulerDiscreteScheduler", 2,
      .error = { { 1.212e-3, 3.143e-4 }, { 2.779e-3, 6.910e-4 }, { 2.008e-3, 5.898e-4 } } },
    { "dpmpp_2m_sde heun", "dpmpp_2m_sde_k", "EulerDiscreteScheduler", 2, .type = BRUME_SOLVER_HEUN,
      .error = { { 2.243e-3, 5.587e-4 }, { 4.181e-3, 1.006e-3 }, { 2.152e-3, 5.963e-4 } } },
    { "dpmpp_3m_sde", "dpmpp_3m_sde", "EulerDiscreteScheduler", 2,
      .error = { { 5.447e-4, 1.164e-4 }, { 7.245e-4, 1.736e-4 }, { 1.178e-3, 2.221e-4 } } },
};

static double sigma_of(const struct problem *p, int i, int n) /* i = 0 .. n from large to small */
{
    const double part = (double)i / n, rho = 7;
    if (!p->karras) return from * pow(to / from, part);
    return pow(pow(from, 1 / rho) + part * (pow(to, 1 / rho) - pow(from, 1 / rho)), rho);
}

/* A run of n + 1 steps over a schedule whose table is the grid, stopped when n are done, so that no rule for the last step takes
 * part. */
struct run {
    const struct mixture *mixture;
    brume_prediction prediction;
    int64_t images, points;
    int steps;                /* stop after so many */
    float start[COUNT], *end; /* y = x0 + sigma eps */
};

static brume_status predict(void *self, brume_buffer *x, const brume_level *l, brume_buffer *out, brume_buffer *variance)
{
    const struct run *r = self;
    const size_t n = (size_t)(r->images * 2 * r->points);
    float *in = malloc(2 * n * sizeof *in), *m = in + n;
    (void)variance;
    if (!in) return BRUME_E_MEMORY;
    brume_status s = brume_buffer_read(x, 0, in, n * sizeof *in);
    for (int64_t b = 0; b < r->images; b++)
        for (int64_t p = 0; p < r->points; p++) {
            const int64_t at = b * 2 * r->points + p;
            const double point[2] = { in[at], in[at + r->points] };
            double score[2], x0[2];
            mixture_score(r->mixture, -1, l->a, l->s, point, score, x0);
            for (int d = 0; d < 2; d++)
                m[at + d * r->points] = (float)mixture_prediction(r->prediction, l->a, l->s, score[d], x0[d]);
        }
    if (s == BRUME_OK) s = brume_buffer_write(out, 0, m, n * sizeof *m);
    free(in);
    return s;
}

/* view_scale brings any state to a x0 + s eps with a^2 + s^2 = 1. */
static brume_status watch(void *ctx, const brume_sampler_event *e)
{
    struct run *r = ctx;
    if (!e->complete || (e->step != 0 && e->step != r->steps)) return BRUME_OK;
    const double sigma = e->step == 0 ? from : to;
    float *y = e->step == 0 ? r->start : r->end;
    const brume_status s = brume_buffer_read(e->x, 0, y, COUNT * sizeof *y);
    for (int i = 0; i < COUNT; i++) y[i] = (float)(y[i] * e->view_scale * sqrt(1 + sigma * sigma));
    return e->step == r->steps && s == BRUME_OK ? BRUME_E_STOPPED : s;
}

/* d y / d lambda = D - y, lambda = -ln sigma, by the classical Runge-Kutta method in steps so small that its error is below
 * 1e-10. */
static void slope(const struct mixture *m, double sigma, const double y[2], double out[2])
{
    double score[2], D[2];
    mixture_score(m, -1, 1, sigma, y, score, D);
    for (int d = 0; d < 2; d++) out[d] = D[d] - y[d];
}

static void integrate(const struct mixture *m, double y[2])
{
    enum { STEPS = 1000 };
    const double h = log(from / to) / STEPS;
    for (int i = 0; i < STEPS; i++) {
        const double s0 = from * exp(-h * i), middle = s0 * exp(-h / 2), s1 = s0 * exp(-h);
        double k[4][2], at[2];
        slope(m, s0, y, k[0]);
        for (int q = 1; q < 4; q++) {
            for (int d = 0; d < 2; d++) at[d] = y[d] + (q == 3 ? h : h / 2) * k[q - 1][d];
            slope(m, q == 3 ? s1 : middle, at, k[q]);
        }
        for (int d = 0; d < 2; d++) y[d] += h / 6 * (k[0][d] + 2 * k[1][d] + 2 * k[2][d] + k[3][d]);
    }
}

/* Points at +-5 and +-15 in both coordinates. */
static double start_of(int i, int d) { return from * ((d ? i % SIDE : i / SIDE) - 1.5); }

static double exact_end[PROBLEMS][COUNT];

static void solve_exactly(void)
{
    for (int p = 0; p < PROBLEMS; p++)
        for (int i = 0; i < POINTS; i++) {
            double y[2] = { start_of(i, 0), start_of(i, 1) };
            integrate(problems[p].mixture, y);
            for (int d = 0; d < 2; d++) exact_end[p][d * POINTS + i] = y[d];
        }
}

static void config_of(const struct solver *v, const struct problem *p, int n, brume_scheduler_config *c)
{
    CHECK_OK(brume_scheduler_config_class(v->class_name, c));
    const int below = strstr(v->class_name, "Singlestep") != NULL; /* its grids leave out time 0 */
    const int T = n + 1 + below;
    c->num_train_timesteps = T;
    c->trained_betas = malloc((size_t)T * sizeof *c->trained_betas);
    for (int t = 0; t < T && c->trained_betas; t++) { /* alpha_bar = 1 / (1 + sigma^2) */
        const double sigma = t < below ? to / 2 : sigma_of(p, n + below - t, n);
        const double before = t == 0 ? 0 : t <= below ? to / 2 : sigma_of(p, n + below - t + 1, n);
        c->trained_betas[t] = (sigma * sigma - before * before) / (1 + sigma * sigma);
    }
    c->timestep_spacing = BRUME_SPACING_TRAILING;
    if (!strcmp(v->sampler, "plms") || !strcmp(v->sampler, "ddim")) c->timestep_spacing = BRUME_SPACING_LEADING;
    if (c->algorithm_type != BRUME_SDE_DPMSOLVERPP && strncmp(v->class_name, "DPM", 3) == 0) c->algorithm_type = v->algorithm;
    if (strstr(v->class_name, "DPMSolver") || strstr(v->class_name, "UniPC") || strstr(v->class_name, "DEIS")) {
        c->final_sigmas_type = BRUME_FINAL_SIGMA_MIN; /* not reached; forms in eps have no step to 0 */
        c->solver_order = v->order;
    }
    c->solver_type = v->type;
    c->exact_third_order = v->exact;
    c->lower_order_final = false;
    c->skip_prk_steps = true;
    c->clip_sample = false;
}

static double error_of(brume_device *d, const struct solver *v, int which, int n)
{
    const struct problem *p = &problems[which];
    const int combines_v = !strcmp(v->sampler, "plms"); /* as diffusers, and loses its order by it */
    brume_scheduler_config c;
    brume_sampler *s = NULL;
    brume_buffer *x = NULL;
    float end[COUNT], unit[COUNT];
    double sum = NAN;
    struct run r = { .mixture = p->mixture, .images = 1, .points = POINTS, .steps = n, .end = end,
                     .prediction = n == COARSE && !combines_v ? BRUME_PREDICT_V : BRUME_PREDICT_EPS };
    const brume_sampler_kind *kind = brume_sampler_find(v->sampler);
    if (!CHECK(kind != NULL)) return NAN;
    config_of(v, p, n, &c);
    brume_sampler_options o;
    brume_sampler_options_default(&o);
    o.name = v->sampler;
    o.steps = n + 1;
    o.eta = 0;
    o.scheduler = &c;
    o.order = v->order;
    const double scale = kind->state == BRUME_STATE_SIGMA ? 1 / from : 1 / sqrt(1 + from * from);
    for (int i = 0; i < COUNT; i++) unit[i] = (float)(start_of(i % POINTS, i / POINTS) * scale);
    if (CHECK_OK(brume_sampler_new(d, &o, BRUME_SHAPE(1, 2, POINTS), &s)) && CHECK_OK(brume_buffer_new(d, sizeof unit, &x))) {
        static const int64_t seeds[1] = { 1 };
        const brume_denoiser denoiser = { .self = &r, .predict = predict, .prediction_type = r.prediction };
        const brume_sampler_input in = { .denoiser = &denoiser, .seeds = seeds, .observe = watch, .ctx = &r };
        CHECK_OK(brume_buffer_write(x, 0, unit, sizeof unit));
        if (CHECK_INT(brume_sampler_run(s, &in, x), BRUME_E_STOPPED)) sum = 0;
    }
    for (int i = 0; i < COUNT; i++) {
        CHECK_NEAR(r.start[i], start_of(i % POINTS, i / POINTS), 1e-5);
        sum += (end[i] - exact_end[which][i]) * (end[i] - exact_end[which][i]) / COUNT;
    }
    brume_buffer_free(x);
    brume_sampler_free(s);
    brume_scheduler_config_clear(&c);
    return sqrt(sum);
}

static void test_orders(brume_device *d)
{
    for (size_t k = 0; k < sizeof solvers / sizeof *solvers; k++) {
        const struct solver *v = &solvers[k];
        double off = INFINITY; /* the order's distance from the rate */
        printf("%-24s", v->name);
        for (int p = 0; p < PROBLEMS; p++) {
            double e[2];
            for (int i = 0; i < 2; i++) {
                const double want = v->error[p][i], got = e[i] = error_of(d, v, p, COARSE << i);
                if (!CHECK_NEAR(got, want, 0.03 * want + 4e-7))
                    printf("\n    %s, %s, %d steps", v->name, problems[p].name, COARSE << i);
            }
            const double order = log2(e[0] / e[1]), want = log2(v->error[p][0] / v->error[p][1]);
            if (!CHECK_NEAR(order, want, 0.25)) printf("\n    order of %s, %s", v->name, problems[p].name);
            printf("  %.2e %.2e order %.2f", e[0], e[1], order);
            if (problems[p].mixture == &g1) off = fmin(off, fabs(order - v->rate));
        }
        if (v->rate) CHECK(off <= 0.25);
        printf("\n");
    }
}

/* Samples of the mixture by stochastic samplers: mean, variance and the shares of its three parts. Expected values, which hold
 * the error of so few steps, are those of 200000 points drawn by the float64 program; of ddpm those of the mixture itself. */
static const struct sampling_case {
    const char *name, *sampler, *class_name;
    int steps, images;
    brume_sigmas grid;
    double s_churn, mean[2], var[2], share[3];
} cases[] = {
    { "euler, churn", "euler", "EDMEulerScheduler", 32, 100, BRUME_SIGMAS_KARRAS, 20,
      { 0.1141, 0.0442 }, { 0.3004, 0.2447 }, { 0.510, 0.295, 0.195 } },
    { "heun, churn", "heun", "EDMEulerScheduler", 32, 100, BRUME_SIGMAS_KARRAS, 20,
      { 0.1093, 0.0485 }, { 0.3628, 0.2725 }, { 0.500, 0.303, 0.197 } },
    { "heun, churn, discrete", "heun", "EulerDiscreteScheduler", 32, 100, BRUME_SIGMAS_TABLE, 20,
      { 0.1080, 0.0465 }, { 0.3660, 0.2774 }, { 0.502, 0.306, 0.192 } },
    { "dpm2, churn", "dpm2", "EDMEulerScheduler", 24, 100, BRUME_SIGMAS_KARRAS, 20,
      { 0.1092, 0.0491 }, { 0.3679, 0.2748 }, { 0.500, 0.302, 0.198 } },
    { "euler ancestral", "euler_ancestral", "EDMEulerScheduler", 32, 100, BRUME_SIGMAS_KARRAS, 0,
      { 0.1168, 0.0434 }, { 0.3047, 0.2483 }, { 0.511, 0.293, 0.196 } },
    { "dpm2 ancestral", "dpm2_ancestral", "EDMEulerScheduler", 24, 100, BRUME_SIGMAS_KARRAS, 0,
      { 0.1098, 0.0486 }, { 0.3746, 0.2764 }, { 0.499, 0.303, 0.198 } },
    { "dpm++ 2s ancestral", "dpmpp_2s_ancestral", "EDMEulerScheduler", 24, 100, BRUME_SIGMAS_KARRAS, 0,
      { 0.1133, 0.0468 }, { 0.3356, 0.2603 }, { 0.505, 0.298, 0.197 } },
    { "dpm++ sde", "dpmpp_sde", "EDMEulerScheduler", 24, 100, BRUME_SIGMAS_KARRAS, 0,
      { 0.1202, 0.0434 }, { 0.3096, 0.2514 }, { 0.512, 0.289, 0.199 } },
    { "dpm++ 2m sde", "dpmpp_2m_sde_k", "EDMEulerScheduler", 24, 100, BRUME_SIGMAS_KARRAS, 0,
      { 0.1124, 0.0444 }, { 0.3845, 0.2795 }, { 0.505, 0.303, 0.193 } },
    { "dpm++ 3m sde", "dpmpp_3m_sde", "EDMEulerScheduler", 24, 100, BRUME_SIGMAS_EXPONENTIAL, 0,
      { 0.1087, 0.0468 }, { 0.3433, 0.2616 }, { 0.502, 0.303, 0.195 } },
    { "ddpm", "ddpm", "DDPMScheduler", 1000, 50, BRUME_SIGMAS_TABLE, 0,
      { 0.11, 0.05 }, { 0.34565, 0.265 }, { 0.5, 0.3, 0.2 } },
};
enum { MOST_IMAGES = 100, SAMPLES = 200 /* points of an image */ };

static int nearest_part(const double x[2])
{
    int best = 0;
    double top = -INFINITY;
    for (int k = 0; k < gm3.n; k++) {
        double l = log(gm3.w[k]);
        for (int d = 0; d < 2; d++)
            l -= 0.5 * ((x[d] - gm3.mu[k][d]) * (x[d] - gm3.mu[k][d]) / gm3.var[k][d] + log(gm3.var[k][d]));
        if (l > top) { top = l; best = k; }
    }
    return best;
}

static void test_moments(brume_device *d)
{
    static float x[MOST_IMAGES * 2 * SAMPLES];
    static int64_t seeds[MOST_IMAGES];
    for (int i = 0; i < MOST_IMAGES; i++) seeds[i] = 1000 + i;
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        const struct sampling_case *v = &cases[k];
        const double points = (double)v->images * SAMPLES;
        const size_t bytes = (size_t)(v->images * 2 * SAMPLES) * sizeof *x;
        brume_scheduler_config c;
        brume_sampler_options o;
        brume_sampler *s = NULL;
        brume_buffer *state = NULL;
        struct run r = { .mixture = &gm3, .prediction = BRUME_PREDICT_X0, .images = v->images, .points = SAMPLES };
        const brume_denoiser denoiser = { .self = &r, .predict = predict, .prediction_type = r.prediction };
        const brume_sampler_input in = { .denoiser = &denoiser, .seeds = seeds };
        if (!CHECK_OK(brume_scheduler_config_class(v->class_name, &c))) continue;
        c.sigmas = v->grid;
        c.clip_sample = false;
        brume_sampler_options_default(&o);
        o.name = v->sampler;
        o.steps = v->steps;
        o.scheduler = &c;
        o.s_churn = v->s_churn;
        o.s_min = 0.05;
        o.s_max = 50;
        o.s_noise = 1.003;
        if (CHECK_OK(brume_sampler_new(d, &o, BRUME_SHAPE(v->images, 2, SAMPLES), &s)) &&
            CHECK_OK(brume_buffer_new(d, bytes, &state)) && CHECK_OK(brume_sampler_start(s, seeds, state)) &&
            CHECK_OK(brume_sampler_run(s, &in, state)) && CHECK_OK(brume_buffer_read(state, 0, x, bytes))) {
            double mean[2] = { 0, 0 }, var[2] = { 0, 0 }, share[3] = { 0, 0, 0 };
            for (int pass = 0; pass < 2; pass++)
                for (int64_t i = 0; i < v->images * SAMPLES; i++) {
                    const int64_t at = i / SAMPLES * 2 * SAMPLES + i % SAMPLES;
                    const double p[2] = { x[at], x[at + SAMPLES] };
                    for (int q = 0; q < 2; q++) {
                        if (pass) var[q] += (p[q] - mean[q]) * (p[q] - mean[q]) / points;
                        else mean[q] += p[q] / points;
                    }
                    if (pass) share[nearest_part(p)] += 1 / points;
                }
            printf("%-22s mean %.4f %.4f  variance %.4f %.4f  shares %.3f %.3f %.3f\n", v->name,
                   mean[0], mean[1], var[0], var[1], share[0], share[1], share[2]);
            int ok = 1; /* 4 to 5 standard errors of 20000 points; 3 to 4 of the 10000 of ddpm */
            for (int q = 0; q < 2; q++)
                ok &= CHECK_NEAR(mean[q], v->mean[q], 0.018) & CHECK_NEAR(var[q], v->var[q], 0.03 * v->var[q]);
            for (int q = 0; q < 3; q++) ok &= CHECK_NEAR(share[q], v->share[q], 0.016);
            if (!ok) fprintf(stderr, "    of %s\n", v->name);
        }
        brume_buffer_free(state);
        brume_sampler_free(s);
        brume_scheduler_config_clear(&c);
    }
}

int main(int argc, char **argv)
{
    struct test_devices devices;
    test_devices_open(&devices, &argc, argv, 0);
    solve_exactly();
    for (int i = 0; i < devices.n; i++) {
        const int before = check_failed;
        printf("%s\n", devices.at[i].where);
        test_orders(devices.at[i].device);
        if (i == 0) test_moments(devices.at[i].device); /* noise has the same bits everywhere */
        printf("%s: %d failed\n", devices.at[i].where, check_failed - before);
    }
    test_devices_close(&devices);
    return check_report();
}
