/* SPDX-License-Identifier: MIT
 * Noise processes: levels and times, SDEs against their own differential equations, conversions of predictions, ladders and
 * solver coefficients. */
#include "brume/process.h"

#include "brume/ladder.h"
#include "check.h"
#include "diffusion/solver_coef.h"

static const char *const classes[] = { "DDPMScheduler", "FlowMatchEulerDiscreteScheduler", "EDMEulerScheduler",
                                       "NCSNScheduler", "ScoreSdeVpScheduler", "ScoreSdeSubVpScheduler", "ScoreSdeVeScheduler" };
enum { N_CLASSES = sizeof classes / sizeof *classes };

static brume_process *process_of(const char *class_name, brume_scheduler_config *c)
{
    brume_process *p = NULL;
    if (CHECK_OK(brume_scheduler_config_class(class_name, c))) CHECK_OK(brume_process_new(c, &p));
    return p;
}

/* Times and sigmas are each other's inverse between the ends, and clamped outside. */
static void test_times(void)
{
    for (int k = 0; k < N_CLASSES; k++) {
        brume_scheduler_config c;
        brume_process *p = process_of(classes[k], &c);
        double lo, hi;
        if (!p) continue;
        brume_process_sigma_range(p, &lo, &hi);
        CHECK(lo > 0 && hi > lo);
        for (int i = 0; i <= 20; i++) {
            const double sigma = lo * pow(hi / lo, i / 20.0), u = brume_process_time_of_sigma(p, sigma);
            const brume_level a = brume_process_level(p, u), b = brume_process_level_of_sigma(p, sigma);
            const double ratio = brume_process_get_kind(p) == BRUME_PROCESS_EDM ? b.s / b.a : a.s / a.a;
            CHECK_NEAR(ratio, sigma, 1e-10 * sigma);
            CHECK_NEAR(b.s / b.a, sigma, 1e-12 * sigma);
            CHECK_NEAR(a.t, b.t, 1e-9 * (1 + fabs(a.t)));
            CHECK_NEAR(a.a, b.a, 1e-10);
        }
        const brume_level below = brume_process_level_of_sigma(p, 0), least = brume_process_level_of_sigma(p, lo),
                          above = brume_process_level_of_sigma(p, 2 * hi);
        CHECK(below.s == 0 && isfinite(below.t) && isfinite(above.t) && isfinite(above.a));
        if (brume_process_get_kind(p) != BRUME_PROCESS_FLOW) CHECK_NEAR(below.t, least.t, 1e-9 * (1 + fabs(least.t)));
        const brume_level clean = brume_process_along(p, 0), noisy = brume_process_along(p, 1);
        CHECK(clean.a == 1 && clean.s == 0 && noisy.s > 0);
        for (int i = 1; i <= 10; i++) {
            const brume_level l = brume_process_along(p, i / 10.0), before = brume_process_along(p, (i - 1) / 10.0);
            CHECK(l.s * before.a > before.s * l.a);
        }
        CHECK_NEAR(brume_process_prior_std(p),
                   strstr("NCSNScheduler EDMEulerScheduler ScoreSdeVeScheduler", classes[k]) ? c.sigma_max : 1, 0);
        CHECK((brume_process_schedule(p) != NULL) == (c.process == BRUME_PROCESS_DISCRETE));
        brume_process_free(p);
    }
}

static void test_discrete(void)
{
    brume_scheduler_config c;
    brume_process *p = process_of("DDPMScheduler", &c);
    double lo, hi;
    if (!p) return;
    const brume_schedule *s = brume_process_schedule(p);
    const brume_level whole = brume_process_level(p, 500), part = brume_process_level(p, 500.25);
    CHECK(whole.t == 500 && part.t == 500.25);
    CHECK_NEAR(whole.a * whole.a, 0.07779665837, 1e-11);
    /* ln sigma is linear */
    CHECK_NEAR(log(part.s / part.a), 0.75 * log(brume_sigma(s, 500)) + 0.25 * log(brume_sigma(s, 501)), 1e-13);
    CHECK_NEAR(part.a * part.a + part.s * part.s, 1, 1e-15);
    CHECK(brume_process_level(p, -3).t == 0 && brume_process_level(p, 2000).t == 999);
    brume_process_free(p);
    c.rescale_betas_zero_snr = true;
    if (!CHECK_OK(brume_process_new(&c, &p))) return;
    brume_process_sigma_range(p, &lo, &hi);
    CHECK_NEAR(hi, sqrt(0x1p24 - 1), 1e-9); /* not infinite */
    CHECK(brume_process_level(p, 999).a == 0 && brume_process_level(p, 999).s == 1);
    CHECK(brume_process_time_of_sigma(p, hi) == 999);
    brume_process_free(p);
    c.num_train_timesteps = 1;
    c.rescale_betas_zero_snr = false;
    if (!CHECK_OK(brume_process_new(&c, &p))) return; /* one step: no table to look anything up in */
    CHECK(brume_process_time_of_sigma(p, 3) == 0 && brume_process_level(p, 0.5).t == 0);
    brume_process_free(p);
}

/* Moments of dx = f x du + g dw: a' = f a and (s^2)' = 2 f s^2 + g^2 (Song et al. 2021, app. B). */
static void test_sde(void)
{
    static const double times[] = { 0.0513, 0.2007, 0.5003, 0.7501, 0.9503 }; /* inside the steps of the discrete schedule */
    for (int k = 0; k < N_CLASSES; k++) {
        brume_scheduler_config c;
        brume_process *p = process_of(classes[k], &c);
        double f, g;
        if (!p) continue;
        if (!brume_process_sde(p, 0.5, &f, &g)) {
            CHECK(c.process == BRUME_PROCESS_EDM || c.process == BRUME_PROCESS_FLOW);
            brume_process_free(p);
            continue;
        }
        for (int i = 0; i < 5; i++) {
            const double u = times[i], h = 1e-5;
            const brume_level l = brume_process_sde_level(p, u), up = brume_process_sde_level(p, u + h),
                              down = brume_process_sde_level(p, u - h);
            const double da = (up.a - down.a) / (2 * h), dv = (up.s * up.s - down.s * down.s) / (2 * h), v = l.s * l.s;
            CHECK(brume_process_sde(p, u, &f, &g));
            CHECK_NEAR(da, f * l.a, 1e-6 * fabs(f) + 1e-9);
            CHECK_NEAR(dv, 2 * f * v + g * g, 1e-6 * (fabs(2 * f * v) + g * g));
        }
        brume_process_free(p);
    }
    CHECK_NEAR(brume_vp_time_of_lambda(0, 0.1, 20), 0.25896026243279663, 1e-14);
}

/* m -> x0 and eps -> m for every prediction at levels of every process; x is what they say it is. */
static void test_predictions(void)
{
    for (int k = 0; k < N_CLASSES; k++) {
        brume_scheduler_config c;
        brume_process *p = process_of(classes[k], &c);
        if (!p) continue;
        for (int i = 1; i <= 9; i++) {
            brume_level l = brume_process_along(p, i / 10.0);
            const double x0 = 0.7, eps = -1.3, x = l.a * x0 + l.s * eps;
            for (int m = BRUME_PREDICT_EPS; m <= BRUME_PREDICT_EDM; m++) {
                double c0, ce, cx, cm, ex, em;
                if (m == BRUME_PREDICT_EDM && c.process != BRUME_PROCESS_EDM) continue; /* knows c_in from a and sigma */
                brume_prediction_of((brume_prediction)m, &l, &c0, &ce);
                brume_prediction_x0((brume_prediction)m, &l, &cx, &cm);
                brume_prediction_eps((brume_prediction)m, &l, &ex, &em);
                const double value = c0 * x0 + ce * eps;
                CHECK_NEAR(cx * x + cm * value, x0, 1e-10 * (1 + l.s / l.a));
                CHECK_NEAR(ex * x + em * value, eps, 1e-10 * (1 + l.a / l.s));
            }
            double c0, ce;
            brume_prediction_of(BRUME_PREDICT_SCORE, &l, &c0, &ce);
            CHECK_NEAR(c0 * x0 + ce * eps, (l.a * x0 - x) / (l.s * l.s), 1e-9 / l.s);
            brume_prediction_of(BRUME_PREDICT_V, &l, &c0, &ce);
            CHECK_NEAR(c0 * x0 + ce * eps, l.a * eps - l.s * x0, 1e-12 * (1 + l.s));
        }
        brume_process_free(p);
    }
    CHECK_STR(brume_prediction_name(BRUME_PREDICT_V), "v_prediction");
    CHECK_STR(brume_process_kind_name(BRUME_PROCESS_SUBVP), "subvp");
}

static void test_edm(void)
{
    const brume_edm_coef e = brume_edm_precondition(1, 0.5);
    CHECK_NEAR(e.weight, 5, 1e-14);
    CHECK_NEAR(e.c_skip, 0.2, 1e-15);
    CHECK_NEAR(e.c_in, 1 / sqrt(1.25), 1e-15);
    CHECK_NEAR(e.c_noise, 0, 0);
    /* weight c_out^2 = 1: every level weighs the same (Karras et al. 2022, app. B.6); and the conversions of predictions are the
     * same function */
    brume_scheduler_config c;
    brume_process *p = process_of("EDMEulerScheduler", &c);
    for (double sigma = 0.002; p && sigma <= 80; sigma *= 3) {
        const brume_edm_coef q = brume_edm_precondition(sigma, 0.5);
        const brume_level l = brume_process_level(p, sigma);
        double cx, cm;
        brume_prediction_x0(BRUME_PREDICT_EDM, &l, &cx, &cm);
        CHECK_NEAR(q.weight * q.c_out * q.c_out, 1, 1e-12);
        CHECK_NEAR(l.a, q.c_in, 1e-15);
        CHECK_NEAR(l.t, q.c_noise, 1e-15);
        CHECK_NEAR(cx * q.c_in, q.c_skip, 1e-14); /* of x = c_in y */
        CHECK_NEAR(cm, q.c_out, 1e-11);
    }
    brume_process_free(p);
}

static void test_refusals(void)
{
    brume_scheduler_config c;
    brume_process *p = NULL;
    brume_scheduler_config_class("ScoreSdeVpScheduler", &c);
    c.beta_max = c.beta_min;
    CHECK_FAILS(brume_process_new(&c, &p), BRUME_E_ARG, "beta_max");
    brume_scheduler_config_class("ScoreSdeVeScheduler", &c);
    c.sigma_min = NAN;
    CHECK_FAILS(brume_process_new(&c, &p), BRUME_E_ARG, "sigma_min");
    c.sigma_min = 2000;
    CHECK_FAILS(brume_process_new(&c, &p), BRUME_E_ARG, "sigma_max");
    brume_scheduler_config_class("EDMEulerScheduler", &c);
    c.sigma_data = 0;
    CHECK_FAILS(brume_process_new(&c, &p), BRUME_E_ARG, "sigma_data");
    brume_scheduler_config_class("FlowMatchEulerDiscreteScheduler", &c);
    c.num_train_timesteps = 2;
    CHECK_FAILS(brume_process_new(&c, &p), BRUME_E_ARG, "time steps");
    CHECK(p == NULL);
    brume_process_free(NULL);
}

static void test_posterior(void)
{
    brume_scheduler_config c;
    brume_schedule *s = NULL;
    brume_scheduler_config_default(&c);
    if (!CHECK_OK(brume_schedule_new(&c, &s))) return;
    const brume_posterior q = brume_schedule_posterior(s, 500, 400), first = brume_schedule_posterior(s, 1, 0),
    end = brume_schedule_posterior(s, 0, -1);
    CHECK_NEAR(q.x0, 0.2853436002, 1e-10);
    CHECK_NEAR(q.x, 0.5543679239, 1e-10);
    CHECK_NEAR(q.variance, 0.5230129596, 1e-10);
    CHECK_NEAR(q.beta, 0.5980996504, 1e-10);
    CHECK_NEAR(first.x0, 0.5452914995, 1e-10);
    CHECK_NEAR(first.variance, 5.453187661e-05, 1e-14);
    CHECK(end.x0 == 1 && end.x == 0 && end.variance == 0);
    const brume_ddim_coef d = brume_schedule_ddim(s, 500, 400, 0), ancestral = brume_schedule_ddim(s, 500, 400, 1);
    CHECK_NEAR(d.x0, 0.4399681917, 1e-10);
    CHECK_NEAR(d.eps, 0.8980133575, 1e-10);
    CHECK_NEAR(ancestral.eps, 0.5323673832, 1e-10);
    CHECK_NEAR(ancestral.noise, 0.7231963493, 1e-10);
    CHECK_NEAR(ancestral.noise * ancestral.noise, q.variance, 1e-14); /* eta = 1 is DDPM with the posterior variance */
    /* the mean of q(x_p | x0) */
    CHECK_NEAR(q.x0 * 1 + q.x * sqrt(brume_alpha_bar(s, 500)), sqrt(brume_alpha_bar(s, 400)), 1e-14);
    brume_schedule_free(s);
}

static double normal_cdf(double x) { return 0.5 * erfc(-x / sqrt(2.0)); }

static void test_ladders(void)
{
    double s[18], u[11], lr = 0, largest = 0;
    int32_t n = 0;
    brume_karras_sigmas(0.002, 80, 7, 18, s);
    CHECK_NEAR(s[1], 57.58598472, 1e-8);
    CHECK_NEAR(s[16], 0.007528019963, 1e-12);
    brume_exponential_sigmas(0.01, 1, 10, s);
    CHECK_NEAR(s[1], 0.5994842503, 1e-10);
    brume_vp_sigmas(19.9, 0.1, 1e-3, 3, s);
    CHECK_NEAR(s[0], 152.1669703, 1e-7);
    brume_karras_sigmas(0.002, 80, 7, 1, s);
    CHECK_NEAR(s[0], 80, 1e-12);
    brume_polyexponential_sigmas(0.1, 10, 1, 3, s);
    CHECK_NEAR(s[1], 1, 1e-14); /* rho = 1 is the exponential ladder */
    brume_uniform_sigmas(1, 3, 3, s);
    CHECK(s[0] == 3 && s[1] == 2 && s[2] == 1);
    brume_iddpm_sigmas(10, u);
    for (int i = 0; i < 10; i++) CHECK(u[i] > u[i + 1]);
    CHECK(u[10] == 0);
    CHECK_NEAR(brume_flow_shift(0.5, 3), 0.75, 1e-15);

    /* NCSNv2: each rule satisfies its equation, and gives the published choice for CIFAR-10 */
    static const int64_t dims[] = { 5, 6, 100, 784, 3072, 1000000 };
    for (int i = 0; i < 6; i++) {
        const double g = brume_ncsn_ratio(dims[i]), root = sqrt(2.0 * (double)dims[i]);
        CHECK(g > 1 && isfinite(g));
        CHECK_NEAR(normal_cdf(root * (g - 1) + 3 * g) - normal_cdf(root * (g - 1) - 3 * g), 0.5, 1e-9);
    }
    CHECK(isinf(brume_ncsn_ratio(4)) && brume_ncsn_ratio(0) == 0);
    if (CHECK_OK(brume_ncsn_levels(0.01, 50, brume_ncsn_ratio(3072), &n))) CHECK(n > 200 && n < 240); /* 232 in the paper */
    if (CHECK_OK(brume_ncsn_levels(0.01, 1, 10, &n))) CHECK_INT(n, 3);
    if (CHECK_OK(brume_ncsn_levels(1, 1, 2, &n))) CHECK_INT(n, 1);
    if (CHECK_OK(brume_ncsn_levels(1, 2, INFINITY, &n))) CHECK_INT(n, 2);
    CHECK_FAILS(brume_ncsn_levels(0, 1, 2, &n), BRUME_E_ARG, "0 < lo");
    CHECK_FAILS(brume_ncsn_levels(1e-3, 1e3, 1 + 1e-12, &n), BRUME_E_ARG, "levels");
    const double g = pow(5000, 1 / 231.0);
    if (CHECK_OK(brume_ncsn_step_size(0.01, g, 5, &lr))) CHECK_NEAR(lr, 6.2e-6, 0.05e-6);
    static const struct { double lo, g; int32_t steps; } langevin[] = { { 0.01, 1.0376, 5 }, { 1, 3, 1 }, { 0.01, 1.67, 100 } };
    for (int k = 0; k < 3; k++) { /* no neighbour of the step comes nearer to 1 */
        double value[3];
        if (!CHECK_OK(brume_ncsn_step_size(langevin[k].lo, langevin[k].g, langevin[k].steps, &lr))) continue;
        for (int i = 0; i < 3; i++) {
            const double keep = 1 - lr * (1 + (i - 1) * 1e-2) / (langevin[k].lo * langevin[k].lo), q = 2 / (1 + keep);
            value[i] = pow(keep, 2 * langevin[k].steps) * (langevin[k].g * langevin[k].g - q) + q;
        }
        CHECK(value[1] > 1 && value[1] < value[0] && value[1] < value[2]);
    }
    CHECK_FAILS(brume_ncsn_step_size(0.01, 1, 5, &lr), BRUME_E_ARG, "ratio");
    static const float points[] = { 0, 0, 3, 4, 1, 1, -1, 0 };
    if (CHECK_OK(brume_ncsn_sigma_max(points, 4, 2, &largest))) CHECK_NEAR(largest, sqrt(32), 1e-7);
    CHECK_FAILS(brume_ncsn_sigma_max(points, 1, 2, &largest), BRUME_E_ARG, "2 points");
    CHECK_FAILS(brume_ncsn_sigma_max((const float[]){ 0, NAN }, 2, 1, &largest), BRUME_E_NUMERIC, "finite");
}

/* Against long double, where the plain formulas still have digits left. */
static void test_phi(void)
{
    for (double h = 1e-3; h < 100; h *= 1.37)
        for (int sign = -1; sign <= 1; sign += 2) {
            const long double z = -sign * (long double)h, e = expm1l(z), phi1 = -e / z + 1, phi2 = (e - z) / (z * z) - 0.5L;
            if (sign < 0 && h > 20) continue;
            CHECK_NEAR(brume_phi1(sign * h), (double)phi1, 1e-14 * fabs((double)phi1) + 1e-16);
            CHECK_NEAR(brume_phi2(sign * h), (double)phi2, 1e-11 * fabs((double)phi2));
        }
    CHECK_NEAR(brume_phi1(1e-9), 5e-10, 1e-18); /* h/2 - h^2/6 */
    CHECK_NEAR(brume_phi2(1e-9), -1e-9 / 6, 1e-19);
    CHECK(brume_phi1(0) == 0 && brume_phi2(0) == 0 && brume_phi1(INFINITY) == 1 && brume_phi2(INFINITY) == -0.5);
}

static void test_solver_coefficients(void)
{
    double down, up;
    brume_ancestral(3, 1, 1, &down, &up);
    CHECK_NEAR(down * down + up * up, 1, 1e-15);
    CHECK_NEAR(up, sqrt(8.0) / 3, 1e-15);
    brume_ancestral(3, 1, 0, &down, &up);
    CHECK(down == 1 && up == 0);
    brume_ancestral(3, 0, 1, &down, &up);
    CHECK(down == 0 && up == 0);
    brume_ancestral(3, 1, 100, &down, &up);
    CHECK(down == 0 && up == 1); /* never more than s1 */

    /* LMS of order k integrates polynomials of degree k - 1 without error */
    const double sigma[] = { 9, 5, 3.5, 1.2, 0.4 };
    for (int order = 1; order <= 4; order++)
        for (int degree = 0; degree < order; degree++) {
            double sum = 0;
            for (int k = 0; k < order; k++) sum += brume_lms_coef(sigma, 3, k, order) * pow(sigma[3 - k], degree);
            CHECK_NEAR(sum, (pow(0.4, degree + 1) - pow(1.2, degree + 1)) / (degree + 1), 1e-11);
        }

    /* UniPC: sum of rho_k r_k^(j-1) = j! g_j / B for all j (its eq. 10), also at steps so small that the plain g_j is noise */
    static const double steps[] = { 1e-6, 0.02, 0.7, 3 };
    for (int i = 0; i < 4; i++)
        for (int corrector = 0; corrector <= 1; corrector++)
            for (int bh1 = 0; bh1 <= 1; bh1++)
                for (int p = 3; p <= 5; p++) {
                    const double r[] = { -1, -2.2, -3.1, -4.5, 1 };
                    double rho[BRUME_SOLVER_MAX_ORDER], B, g[6];
                    const double h = steps[i];
                    double node[BRUME_SOLVER_MAX_ORDER];
                    for (int k = 0; k < p; k++) node[k] = k < p - 1 ? r[k] : 1;
                    brume_unipc_rho(r, p, h, bh1, corrector, rho, &B);
                    CHECK_NEAR(B, bh1 ? -h : expm1(-h), 0);
                    for (int j = 1; j <= p; j++) { /* g_j by its series, in long double */
                        long double term = 1, sum = 0;
                        for (int m = 1; m <= j; m++) term /= m;
                        for (int m = 1; m < 60; m++) sum += term *= -(long double)h / (m + j);
                        g[j] = (double)sum;
                    }
                    double factorial = 1;
                    const int n = corrector ? p : p - 1;
                    for (int j = 1; j <= n; j++) {
                        double sum = 0, size = 0;
                        factorial *= j;
                        for (int k = 0; k < n; k++) {
                            sum += rho[k] * pow(node[k], j - 1);
                            size += fabs(rho[k] * pow(node[k], j - 1));
                        }
                        CHECK_NEAR(sum, factorial * g[j] / B, 1e-12 * (1 + size));
                    }
                }
    double rho[BRUME_SOLVER_MAX_ORDER] = { 0 }, B;
    brume_unipc_rho((const double[]){ -1 }, 2, 0.3, 0, 0, rho, &B);
    CHECK(rho[0] == 0.5);
    brume_unipc_rho(NULL, 1, INFINITY, 0, 1, rho, &B);
    CHECK(rho[0] == 0.5 && B == -1);
    brume_unipc_rho(NULL, 1, INFINITY, 0, 0, rho, &B);
    CHECK(B == -1);
}

int main(void)
{
    test_times();
    test_discrete();
    test_sde();
    test_predictions();
    test_edm();
    test_refusals();
    test_posterior();
    test_ladders();
    test_phi();
    test_solver_coefficients();
    return check_report();
}
