/* SPDX-License-Identifier: MIT
 * The samplers as rows. */
#include <string.h>

#include "base/fail.h"
#include "diffusion/sampling.h"

enum {
    DISCRETE = 1 << BRUME_PROCESS_DISCRETE, FLOW = 1 << BRUME_PROCESS_FLOW, EDM = 1 << BRUME_PROCESS_EDM,
    NCSN = 1 << BRUME_PROCESS_NCSN,
    SDE = 1 << BRUME_PROCESS_VP | 1 << BRUME_PROCESS_SUBVP | 1 << BRUME_PROCESS_VE,
};

/* Samplers in sigma: any process whose state is a x0 + s eps with a > 0. */
#define IN_SIGMA .grid = BRUME_GRID_SIGMAS, .state = BRUME_STATE_SIGMA, .processes = DISCRETE | EDM | NCSN | SDE
/* Solvers in lambda = ln(a / s), with the state of the process. */
#define IN_LAMBDA(family) .grid = BRUME_GRID_##family, .state = BRUME_STATE_X, .default_steps = 20
#define IN_FLOW .grid = BRUME_GRID_FLOW, .state = BRUME_STATE_X, .processes = FLOW

/* Two calls a step, but one in the last where that ends without noise. */
static int32_t two_calls(const brume_scheduler_config *c, const brume_sampler_options *o, int32_t n)
{
    (void)o;
    return 2 * n - (c->final_sigmas_type == BRUME_FINAL_ZERO);
}

static void set_solver(brume_scheduler_config *c, brume_algorithm algorithm, int32_t order)
{
    c->algorithm_type = algorithm;
    c->solver_order = order;
    if (algorithm == BRUME_DPMSOLVER) c->final_sigmas_type = BRUME_FINAL_SIGMA_MIN; /* its steps divide by s */
}
static void adjust_pndm(brume_scheduler_config *c) { c->skip_prk_steps = false; }
static void adjust_plms(brume_scheduler_config *c) { c->skip_prk_steps = true; }
static void adjust_dpmpp_2m(brume_scheduler_config *c) { set_solver(c, BRUME_DPMSOLVERPP, 2); }
static void adjust_dpmpp_3m(brume_scheduler_config *c) { set_solver(c, BRUME_DPMSOLVERPP, 3); }
static void adjust_dpmpp_2m_sde(brume_scheduler_config *c) { set_solver(c, BRUME_SDE_DPMSOLVERPP, 2); }
static void adjust_dpmsolver_2m(brume_scheduler_config *c) { set_solver(c, BRUME_DPMSOLVER, 2); }
static void adjust_dpmsolver(brume_scheduler_config *c) { set_solver(c, BRUME_DPMSOLVER, 3); }
static void adjust_dpmpp_3m_exact(brume_scheduler_config *c)
{
    adjust_dpmpp_3m(c);
    c->exact_third_order = true;
}

static void adjust_deis(brume_scheduler_config *c)
{
    set_solver(c, BRUME_DPMSOLVER, c->solver_order);
    c->solver_type = BRUME_SOLVER_HEUN;
    c->exact_third_order = true;
}

static const brume_sampler_kind rows[] = {
    { .name = "ddpm", .paper = "Ho et al. 2020, algorithm 2",
      .what = "ancestral sampling: draws from q(x_p | x_t, x0) with the predicted x0", .scheduler_class = "DDPMScheduler",
      .default_steps = 1000, .default_eta = 1, .processes = DISCRETE, .flags = BRUME_SAMPLER_OWN_GUIDANCE,
      .grid = BRUME_GRID_TIMES, .state = BRUME_STATE_X, .run = brume_run_ddpm },
    { .name = "ddim", .paper = "Song, Meng & Ermon 2021, eqs. 12 and 16", .what = "x' = sqrt(P) x0 + sqrt(1 - P - s^2) eps + s z",
      .scheduler_class = "DDIMScheduler", .default_steps = 50, .processes = DISCRETE, .grid = BRUME_GRID_TIMES,
      .state = BRUME_STATE_X, .run = brume_run_ddim },
    { .name = "ddim_inverse", .paper = "Song, Meng & Ermon 2021, sec. 4.3", .what = "from image to noise: the same ODE backwards",
      .scheduler_class = "DDIMInverseScheduler", .default_steps = 50, .processes = DISCRETE, .flags = BRUME_SAMPLER_TAKES_IMAGE,
      .grid = BRUME_GRID_TIMES, .state = BRUME_STATE_X, .run = brume_run_ddim_inverse },
    { .name = "ald", .paper = "Song & Ermon 2019, algorithm 1, with the released code's step; Song & Ermon 2020",
      .what = "annealed Langevin: x' = x + k S + sqrt(2 k) z, k = step (sigma_i / sigma_L)^2, at every level; then Tweedie's x0",
      .scheduler_class = "NCSNScheduler", .processes = NCSN, .flags = BRUME_SAMPLER_OWN_MASK, .grid = BRUME_GRID_LADDER,
      .state = BRUME_STATE_X, .run = brume_run_ald, .calls = brume_calls_ald },
    { .name = "ald_paper", .paper = "Song & Ermon 2019, algorithm 1 as printed", .what = "annealed Langevin with half that k",
      .scheduler_class = "NCSNScheduler", .processes = NCSN, .flags = BRUME_SAMPLER_OWN_MASK, .grid = BRUME_GRID_LADDER,
      .state = BRUME_STATE_X, .run = brume_run_ald_paper, .calls = brume_calls_ald },
    { .name = "pc", .paper = "Song et al. 2021, algorithms 1-5",
      .what = "predictor-corrector: Langevin steps, then a step of the reverse SDE", .scheduler_class = "ScoreSdeVeScheduler",
      .default_steps = 1000, .default_eta = 1, .processes = SDE | NCSN | DISCRETE, .flags = BRUME_SAMPLER_OWN_MASK,
      .grid = BRUME_GRID_SDE, .state = BRUME_STATE_X, .run = brume_run_pc, .calls = brume_calls_pc },
    { .name = "euler", .paper = "Karras et al. 2022, algorithm 2 without lines 7 and 8",
      .what = "y' = y + (s1 - s0) (y - D) / s0, with churn if asked for", .scheduler_class = "EulerDiscreteScheduler",
      .edm_class = "EDMEulerScheduler", .default_steps = 50, IN_SIGMA, .run = brume_run_euler },
    { .name = "euler_ancestral", .paper = "Song et al. 2021b, app. F, in sigma (k-diffusion)",
      .what = "Euler's step to less noise, and fresh noise for the rest", .scheduler_class = "EulerAncestralDiscreteScheduler",
      .default_steps = 50, .default_eta = 1, IN_SIGMA, .run = brume_run_euler_ancestral },
    { .name = "heun", .paper = "Karras et al. 2022, algorithms 1 and 2",
      .what = "the mean of the slopes at both ends of a step, with churn if asked for",
      .scheduler_class = "HeunDiscreteScheduler", .default_steps = 18, IN_SIGMA, .run = brume_run_heun, .calls = two_calls },
    { .name = "dpm2", .paper = "Lu et al. 2022a, DPM-Solver-2, in sigma (k-diffusion)",
      .what = "the slope at the geometric mean, with churn if asked for", .scheduler_class = "KDPM2DiscreteScheduler",
      .default_steps = 20, IN_SIGMA, .run = brume_run_dpm2, .calls = two_calls },
    { .name = "dpm2_ancestral", .paper = "Lu et al. 2022a, DPM-Solver-2 (k-diffusion)",
      .what = "dpm2 to less noise, and fresh noise for the rest", .scheduler_class = "KDPM2AncestralDiscreteScheduler",
      .default_steps = 20, .default_eta = 1, IN_SIGMA, .run = brume_run_dpm2_ancestral, .calls = two_calls },
    { .name = "lms", .paper = "Adams-Bashforth on any grid (k-diffusion)",
      .what = "the polynomial through up to 4 slopes, integrated", .scheduler_class = "LMSDiscreteScheduler", .default_steps = 30,
      IN_SIGMA, .run = brume_run_lms },
    { .name = "dpmpp_2s_ancestral", .paper = "Lu et al. 2022b, algorithm 1 (k-diffusion)",
      .what = "two stages to less noise, and fresh noise for the rest", .default_steps = 20, .default_eta = 1, IN_SIGMA,
      .run = brume_run_dpmpp_2s_ancestral, .calls = two_calls },
    { .name = "dpmpp_sde", .paper = "Lu et al. 2022b, solvers for the SDE (k-diffusion)",
      .what = "two ancestral stages, the first half the way in ln sigma", .default_steps = 20, .default_eta = 1, IN_SIGMA,
      .run = brume_run_dpmpp_sde, .calls = two_calls },
    { .name = "dpmpp_2m_sde_k", .paper = "Lu et al. 2022b, solvers for the SDE (k-diffusion)",
      .what = "D and its last change, integrated; eta scales the noise", .default_steps = 25, .default_eta = 1, IN_SIGMA,
      .run = brume_run_dpmpp_2m_sde },
    { .name = "dpmpp_3m_sde", .paper = "Lu et al. 2022b, solvers for the SDE (k-diffusion)",
      .what = "D and its last two changes, integrated; eta scales the noise", .default_steps = 25, .default_eta = 1, IN_SIGMA,
      .run = brume_run_dpmpp_3m_sde },
    { .name = "flow_euler", .paper = "Lipman et al. 2023; Esser et al. 2024",
      .what = "x' = x + (s1 - s0) u; or (1 - s1) x0 + s1 z (stochastic_sampling)",
      .scheduler_class = "FlowMatchEulerDiscreteScheduler", .default_steps = 50, IN_FLOW, .run = brume_run_flow_euler },
    { .name = "flow_heun", .paper = "Heun's method on u (Lipman et al. 2023)", .what = "the mean of u at both ends of a step",
      .scheduler_class = "FlowMatchHeunDiscreteScheduler", .default_steps = 25, IN_FLOW,
      .run = brume_run_flow_heun, .calls = two_calls },
    { .name = "ode", .paper = "Song et al. 2021, sec. 4.3 and app. D.2",
      .what = "probability-flow ODE by adaptive Runge-Kutta 5(4)", .default_steps = 1,
      .processes = SDE | NCSN | DISCRETE | EDM | FLOW, .flags = BRUME_SAMPLER_ADAPTIVE, .grid = BRUME_GRID_ENDS,
      .state = BRUME_STATE_X, .run = brume_run_ode },
    { .name = "repaint", .paper = "Lugmayr et al. 2022, algorithm 1",
      .what = "inpainting: ancestral steps with the known part put in, and jumps back up", .default_steps = 250, .default_eta = 1,
      .processes = DISCRETE, .flags = BRUME_SAMPLER_NEEDS_MASK | BRUME_SAMPLER_OWN_MASK, .grid = BRUME_GRID_TIMES,
      .state = BRUME_STATE_X, .run = brume_run_repaint, .calls = brume_calls_repaint },
    { .name = "pndm", .paper = "Liu et al. 2022, eqs. 11-13",
      .what = "linear multistep of order 4 on eps, started by Runge-Kutta", .scheduler_class = "PNDMScheduler",
      .default_steps = 50, .processes = DISCRETE, .grid = BRUME_GRID_TIMES, .state = BRUME_STATE_X, .run = brume_run_pndm,
      .calls = brume_calls_pndm, .adjust = adjust_pndm },
    { .name = "plms", .paper = "Liu et al. 2022, eqs. 11-12", .what = "the same, started by one improved Euler step",
      .scheduler_class = "PNDMScheduler", .default_steps = 50, .processes = DISCRETE, .grid = BRUME_GRID_TIMES,
      .state = BRUME_STATE_X, .run = brume_run_pndm, .calls = brume_calls_pndm, .adjust = adjust_plms },
    { .name = "dpmpp_2m", .paper = "Lu et al. 2022b (DPM-Solver++), algorithm 2",
      .what = "exponential multistep on x0, order 2",
      .scheduler_class = "DPMSolverMultistepScheduler", .edm_class = "EDMDPMSolverMultistepScheduler",
      .processes = DISCRETE | FLOW | EDM | NCSN | SDE, IN_LAMBDA(MULTISTEP), .run = brume_run_dpm_multistep,
      .adjust = adjust_dpmpp_2m },
    { .name = "dpmpp_3m", .paper = "Lu et al. 2022b (DPM-Solver++), algorithm 2 with a second difference",
      .what = "the same with one more prediction, as released: second order with a smaller constant",
      .scheduler_class = "DPMSolverMultistepScheduler", .edm_class = "EDMDPMSolverMultistepScheduler",
      .processes = DISCRETE | FLOW | EDM | NCSN | SDE, IN_LAMBDA(MULTISTEP), .run = brume_run_dpm_multistep,
      .adjust = adjust_dpmpp_3m },
    { .name = "dpmpp_3m_exact", .paper = "Lu et al. 2022b (DPM-Solver++), algorithm 2 with a second difference",
      .what = "the same with twice the weight of that difference, which makes it third order",
      .scheduler_class = "DPMSolverMultistepScheduler", .edm_class = "EDMDPMSolverMultistepScheduler",
      .processes = DISCRETE | FLOW | EDM | NCSN | SDE, IN_LAMBDA(MULTISTEP), .run = brume_run_dpm_multistep,
      .adjust = adjust_dpmpp_3m_exact },
    { .name = "dpmpp_2m_sde", .paper = "Lu et al. 2022b (DPM-Solver++), solvers for the SDE",
      .what = "exponential multistep of the reverse SDE, order 2; eta scales its noise",
      .scheduler_class = "DPMSolverMultistepScheduler", .edm_class = "EDMDPMSolverMultistepScheduler",
      .processes = DISCRETE | FLOW | EDM | NCSN | SDE, IN_LAMBDA(MULTISTEP), .default_eta = 1, .run = brume_run_dpm_multistep,
      .adjust = adjust_dpmpp_2m_sde },
    { .name = "dpmsolver_2m", .paper = "Lu et al. 2022a (DPM-Solver), eq. 3.4, as multistep",
      .what = "exponential multistep on eps, order 2; ends at the smallest sigma",
      .scheduler_class = "DPMSolverMultistepScheduler", .processes = DISCRETE | EDM | NCSN | SDE,
      IN_LAMBDA(MULTISTEP), .run = brume_run_dpm_multistep, .adjust = adjust_dpmsolver_2m },
    { .name = "deis", .paper = "Zhang & Chen 2023 (DEIS), tAB in log rho",
      .what = "exponential multistep on eps, the interpolating polynomial integrated exactly",
      .scheduler_class = "DEISMultistepScheduler", .processes = DISCRETE | EDM | NCSN | SDE,
      IN_LAMBDA(UNIPC), .run = brume_run_dpm_multistep, .adjust = adjust_deis },
    { .name = "dpmpp_2s", .paper = "Lu et al. 2022b (DPM-Solver++), algorithm 1",
      .what = "exponential singlestep on x0, order 2",
      .scheduler_class = "DPMSolverSinglestepScheduler", .processes = DISCRETE | FLOW | EDM | NCSN | SDE,
      IN_LAMBDA(SINGLESTEP), .run = brume_run_dpm_singlestep, .adjust = adjust_dpmpp_2m },
    { .name = "dpmpp_3s", .paper = "Lu et al. 2022b (DPM-Solver++), algorithm 1 with a third stage",
      .what = "exponential singlestep on x0, order 3",
      .scheduler_class = "DPMSolverSinglestepScheduler", .processes = DISCRETE | FLOW | EDM | NCSN | SDE,
      IN_LAMBDA(SINGLESTEP), .run = brume_run_dpm_singlestep, .adjust = adjust_dpmpp_3m },
    { .name = "dpmsolver", .paper = "Lu et al. 2022a (DPM-Solver), algorithm 2",
      .what = "exponential singlestep on eps, order 3; ends at the smallest sigma",
      .scheduler_class = "DPMSolverSinglestepScheduler", .processes = DISCRETE | EDM | NCSN | SDE,
      IN_LAMBDA(SINGLESTEP), .run = brume_run_dpm_singlestep, .adjust = adjust_dpmsolver },
    { .name = "unipc", .paper = "Zhao et al. 2023, algorithms 1 and 2",
      .what = "predictor and corrector on x0 that share a network call, order 2",
      .scheduler_class = "UniPCMultistepScheduler", .processes = DISCRETE | FLOW | EDM | NCSN | SDE,
      IN_LAMBDA(UNIPC), .run = brume_run_unipc },
    { .name = "lcm", .paper = "Luo et al. 2023, algorithm 3", .what = "a consistency model's x0, noised to the next time",
      .scheduler_class = "LCMScheduler", .default_steps = 4, .processes = DISCRETE, .grid = BRUME_GRID_LCM,
      .state = BRUME_STATE_X, .run = brume_run_lcm },
};
enum { N_ROWS = sizeof rows / sizeof *rows };

const brume_sampler_kind *brume_sampler_row(int i) { return i >= 0 && i < N_ROWS ? &rows[i] : NULL; }

static int same_name(const char *a, const char *b)
{
    for (; *a && *b; a++, b++)
        if (*a != *b && !(*a == '-' && *b == '_')) return 0;
    return *a == *b;
}

const brume_sampler_kind *brume_sampler_find(const char *name)
{
    for (int i = 0; i < N_ROWS; i++)
        if (name && same_name(name, rows[i].name)) return &rows[i];
    return NULL;
}

static int of_class(const brume_sampler_kind *k, const brume_scheduler_config *c)
{
    return (k->scheduler_class && !strcmp(k->scheduler_class, c->class_name)) ||
           (k->edm_class && !strcmp(k->edm_class, c->class_name));
}

/* The config has the row's own keys already. */
static int changes_nothing(const brume_sampler_kind *k, const brume_scheduler_config *c)
{
    brume_scheduler_config adjusted;
    memcpy(&adjusted, c, sizeof adjusted); /* with its padding */
    k->adjust(&adjusted);
    return !memcmp(&adjusted, c, sizeof adjusted); /* NOLINT(bugprone-suspicious-memory-comparison,cert-*): that was copied */
}

const brume_sampler_kind *brume_sampler_for_config(const brume_scheduler_config *c)
{
    for (int i = 0; i < N_ROWS; i++)
        if (of_class(&rows[i], c) && (!rows[i].adjust || changes_nothing(&rows[i], c))) return &rows[i];
    for (int i = 0; i < N_ROWS; i++)
        if (of_class(&rows[i], c)) return &rows[i];
    for (int i = 0; i < N_ROWS; i++)
        if (rows[i].processes >> c->process & 1 && !(rows[i].flags & (BRUME_SAMPLER_NEEDS_MASK | BRUME_SAMPLER_TAKES_IMAGE)))
            return &rows[i];
    return NULL;
}

/* Samplers in sigma, for a model whose own scheduler is another: equal steps of time leave a schedule such as the cosine (sigma
 * up to 20000) next to no steps where the image forms. Karras' levels from at most 80, where an image of [-1, 1] is drowned
 * (Karras et al. 2022, table 1). */
static brume_status choose_sigmas(brume_scheduler_config *c)
{
    enum { DROWNED = 80 };
    brume_process *p = NULL;
    double lo, hi;
    const brume_status s = brume_process_new(c, &p);
    if (s != BRUME_OK) return s;
    brume_process_sigma_range(p, &lo, &hi);
    brume_process_free(p);
    c->sigmas = BRUME_SIGMAS_KARRAS;
    if (hi > DROWNED && !(c->sigma_max > 0)) c->sigma_max = DROWNED;
    return BRUME_OK;
}

brume_status brume_sampler_config(const brume_sampler_kind *k, const brume_scheduler_config *model, brume_scheduler_config *out)
{
    brume_scheduler_config own;
    const int free_sigmas =
        k->grid == BRUME_GRID_SIGMAS && model->process == BRUME_PROCESS_DISCRETE && model->sigmas == BRUME_SIGMAS_TABLE;
    brume_status s;
    if (!k->scheduler_class) {
        s = brume_scheduler_config_copy(out, model);
        return s == BRUME_OK && free_sigmas ? choose_sigmas(out) : s;
    }
    if (of_class(k, model) && brume_sampler_for_config(model) == k) return brume_scheduler_config_copy(out, model);
    if ((s = brume_scheduler_config_class(k->scheduler_class, &own)) != BRUME_OK) return s;
    const brume_process_kind process = own.process;
    brume_scheduler_config_clear(&own);
    const int convert = process == model->process && !of_class(k, model);
    s = convert ? brume_scheduler_config_convert(model, k->scheduler_class, out) : brume_scheduler_config_copy(out, model);
    if (s == BRUME_OK && k->adjust) k->adjust(out);
    if (s == BRUME_OK && convert && free_sigmas && out->sigmas == BRUME_SIGMAS_TABLE) s = choose_sigmas(out);
    if (s != BRUME_OK) brume_scheduler_config_clear(out);
    return s;
}
