/* SPDX-License-Identifier: MIT
 * Times and noise levels of samplers whose steps are sigmas: of discrete schedules as diffusers places them, between the ends of
 * continuous processes, and of flow matching. */
#include <math.h>
#include <string.h>

#include "base/fail.h"
#include "brume/ladder.h"
#include "diffusion/grid.h"
#include "diffusion/spacing.h"

/* sigma at a table entry; 2^-24 stands for alpha_bar = 0, as in diffusers */
static double table_sigma(const brume_schedule *s, int32_t t)
{
    const double sigma = brume_sigma(s, t);
    return isinf(sigma) ? sqrt(0x1p24 - 1) : sigma;
}

/* Linear in sigma between table entries, not in ln sigma. */
static double sigma_at(const brume_schedule *s, double t)
{
    const int32_t i = (int32_t)floor(t);
    const double a = table_sigma(s, i);
    return t == i ? a : a + (t - i) * (table_sigma(s, i + 1) - a);
}

/* Euler's family: as DDPM, but the times of linspace are not rounded. */
static brume_status times_of_sigmas(const brume_scheduler_config *c, struct brume_places *g)
{
    const int32_t T = c->num_train_timesteps, n = g->n;
    const brume_status s = brume_schedule_timesteps(c, n, g->t);
    if (s == BRUME_OK && c->timestep_spacing == BRUME_SPACING_LINSPACE)
        for (int32_t i = 1; i < n; i++) g->t[i] = (n - 1 - i) * ((double)(T - 1) / (n - 1));
    return s;
}

/* DPM-Solver's family: n + 1 points of which the last is dropped, below the times whose lambda is less than
 * lambda_min_clipped. */
static brume_status times_of_solvers(const brume_schedule *schedule, const brume_scheduler_config *c,
                                     enum brume_grid_family family, struct brume_places *g)
{
    const int32_t T = schedule->T, n = g->n;
    int32_t last = T;
    if (family != BRUME_GRID_UNIPC)
        while (last > 0 && -log(table_sigma(schedule, last - 1)) < c->lambda_min_clipped) last--;
    if (last < 1) return brume_fail(BRUME_E_ARG, "lambda_min_clipped %g leaves no time step", c->lambda_min_clipped);
    switch (family == BRUME_GRID_SINGLESTEP ? BRUME_SPACING_LINSPACE : c->timestep_spacing) {
    case BRUME_SPACING_LINSPACE:
        for (int32_t i = 0; i < n; i++) g->t[i] = i == 0 ? last - 1 : rint((n - i) * ((double)(last - 1) / n));
        break;
    case BRUME_SPACING_LEADING:
        for (int32_t i = 0; i < n; i++) g->t[i] = (double)(last / (n + 1)) * (n - i) + c->steps_offset;
        break;
    case BRUME_SPACING_TRAILING:
        g->n = 0;
        for (int32_t i = 0; i < n && brume_trailing_time(T, last, n, i) >= 0; i++)
            g->t[g->n++] = brume_trailing_time(T, last, n, i);
        break;
    }
    if (!(g->t[0] < T))
        return brume_fail(BRUME_E_ARG, "steps_offset %d puts a sampling step at time %g, beyond %d", c->steps_offset, g->t[0],
                          T - 1);
    return BRUME_OK;
}

/* n sigmas from hi to lo. */
static void spread(const brume_scheduler_config *c, double lo, double hi, int32_t n, double *sigma)
{
    switch (c->sigmas) {
    case BRUME_SIGMAS_POLYEXPONENTIAL: brume_polyexponential_sigmas(lo, hi, c->rho, n, sigma); return;
    case BRUME_SIGMAS_VP: brume_vp_sigmas(c->beta_max - c->beta_min, c->beta_min, 1e-3, n, sigma); return;
    case BRUME_SIGMAS_EXPONENTIAL:
    case BRUME_SIGMAS_LU:
    case BRUME_SIGMAS_GEOMETRIC: brume_exponential_sigmas(lo, hi, n, sigma); return;
    case BRUME_SIGMAS_TABLE: case BRUME_SIGMAS_KARRAS: break;
    }
    brume_karras_sigmas(lo, hi, c->rho, n, sigma);
}

/* Which samplers round the times of such sigmas, and which then cut them to whole numbers: as in diffusers. */
static double place_time(const brume_scheduler_config *c, enum brume_grid_family family, double t)
{
    const int karras = c->sigmas == BRUME_SIGMAS_KARRAS, cosine = !strcmp(c->beta_schedule, "squaredcos_cap_v2");
    const int dpm2 = !strncmp(c->class_name, "KDPM2", 5);
    const int round = family == BRUME_GRID_MULTISTEP    ? (karras || c->sigmas == BRUME_SIGMAS_LU) && !cosine
                      : family == BRUME_GRID_SIGMAS ? karras && dpm2
                                                    : karras;
    if (round) t = rint(t);
    return family == BRUME_GRID_SIGMAS ? t : trunc(t + 1e-9 * c->num_train_timesteps); /* 999 must not become 998 */
}

brume_status brume_places_discrete(const brume_process *p, const brume_scheduler_config *c, enum brume_grid_family family,
                                   struct brume_places *g)
{
    const brume_schedule *schedule = brume_process_schedule(p);
    const int32_t T = schedule->T, n = g->n;
    const double smallest = table_sigma(schedule, 0), largest = table_sigma(schedule, T - 1);
    const brume_status s = family == BRUME_GRID_SIGMAS ? times_of_sigmas(c, g) : times_of_solvers(schedule, c, family, g);
    if (s != BRUME_OK) return s;
    const int euler_log_linear = family == BRUME_GRID_SIGMAS && c->interpolation_log_linear;
    g->last = c->final_sigmas_type == BRUME_FINAL_SIGMA_MIN ? smallest : 0;
    if (euler_log_linear) {
        brume_exponential_sigmas(smallest, largest, n + 1, g->sigma); /* ends at the smallest, whatever final_sigmas_type says */
        if (c->sigmas == BRUME_SIGMAS_TABLE) g->last = g->sigma[n];
    } else {
        for (int32_t i = 0; i < g->n; i++) g->sigma[i] = sigma_at(schedule, g->t[i]);
    }
    if (c->sigmas == BRUME_SIGMAS_TABLE) return BRUME_OK;
    double lo = smallest, hi = largest;
    if (family == BRUME_GRID_SIGMAS) {
        hi = g->sigma[0];
        lo = euler_log_linear ? g->sigma[n] : g->sigma[n - 1];
    }
    if (!isnan(c->sigma_min)) lo = c->sigma_min;
    if (!isnan(c->sigma_max)) hi = c->sigma_max;
    if (!(lo <= hi)) return brume_fail(BRUME_E_ARG, "sigma_min %g is above sigma_max %g", lo, hi);
    g->n = n;
    spread(c, lo, hi, n, g->sigma);
    for (int32_t i = 0; i < n; i++) g->t[i] = place_time(c, family, brume_process_time_of_sigma(p, g->sigma[i]));
    if (c->final_sigmas_type == BRUME_FINAL_SIGMA_MIN && family == BRUME_GRID_UNIPC) g->last = g->sigma[n - 1];
    return BRUME_OK;
}

brume_status brume_places_continuous(const brume_process *p, const brume_scheduler_config *c, struct brume_places *g)
{
    double lo, hi;
    brume_process_sigma_range(p, &lo, &hi);
    spread(c, lo, hi, g->n, g->sigma);
    g->last = c->final_sigmas_type == BRUME_FINAL_SIGMA_MIN ? lo : 0;
    return BRUME_OK;
}

/* Dynamic shift by mu (Esser et al. 2024): e / (e + 1/sigma - 1), e = exp(mu) or mu */
static double dynamic_shift(const brume_scheduler_config *c, double mu, double sigma)
{
    const double e = c->linear_time_shift ? mu : exp(mu);
    return e / (e + (1 / sigma - 1));
}

brume_status brume_places_flow(const brume_scheduler_config *c, double mu, enum brume_grid_family family, struct brume_places *g)
{
    const int32_t n = g->n, T = c->num_train_timesteps;
    const int dynamic = c->use_dynamic_shifting;
    double *s = g->sigma;
    if (dynamic && !isfinite(mu)) return brume_fail(BRUME_E_ARG, "use_dynamic_shifting needs a shift mu");
    g->last = 0;
    /* the order of operations is that of diffusers, which cuts the times to whole numbers */
    const double step = (1.0 / T - 1) / n;
    if (family == BRUME_GRID_FLOW) /* the ends are shifted here and with the rest again, as in diffusers */
        brume_uniform_sigmas(dynamic ? 1.0 / T : brume_flow_shift(1.0 / T, c->shift), 1, n, s);
    else
        for (int32_t i = 0; i < n; i++) /* solvers that divide by a or by s stay away from the ends */
            s[i] = family == BRUME_GRID_UNIPC ? 1 + i * step : 1 - (1 + (n - i) * step);
    for (int32_t i = 0; i < n; i++) s[i] = dynamic ? dynamic_shift(c, mu, s[i]) : brume_flow_shift(s[i], c->shift);
    if (!isnan(c->shift_terminal) && c->shift_terminal > 0) {
        const double stretch = (1 - s[n - 1]) / (1 - c->shift_terminal);
        if (!(stretch > 0)) return brume_fail(BRUME_E_ARG, "shift_terminal needs more than 1 step");
        for (int32_t i = 0; i < n; i++) s[i] = 1 - (1 - s[i]) / stretch;
    }
    if (c->sigmas != BRUME_SIGMAS_TABLE) spread(c, s[n - 1], s[0], n, s);
    if (c->use_flow_sigmas && c->final_sigmas_type == BRUME_FINAL_SIGMA_MIN) {
        g->last = s[n - 1];
        if (family != BRUME_GRID_UNIPC) { /* diffusers' DPM-Solver takes that of the discrete schedule, flow or not */
            brume_schedule *schedule;
            const brume_status e = brume_schedule_new(c, &schedule);
            if (e != BRUME_OK) return e;
            g->last = table_sigma(schedule, 0);
            brume_schedule_free(schedule);
        }
    }
    if (family == BRUME_GRID_UNIPC && s[0] > 1 - 1e-6) s[0] = 1 - 1e-6; /* lambda would be infinite; diffusers' value */
    for (int32_t i = 0; i < n; i++) g->t[i] = c->use_flow_sigmas ? trunc(s[i] * T) : s[i] * T;
    return BRUME_OK;
}
