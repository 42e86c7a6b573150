/* SPDX-License-Identifier: MIT
 * Noise schedules: sanity values of the literature, time grids. Tables: golden_schedules.c. */
#include "brume/schedule.h"

#include "check.h"

static void fill(brume_scheduler_config *c, const char *schedule, int T, double b0, double b1)
{
    brume_scheduler_config_default(c);
    snprintf(c->beta_schedule, sizeof c->beta_schedule, "%s", schedule);
    c->num_train_timesteps = T;
    c->beta_start = b0;
    c->beta_end = b1;
}

/* alpha_bar at a few t, to the 10 digits known; relative, as some are tiny. */
static void test_values(void)
{
    static const int times[] = { 0, 1, 10, 100, 250, 500, 750, 900, 999 };
    static const struct { const char *name; double b0, b1; int zero_snr; double want[9]; } cases[] = {
        { "linear", 1e-4, 0.02, 0, { 0.9999, 0.9997800921, 0.9978065725, 0.8951415909, 0.5214230306, 0.07779665837,
                                     0.003300158362, 0.0002702445196, 4.035829765e-05 } },
        { "scaled_linear", 0.00085, 0.012, 0, { 0.99915, 0.9982960278, 0.9904313091, 0.8942234776, 0.6737926252,
                                                0.2763326838, 0.056169848, 0.01415114197, 0.004660098513 } },
        { "cosine", 1e-4, 0.02, 0, { 0.9999587158, 0.9999125759, 0.9992789038, 0.9715756818, 0.8458879865,
                                     0.4922851724, 0.1431786464, 0.02361610879, 2.428766907e-09 } },
        { "linear", 1e-4, 0.02, 1, { 0.9999, 0.9997793254, 0.9977931947, 0.8944904372, 0.5188605368, 0.0752462157,
                                     0.002644105922, 0.0001030384721, 0 } },
        { "sigmoid", 1e-4, 0.02, 0, { 0.9998507948, 0.9997010188, 0.9983261901, 0.9804917258, 0.9027989162,
                                      0.2988876278, 0.005622918576, 0.0002904689273, 3.968181991e-05 } },
        { "sigmoid_alpha_bar", 1e-4, 0.02, 0, { 0.9996997208, 0.9993978074, 0.9966057339, 0.9600004763, 0.8498630092,
                                                0.4983428179, 0.148159681, 0.03898857006, 3.002791997e-07 } },
    };
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        brume_scheduler_config c;
        brume_schedule *s = NULL;
        fill(&c, cases[k].name, 1000, cases[k].b0, cases[k].b1);
        c.rescale_betas_zero_snr = cases[k].zero_snr;
        if (!CHECK_OK(brume_schedule_new(&c, &s))) continue;
        for (int i = 0; i < 9; i++) {
            CHECK_NEAR(brume_alpha_bar(s, times[i]), cases[k].want[i], 1e-9 * cases[k].want[i]);
            CHECK_NEAR(brume_one_minus_alpha_bar(s, times[i]), 1 - cases[k].want[i], 1e-9);
        }
        CHECK(brume_alpha_bar(s, -1) == 1.0 && brume_one_minus_alpha_bar(s, -1) == 0.0);
        brume_schedule_free(s);
    }
    brume_scheduler_config c;
    brume_schedule *s = NULL;
    fill(&c, "linear", 1000, 1e-4, 0.03);
    if (CHECK_OK(brume_schedule_new(&c, &s))) CHECK_NEAR(brume_alpha_bar(s, 999), 2.497319885e-07, 1e-16);
    brume_schedule_free(s);
    fill(&c, "squaredcos_cap_v2", 4000, 1e-4, 0.02);
    if (CHECK_OK(brume_schedule_new(&c, &s))) {
        CHECK_NEAR(brume_alpha_bar(s, 1000), 0.8467314331, 1e-10);
        CHECK_NEAR(brume_alpha_bar(s, 3999), 1.517980469e-10, 1e-19);
        CHECK_NEAR(brume_logsnr(s, 3999), 2 * -log(brume_sigma(s, 3999)), 1e-9);
    }
    brume_schedule_free(s);
    fill(&c, "linear", 1000, 1e-4, 0.02);
    c.rescale_betas_zero_snr = true;
    if (CHECK_OK(brume_schedule_new(&c, &s))) {
        CHECK(brume_alpha_bar(s, 999) == 0 && isinf(brume_sigma(s, 999)) && s->beta[999] == 1);
        CHECK_NEAR(s->beta[0], 1e-4, 1e-15);
    }
    brume_schedule_free(s);
    fill(&c, "linear", 1, 1e-4, 0.02);
    if (CHECK_OK(brume_schedule_new(&c, &s))) CHECK_NEAR(brume_alpha_bar(s, 0), 0.9999, 1e-15);
    brume_schedule_free(s);
}

static void test_refusals(void)
{
    brume_scheduler_config c;
    brume_schedule *s = NULL;
    double t[100];
    fill(&c, "nonsense", 10, 1e-4, 0.02);
    CHECK_FAILS(brume_schedule_new(&c, &s), BRUME_E_UNSUPPORTED, "nonsense");
    fill(&c, "linear", 0, 1e-4, 0.02);
    CHECK_FAILS(brume_schedule_new(&c, &s), BRUME_E_ARG, "num_train_timesteps");
    fill(&c, "linear", 10, 1e-4, 1.5);
    CHECK_FAILS(brume_schedule_new(&c, &s), BRUME_E_ARG, "beta[");
    fill(&c, "linear", 10, 0, 0);
    CHECK_FAILS(brume_schedule_new(&c, &s), BRUME_E_ARG, "every beta is 0");
    CHECK(s == NULL);
    fill(&c, "linear", 10, 1e-4, 0.02);
    CHECK_FAILS(brume_schedule_timesteps(&c, 11, t), BRUME_E_ARG, "1 .. 10");
    CHECK_FAILS(brume_schedule_timesteps(&c, 0, t), BRUME_E_ARG, "1 .. 10");
    c.steps_offset = 1;
    CHECK_FAILS(brume_schedule_timesteps(&c, 10, t), BRUME_E_ARG, "steps_offset");
}

static void check_grid(int T, int n, brume_spacing spacing, int offset, const double *want)
{
    brume_scheduler_config c;
    double t[100];
    fill(&c, "linear", T, 1e-4, 0.02);
    c.timestep_spacing = spacing;
    c.steps_offset = offset;
    if (!CHECK_OK(brume_schedule_timesteps(&c, n, t))) return;
    for (int i = 0; i < n; i++) CHECK_NEAR(t[i], want[i], 0);
}

static void test_grids(void)
{
    check_grid(1000, 7, BRUME_SPACING_LEADING, 0, (double[]){ 852, 710, 568, 426, 284, 142, 0 });
    check_grid(1000, 3, BRUME_SPACING_LEADING, 1, (double[]){ 667, 334, 1 });
    check_grid(1000, 7, BRUME_SPACING_TRAILING, 0, (double[]){ 999, 856, 713, 570, 428, 285, 142 });
    check_grid(100, 3, BRUME_SPACING_TRAILING, 0, (double[]){ 99, 66, 32 });
    check_grid(1000, 6, BRUME_SPACING_LINSPACE, 0, (double[]){ 999, 799, 599, 400, 200, 0 });
    check_grid(1000, 1, BRUME_SPACING_LINSPACE, 0, (double[]){ 0 });
    check_grid(1, 1, BRUME_SPACING_TRAILING, 0, (double[]){ 0 });
    /* every count, among them those for which a floating-point range has one time too many; a tie that numpy's sum decides
     * downwards */
    for (int n = 1; n <= 250; n++) {
        brume_scheduler_config c;
        double t[250];
        fill(&c, "linear", 250, 1e-4, 0.02);
        c.timestep_spacing = BRUME_SPACING_TRAILING;
        CHECK_OK(brume_schedule_timesteps(&c, n, t));
        CHECK(t[0] == 249 && t[n - 1] >= 0);
        for (int i = 1; i < n; i++) CHECK(t[i] < t[i - 1]);
    }
    check_grid(100, 24, BRUME_SPACING_TRAILING, 0, (double[]){ 99, 95, 91, 86, 82, 78, 74, 70, 66, 61, 57, 53, 49, 45, 41, 36, 32,
                                                               28, 24, 20, 16, 11, 7, 3 });
}

int main(void)
{
    test_values();
    test_refusals();
    test_grids();
    return check_report();
}
