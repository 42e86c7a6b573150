/* SPDX-License-Identifier: MIT
 * Every number of the shared golden/schedules.json: betas, derived tables, SDEs, ladders, grids, respacing, coefficients of the
 * solvers. An entry that no check knows is a failure. */
#include "base/file.h"
#include "brume/json.h"
#include "brume/ladder.h"
#include "check.h"
#include "diffusion/sampling.h"
#include "diffusion/solver_coef.h"

static const double tight = 1e-12;

static double number(const brume_json *object, const char *key) { return brume_json_number(brume_json_find(object, key), NAN); }
static double element(const brume_json *list, int64_t i) { return brume_json_number(brume_json_at(list, i), NAN); }

/* Relative: |got - want| <= tol |want| */
static int near_by(double got, double want, double tol, const brume_json *where)
{
    const int ok =
        check_result(got == want || fabs(got - want) <= tol * fabs(want), __FILE__, __LINE__, "a number of schedules.json");
    if (!ok)
        fprintf(stderr, "    %s: got %.17g, expected %.17g, off by %.2g\n", brume_json_where(where), got, want,
                fabs(got / want - 1));
    return ok;
}

static void list_near(const brume_json *list, const double *got, int64_t n)
{
    if (!CHECK_INT(brume_json_count(list), n)) return;
    for (int64_t i = 0; i < n; i++) near_by(got[i], element(list, i), tight, brume_json_at(list, i));
}

static int nobody(const brume_json *v)
{
    check_result(0, __FILE__, __LINE__, "every entry has a check");
    fprintf(stderr, "    nobody knows %s\n", brume_json_where(v));
    return 0;
}

/* A config of schedules.json (a subset of the class' keys) with its class name put in front. */
static int config_of(const brume_json *keys, const char *class_name, brume_scheduler_config *c)
{
    brume_json_writer *w = brume_json_writer_new();
    brume_json_begin_object(w, NULL);
    brume_json_put_string(w, "_class_name", class_name);
    for (int64_t i = 0; i < brume_json_count(keys); i++) {
        const brume_json *v = brume_json_at(keys, i);
        const char *key = brume_json_key(v);
        switch (brume_json_typeof(v)) {
        case BRUME_JSON_FALSE: case BRUME_JSON_TRUE: brume_json_put_bool(w, key, brume_json_boolean(v, 0)); break;
        case BRUME_JSON_STRING: brume_json_put_string(w, key, brume_json_string(v, "")); break;
        case BRUME_JSON_INT: brume_json_put_int(w, key, brume_json_integer(v, 0)); break;
        default: brume_json_put_double(w, key, brume_json_number(v, NAN)); break;
        }
    }
    brume_json_end(w);
    const char *text = brume_json_writer_text(w);
    char note[512];
    const int ok =
        CHECK_OK(brume_scheduler_config_parse(text, strlen(text), brume_json_where(keys), c, note)) && CHECK_STR(note, "");
    brume_json_writer_free(w);
    return ok;
}

/* ---- discrete: betas and alpha_bar, whole or at "index" */

static void check_log_linear(const brume_json *v)
{
    const brume_json *config = brume_json_find(v, "config"), *lambda = brume_json_find(v, "lambda"),
                     *bars = brume_json_find(v, "alphas_cumprod");
    brume_scheduler_config c;
    brume_schedule *s = NULL;
    CHECK(number(config, "lambda_max") == 10 && number(config, "lambda_min") == -5); /* the ends that the row has */
    brume_scheduler_config_default(&c);
    snprintf(c.beta_schedule, sizeof c.beta_schedule, "log_linear_snr");
    c.num_train_timesteps = (int32_t)brume_json_integer(brume_json_find(config, "num_train_timesteps"), 0);
    if (!CHECK_OK(brume_schedule_new(&c, &s))) return;
    CHECK_INT(brume_json_count(lambda), s->T);
    for (int32_t i = 0; i < s->T; i++) {
        near_by(brume_alpha_bar(s, i), element(bars, i), tight, brume_json_at(bars, i));
        CHECK_NEAR(0.5 * brume_logsnr(s, i), element(lambda, i), 10 * tight);
    }
    brume_schedule_free(s);
}

static void check_discrete(const brume_json *v)
{
    brume_scheduler_config c;
    brume_schedule *s = NULL;
    const brume_json *index = brume_json_find(v, "index"), *betas = brume_json_find(v, "betas"),
                     *bars = brume_json_find(v, "alphas_cumprod");
    if (brume_json_find(v, "lambda")) {
        check_log_linear(v);
        return;
    }
    if (!config_of(brume_json_find(v, "config"), "DDPMScheduler", &c) || !CHECK_OK(brume_schedule_new(&c, &s))) return;
    const int64_t n = index ? brume_json_count(index) : s->T;
    CHECK(n > 0 && brume_json_count(betas) == n && brume_json_count(bars) == n);
    for (int64_t i = 0; i < n; i++) {
        const int32_t t = (int32_t)(index ? brume_json_integer(brume_json_at(index, i), -1) : i);
        const double bar = element(bars, i), beta = element(betas, i);
        /* rescaled: the reference subtracts a quotient near 1 from 1, which costs 1e-16 / beta = 1e-12 */
        near_by(s->beta[t], beta, c.rescale_betas_zero_snr ? 5 * tight : tight, brume_json_at(betas, i));
        near_by(brume_alpha_bar(s, t), bar, tight, brume_json_at(bars, i));
    }
    brume_schedule_free(s);
}

/* ---- derived: the tables of the forward process and its posterior */

static double derived(const brume_schedule *s, const char *name, int32_t t)
{
    const double bar = brume_alpha_bar(s, t), rest = brume_one_minus_alpha_bar(s, t);
    const brume_posterior q = brume_schedule_posterior(s, t, t - 1), next = brume_schedule_posterior(s, 1, 0);
    if (!strcmp(name, "betas")) return s->beta[t];
    if (!strcmp(name, "alphas_cumprod")) return bar;
    if (!strcmp(name, "alphas_cumprod_prev")) return brume_alpha_bar(s, t - 1);
    if (!strcmp(name, "sqrt_alphas_cumprod")) return sqrt(bar);
    if (!strcmp(name, "sqrt_one_minus_alphas_cumprod")) return sqrt(rest);
    if (!strcmp(name, "log_one_minus_alphas_cumprod")) return bar < 0.5 ? log1p(-bar) : log(rest);
    if (!strcmp(name, "sqrt_recip_alphas_cumprod")) return 1 / sqrt(bar);
    if (!strcmp(name, "sqrt_recipm1_alphas_cumprod") || !strcmp(name, "sigma")) return brume_sigma(s, t);
    if (!strcmp(name, "posterior_variance")) return q.variance;
    if (!strcmp(name, "posterior_log_variance_clipped")) return log(t ? q.variance : next.variance);
    if (!strcmp(name, "fixed_large_variance")) return t ? q.beta : next.variance;
    if (!strcmp(name, "posterior_mean_coef1")) return q.x0;
    if (!strcmp(name, "posterior_mean_coef2")) return q.x;
    if (!strcmp(name, "lambda")) return 0.5 * brume_logsnr(s, t);
    if (!strcmp(name, "snr")) return bar / rest;
    return NAN;
}

static void check_derived(const brume_json *v)
{
    const char *name = brume_json_key(v);
    const brume_json *index = brume_json_find(v, "index");
    brume_scheduler_config c;
    brume_schedule *s = NULL;
    brume_scheduler_config_default(&c);
    if (!strcmp(name, "linear_T10")) {
        c.num_train_timesteps = 10;
        c.beta_start = 0.01;
        c.beta_end = 0.3;
    } else if (!strcmp(name, "cosine_T10")) {
        c.num_train_timesteps = 10;
        snprintf(c.beta_schedule, sizeof c.beta_schedule, "squaredcos_cap_v2");
    } else if (!strcmp(name, "seed_linear_T1000_b0.03")) {
        c.beta_end = 0.03;
    } else {
        nobody(v);
        return;
    }
    if (!CHECK_OK(brume_schedule_new(&c, &s))) return;
    for (int64_t k = 0; k < brume_json_count(v); k++) {
        const brume_json *list = brume_json_at(v, k);
        if (list == index) continue;
        for (int64_t i = 0; i < brume_json_count(list); i++) {
            const int32_t t = (int32_t)(index ? brume_json_number(brume_json_at(index, i), -1) : (double)i);
            near_by(derived(s, brume_json_key(list), t), element(list, i), tight, brume_json_at(list, i));
        }
    }
    brume_schedule_free(s);
}

/* ---- continuous: marginals and coefficients of the SDEs */

static void check_sde(const brume_json *v, const char *class_name)
{
    brume_scheduler_config c;
    brume_process *p = NULL;
    const brume_json *t = brume_json_find(v, "t");
    if (!CHECK_OK(brume_scheduler_config_class(class_name, &c))) return;
    c.beta_min = number(v, "beta0");
    c.beta_max = number(v, "beta1");
    c.sigma_min = number(v, "sigma_min");
    c.sigma_max = number(v, "sigma_max");
    if (!CHECK_OK(brume_process_new(&c, &p))) return;
    CHECK_INT(brume_json_count(v), 9); /* the four above, t, and the four below */
    for (int64_t i = 0; i < brume_json_count(t); i++) {
        const double u = element(t, i);
        const brume_level l = brume_process_level(p, u), same = brume_process_sde_level(p, u);
        double drift = NAN, diffusion = NAN;
        CHECK(brume_process_sde(p, u, &drift, &diffusion));
        CHECK(l.a == same.a && l.s == same.s && l.t == same.t);
        near_by(l.a, element(brume_json_find(v, "mean"), i), tight, brume_json_find(v, "mean"));
        near_by(l.s, element(brume_json_find(v, "std"), i), tight, brume_json_find(v, "std"));
        near_by(drift, element(brume_json_find(v, "drift_coef"), i), tight, brume_json_find(v, "drift_coef"));
        near_by(diffusion, element(brume_json_find(v, "diffusion"), i), tight, brume_json_find(v, "diffusion"));
    }
    brume_process_free(p);
}

static void check_continuous(const brume_json *v)
{
    const char *name = brume_json_key(v);
    const brume_json *t = brume_json_find(v, "t"), *sigma = brume_json_find(v, "sigma"), *lambda = brume_json_find(v, "lambda");
    if (!strcmp(name, "vp")) {
        check_sde(v, "ScoreSdeVpScheduler");
    } else if (!strcmp(name, "subvp")) {
        check_sde(v, "ScoreSdeSubVpScheduler");
    } else if (!strcmp(name, "ve")) {
        check_sde(v, "ScoreSdeVeScheduler");
    } else if (!strcmp(name, "vp_discretize_N1000")) {
        brume_scheduler_config c;
        brume_process *p = NULL;
        if (!CHECK_OK(brume_scheduler_config_class("ScoreSdeVpScheduler", &c)) || !CHECK_OK(brume_process_new(&c, &p))) return;
        for (int64_t i = 0; i < brume_json_count(t); i++) {
            const double beta = brume_process_discrete_beta(p, element(t, i), 1000);
            near_by(sqrt(1 - beta) - 1, element(brume_json_find(v, "f_coef"), i), 2 * tight, brume_json_find(v, "f_coef"));
            near_by(sqrt(beta), element(brume_json_find(v, "G"), i), tight, brume_json_find(v, "G"));
        }
        brume_process_free(p);
    } else if (!strcmp(name, "edm_vp_sigma")) {
        brume_scheduler_config c;
        brume_process *p = NULL;
        if (!CHECK_OK(brume_scheduler_config_class("ScoreSdeVpScheduler", &c))) return;
        c.beta_min = number(v, "beta_min");
        c.beta_max = c.beta_min + number(v, "beta_d");
        if (!CHECK_OK(brume_process_new(&c, &p))) return;
        for (int64_t i = 0; i < brume_json_count(t); i++) {
            const brume_level l = brume_process_level(p, element(t, i));
            near_by(l.s / l.a, element(sigma, i), tight, brume_json_at(sigma, i));
            CHECK_NEAR(brume_process_time_of_sigma(p, l.s / l.a), fmax(element(t, i), c.sampling_eps), 1e-9);
        }
        brume_process_free(p);
    } else if (!strcmp(name, "vp_inverse_lambda")) {
        for (int64_t i = 0; i < brume_json_count(t); i++)
            near_by(brume_vp_time_of_lambda(element(lambda, i), 0.1, 20), element(t, i), tight, brume_json_at(t, i));
    } else {
        nobody(v);
    }
}

/* ---- ladders */

static void check_ladder(const brume_json *v)
{
    const char *name = brume_json_key(v);
    const int64_t n = brume_json_count(v);
    double got[300] = { 0 };
    if (!CHECK(n < 300)) return;
    const int32_t m = (int32_t)n - 1; /* most have a 0 appended */
    if (!strcmp(name, "ncsn_1_to_0.01_L10")) brume_exponential_sigmas(0.01, 1, 10, got);
    else if (!strcmp(name, "ncsnv2_50_to_0.01_L232")) brume_exponential_sigmas(0.01, 50, 232, got);
    else if (!strcmp(name, "karras_18_80_0.002")) brume_karras_sigmas(0.002, 80, 7, m, got);
    else if (!strcmp(name, "karras_10_rho5")) brume_karras_sigmas(0.0292, 14.6146, 5, m, got);
    else if (!strcmp(name, "exponential_10")) brume_exponential_sigmas(0.0292, 14.6146, m, got);
    else if (!strcmp(name, "polyexponential_10_rho2")) brume_polyexponential_sigmas(0.0292, 14.6146, 2, m, got);
    else if (!strcmp(name, "vp_10")) brume_vp_sigmas(19.9, 0.1, 1e-3, m, got);
    else if (!strcmp(name, "flow_10_shift1") || !strcmp(name, "flow_10_shift3_once")) {
        brume_uniform_sigmas(1e-3, 1, m, got);
        for (int32_t i = 0; i < m && strstr(name, "shift3"); i++) got[i] = brume_flow_shift(got[i], 3);
    } else if (!strcmp(name, "iddpm_u_index_0_1_500_999_1000")) {
        static const int at[] = { 0, 1, 500, 999, 1000 };
        double *u = malloc(1001 * sizeof *u);
        if (!CHECK(u != NULL)) return;
        brume_iddpm_sigmas(1000, u);
        for (int i = 0; i < 5; i++) near_by(u[at[i]], element(v, i), tight, brume_json_at(v, i));
        free(u);
        return;
    } else {
        nobody(v);
        return;
    }
    list_near(v, got, n);
}

/* ---- grids */

static int same_times(const brume_json *want, const double *t, int32_t n)
{
    int ok = CHECK_INT(n, brume_json_count(want));
    for (int32_t i = 0; ok && i < n; i++) ok &= CHECK_NEAR(t[i], element(want, i), 1e-12 * 1000);
    if (!ok) fprintf(stderr, "    %s\n", brume_json_where(want));
    return ok;
}

static void check_class_grid(const brume_json *v, const char *class_name)
{
    const brume_json *times = brume_json_find(v, "timesteps"), *sigmas = brume_json_find(v, "sigmas");
    const enum brume_grid_family family = strstr(class_name, "UniPC") ? BRUME_GRID_UNIPC
                                          : strstr(class_name, "DPM") ? BRUME_GRID_MULTISTEP
                                                                      : BRUME_GRID_SIGMAS;
    const enum brume_state_space space = family == BRUME_GRID_SIGMAS ? BRUME_STATE_SIGMA : BRUME_STATE_X;
    const int32_t n = (int32_t)brume_json_integer(brume_json_find(v, "steps"), 0);
    brume_scheduler_config c;
    brume_process *p = NULL;
    brume_sampler_options o;
    struct brume_grid g;
    brume_sampler_options_default(&o);
    if (!config_of(brume_json_find(v, "config"), class_name, &c) || !CHECK_OK(brume_process_new(&c, &p))) return;
    if (CHECK_OK(brume_grid_new(p, &c, &o, family, space, n, &g))) {
        same_times(times, g.t, g.n);
        if (CHECK_INT(brume_json_count(sigmas), g.n + 1))
            for (int32_t i = 0; i <= g.n; i++) near_by(g.sigma[i], element(sigmas, i), tight, brume_json_at(sigmas, i));
        for (int32_t i = 0; i <= g.n; i++) { /* what a sampler works with agrees with the numbers shown */
            const struct brume_node *at = &g.node[i];
            CHECK_NEAR(at->s / at->a, g.sigma[i], 1e-12 * g.sigma[i]);
            CHECK_NEAR(at->scale * at->scale * (at->a * at->a + at->s * at->s), 1, 1e-12);
        }
        brume_grid_free(&g);
    }
    brume_process_free(p);
}

static void check_respace(const brume_json *v)
{
    const brume_json *sections = brume_json_find(v, "sections");
    const int32_t T = (int32_t)brume_json_integer(brume_json_find(v, "T"), 0);
    double t[1000];
    int32_t n = 0, counts[16] = { 0 };
    if (brume_json_typeof(sections) == BRUME_JSON_STRING) {
        n = atoi(brume_json_string(sections, "ddim0") + 4);
        CHECK_OK(brume_schedule_strided(T, n, t));
    } else {
        for (int i = 0; i < 16 && i < brume_json_count(sections); i++)
            counts[i] = (int32_t)brume_json_integer(brume_json_at(sections, i), 0);
        CHECK_OK(brume_schedule_sections(T, counts, (int32_t)brume_json_count(sections), t, &n));
    }
    same_times(brume_json_find(v, "timesteps"), t, n);
}

static void check_orders(const brume_json *v)
{
    const int n = (int)brume_json_integer(brume_json_find(v, "steps"), 0),
              order = (int)brume_json_integer(brume_json_find(v, "order"), 0);
    const brume_json *want = brume_json_find(v, "orders");
    CHECK_INT(brume_json_count(want), n);
    for (int i = 0; i < n; i++)
        CHECK_INT(brume_singlestep_order(i, n, order, brume_json_boolean(brume_json_find(v, "lower_order_final"), 0)),
                  brume_json_integer(brume_json_at(want, i), 0));
}

static void check_repaint(const brume_json *v)
{
    const brume_json *want = brume_json_find(v, "indices");
    int32_t got[1000];
    const int32_t n = (int32_t)brume_json_integer(brume_json_find(v, "steps"), 0),
                  jump = (int32_t)brume_json_integer(brume_json_find(v, "jump_length"), 0);
    const int32_t resample = (int32_t)brume_json_integer(brume_json_find(v, "jump_n_sample"), 0);
    if (!CHECK(brume_json_count(want) <= 1000) ||
        !CHECK_INT(brume_repaint_times(n, jump, resample, NULL), brume_json_count(want)))
        return;
    brume_repaint_times(n, jump, resample, got);
    for (int64_t i = 0; i < brume_json_count(want); i++) CHECK_INT(got[i], brume_json_integer(brume_json_at(want, i), -1));
}

static void check_spacing(const brume_json *v)
{
    const char *spacing = brume_json_string(brume_json_find(v, "spacing"), "");
    const int32_t n = (int32_t)brume_json_integer(brume_json_find(v, "steps"), 0);
    double t[1000];
    brume_scheduler_config c;
    brume_scheduler_config_default(&c);
    c.num_train_timesteps = (int32_t)brume_json_integer(brume_json_find(v, "T"), 0);
    c.steps_offset = (int32_t)brume_json_integer(brume_json_find(v, "offset"), 0);
    c.timestep_spacing = !strcmp(spacing, "trailing")   ? BRUME_SPACING_TRAILING
                         : !strcmp(spacing, "linspace") ? BRUME_SPACING_LINSPACE
                                                        : BRUME_SPACING_LEADING;
    if (CHECK_OK(brume_schedule_timesteps(&c, n, t))) same_times(brume_json_find(v, "timesteps"), t, n);
}

static void check_grid(const brume_json *v)
{
    const char *family = brume_json_string(brume_json_find(v, "family"), "");
    if (!strcmp(family, "ddpm/ddim")) check_spacing(v);
    else if (!strcmp(family, "respace")) check_respace(v);
    else if (!strcmp(family, "repaint")) check_repaint(v);
    else if (!strcmp(family, "singlestep_orders")) check_orders(v);
    else if (strstr(family, "Scheduler")) check_class_grid(v, family);
    else nobody(v);
}

/* ---- coefficients */

static void check_vp_coefficients(const brume_json *v)
{
    const int32_t t = (int32_t)brume_json_integer(brume_json_find(v, "t"), 0),
                  p = (int32_t)brume_json_integer(brume_json_find(v, "prev"), 0);
    static const struct {
        const char *name;
        double eta;
    } ddim[] = { { "ddim_eta0", 0 }, { "ddim_eta0.5", 0.5 }, { "ddim_eta1", 1 } };
    brume_scheduler_config c;
    brume_schedule *s = NULL;
    brume_scheduler_config_default(&c);
    if (!CHECK_OK(brume_schedule_new(&c, &s))) return;
    const brume_posterior q = brume_schedule_posterior(s, t, p);
    CHECK_INT(brume_json_count(v), 10);
    near_by(q.x0, number(v, "ddpm_x0"), tight, v);
    near_by(q.x, number(v, "ddpm_x"), tight, v);
    near_by(q.variance, number(v, "ddpm_var_small"), tight, v);
    near_by(q.beta, number(v, "ddpm_var_large"), tight, v);
    for (int k = 0; k < 3; k++) {
        const brume_ddim_coef d = brume_schedule_ddim(s, t, p, ddim[k].eta);
        const brume_json *want = brume_json_find(v, ddim[k].name);
        near_by(d.x0, element(want, 0), tight, want);
        near_by(d.eps, element(want, 1), tight, want);
        near_by(d.noise, element(want, 2), tight, want);
    }
    const brume_ddim_coef d = brume_schedule_ddim(s, t, p, 0);
    const brume_level l = { .a = sqrt(brume_alpha_bar(s, t)), .s = sqrt(brume_one_minus_alpha_bar(s, t)) };
    double cx, cm;
    brume_prediction_x0(BRUME_PREDICT_EPS, &l, &cx, &cm);
    const brume_json *one = brume_json_find(v, "ddim_x_eps");
    near_by(d.x0 * cx, element(one, 0), tight, one);
    near_by(d.x0 * cm + d.eps, element(one, 1), tight, one);
    brume_schedule_free(s);
}

static void check_unipc(const brume_json *v, double h, int corrector)
{
    const brume_json *r = brume_json_find(v, "r"), *rho = brume_json_find(v, "rho");
    const double nodes[2] = { element(r, 0), element(r, 1) };
    double got[3] = { NAN, NAN, NAN }, B = NAN;
    brume_unipc_rho(nodes, 3, h, 0, corrector, got, &B);
    near_by(B, number(v, "B"), tight, v);
    CHECK_INT(brume_json_count(rho), corrector ? 3 : 2);
    for (int i = 0; i < (corrector ? 3 : 2); i++) near_by(got[i], element(rho, i), tight, brume_json_at(rho, i));
}

static void check_sigma_coefficients(const brume_json *v)
{
    const brume_json *list = brume_json_find(v, "sigma"), *lms = brume_json_find(v, "lms"),
                     *split = brume_json_find(v, "ancestral_down_up");
    double sigma[4], a[4], s[4], down, up;
    CHECK_INT(brume_json_count(v), 14);
    for (int k = 0; k < 4; k++) {
        sigma[k] = element(list, k);
        a[k] = 1 / sqrt(1 + sigma[k] * sigma[k]);
        s[k] = sigma[k] * a[k];
    }
    const double h = log(sigma[2] / sigma[3]), b = a[3], c = s[3];
    near_by(h, number(v, "h"), tight, v);
    near_by(c / s[2], number(v, "A"), tight, v);
    near_by(-b * expm1(-h), number(v, "E"), tight, v);
    near_by(b * brume_phi1(h), number(v, "P1"), tight, v);
    near_by(-b * brume_phi2(h), number(v, "P2"), tight, v);
    near_by(-b * expm1(-2 * h), number(v, "sde_E"), tight, v);
    near_by(c / s[2] * exp(-h), number(v, "sde_A"), tight, v);
    near_by(c * sqrt(-expm1(-2 * h)), number(v, "sde_noise"), tight, v);
    check_unipc(brume_json_find(v, "unip3"), number(v, "h"), 0);
    check_unipc(brume_json_find(v, "unic3"), number(v, "h"), 1);
    for (int order = 1; order <= 3; order++)
        for (int k = 0; k < order; k++)
            near_by(brume_lms_coef(sigma, 2, k, order), element(brume_json_at(lms, order - 1), k), tight, lms);
    CHECK_INT(brume_json_count(lms), 3);
    brume_ancestral(sigma[2], sigma[3], 1, &down, &up);
    near_by(down, element(split, 0), tight, split);
    near_by(up, element(split, 1), tight, split);
}

static void check_coefficients(const brume_json *v)
{
    const int vp = !strcmp(brume_json_key(v), "vp");
    if (!vp && strcmp(brume_json_key(v), "sigma")) {
        nobody(v);
        return;
    }
    for (int64_t i = 0; i < brume_json_count(v); i++) {
        if (vp) check_vp_coefficients(brume_json_at(v, i));
        else check_sigma_coefficients(brume_json_at(v, i));
    }
}

static void each(const brume_json *section, void (*check)(const brume_json *v))
{
    CHECK(brume_json_count(section) > 0);
    for (int64_t i = 0; i < brume_json_count(section); i++) check(brume_json_at(section, i));
}

int main(void)
{
    static const struct { const char *name; void (*check)(const brume_json *v); } sections[] = {
        { "discrete", check_discrete }, { "derived", check_derived }, { "continuous", check_continuous },
        { "sigma_ladders", check_ladder }, { "grids", check_grid }, { "coefficients", check_coefficients },
    };
    const char *path = check_shared("golden/schedules.json");
    brume_json *root = NULL;
    if (!brume_is_file(path)) {
        check_skip("golden/schedules.json is not there (BRUME_SHARED)");
        return check_report();
    }
    if (CHECK_OK(brume_json_load(path, &root))) {
        for (int64_t i = 0; i < brume_json_count(root); i++) {
            const brume_json *v = brume_json_at(root, i);
            size_t k = 0;
            while (k < sizeof sections / sizeof *sections && strcmp(sections[k].name, brume_json_key(v))) k++;
            if (k < sizeof sections / sizeof *sections) each(v, sections[k].check);
            else if (strcmp(brume_json_key(v), "format") || !CHECK_INT(brume_json_integer(v, 0), 1)) nobody(v);
        }
    }
    brume_json_free(root);
    return check_report();
}
