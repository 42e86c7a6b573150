/* SPDX-License-Identifier: MIT
 * Every sampler on every process that it is for, with the exact denoiser of a mixture: all kinds of predictions lead to the same
 * images, the calls are as many as foretold, runs repeat bit for bit, images do not depend on their batch, and runs may start
 * from images, clip, or keep a known part. A new row is tested without a line here. usage: test_sampler_rows [--device D]...
 * [--brief]
 *   --brief   each sampler on one process, a few steps, twice (interpreters of OpenCL C need it) */
#include "brume/sampler.h"

#include "check.h"
#include "devices.h"
#include "mixture.h"

enum { IMAGES = 3, PIXELS = 5, PER = 2 * PIXELS, COUNT = IMAGES * PER };
static bool brief;

static const struct mixture gm3 = {
    3, { 0.5, 0.3, 0.2 }, { { 0.6, -0.4 }, { -0.7, 0.3 }, { 0.1, 0.8 } }, { { 0.04, 0.01 }, { 0.0225, 0.09 }, { 0.01, 0.0025 } },
};

/* A class of schedulers for each process. */
static const char *const models[] = {
    [BRUME_PROCESS_DISCRETE] = "DDPMScheduler", [BRUME_PROCESS_FLOW] = "FlowMatchEulerDiscreteScheduler",
    [BRUME_PROCESS_EDM] = "EDMEulerScheduler", [BRUME_PROCESS_NCSN] = "NCSNScheduler", [BRUME_PROCESS_VP] = "ScoreSdeVpScheduler",
    [BRUME_PROCESS_SUBVP] = "ScoreSdeSubVpScheduler", [BRUME_PROCESS_VE] = "ScoreSdeVeScheduler",
};
enum { PROCESSES = sizeof models / sizeof *models };

struct trial {
    brume_prediction prediction;
    int images, mask, clip, threshold;
    double strength, eta, s_churn;
    /* found */
    int calls, foretold, adaptive, events, disorder;
    int32_t steps, last;
    double sigma_end;
    float x[COUNT];
};

static brume_status predict(void *self, brume_buffer *x, const brume_level *l, brume_buffer *out, brume_buffer *variance)
{
    struct trial *r = self;
    float in[COUNT], m[COUNT];
    const size_t bytes = (size_t)(r->images * PER) * sizeof *in;
    (void)variance;
    r->disorder += l->call != r->calls++;
    brume_status e = brume_buffer_read(x, 0, in, bytes);
    for (int i = 0; i < r->images * PIXELS; i++) {
        const int at = i / PIXELS * PER + i % PIXELS;
        const double point[2] = { in[at], in[at + PIXELS] };
        double score[2], x0[2];
        mixture_score(&gm3, -1, l->a, l->s, point, score, x0);
        for (int d = 0; d < 2; d++) {
            const double got = point[d];
            double value = mixture_prediction(r->prediction, l->a, l->s, score[d], x0[d]);
            /* a eps - s x0 */
            if (r->prediction == BRUME_PREDICT_V) value = (l->a * got - x0[d] * (l->a * l->a + l->s * l->s)) / l->s;
            if (r->prediction == BRUME_PREDICT_EDM) { /* F = (D - c_skip y) / c_out, y = x / c_in */
                const brume_edm_coef k = brume_edm_precondition(l->s / l->a, 0.5);
                value = (x0[d] - k.c_skip * got / k.c_in) / k.c_out;
            }
            m[at + d * PIXELS] = (float)value;
        }
    }
    return e == BRUME_OK ? brume_buffer_write(out, 0, m, bytes) : e;
}

static brume_status watch(void *ctx, const brume_sampler_event *e)
{
    struct trial *r = ctx;
    r->disorder +=
        e->call != r->calls || e->step < r->last || !(e->view_scale > 0) || (r->events == 0) != (e->call == 0 && e->x0 == NULL);
    r->last = e->step;
    r->steps = e->steps;
    r->events++;
    return BRUME_OK;
}

static brume_status run(brume_device *d, const brume_sampler_kind *k, brume_process_kind process, struct trial *r)
{
    static const int64_t seeds[IMAGES] = { 8, -3, 77 };
    brume_scheduler_config model, c;
    brume_sampler *s = NULL;
    brume_buffer *x = NULL, *known = NULL, *mask = NULL;
    float image[COUNT], keep[COUNT];
    const int count = r->images * PER, given = r->mask || (r->strength > 0 && r->strength < 1);
    const size_t bytes = (size_t)count * sizeof *image;
    for (int i = 0; i < count; i++) image[i] = (float)(0.6 - 0.1 * (i % PER)), keep[i] = i % 2 ? 1 : 0;
    brume_status e = brume_scheduler_config_class(models[process], &model);
    if (e != BRUME_OK) return e;
    e = brume_sampler_config(k, &model, &c);
    brume_scheduler_config_clear(&model);
    if (e != BRUME_OK) return e;
    c.clip_sample = r->clip;
    c.thresholding = r->threshold;
    c.set_alpha_to_one = true;
    brume_sampler_options o;
    brume_sampler_options_default(&o);
    o.name = k->name;
    o.steps = brief ? 6 : 24;
    o.scheduler = &c;
    o.strength = r->strength > 0 ? r->strength : 1;
    o.eta = r->eta;
    o.s_churn = r->s_churn;
    o.jump_length = 3;
    o.jump_n_sample = 2;
    e = brume_sampler_new(d, &o, BRUME_SHAPE(r->images, 2, PIXELS), &s);
    if (e == BRUME_OK) e = brume_buffer_new(d, bytes, &x);
    if (e == BRUME_OK) e = brume_buffer_new(d, bytes, &known);
    if (e == BRUME_OK) e = brume_buffer_new(d, bytes, &mask);
    if (e == BRUME_OK) e = brume_buffer_write(known, 0, image, bytes);
    if (e == BRUME_OK) e = brume_buffer_write(mask, 0, keep, bytes);
    if (e == BRUME_OK) e = brume_sampler_start(s, seeds, x);
    if (e == BRUME_OK) {
        const brume_denoiser denoiser = { .self = r, .predict = predict, .prediction_type = r->prediction };
        const brume_sampler_input in = { .denoiser = &denoiser, .seeds = seeds, .known = given ? known : NULL,
                                         .mask = r->mask ? mask : NULL, .observe = watch, .ctx = r };
        r->calls = r->events = r->disorder = r->last = 0;
        int32_t n;
        const double *sigma = brume_sampler_sigmas(s, &n);
        r->sigma_end = sigma[n - 1];
        r->foretold = brume_sampler_calls(s);
        e = brume_sampler_run(s, &in, x);
    }
    if (e == BRUME_OK) e = brume_buffer_read(x, 0, r->x, bytes);
    brume_buffer_free(x);
    brume_buffer_free(known);
    brume_buffer_free(mask);
    brume_sampler_free(s);
    brume_scheduler_config_clear(&c);
    return e;
}

static double distance(const float *a, const float *b, int n)
{
    double worst = 0;
    for (int i = 0; i < n; i++) {
        const double e = fabs((double)a[i] - b[i]);
        if (!(e <= worst)) worst = e; /* NaN stays */
    }
    return worst;
}

/* The counts of a run that ended well. */
static int in_order(const struct trial *r)
{
    return CHECK_INT(r->disorder, 0) & CHECK(r->calls > 0) &
           (r->adaptive || (CHECK_INT(r->calls, r->foretold) & CHECK_INT(r->last, r->steps)));
}

/* Predictions that say all at every level of the process; at the ends of flow matching, and where DDIM's inversion begins, some
 * do not. */
static int defined(const brume_sampler_kind *k, brume_process_kind process, brume_prediction p)
{
    if (process == BRUME_PROCESS_FLOW)
        return p == BRUME_PREDICT_FLOW || (p == BRUME_PREDICT_X0 && !(k->flags & BRUME_SAMPLER_ADAPTIVE));
    /* combines v itself there, as diffusers, elsewhere eps */
    if (p == BRUME_PREDICT_V && k->run == brume_sampler_find("pndm")->run) return 0;
    return p != BRUME_PREDICT_FLOW && (p != BRUME_PREDICT_EDM || process == BRUME_PROCESS_EDM);
}

static void test_row(brume_device *d, const brume_sampler_kind *k, brume_process_kind process)
{
    /* norms over the batch decide there */
    const int whole_batch = k->run == brume_sampler_find("pc")->run || (k->flags & BRUME_SAMPLER_ADAPTIVE);
    const brume_prediction usual = process == BRUME_PROCESS_FLOW ? BRUME_PREDICT_FLOW
                                   : k->flags & BRUME_SAMPLER_TAKES_IMAGE ? BRUME_PREDICT_EPS : BRUME_PREDICT_X0;
    struct trial first = { .prediction = usual, .images = IMAGES, .eta = -1, .mask = (k->flags & BRUME_SAMPLER_NEEDS_MASK) != 0,
                           .adaptive = (k->flags & BRUME_SAMPLER_ADAPTIVE) != 0 }, other;
    int ok = CHECK_OK(run(d, k, process, &first)) && in_order(&first) && CHECK(isfinite(distance(first.x, first.x, COUNT)));

    other = first;
    memset(other.x, 0, sizeof other.x);
    ok &= CHECK_OK(run(d, k, process, &other)) && CHECK(!memcmp(other.x, first.x, sizeof first.x));
    if (!whole_batch && !brief) {
        other = first;
        other.images = 1;
        ok &= CHECK_OK(run(d, k, process, &other)) && CHECK(!memcmp(other.x, first.x, PER * sizeof *first.x));
    }
    /* Inversion asks at one level and steps from another, as diffusers. In f32 x0 gives a poor score where there is nearly no
     * noise: 1e-2. */
    for (brume_prediction p = BRUME_PREDICT_EPS; p <= BRUME_PREDICT_EDM && !(k->flags & BRUME_SAMPLER_TAKES_IMAGE) && !brief;
         p++) {
        if (p == first.prediction || !defined(k, process, p)) continue;
        other = first;
        other.prediction = p;
        ok &= CHECK_OK(run(d, k, process, &other)) && in_order(&other) && CHECK_NEAR(distance(other.x, first.x, COUNT), 0, 1e-2);
    }
    if (!(k->flags & (BRUME_SAMPLER_TAKES_IMAGE | BRUME_SAMPLER_NEEDS_MASK)) && !brief) {
        other = first;
        other.strength = 0.4;
        const brume_status e = run(d, k, process, &other);
        if (e != BRUME_E_UNSUPPORTED) ok &= CHECK_OK(e) && in_order(&other) && CHECK(other.adaptive || other.calls < first.calls);
        other = first;
        other.mask = 1;
        ok &= CHECK_OK(run(d, k, process, &other)) && in_order(&other);
        for (int i = 1; i < COUNT && !(k->flags & BRUME_SAMPLER_OWN_MASK); i += 2) /* with the noise of the end, if it has any */
            ok &= CHECK_NEAR(other.x[i], 0.6 - 0.1 * (i % PER), 1e-6 + 5 * other.sigma_end);
    }
    for (int how = 0; how < 2 && !brief; how++) {
        other = first;
        other.clip = how == 0;
        other.threshold = how == 1;
        ok &= CHECK_OK(run(d, k, process, &other)) && in_order(&other) && CHECK(isfinite(distance(other.x, other.x, COUNT)));
    }
    if (!ok) fprintf(stderr, "    of %s on %s\n", k->name, models[process]);
}

int main(int argc, char **argv)
{
    struct test_devices devices;
    test_devices_open(&devices, &argc, argv, 0);
    brief = argc == 2 && !strcmp(argv[1], "--brief");
    if (argc > 1 + brief) return 2;
    for (int i = 0; i < devices.n; i++) {
        const int before = check_failed;
        for (int k = 0; brume_sampler_row(k); k++)
            /* one process on further devices: scalars are the host's */
            for (int p = 0, done = 0; p < PROCESSES && !((i > 0 || brief) && done); p++) {
                if (!(brume_sampler_row(k)->processes >> p & 1)) continue;
                test_row(devices.at[i].device, brume_sampler_row(k), (brume_process_kind)p);
                done = 1;
            }
        printf("%s: %d failed\n", devices.at[i].where, check_failed - before);
    }
    test_devices_close(&devices);
    return check_report();
}
