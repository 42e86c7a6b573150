/* SPDX-License-Identifier: MIT
 * Training targets, losses, weights and bound terms of golden/losses.json, member "training", through the graph of a training
 * step on every device, the model's output being given. usage: golden_losses [--device D]... [LOSSES.json]. A key that nobody
 * checks is a failure. */
#include "brume/objective.h"
#include "brume/ops.h"
#include "brume/json.h"
#include "brume/likelihood.h"
#include "brume/plan.h"
#include "check.h"
#include "devices.h"

#define MAX_CASES 64
#define MAX_SAMPLES 256

static struct {
    const brume_json *root;
    int cases, B;
    int64_t numel, per;                  /* of x0; of a sample */
    const double *x0, *eps;
    const brume_json *of[MAX_CASES];
    double *xt[MAX_CASES], *model_eps[MAX_CASES], *logits[MAX_CASES];
    int32_t t[MAX_CASES];
} G;

/* ---- reading ---- */

static const char *keys_seen[128];
static int n_seen;

/* Every key that is asked for is remembered; those never asked for are reported in the end. */
static const brume_json *find(const brume_json *v, const char *key)
{
    int i = 0;
    while (i < n_seen && strcmp(keys_seen[i], key)) i++;
    if (i == n_seen && n_seen < 128) keys_seen[n_seen++] = key;
    const brume_json *found = brume_json_find(v, key);
    if (!found) {
        fprintf(stderr, "%s has no '%s'\n", brume_json_where(v), key);
        CHECK(found != NULL);
    }
    return found;
}

static void check_all_seen(const brume_json *v)
{
    for (int64_t i = 0; i < brume_json_count(v); i++) {
        const brume_json *m = brume_json_at(v, i);
        const char *key = brume_json_key(m);
        if (*key) {
            int k = 0;
            while (k < n_seen && strcmp(keys_seen[k], key)) k++;
            if (!CHECK(k < n_seen)) fprintf(stderr, "    nothing checks '%s'\n", key);
        }
        check_all_seen(m);
    }
}

static double number(const brume_json *v, const char *key) { return brume_json_number(find(v, key), NAN); }

static double *numbers(const brume_json *v, const char *key, int64_t want)
{
    const brume_json *a = find(v, key);
    double *x = malloc((size_t)want * sizeof *x);
    CHECK_INT(brume_json_count(a), want);
    for (int64_t i = 0; i < want; i++) x[i] = brume_json_number(brume_json_at(a, i), NAN);
    return x;
}

/* ---- one graph for all cases: sample b of case k is row k B + b ---- */

struct run {
    brume_graph *g;
    brume_tensor x0, eps, coef, out, xt, dout;
    brume_loss l;
    float *coef_values;
    double *m;              /* injected prediction */
    float *xt_values, *target, *error, *bound, *weighted, *gradient;
    float loss;
    int channels;           /* of out */
};

static float *floats(int64_t n) { return malloc((size_t)n * sizeof(float)); }

/* The model's prediction of an element in terms of its eps: section 3 of the literature, with numbers of the golden file
 * alone. */
static double prediction(brume_prediction p, int k, int64_t e)
{
    brume_schedule *s = NULL;
    static double a[MAX_CASES], sd[MAX_CASES];
    if (!sd[k]) {
        brume_scheduler_config c;
        brume_scheduler_config_default(&c);
        CHECK_OK(brume_schedule_new(&c, &s));
        a[k] = sqrt(brume_alpha_bar(s, G.t[k]));
        sd[k] = sqrt(brume_one_minus_alpha_bar(s, G.t[k]));
        brume_schedule_free(s);
    }
    const double m = G.model_eps[k][e], x0 = (G.xt[k][e] - sd[k] * m) / a[k];
    return p == BRUME_PREDICT_EPS ? m : p == BRUME_PREDICT_X0 ? x0 : p == BRUME_PREDICT_V ? a[k] * m - sd[k] * x0
           : p == BRUME_PREDICT_SCORE ? -m / sd[k] : m - x0;
}

static int run(brume_device *d, const brume_scheduler_config *c, const brume_objective *o, struct run *r)
{
    const int N = G.cases * G.B, C = 1; /* any layout will do: per-sample means do not care */
    const int64_t pixels = G.per / C;
    memset(r, 0, sizeof *r);
    r->channels = c->variance_type == BRUME_VARIANCE_LEARNED_RANGE ? 2 * C : C;
    brume_process *p = NULL;
    brume_plan *plan = NULL;
    if (!CHECK_OK(brume_process_new(c, &p)) || !CHECK_OK(brume_objective_check(o, c, p))) return 0;
    brume_graph *g = r->g = brume_graph_new();
    const brume_shape image = BRUME_SHAPE(N, pixels, 1, C);
    r->x0 = brume_input(g, "x0", BRUME_F32, image);
    r->eps = brume_input(g, "eps", BRUME_F32, image);
    r->coef = brume_input(g, "coef", BRUME_F32, BRUME_SHAPE(N, BRUME_COEF_COUNT));
    r->out = brume_input(g, "out", BRUME_F32, BRUME_SHAPE(N, pixels, 1, r->channels));
    r->xt = brume_objective_mix(g, r->x0, r->eps, r->coef);
    r->l = brume_objective_loss(g, o, c->variance_type, r->x0, r->eps, r->coef, r->out);
    brume_grad(g, r->l.loss, BRUME_NONE, 1, &r->out, &r->dout);
    const brume_tensor outs[] = { r->xt, r->l.target, r->l.error, r->l.weighted, r->l.loss, r->dout, r->l.bound };
    for (int i = 0; i < 6 + (r->l.bound != BRUME_NONE); i++) brume_output(g, outs[i], "result");
    if (!CHECK_INT(brume_graph_status(g), BRUME_OK)) fprintf(stderr, "    %s\n", brume_graph_error(g));
    const int64_t all = N * G.per, all_out = N * pixels * r->channels;
    float *x0 = floats(all), *eps = floats(all), *out = floats(all_out);
    r->m = malloc((size_t)all * sizeof *r->m);
    r->coef_values = floats(N * BRUME_COEF_COUNT);
    for (int k = 0; k < G.cases; k++)
        for (int b = 0; b < G.B; b++) {
            float t;
            const int row = k * G.B + b;
            brume_objective_example(o, c, p, G.t[k], 1, r->coef_values + row * BRUME_COEF_COUNT, &t);
            CHECK(t == (float)G.t[k]);
            for (int64_t i = 0; i < G.per; i++) {
                const int64_t e = b * G.per + i, to = row * G.per + i, pixel = i / C, channel = i % C;
                x0[to] = (float)G.x0[e];
                eps[to] = (float)G.eps[e];
                r->m[to] = prediction(c->prediction_type, k, e);
                out[(row * pixels + pixel) * r->channels + channel] = (float)r->m[to];
                if (r->channels > C) out[(row * pixels + pixel) * r->channels + C + channel] = (float)G.logits[k][e];
            }
        }
    r->xt_values = floats(all), r->target = floats(all), r->error = floats(N), r->bound = floats(N), r->weighted = floats(N),
    r->gradient = floats(all_out);
    int ok = CHECK_OK(brume_plan_new(d, g, NULL, &plan));
    if (ok) {
        CHECK_OK(brume_plan_write(plan, r->x0, x0, (size_t)all * 4));
        CHECK_OK(brume_plan_write(plan, r->eps, eps, (size_t)all * 4));
        CHECK_OK(brume_plan_write(plan, r->coef, r->coef_values, (size_t)N * BRUME_COEF_COUNT * 4));
        CHECK_OK(brume_plan_write(plan, r->out, out, (size_t)all_out * 4));
        ok = CHECK_OK(brume_plan_run(plan));
        CHECK_OK(brume_plan_read(plan, r->xt, r->xt_values, (size_t)all * 4));
        CHECK_OK(brume_plan_read(plan, r->l.target, r->target, (size_t)all * 4));
        CHECK_OK(brume_plan_read(plan, r->l.error, r->error, (size_t)N * 4));
        CHECK_OK(brume_plan_read(plan, r->l.weighted, r->weighted, (size_t)N * 4));
        CHECK_OK(brume_plan_read(plan, r->l.loss, &r->loss, 4));
        CHECK_OK(brume_plan_read(plan, r->dout, r->gradient, (size_t)all_out * 4));
        if (r->l.bound != BRUME_NONE) CHECK_OK(brume_plan_read(plan, r->l.bound, r->bound, (size_t)N * 4));
    }
    brume_plan_free(plan);
    brume_process_free(p);
    free(x0), free(eps), free(out);
    return ok;
}

static void run_free(struct run *r)
{
    brume_graph_free(r->g);
    free(r->coef_values), free(r->m), free(r->xt_values), free(r->target), free(r->error), free(r->bound), free(r->weighted),
        free(r->gradient);
}

/* Error of prediction - target: the roundings of both, and of the target's two terms. */
static double rounding(const struct run *r, int row)
{
    const float *k = r->coef_values + row * BRUME_COEF_COUNT;
    double most = 0;
    for (int64_t i = 0; i < G.per; i++) {
        const int64_t e = (row % G.B) * G.per + i;
        most = fmax(most, fabs(r->m[row * G.per + i]) + fabs((double)k[BRUME_COEF_X0] * G.x0[e]) +
                              fabs((double)k[BRUME_COEF_EPS] * G.eps[e]));
    }
    return 2e-7 * most;
}

/* A mean of squares of errors that are off by delta. */
static double square_tolerance(double want, double delta) { return 1e-6 * want + 2 * sqrt(want) * delta + delta * delta; }

/* ---- targets, losses, weights ---- */

static double weight_of(const brume_scheduler_config *c, const brume_process *p, const char *weighting, int k)
{
    brume_objective o;
    float coef[BRUME_COEF_COUNT], t;
    brume_objective_default(&o);
    o.weighting = brume_weighting_find(weighting);
    CHECK(o.weighting != NULL);
    CHECK_OK(brume_objective_check(&o, c, p));
    brume_objective_example(&o, c, p, G.t[k], 1, coef, &t);
    return (double)coef[BRUME_COEF_WEIGHT];
}

static void test_weights(void)
{
    static const struct { const char *key, *weighting; brume_prediction p; } rows[] = {
        { "w_min_snr5_eps", "min-snr", BRUME_PREDICT_EPS }, { "w_min_snr5_x0", "min-snr", BRUME_PREDICT_X0 },
        { "w_min_snr5_v", "min-snr", BRUME_PREDICT_V }, { "w_p2_k1_g1", "p2", BRUME_PREDICT_EPS },
        { "w_vlb_eps", "vlb", BRUME_PREDICT_EPS }, { "snr", "snr", BRUME_PREDICT_X0 },
    };
    brume_scheduler_config c;
    brume_process *p = NULL;
    brume_scheduler_config_default(&c);
    CHECK_OK(brume_process_new(&c, &p));
    for (size_t i = 0; p && i < sizeof rows / sizeof *rows; i++)
        for (int k = 0; k < G.cases; k++) {
            c.prediction_type = rows[i].p;
            const double want = number(G.of[k], rows[i].key);
            if (!CHECK_NEAR(weight_of(&c, p, rows[i].weighting, k), want, 1e-7 * want))
                fprintf(stderr, "    %s at t = %d\n", rows[i].key, G.t[k]);
        }
    /* Relations that hold without a golden: SNR weighs the error of eps, SNR + 1 that of v, max(SNR, 1) the larger of x0's and
     * eps'. */
    for (int k = 0; p && k < G.cases; k++) {
        const double snr = number(G.of[k], "snr");
        c.prediction_type = BRUME_PREDICT_EPS;
        CHECK_NEAR(weight_of(&c, p, "snr", k), 1, 1e-6);
        CHECK_NEAR(weight_of(&c, p, "truncated-snr", k), fmax(snr, 1) / snr, 1e-6 * fmax(snr, 1) / snr);
        c.prediction_type = BRUME_PREDICT_V;
        CHECK_NEAR(weight_of(&c, p, "snr+1", k), 1, 1e-6);
    }
    brume_process_free(p);
}

static void test_losses(const struct test_device *d)
{
    static const struct { brume_prediction p; const char *loss, *target; } rows[] = {
        { BRUME_PREDICT_EPS, "loss_eps", NULL }, { BRUME_PREDICT_X0, "loss_x0", NULL }, { BRUME_PREDICT_V, "loss_v", "target_v" },
        { BRUME_PREDICT_SCORE, "loss_score_sigma2", "target_score" }, { BRUME_PREDICT_FLOW, NULL, "target_flow" },
    };
    brume_objective o;
    brume_objective_default(&o);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        brume_scheduler_config c;
        struct run r;
        brume_scheduler_config_default(&c);
        c.prediction_type = rows[i].p;
        if (!run(d->device, &c, &o, &r)) fprintf(stderr, "    on %s\n", d->where);
        double mean = 0;
        for (int k = 0; k < G.cases; k++) {
            double *loss = rows[i].loss ? numbers(G.of[k], rows[i].loss, G.B) : NULL;
            double *target = rows[i].target ? numbers(G.of[k], rows[i].target, G.numel) : NULL;
            for (int64_t e = 0; e < G.numel; e++) {
                const int64_t at = k * G.numel + e;
                const double want = target ? target[e] : rows[i].p == BRUME_PREDICT_EPS ? G.eps[e] : G.x0[e];
                CHECK_NEAR((double)r.xt_values[at], G.xt[k][e], 5e-7);
                CHECK_NEAR((double)r.target[at], want, 5e-7 * fmax(1, fabs(want)));
            }
            for (int b = 0; b < G.B; b++) {
                const int row = k * G.B + b;
                mean += (double)r.weighted[row] / (G.cases * G.B);
                if (!loss) continue;
                const double w = (double)r.coef_values[row * BRUME_COEF_COUNT + BRUME_COEF_WEIGHT];
                if (!CHECK_NEAR((double)r.weighted[row], loss[b], w * square_tolerance(loss[b] / w, rounding(&r, row))))
                    fprintf(stderr, "    %s, %s at t = %d, sample %d\n", d->where, rows[i].loss, G.t[k], b);
            }
            free(loss), free(target);
        }
        CHECK_NEAR((double)r.loss, mean, 1e-6 * mean);
        run_free(&r);
    }
}

/* ---- terms of the bound ---- */

static double kl(double mean1, double log_var1, double mean2, double log_var2)
{
    const double r = log_var2 - log_var1, d = mean1 - mean2;
    return 0.5 * (r + expm1(-r) + d * d * exp(-log_var2));
}

/* A term in bits/dim of one element, straight from the definition. m: prediction of eps. */
static double term(const brume_schedule *s, brume_variance kind, int32_t t, double x0, double xt, double m, double logit,
                   brume_normal_cdf cdf)
{
    const brume_posterior q = brume_schedule_posterior(s, t, t - 1);
    const double log_small = log(t ? q.variance : brume_schedule_posterior(s, 1, 0).variance), log_beta = log(q.beta),
                 w = (logit + 1) / 2;
    const double hat = (xt - sqrt(brume_one_minus_alpha_bar(s, t)) * m) / sqrt(brume_alpha_bar(s, t));
    const double log_var = kind == BRUME_VARIANCE_FIXED_SMALL || (kind == BRUME_VARIANCE_FIXED_LARGE && t == 0) ? log_small
                           : kind == BRUME_VARIANCE_FIXED_LARGE ? log_beta : w * log_beta + (1 - w) * log_small;
    const double mean = q.x0 * hat + q.x * xt;
    return (t == 0 ? -brume_discretised_gaussian(x0, mean, 0.5 * log_var, cdf)
                   : kl(q.x0 * x0 + q.x * xt, log_small, mean, log_var)) /
           log(2);
}

/* What the gradient of the loss by out must be: central differences of the definition. hybrid: the mean learns from the error
 * alone. */
static void check_gradient(const struct run *r, const brume_schedule *s, const brume_objective *o, brume_variance kind,
                           const char *where)
{
    const int N = G.cases * G.B, C = 1;
    for (int k = 0; k < G.cases; k++)
        for (int64_t e = 0; e < G.numel; e++) {
            const int row = k * G.B + (int)(e / G.per);
            const int64_t i = e % G.per, at = (row * (G.per / C) + i / C) * r->channels + i % C;
            const double m = G.model_eps[k][e], logit = G.logits[k][e], h = 1e-5,
                         part = o->bound == BRUME_BOUND_VLB ? s->T : s->T / 1000.0;
            const double per = part / (double)(N * G.per);
#define T(dm, dv) term(s, kind, G.t[k], G.x0[e], G.xt[k][e], m + (dm), logit + (dv), BRUME_CDF_TANH)
            const double want =
                o->bound == BRUME_BOUND_HYBRID ? 2 * (m - G.eps[e]) / (double)(N * G.per) : per * (T(h, 0) - T(-h, 0)) / (2 * h);
            const double slope = per * fabs(T(1e-4, 0) - 2 * T(0, 0) + T(-1e-4, 0)) / 1e-8;
            /* times a rounding of m; of the decoder, of x0 and of the mean, in which m counts little */
            const double decoder = fabs((double)r->coef_values[row * BRUME_COEF_COUNT + BRUME_COEF_DECODER]),
                         off = decoder > 0 ? 2e-7 / decoder : 1e-6;
            if (!CHECK_NEAR((double)r->gradient[at], want, 1e-5 * fabs(want) + off * slope + 4e-6 / (double)(N * G.per)))
                fprintf(stderr, "    gradient of the mean, %s, t = %d, element %d\n", where, G.t[k], (int)e);
            if (kind != BRUME_VARIANCE_LEARNED_RANGE) continue;
            const double dv = per * (T(0, h) - T(0, -h)) / (2 * h);
            CHECK_NEAR((double)r->gradient[at + C], dv, 2e-5 * fabs(dv) + 1e-6 * per);
#undef T
        }
}

static void test_bounds(const struct test_device *d)
{
    static const struct { brume_variance v; const char *key, *exact; } kinds[] = {
        { BRUME_VARIANCE_FIXED_SMALL, "fixed_small", "fixed_small_erf" }, { BRUME_VARIANCE_FIXED_LARGE,
                                                                            "fixed_large", "fixed_large_erf" },
        { BRUME_VARIANCE_LEARNED_RANGE, "learned_range", "learned_range_erf" },
    };
    brume_scheduler_config c;
    brume_schedule *s = NULL;
    brume_scheduler_config_default(&c);
    CHECK_OK(brume_schedule_new(&c, &s));
    for (int i = 0; s && i < 5; i++) { /* the three, then learned_range from v predictions, then hybrid */
        const int hybrid = i == 4, kind = i < 3 ? i : 2;
        struct run r;
        brume_objective o;
        brume_objective_default(&o);
        o.bound = hybrid ? BRUME_BOUND_HYBRID : BRUME_BOUND_VLB;
        c.variance_type = kinds[kind].v;
        c.prediction_type = i == 3 ? BRUME_PREDICT_V : BRUME_PREDICT_EPS;
        if (!run(d->device, &c, &o, &r)) continue;
        for (int k = 0; k < G.cases; k++) {
            double *want = numbers(find(G.of[k], "vb_bpd"), kinds[kind].key, G.B),
                   *sum = hybrid ? numbers(G.of[k], "hybrid_rescaled_mse", G.B) : NULL;
            double *exact = G.t[k] == 0 ? numbers(find(G.of[k], "vb_bpd"), kinds[kind].exact, G.B) : NULL;
            for (int b = 0; b < G.B; b++) {
                const int row = k * G.B + b;
                const float *coef = r.coef_values + row * BRUME_COEF_COUNT;
                double host[2] = { 0, 0 }, loosest = 0;
                for (int64_t e = b * G.per; e < (b + 1) * G.per; e++)
                    for (int x = 0; x < 2; x++)
                        host[x] += term(s, kinds[kind].v, G.t[k], G.x0[e], G.xt[k][e], G.model_eps[k][e], G.logits[k][e],
                                        x ? BRUME_CDF_EXACT : BRUME_CDF_TANH) /
                                   (double)G.per;
                CHECK_NEAR(host[0], want[b], 1e-9 * fabs(want[b]) + 1e-14); /* the golden adds terms of size 1 that cancel */
                if (exact) CHECK_NEAR(host[1], exact[b], 1e-9 * fabs(exact[b]));
                /* In f32: the mean is off by `rounding`, in KL directly, in the decoder in deviations with a slope of at most a
                 * few. */
                const double delta = rounding(&r, row);
                loosest = (double)coef[BRUME_COEF_KL] *
                              (square_tolerance((double)r.error[row], delta) + 2 * sqrt((double)r.error[row]) * delta) +
                          20 * fabs((double)coef[BRUME_COEF_DECODER]) * delta * exp(-(double)coef[BRUME_COEF_LOG_STD]);
                if (!CHECK_NEAR((double)r.bound[row], want[b], 2e-6 * fabs(want[b]) + 1e-7 + loosest))
                    fprintf(stderr, "    %s, %s (%s), t = %d, sample %d\n", d->where, kinds[kind].key, brume_bound_name(o.bound),
                            G.t[k], b);
                if (sum) CHECK_NEAR((double)r.weighted[row], sum[b], 1e-5 * fabs(sum[b]) + 1e-6);
                else CHECK_NEAR((double)r.weighted[row], s->T * want[b], s->T * (3e-6 * fabs(want[b]) + 1e-7 + loosest));
            }
            free(want), free(sum), free(exact);
        }
        if (c.prediction_type == BRUME_PREDICT_EPS) check_gradient(&r, s, &o, kinds[kind].v, kinds[kind].key);
        run_free(&r);
    }
    brume_schedule_free(s);
}

static void test_prior(void)
{
    brume_scheduler_config c;
    brume_schedule *s = NULL;
    brume_scheduler_config_default(&c);
    CHECK_OK(brume_schedule_new(&c, &s));
    double *want = numbers(G.root, "prior_bpd", G.B);
    for (int b = 0; s && b < G.B; b++) {
        double sum = 0;
        for (int64_t e = b * G.per; e < (b + 1) * G.per; e++)
            sum += kl(sqrt(brume_alpha_bar(s, s->T - 1)) * G.x0[e], log(brume_one_minus_alpha_bar(s, s->T - 1)), 0, 0);
        CHECK_NEAR(sum / ((double)G.per * log(2)), want[b], 1e-9 * want[b]);
    }
    free(want);
    brume_schedule_free(s);
}

/* ---- preconditioning, single values ---- */

static void test_edm(void)
{
    brume_scheduler_config c;
    brume_process *p = NULL;
    brume_objective o;
    brume_objective_default(&o);
    CHECK_OK(brume_scheduler_config_class("EDMEulerScheduler", &c));
    CHECK_OK(brume_process_new(&c, &p));
    const brume_json *list = find(G.root, "edm");
    CHECK(brume_json_count(list) > 0);
    for (int64_t i = 0; p && i < brume_json_count(list); i++) {
        const brume_json *e = brume_json_at(list, i);
        const double sigma = number(e, "sigma"), lambda = number(e, "lambda"), skip = number(e, "c_skip"),
                     c_out = number(e, "c_out"), c_in = number(e, "c_in");
        const brume_edm_coef got = brume_edm_precondition(sigma, 0.5);
        float k[BRUME_COEF_COUNT], t;
        CHECK_NEAR(got.weight, lambda, 1e-12 * lambda);
        CHECK_NEAR(got.c_skip, skip, 1e-12 * skip);
        CHECK_NEAR(got.c_out, c_out, 1e-12 * c_out);
        CHECK_NEAR(got.c_in, c_in, 1e-12 * c_in);
        CHECK_NEAR(got.c_noise, number(e, "c_noise"), 1e-12);
        /* The network sees c_in (x0 + sigma eps) at c_noise and shall give (x0 - c_skip (x0 + sigma eps)) / c_out, with weight
         * lambda c_out^2 = 1. */
        for (int w = 0; w < 2; w++) {
            o.weighting = w ? brume_weighting_find("edm") : NULL;
            c.prediction_type = BRUME_PREDICT_EDM;
            CHECK_OK(brume_objective_check(&o, &c, p));
            brume_objective_example(&o, &c, p, sigma, 1, k, &t);
            CHECK_NEAR((double)k[BRUME_COEF_A], c_in, 1e-7 * c_in);
            CHECK_NEAR((double)k[BRUME_COEF_S], c_in * sigma, 1e-7);
            CHECK_NEAR((double)k[BRUME_COEF_X0], (1 - skip) / c_out, 1e-7 * fabs((1 - skip) / c_out));
            CHECK_NEAR((double)k[BRUME_COEF_EPS], -skip * sigma / c_out, 1e-7);
            CHECK_NEAR((double)k[BRUME_COEF_WEIGHT], 1, 1e-6);
            CHECK_NEAR((double)t, got.c_noise, 1e-6);
        }
        c.prediction_type = BRUME_PREDICT_X0; /* of D itself: lambda */
        brume_objective_example(&o, &c, p, sigma, 1, k, &t);
        CHECK_NEAR((double)k[BRUME_COEF_WEIGHT], lambda, 1e-6 * lambda);
    }
    brume_process_free(p);
    brume_scheduler_config_clear(&c);
}

static void test_bins(const struct test_device *d)
{
    const brume_json *list = find(G.root, "discretised_gaussian");
    const int n = (int)brume_json_count(list);
    CHECK(n > 0 && n <= MAX_SAMPLES);
    brume_graph *g = brume_graph_new();
    brume_plan *plan = NULL;
    brume_tensor in[3];
    float values[3][MAX_SAMPLES], got[MAX_SAMPLES];
    static const char *const names[3] = { "x", "mean", "log_std" };
    for (int j = 0; j < 3; j++) in[j] = brume_input(g, names[j], BRUME_F32, BRUME_SHAPE(n));
    const brume_tensor y = brume_bin_log_prob(g, in[0], in[1], in[2]);
    brume_output(g, y, "log_p");
    CHECK_OK(brume_plan_new(d->device, g, NULL, &plan));
    for (int j = 0; j < 3; j++) {
        for (int i = 0; i < n; i++) values[j][i] = (float)number(brume_json_at(list, i), names[j]);
        CHECK_OK(brume_plan_write(plan, in[j], values[j], (size_t)n * 4));
    }
    CHECK_OK(brume_plan_run(plan));
    CHECK_OK(brume_plan_read(plan, y, got, (size_t)n * 4));
    for (int i = 0; i < n; i++) {
        const brume_json *e = brume_json_at(list, i);
        const double x = number(e, "x"), mean = number(e, "mean"), log_std = number(e, "log_std"), z = (x - mean) * exp(-log_std);
        /* the golden subtracts */
        CHECK_NEAR(brume_discretised_gaussian(x, mean, log_std, BRUME_CDF_TANH), number(e, "tanh"),
                   1e-9 + 4e-16 * exp(-number(e, "tanh")));
        CHECK_NEAR(brume_discretised_gaussian(x, mean, log_std, BRUME_CDF_EXACT), number(e, "erf"),
                   1e-9 + 4e-16 * exp(-number(e, "erf")));
        CHECK_NEAR((double)got[i], number(e, "tanh"), 2e-6 * (1 + z * z * (1 + 0.14 * z * z)));
    }
    brume_plan_free(plan);
    brume_graph_free(g);
}

int main(int argc, char **argv)
{
    struct test_devices devices;
    brume_json *file = NULL;
    test_devices_open(&devices, &argc, argv, 0);
    if (!CHECK_OK(brume_json_load(argc > 1 ? argv[1] : "tests/data/losses.json", &file))) return check_report();
    G.root = brume_json_find(file, "training");
    const brume_json *cases = find(G.root, "cases");
    find(G.root, "note"), find(G.root, "mixture"), find(find(G.root, "mixture"), "w"), find(find(G.root, "mixture"), "mu"),
        find(find(G.root, "mixture"), "var");
    G.cases = (int)brume_json_count(cases);
    CHECK(G.cases > 0 && G.cases <= MAX_CASES);
    G.numel = brume_json_count(find(G.root, "x0"));
    G.B = (int)brume_json_count(find(G.root, "prior_bpd"));
    CHECK(G.B > 0 && G.numel % G.B == 0);
    if (check_failed) return check_report();
    G.per = G.numel / G.B;
    G.x0 = numbers(G.root, "x0", G.numel);
    G.eps = numbers(G.root, "eps", G.numel);
    for (int k = 0; k < G.cases; k++) {
        G.of[k] = brume_json_at(cases, k);
        G.t[k] = (int32_t)number(G.of[k], "t");
        G.xt[k] = numbers(G.of[k], "x_t", G.numel);
        G.model_eps[k] = numbers(G.of[k], "model_eps", G.numel);
        G.logits[k] = numbers(G.of[k], "variance_logits", G.numel);
    }
    test_weights();
    test_edm();
    test_prior();
    for (int d = 0; d < devices.n; d++) {
        test_losses(&devices.at[d]);
        test_bounds(&devices.at[d]);
        test_bins(&devices.at[d]);
    }
    check_all_seen(G.root);
    for (int k = 0; k < G.cases; k++) free(G.xt[k]), free(G.model_eps[k]), free(G.logits[k]);
    free((void *)G.x0), free((void *)G.eps);
    brume_json_free(file);
    test_devices_close(&devices);
    return check_report();
}
