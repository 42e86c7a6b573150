/* SPDX-License-Identifier: MIT
 * Grids of samplers: what diffusers places where (values computed in double from its rules), and what every grid of every process
 * must obey. */
#include "check.h"
#include "diffusion/sampling.h"

enum { MAX = 12 };

struct grid_case {
    const char *keys; /* of the config, _class_name first */
    double mu;
    enum brume_grid_family family;
    enum brume_state_space space;
    int32_t n;
    double t[MAX];     /* network times */
    double sigma[MAX]; /* and the end; none (all 0): not compared */
    double start;
    int32_t steps;     /* that come out, where it is not n */
};

static const struct grid_case cases[] = {
    { "\"EulerDiscreteScheduler\", \"interpolation_type\": \"log_linear\"",
      0,
      BRUME_GRID_SIGMAS,
      BRUME_STATE_SIGMA,
      3,
      { 999, 499.5, 0 },
      { 157.40728081, 6.28092753735, 0.250624053261, 0.0100005000375 },
      157.40728081,
      0 },
    { "\"LMSDiscreteScheduler\", \"timestep_spacing\": \"leading\", \"steps_offset\": 1, \"use_exponential_sigmas\": true",
      0,
      BRUME_GRID_SIGMAS,
      BRUME_STATE_SIGMA,
      3,
      { 667, 109.869163054, 1 },
      { 9.55378733404, 0.376419302219, 0.014830923709, 0 },
      9.60598003454,
      0 },
    { "\"KDPM2DiscreteScheduler\", \"use_karras_sigmas\": true",
      0,
      BRUME_GRID_SIGMAS,
      BRUME_STATE_SIGMA,
      4,
      { 999, 689, 171, 0 },
      { 25.1461148341, 4.98436319664, 0.605029241942, 0.0291671581517, 0 },
      25.1461148341,
      0 },
    { "\"DPMSolverMultistepScheduler\", \"beta_schedule\": \"squaredcos_cap_v2\", \"lambda_min_clipped\": -5.1, "
      "\"timestep_spacing\": \"trailing\"",
      0,
      BRUME_GRID_MULTISTEP,
      BRUME_STATE_X,
      4,
      { 995, 745, 495, 245 },
      { 160.413638059, 2.39287211382, 0.999844578923, 0.417651206346, 0 },
      1,
      0 },
    /* a clipped range holds fewer trailing steps */
    { "\"DPMSolverMultistepScheduler\", \"lambda_min_clipped\": -2.0, \"timestep_spacing\": \"trailing\"",
      0,
      BRUME_GRID_MULTISTEP,
      BRUME_STATE_X,
      7,
      { 628, 485, 342, 199, 57 },
      { 7.37393192928, 3.17309460882, 1.52913551517, 0.71927881715, 0.198756434972, 0 },
      1,
      5 },
    { "\"DPMSolverMultistepScheduler\", \"use_lu_lambdas\": true, \"final_sigmas_type\": \"sigma_min\"",
      0,
      BRUME_GRID_MULTISTEP,
      BRUME_STATE_X,
      3,
      { 999, 302, 0 },
      { 157.40728081, 1.2546519508, 0.0100005000375, 0.0100005000375 },
      1,
      0 },
    /* times of karras sigmas are rounded, but on the cosine schedule cut */
    { "\"DPMSolverMultistepScheduler\", \"beta_schedule\": \"squaredcos_cap_v2\", \"use_karras_sigmas\": true",
      0,
      BRUME_GRID_MULTISTEP,
      BRUME_STATE_X,
      4,
      { 999, 998, 983, 0 },
      { 20291.16961, 1773.35752059, 40.8408828838, 0.00642541277114, 0 },
      1,
      0 },
    { "\"DPMSolverSinglestepScheduler\", \"use_exponential_sigmas\": true",
      0,
      BRUME_GRID_SINGLESTEP,
      BRUME_STATE_X,
      3,
      { 999, 302, 0 },
      { 157.40728081, 1.2546519508, 0.0100005000375, 0 },
      1,
      0 },
    { "\"UniPCMultistepScheduler\", \"use_karras_sigmas\": true, \"final_sigmas_type\": \"sigma_min\", \"sigma_min\": 0.05, "
      "\"sigma_max\": 9",
      0,
      BRUME_GRID_UNIPC,
      BRUME_STATE_X,
      3,
      { 658, 272, 11 },
      { 9, 1.07427144531, 0.05, 0.05 },
      1,
      0 },
    /* not monotone near its end: the largest sigma is that of time 998 */
    { "\"EulerDiscreteScheduler\", \"rescale_betas_zero_snr\": true",
      0,
      BRUME_GRID_SIGMAS,
      BRUME_STATE_SIGMA,
      2,
      { 999, 0 },
      { 4095.99987793, 0.0100005000375, 0 },
      4095.99987793,
      0 },
    { "\"FlowMatchEulerDiscreteScheduler\", \"shift\": 3",
      0,
      BRUME_GRID_FLOW,
      BRUME_STATE_X,
      3,
      { 1000, 751.121076233, 8.92857142857 },
      { 1, 0.751121076233, 0.00892857142857, 0 },
      1,
      0 },
    { "\"FlowMatchEulerDiscreteScheduler\", \"use_dynamic_shifting\": true",
      0.8,
      BRUME_GRID_FLOW,
      BRUME_STATE_X,
      3,
      { 1000, 690.402138033, 2.22281677556 },
      { 1, 0.690402138033, 0.00222281677556, 0 },
      1,
      0 },
    { "\"FlowMatchEulerDiscreteScheduler\", \"shift\": 3, \"use_dynamic_shifting\": true, \"time_shift_type\": \"linear\"",
      0.8,
      BRUME_GRID_FLOW,
      BRUME_STATE_X,
      4,
      { 1000, 615.739672282, 286.326618088, 0.800160032006 },
      { 1, 0.615739672282, 0.286326618088, 0.000800160032006, 0 },
      1,
      0 },
    { "\"FlowMatchEulerDiscreteScheduler\", \"shift\": 2, \"shift_terminal\": 0.1",
      0,
      BRUME_GRID_FLOW,
      BRUME_STATE_X,
      3,
      { 1000, 699.600665557, 100 },
      { 1, 0.699600665557, 0.1, 0 },
      1,
      0 },
    { "\"FlowMatchEulerDiscreteScheduler\", \"shift\": 3, \"use_karras_sigmas\": true",
      0,
      BRUME_GRID_FLOW,
      BRUME_STATE_X,
      4,
      { 1000, 286.693934469, 62.5886291019, 8.92857142857 },
      { 1, 0.286693934469, 0.0625886291019, 0.00892857142857, 0 },
      1,
      0 },
    { "\"LCMScheduler\"", 0, BRUME_GRID_LCM, BRUME_STATE_X, 4, { 999, 759, 499, 259 }, { 0 }, 1, 0 },
    { "\"DDPMScheduler\", \"timestep_spacing\": \"trailing\"",
      0,
      BRUME_GRID_TIMES,
      BRUME_STATE_X,
      3,
      { 999, 666, 332 },
      { 0 },
      1,
      0 },
    { "\"EDMEulerScheduler\"",
      0,
      BRUME_GRID_SIGMAS,
      BRUME_STATE_SIGMA,
      3,
      { 1.09550665865, 0.230589966884, -1.55365202461 },
      { 80, 2.51521897545, 0.002, 0 },
      80,
      0 },
    { "\"EDMEulerScheduler\", \"sigma_schedule\": \"exponential\", \"final_sigmas_type\": \"sigma_min\"",
      0,
      BRUME_GRID_SIGMAS,
      BRUME_STATE_SIGMA,
      3,
      { 1.09550665865, -0.22907268298, -1.55365202461 },
      { 80, 0.4, 0.002, 0.002 },
      80,
      0 },
    { "\"NCSNScheduler\"",
      0,
      BRUME_GRID_LADDER,
      BRUME_STATE_X,
      10,
      { 1, 0.5994842503, 0.3593813664, 0.215443469, 0.1291549665, 0.0774263683, 0.0464158883, 0.0278255940, 0.0166810054, 0.01 },
      { 0 },
      1,
      0 },
    { "\"ScoreSdeVeScheduler\", \"sigma_max\": 50",
      0,
      BRUME_GRID_SDE,
      BRUME_STATE_X,
      3,
      { 50, 0.70713689, 0.0100008517556 },
      { 0 },
      50,
      0 },
    { "\"ScoreSdeVpScheduler\"", 0, BRUME_GRID_SDE, BRUME_STATE_X, 3, { 999, 499.9995, 0.999 }, { 0 }, 1, 0 },
    { "\"DDPMScheduler\"", 0, BRUME_GRID_SDE, BRUME_STATE_X, 2, { 999, 0 }, { 0 }, 1, 0 },
};

static int make(const char *keys, double mu, enum brume_grid_family family, enum brume_state_space space, int32_t n,
                brume_process **p, brume_scheduler_config *c, struct brume_grid *g)
{
    char text[512], note[512];
    brume_sampler_options o;
    brume_sampler_options_default(&o);
    o.mu = mu;
    snprintf(text, sizeof text, "{\"_class_name\": %s}", keys);
    *p = NULL;
    if (!CHECK_OK(brume_scheduler_config_parse(text, strlen(text), "test", c, note)) || !CHECK_STR(note, "") ||
        !CHECK_OK(brume_process_new(c, p)))
        return 0;
    return CHECK_OK(brume_grid_new(*p, c, &o, family, space, n, g));
}

static void test_cases(void)
{
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        const struct grid_case *v = &cases[k];
        brume_scheduler_config c;
        brume_process *p;
        struct brume_grid g = { 0 };
        const int before = check_failed;
        if (make(v->keys, v->mu, v->family, v->space, v->n, &p, &c, &g) && CHECK_INT(g.n, v->steps ? v->steps : v->n)) {
            for (int32_t i = 0; i < g.n; i++) CHECK_NEAR(g.t[i], v->t[i], 1e-8 * (1 + fabs(v->t[i])));
            for (int32_t i = 0; i <= g.n && v->sigma[0] > 0; i++) CHECK_NEAR(g.sigma[i], v->sigma[i], 1e-9 * v->sigma[i]);
            CHECK_NEAR(g.start_scale, v->start, 1e-9 * v->start);
        }
        if (check_failed > before) fprintf(stderr, "    grid of %s\n", v->keys);
        brume_grid_free(&g);
        brume_process_free(p);
    }
}

/* Whatever the process, family and number of steps: finite numbers, falling noise, and node, times and sigmas that agree. */
static void check_properties(const struct brume_grid *g, const brume_process *p, enum brume_grid_family family, int32_t n)
{
    const brume_process_kind kind = brume_process_get_kind(p);
    CHECK(g->n == (family == BRUME_GRID_ENDS ? 1 : n));
    CHECK(g->start_scale > 0 && isfinite(g->start_scale));
    for (int32_t i = 0; i <= g->n; i++) {
        const struct brume_node *at = &g->node[i];
        CHECK(isfinite(at->t) && isfinite(at->u) && at->a >= 0 && at->s >= 0 && at->scale > 0 && at->a + at->s > 0);
        if (i < g->n) CHECK(g->t[i] == at->t && at->s > 0);
        if (i && !(family == BRUME_GRID_LADDER && i == g->n)) CHECK(at->s * g->node[i - 1].a < g->node[i - 1].s * at->a);
        const double sigma = family == BRUME_GRID_FLOW ? at->s : at->s / at->a;
        if (isfinite(sigma)) CHECK_NEAR(g->sigma[i], sigma, 1e-9 * sigma);
        if (i == g->n || family == BRUME_GRID_TIMES || family == BRUME_GRID_LCM) continue;
        /* the level that the network is told is the one it is given; discrete times are rounded, and their sigmas interpolated in
         * another way */
        if (kind == BRUME_PROCESS_DISCRETE || at->a == 0) continue;
        const brume_level l = brume_process_level_of_sigma(p, at->s / at->a);
        CHECK_NEAR(at->t, l.t, 1e-9 * (1 + fabs(l.t)));
        CHECK_NEAR(at->scale * at->a, l.a, 1e-9);
        CHECK_NEAR(at->scale * at->s, l.s, 1e-9 * (1 + l.s));
    }
    if (family != BRUME_GRID_LADDER && family != BRUME_GRID_ENDS) CHECK(g->node[g->n].s == 0 && g->sigma[g->n] == 0);
}

static void test_properties(void)
{
    static const char *const classes[] = { "EulerDiscreteScheduler", "FlowMatchEulerDiscreteScheduler",
                                           "EDMEulerScheduler", "NCSNScheduler", "ScoreSdeVpScheduler", "ScoreSdeSubVpScheduler",
                                           "ScoreSdeVeScheduler" };
    static const enum brume_grid_family families[] = { BRUME_GRID_SIGMAS, BRUME_GRID_MULTISTEP, BRUME_GRID_SINGLESTEP,
                                                       BRUME_GRID_UNIPC, BRUME_GRID_SDE, BRUME_GRID_ENDS, BRUME_GRID_LADDER };
    static const int32_t steps[] = { 1, 2, 7, 50 };
    for (int k = 0; k < 7; k++)
        for (int f = 0; f < 7; f++)
            for (int i = 0; i < 4; i++)
                for (int space = 0; space < (families[f] <= BRUME_GRID_UNIPC ? 2 : 1); space++) {
                    brume_scheduler_config c;
                    brume_process *p;
                    struct brume_grid g = { 0 };
                    double drift, diffusion;
                    const int before = check_failed;
                    if (!CHECK_OK(brume_scheduler_config_class(classes[k], &c)) || !CHECK_OK(brume_process_new(&c, &p))) continue;
                    brume_sampler_options o;
                    brume_sampler_options_default(&o);
                    if (families[f] == BRUME_GRID_SDE && !brume_process_sde(p, 1, &drift, &diffusion))
                        CHECK_FAILS(brume_grid_new(p, &c, &o, families[f], (enum brume_state_space)space, steps[i], &g),
                                    BRUME_E_ARG, "SDE");
                    else if (CHECK_OK(brume_grid_new(p, &c, &o, families[f], (enum brume_state_space)space, steps[i], &g)))
                        check_properties(&g, p, families[f], steps[i]);
                    if (check_failed > before)
                        fprintf(stderr, "    %s, family %d, space %d, %d steps\n", classes[k], (int)families[f], space, steps[i]);
                    brume_grid_free(&g);
                    brume_process_free(p);
                }
}

static void test_sections(void)
{
    static const int32_t counts[] = { 3, 2 };
    brume_scheduler_config c;
    brume_process *p = NULL;
    brume_sampler_options o;
    struct brume_grid g;
    double t[32];
    int32_t n = 0;
    if (CHECK_OK(brume_schedule_sections(10, counts, 2, t, &n))) {
        static const double want[] = { 0, 2, 4, 5, 9 };
        CHECK_INT(n, 5);
        for (int i = 0; i < 5; i++) CHECK(t[i] == want[i]);
    }
    CHECK_FAILS(brume_schedule_sections(10, (int32_t[]){ 6, 2 }, 2, t, &n), BRUME_E_ARG, "section 0");
    CHECK_FAILS(brume_schedule_sections(3, counts, 4, t, &n), BRUME_E_ARG, "sections");
    if (CHECK_OK(brume_schedule_strided(10, 4, t))) CHECK(t[0] == 0 && t[3] == 9);
    CHECK_FAILS(brume_schedule_strided(10, 6, t), BRUME_E_ARG, "stride");
    brume_scheduler_config_default(&c);
    c.num_train_timesteps = 10;
    brume_sampler_options_default(&o);
    o.sections = counts;
    o.n_sections = 2;
    if (CHECK_OK(brume_process_new(&c, &p)) && CHECK_OK(brume_grid_new(p, &c, &o, BRUME_GRID_TIMES, BRUME_STATE_X, 5, &g))) {
        CHECK(g.n == 5 && g.t[0] == 9 && g.t[4] == 0 && g.node[5].t == -1 && g.node[5].a == 1 && g.node[5].s == 0);
        brume_grid_free(&g);
    }
    brume_process_free(p);
}

static void refused(const char *class_name, double mu, enum brume_grid_family family, int32_t n, const char *says,
                    void (*change)(brume_scheduler_config *c))
{
    brume_scheduler_config c;
    brume_process *p = NULL;
    brume_sampler_options o;
    struct brume_grid g = { 0 };
    brume_sampler_options_default(&o);
    o.mu = mu;
    if (!CHECK_OK(brume_scheduler_config_class(class_name, &c))) return;
    if (change) change(&c);
    if (CHECK_OK(brume_process_new(&c, &p)))
        CHECK_FAILS(brume_grid_new(p, &c, &o, family, BRUME_STATE_X, n, &g), BRUME_E_ARG, says);
    CHECK(!g.node && !g.t && !g.sigma);
    brume_process_free(p);
}

static void ten_steps(brume_scheduler_config *c) { c->num_train_timesteps = 10; }
static void clipped(brume_scheduler_config *c) { c->lambda_min_clipped = 99; }
static void dynamic(brume_scheduler_config *c) { c->use_dynamic_shifting = true; }
static void crossed(brume_scheduler_config *c) { c->sigmas = BRUME_SIGMAS_KARRAS, c->sigma_min = 3, c->sigma_max = 1; }
static void offset(brume_scheduler_config *c) { c->timestep_spacing = BRUME_SPACING_LEADING, c->steps_offset = 600; }

static void test_refusals(void)
{
    refused("DDPMScheduler", 0, BRUME_GRID_TIMES, 0, "at least 1", NULL);
    refused("DDPMScheduler", 0, BRUME_GRID_TIMES, 1001, "1 .. 1000", NULL);
    refused("EDMEulerScheduler", 0, BRUME_GRID_TIMES, 10, "whole time steps", NULL);
    refused("DPMSolverMultistepScheduler", 0, BRUME_GRID_MULTISTEP, 10, "same noise", ten_steps);
    refused("DPMSolverMultistepScheduler", 0, BRUME_GRID_MULTISTEP, 10, "lambda_min_clipped", clipped);
    refused("UniPCMultistepScheduler", 0, BRUME_GRID_UNIPC, 2, "steps_offset", offset);
    refused("UniPCMultistepScheduler", 0, BRUME_GRID_UNIPC, 4, "sigma_min", crossed);
    refused("LCMScheduler", 0, BRUME_GRID_LCM, 51, "51", NULL);
    refused("LCMScheduler", 0, BRUME_GRID_LCM, 5, "original_inference_steps", ten_steps);
    refused("FlowMatchEulerDiscreteScheduler", NAN, BRUME_GRID_FLOW, 5, "mu", dynamic);
    refused("EulerDiscreteScheduler", 0, BRUME_GRID_FLOW, 5, "flow matching", NULL);
}

int main(void)
{
    test_cases();
    test_properties();
    test_sections();
    test_refusals();
    return check_report();
}
