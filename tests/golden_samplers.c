/* SPDX-License-Identifier: MIT
 * Samplers against reference trajectories with an exact denoiser, on any device. Noise is injected from the files.
 *
 * usage: golden_samplers [--device D]... [DIR...]
 * DIR holds index.json and the safetensors files it lists. Default devices: the cpu and every usable OpenCL device; default
 * folders: tests/data/samplers and, where present, golden/samplers of the shared data. Exit 0: nothing failed. */
#include "base/file.h"
#include "brume/json.h"
#include "brume/safetensors.h"
#include "brume/sampler.h"
#include "check.h"
#include "devices.h"
#include "golden_case.h"
#include "mixture.h"

#define MAX_COUNT 4096 /* elements of a state */

/* Guidance of a case: none, classifier-free, or by the gradient of a classifier. */
struct guidance { enum { PLAIN, CFG, CLASSIFIER } type; int component, negative; double scale, rescale; int64_t lo, hi; };

struct run {
    const char *name;
    int own;                            /* the model is asked at given a and s, and states are stored per step, not per call */
    const struct mixture *mixture;
    struct guidance guidance;
    int component;                      /* class-conditional model; -1: the mixture */
    int target;                         /* class whose classifier guides; -1: none */
    const brume_process *process;
    brume_scheduler_config config;
    brume_prediction prediction;
    int64_t count, images, pixels;
    const brume_st_tensor *noise, *times, *x, *index;
    double tol;
    int calls, draws, stored, states;   /* network calls; draws; stored states compared; states seen */
    double worst;                       /* in units of what is allowed */
    int bad;
    char what[256];
};

/* Prediction of one component (or -1: the mixture) for every element. */
static void predict_all(const struct run *r, int component, double a, double s, const float *x, double *out)
{
    for (int64_t b = 0; b < r->images; b++)
        for (int64_t p = 0; p < r->pixels; p++) {
            const int64_t at = b * 2 * r->pixels + p;
            const double point[2] = { x[at], x[at + r->pixels] };
            double score[2], x0[2];
            mixture_score(r->mixture, component, a, s, point, score, x0);
            for (int d = 0; d < 2; d++) out[at + d * r->pixels] = mixture_prediction(r->prediction, a, s, score[d], x0[d]);
        }
}

static double deviation(const double *x, int64_t n)
{
    double mean = 0, sq = 0;
    for (int64_t i = 0; i < n; i++) mean += x[i] / (double)n;
    for (int64_t i = 0; i < n; i++) sq += (x[i] - mean) * (x[i] - mean);
    return sqrt(sq / (double)(n - 1));
}

static void guide(const struct run *r, double a, double s, const float *x, double *m)
{
    static double u[MAX_COUNT], guided[MAX_COUNT];
    const struct guidance *k = &r->guidance;
    predict_all(r, k->component, a, s, x, m);
    if (k->type == CLASSIFIER) { /* eps - scale s (score_component - score): affine, so the same for every prediction type */
        predict_all(r, -1, a, s, x, u);
        for (int64_t i = 0; i < r->count; i++) m[i] = u[i] + k->scale * (m[i] - u[i]);
        return;
    }
    if (r->calls < k->lo || r->calls > k->hi) return;
    predict_all(r, k->negative, a, s, x, u);
    const int64_t per = 2 * r->pixels;
    for (int64_t b = 0; b < r->images; b++) {
        double *c = m + b * per, *g = guided + b * per;
        for (int64_t i = 0; i < per; i++) g[i] = u[b * per + i] + k->scale * (c[i] - u[b * per + i]);
        const double factor = k->rescale > 0 ? 1 - k->rescale + k->rescale * deviation(c, per) / deviation(g, per) : 1;
        for (int64_t i = 0; i < per; i++) c[i] = g[i] * factor;
    }
}

static void fail(struct run *r, const char *text, double got, double want)
{
    if (r->bad++ == 0) snprintf(r->what, sizeof r->what, "%s: got %.9g, want %.9g", text, got, want);
}

static double log_sigma(const brume_schedule *table, int32_t t)
{
    const double sigma = brume_sigma(table, t);
    return isinf(sigma) ? 0.5 * log(0x1p24 - 1) : log(sigma);
}

/* a and s of the model: of the time alone for the families of diffusers (fractional times: ln sigma is linear between table
 * entries). */
static void model_level(const struct run *r, const brume_level *l, double *a, double *s)
{
    const brume_schedule *table = brume_process_schedule(r->process);
    *a = l->a;
    *s = l->s;
    if (table) {
        const int32_t i = (int32_t)floor(l->t);
        const double f = l->t - i, lo = log_sigma(table, i), hi = f > 0 ? log_sigma(table, i + 1) : lo;
        const double sigma = exp(lo + f * (hi - lo));
        *a = f > 0 ? 1 / sqrt(1 + sigma * sigma) : sqrt(brume_alpha_bar(table, i));
        *s = f > 0 ? sigma * *a : sqrt(brume_one_minus_alpha_bar(table, i));
        if (*a == 0) { /* a zero terminal SNR, which samplers in sigma take for 2^-24 */
            *a = l->a;
            *s = l->s;
        }
    } else if (!r->own) {
        *s = l->t / r->config.num_train_timesteps;
        *a = 1 - *s;
    }
}

static brume_status write_rounded(brume_buffer *out, const double *m, int64_t n)
{
    static float rounded[MAX_COUNT];
    for (int64_t i = 0; i < n; i++) rounded[i] = (float)m[i];
    return brume_buffer_write(out, 0, rounded, (size_t)n * sizeof *rounded);
}

static brume_status predict(void *self, brume_buffer *x, const brume_level *level, brume_buffer *out, brume_buffer *variance)
{
    static float in[MAX_COUNT];
    static double m[MAX_COUNT];
    struct run *r = self;
    double a, b;
    brume_status s = brume_buffer_read(x, 0, in, (size_t)r->count * sizeof *in);
    if (s != BRUME_OK) return s;
    if (r->times) {
        float want = NAN;
        if (r->calls < r->times->count) s = brume_st_read_f32(r->times, r->calls, 1, &want);
        if (!(fabs(level->t - want) <= 1e-6 * fmax(1, fabs((double)want)))) fail(r, "time of a call", level->t, want);
    }
    model_level(r, level, &a, &b);
    if (r->guidance.type == PLAIN) predict_all(r, r->component, a, b, in, m);
    else guide(r, a, b, in, m);
    r->calls++;
    if (s == BRUME_OK) s = write_rounded(out, m, r->count);
    if (s != BRUME_OK || !variance) return s;
    for (int64_t i = 0; i < r->count; i++) { /* stand-ins for variance channels, see samplers.md */
        const double v = sin(3.0 * in[i] + 0.01 * level->t);
        m[i] = r->config.variance_type == BRUME_VARIANCE_LEARNED ? 0.5 * b * b * (0.1 + 0.05 * v) : v;
    }
    return write_rounded(variance, m, r->count);
}

/* Gradient of the exact classifier: score of the class minus score of all. */
static brume_status gradient(void *self, brume_buffer *x, const brume_level *level, brume_buffer *out)
{
    static float in[MAX_COUNT];
    static double c[MAX_COUNT], u[MAX_COUNT];
    struct run *r = self, score = *r;
    double a, b;
    const brume_status s = brume_buffer_read(x, 0, in, (size_t)r->count * sizeof *in);
    if (s != BRUME_OK) return s;
    model_level(r, level, &a, &b);
    score.prediction = BRUME_PREDICT_SCORE;
    predict_all(&score, r->target, a, b, in, c);
    predict_all(&score, -1, a, b, in, u);
    for (int64_t i = 0; i < r->count; i++) c[i] -= u[i];
    return write_rounded(out, c, r->count);
}

static brume_status draw(void *self, int k, brume_buffer *out)
{
    static float z[MAX_COUNT];
    struct run *r = self;
    if (!r->noise || (int64_t)(k + 1) * r->count > r->noise->count) {
        fail(r, "a draw of noise too many", k + 1, r->noise ? (double)(r->noise->count / r->count) : 0);
        memset(z, 0, sizeof z);
    } else {
        const brume_status s = brume_st_read_f32(r->noise, k * r->count, r->count, z);
        if (s != BRUME_OK) return s;
    }
    r->draws++;
    return brume_buffer_write(out, 0, z, (size_t)r->count * sizeof *z);
}

/* A state against row `row` of the file. */
static brume_status compare(struct run *r, int64_t row, brume_buffer *x)
{
    static float got[MAX_COUNT], want[MAX_COUNT];
    brume_status s = brume_buffer_read(x, 0, got, (size_t)r->count * sizeof *got);
    if (s == BRUME_OK) s = brume_st_read_f32(r->x, row * r->count, r->count, want);
    if (s != BRUME_OK) return s;
    double top = 1;
    for (int64_t k = 0; k < r->count; k++) top = fmax(top, fabs((double)want[k]));
    for (int64_t k = 0; k < r->count; k++) {
        const double e = fabs((double)got[k] - want[k]) / (r->tol * top);
        if (!(e <= 1)) {
            char text[80];
            snprintf(text, sizeof text, "stored state %d, element %lld", (int)row, (long long)k);
            fail(r, text, got[k], want[k]);
        }
        r->worst = fmax(r->worst, e);
    }
    r->stored++;
    return BRUME_OK;
}

/* Every state, or every state after a complete step, against the file, if it is kept there. */
static brume_status observe(void *ctx, const brume_sampler_event *e)
{
    struct run *r = ctx;
    if (r->own && !e->complete) return BRUME_OK;
    const int64_t i = r->states++;
    int64_t row = i;
    if (r->index) {
        int64_t kept = -1;
        for (row = 0; row < r->index->count; row++) {
            const brume_status s = brume_st_read_i64(r->index, row, 1, &kept);
            if (s != BRUME_OK || kept == i) break;
        }
        if (kept != i) return BRUME_OK;
    }
    return (row + 1) * r->count > r->x->count ? BRUME_OK : compare(r, row, e->x);
}

static void read_mixture(const brume_json *v, struct mixture *m)
{
    const brume_json *w = brume_json_find(v, "w"), *mu = brume_json_find(v, "mu"), *var = brume_json_find(v, "var");
    m->n = (int)brume_json_count(w);
    if (m->n > MIXTURE_MAX) m->n = MIXTURE_MAX;
    for (int k = 0; k < m->n; k++) {
        m->w[k] = brume_json_number(brume_json_at(w, k), NAN);
        for (int d = 0; d < 2; d++) {
            m->mu[k][d] = brume_json_number(brume_json_at(brume_json_at(mu, k), d), NAN);
            m->var[k][d] = brume_json_number(brume_json_at(brume_json_at(var, k), d), NAN);
        }
    }
}

static struct guidance read_guidance(const brume_json *v)
{
    const brume_json *interval = brume_json_find(v, "interval");
    struct guidance g = { .type = PLAIN };
    if (!v) return g;
    g.type = strcmp(brume_json_string(brume_json_find(v, "type"), ""), "classifier") ? CFG : CLASSIFIER;
    g.component = (int)brume_json_integer(brume_json_find(v, "component"), -1);
    g.negative = (int)brume_json_integer(brume_json_find(v, "negative"), -1);
    g.scale = brume_json_number(brume_json_find(v, "scale"), 1);
    g.rescale = brume_json_number(brume_json_find(v, "rescale"), 0);
    g.lo = brume_json_integer(brume_json_at(interval, 0), 0);
    g.hi = brume_json_integer(brume_json_at(interval, 1), INT64_MAX);
    return g;
}

/* The file's (B, 2, H, W) numbers of a key of the case into a buffer; NULL without the key. */
static brume_status given(const brume_json *c, const char *key, brume_device *d, const brume_shape *shape, brume_buffer **out)
{
    static double m[MAX_COUNT];
    const brume_json *v = brume_json_find(c, key);
    int64_t at = 0;
    if (!v) return BRUME_OK;
    for (int64_t b = 0; b < shape->d[0]; b++)
        for (int64_t k = 0; k < shape->d[1]; k++)
            for (int64_t h = 0; h < shape->d[2]; h++)
                for (int64_t w = 0; w < shape->d[3]; w++)
                    m[at++] = brume_json_number(brume_json_at(brume_json_at(brume_json_at(brume_json_at(v, b), k), h), w), NAN);
    const brume_status s = brume_buffer_new(d, (size_t)at * 4, out);
    return s == BRUME_OK ? write_rounded(*out, m, at) : s;
}

static brume_status run_on(struct run *r, const brume_json *c, const struct test_device *d, const brume_sampler_options *o,
                           const brume_st_tensor *init, brume_shape shape)
{
    static float start[MAX_COUNT];
    static double scaled[MAX_COUNT];
    brume_sampler *sampler = NULL;
    brume_buffer *x = NULL, *known = NULL, *mask = NULL;
    brume_status s = brume_sampler_new(d->device, o, shape, &sampler);
    if (s == BRUME_OK) s = brume_buffer_new(d->device, (size_t)r->count * 4, &x);
    if (s == BRUME_OK) s = brume_st_read_f32(init, 0, r->count, start);
    if (s == BRUME_OK) s = given(c, "known", d->device, &shape, &known);
    if (s == BRUME_OK) s = given(c, "mask", d->device, &shape, &mask);
    /* The prior of own samplers is free; those of diffusers must start as theirs do. */
    const double scale = brume_json_number(brume_json_find(c, "start_scale"), 1);
    for (int64_t i = 0; s == BRUME_OK && i < r->count; i++)
        scaled[i] = start[i] * (r->own ? scale / brume_sampler_start_scale(sampler) : 1);
    if (s == BRUME_OK) s = write_rounded(x, scaled, r->count);
    if (s == BRUME_OK) {
        const brume_denoiser denoiser = {
            .self = r, .predict = predict, .prediction_type = r->prediction,
            .has_variance = brume_json_find(c, "variance_channels") || r->config.variance_type == BRUME_VARIANCE_LEARNED_RANGE };
        const brume_noise_source noise = { r, draw };
        const brume_classifier_gradient classifier = { r, gradient, brume_json_number(brume_json_find(c, "scale"), 1) };
        const brume_sampler_input in = { .denoiser = &denoiser, .classifier = r->target >= 0 ? &classifier : NULL,
                                         .noise = &noise, .known = known, .mask = mask, .observe = observe, .ctx = r };
        r->process = brume_sampler_process(sampler);
        s = brume_sampler_run(sampler, &in, x);
    }
    if (s == BRUME_OK && r->times && r->calls != r->times->count) fail(r, "network calls", r->calls, (double)r->times->count);
    if (s == BRUME_OK && r->noise && r->draws != r->noise->count / r->count)
        fail(r, "draws of noise", r->draws, (double)(r->noise->count / r->count));
    if (s == BRUME_OK && r->stored == 0) fail(r, "states compared", 0, 1);
    if (s == BRUME_OK) s = compare(r, r->x->count / r->count - 1, x); /* the result is the last one */
    brume_buffer_free(x);
    brume_buffer_free(known);
    brume_buffer_free(mask);
    brume_sampler_free(sampler);
    return s;
}

static void run_case(const brume_json *c, const struct mixture *mixture, const brume_safetensors *f,
                     const struct test_devices *devices)
{
    const char *name = brume_json_string(brume_json_find(c, "name"), "?");
    const brume_json *shape_json = brume_json_find(c, "shape");
    struct golden_case g;
    brume_shape shape = { .ndim = 4 };
    for (int i = 0; i < 4; i++) shape.d[i] = brume_json_integer(brume_json_at(shape_json, i), 1);
    brume_status s = golden_case_read(c, &g);
    for (int k = 0; k < devices->n; k++) {
        struct run r = { .name = name,
                         .own = g.own,
                         .mixture = mixture,
                         .guidance = read_guidance(brume_json_find(c, "guidance")),
                         .config = g.config,
                         .prediction = g.prediction,
                         .target = g.target,
                         .component = (int)brume_json_integer(brume_json_find(c, "component"), -1),
                         .count = brume_shape_numel(shape),
                         .images = shape.d[0],
                         .pixels = shape.d[2] * shape.d[3],
                         .noise = brume_safetensors_find(f, "noise"),
                         .times = g.own ? NULL : brume_safetensors_find(f, "timesteps"),
                         .x = brume_safetensors_find(f, "x"),
                         .index = brume_safetensors_find(f, "x_index"),
                         .tol = brume_json_number(brume_json_find(c, "tol_f32"), 2e-5) };
        const brume_st_tensor *init = brume_safetensors_find(f, "noise_init");
        if (s == BRUME_OK &&
            ((!g.own && !r.times) || !r.x || !init || r.count > MAX_COUNT || shape.d[1] != 2 || init->count != r.count))
            fail(&r, "tensors missing or of another size", 0, 1);
        else if (s == BRUME_OK)
            s = run_on(&r, c, &devices->at[k], &g.options, init, shape);
        if (s != BRUME_OK || r.bad) {
            printf("FAILED  %s on %s: %s\n", name, devices->at[k].where, s != BRUME_OK ? brume_error() : r.what);
            check_failed++;
        } else {
            printf("ok      %s on %s: at %.3f of its tolerance\n", name, devices->at[k].where, r.worst);
            check_passed++;
        }
        if (s != BRUME_OK) break;
    }
    golden_case_clear(&g);
}

static void run_folder(const char *dir, const struct test_devices *devices)
{
    char *path = brume_path_join(dir, "index.json");
    brume_json *root = NULL;
    if (!path || brume_json_load(path, &root) != BRUME_OK) {
        printf("FAILED  %s: %s\n", dir, brume_error());
        check_failed++;
    }
    const brume_json *cases = brume_json_find(root, "cases");
    for (int64_t i = 0; i < brume_json_count(cases); i++) {
        const brume_json *c = brume_json_at(cases, i);
        const char *name = brume_json_string(brume_json_find(c, "name"), "?");
        struct mixture mixture;
        read_mixture(brume_json_find(brume_json_find(root, "mixtures"), brume_json_string(brume_json_find(c, "mixture"), "")),
                     &mixture);
        char *file = brume_path_join(dir, brume_json_string(brume_json_find(c, "file"), ""));
        brume_safetensors *f = NULL;
        if (!file || brume_safetensors_open(file, &f) != BRUME_OK) {
            printf("FAILED  %s: %s\n", name, brume_error());
            check_failed++;
        } else {
            run_case(c, &mixture, f, devices);
        }
        brume_safetensors_close(f);
        free(file);
    }
    brume_json_free(root);
    free(path);
}

int main(int argc, char **argv)
{
    struct test_devices devices;
    test_devices_open(&devices, &argc, argv, 0);
    if (argc > 1 && argv[1][0] == '-') {
        fprintf(stderr, "usage: golden_samplers [--device D]... [DIR...]\n");
        test_devices_close(&devices);
        return 2;
    }
    if (argc == 1) {
        run_folder("tests/data/samplers", &devices);
        const char *shared = check_shared("golden/samplers");
        if (brume_is_folder(shared)) run_folder(shared, &devices);
        else check_skip("golden/samplers is not there (BRUME_SHARED)");
    }
    for (int i = 1; i < argc; i++) run_folder(argv[i], &devices);
    test_devices_close(&devices);
    check_report();
    return check_failed != 0;
}
