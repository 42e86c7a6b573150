/* SPDX-License-Identifier: MIT
 * Metrics of samples in brume eval: drawn as brume sample draws them, or given in a file, and compared with a data set. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "brume/classifier.h"
#include "brume/safetensors.h"
#include "drawing.h"
#include "eval.h"
#include "memory.h"
#include "progress.h"

struct evaluation {
    const struct eval_args *a;
    const struct cli_usage *u;
    const char *folder;          /* NULL: samples are given */
    struct eval_images im;
    brume_device *device;
    brume_dataset *ds;           /* NULL likewise */
    brume_feature_network *f;    /* NULL: no metric asks for it */
    brume_reference *reference;
    float *features;             /* of the samples */
    int told;                    /* what is worth telling about the feature network */
    struct cli_progress bar;
    brume_json_writer *w;
};

static brume_status no_memory(void) { return BRUME_E_MEMORY; }

static void step(void *ctx, int64_t done)
{
    struct evaluation *e = ctx;
    cli_progress_step(&e->bar, done, "%s", "");
}

static void reference_step(void *ctx, int64_t done, int64_t n)
{
    struct evaluation *e = ctx;
    if (!e->bar.what) cli_progress_begin(&e->bar, "features of the data set", 0, n, e->a->quiet);
    cli_progress_step(&e->bar, done, "%s", "");
}

/* ---- samples --------------------------------------------------------------------------------------------------------------- */

/* Opens the data set once the size of the samples is known. */
static int open_data(struct evaluation *e)
{
    const struct eval_args *a = e->a;
    const brume_dataset_options o = { .test = !a->train, .size = (int32_t)e->im.h,
                                      .width = e->im.w == e->im.h ? 0 : (int32_t)e->im.w, .channels = (int32_t)e->im.c,
                                      .insist = BRUME_INSIST_SIZE | BRUME_INSIST_CHANNELS };
    if (!a->data) return CLI_GO_ON;
    if (brume_dataset_open(a->data, &o, &e->ds) != BRUME_OK) return cli_failed();
    const int32_t h = brume_dataset_height(e->ds), w = brume_dataset_width(e->ds), c = brume_dataset_channels(e->ds);
    if (h == e->im.h && w == e->im.w && c == e->im.c) return CLI_GO_ON;
    return cli_wrong(e->u, "the pictures of the data set are %d x %d with %d channels, the samples %lld x %lld with %lld", h, w,
                     c, (long long)e->im.h, (long long)e->im.w, (long long)e->im.c);
}

static int uses_features(const struct evaluation *e) { return (e->a->metrics & EVAL_OF_FEATURES) || e->a->by_features; }

/* Once, whether it is opened to be tried or to be used. */
static void tell_of_network(struct evaluation *e, const brume_feature_network *f)
{
    const char *note = brume_feature_network_note(f);
    if (*note && !e->told && !e->a->quiet) fprintf(stderr, "%s: %s\n", e->a->features, note);
    e->told = 1;
}

/* What could not be used in the end shall be told before the samples are drawn, not after. */
static int try_networks(struct evaluation *e, brume_device *d)
{
    const brume_shape one = BRUME_SHAPE(1, e->im.h, e->im.w, e->im.c);
    brume_feature_network *f = NULL;
    brume_model *m = NULL;
    brume_classifier *c = NULL;
    brume_status st = uses_features(e) ? brume_feature_network_open(d, e->a->features, NULL, one, &f) : BRUME_OK;
    if (f) tell_of_network(e, f);
    if (st == BRUME_OK && e->a->metrics & EVAL_CLASSES) st = brume_model_load(e->a->classifier, NULL, &m);
    if (st == BRUME_OK && m && m->note[0] && !e->a->quiet) fprintf(stderr, "%s: %s\n", e->a->classifier, m->note);
    if (st == BRUME_OK && m) st = brume_classifier_new(d, m, one, NULL, &c);
    brume_feature_network_free(f);
    brume_classifier_free(c);
    brume_model_free(m);
    return st == BRUME_OK ? CLI_GO_ON : cli_failed();
}

/* Takes the pictures of a drawing that is done. */
static brume_status take(struct evaluation *e, struct drawing *d)
{
    const struct view *v = &d->view;
    const size_t values = (size_t)(d->n * v->height * v->width * v->channels);
    e->im.x = malloc(values * sizeof(float));
    if (d->conditional) e->im.labels = malloc((size_t)d->n * sizeof *e->im.labels);
    if (!e->im.x || (d->conditional && !e->im.labels)) return no_memory();
    memcpy(e->im.x, d->pictures, values * sizeof(float));
    if (d->conditional) memcpy(e->im.labels, d->labels, (size_t)d->n * sizeof *e->im.labels);
    brume_json_put_string(e->w, "sampler", d->sampler_name);
    brume_json_put_int(e->w, "network_calls", brume_sampler_calls(d->sampler));
    brume_json_put_double(e->w, "guidance", e->a->guidance);
    brume_json_put_int(e->w, "seed", e->a->seed);
    return BRUME_OK;
}

static int draw(struct evaluation *e)
{
    const struct eval_args *a = e->a;
    struct sample_args s;
    struct drawing d;
    sample_args_default(&s);
    s.device = a->device;
    s.n = a->n;
    s.batch = a->batch;
    s.seed = a->seed;
    s.quiet = a->quiet;
    s.weights = a->weights;
    s.ema = a->ema;
    s.classes = a->classes;
    s.guidance = a->guidance;
    int status = drawing_open(&d, &s, e->u, e->folder);
    if (status == CLI_GO_ON) {
        e->im = (struct eval_images){ NULL, NULL, d.n, d.view.height, d.view.width, d.view.channels };
        status = open_data(e);
    }
    if (status == CLI_GO_ON && a->metrics & EVAL_CLASSES && !d.conditional)
        status = cli_wrong(e->u, "class-accuracy: this model knows no classes");
    if (status == CLI_GO_ON) status = try_networks(e, d.device);
    if (status == CLI_GO_ON) {
        brume_status st = drawing_sampler(&d, a->sampler, a->steps);
        d.step = step;
        d.ctx = e;
        if (st == BRUME_OK) cli_progress_begin(&e->bar, "sampling", 0, drawing_calls(&d), a->quiet);
        if (st == BRUME_OK) st = drawing_draw(&d);
        cli_progress_end(&e->bar);
        if (st == BRUME_OK) st = drawing_decode(&d);
        if (st == BRUME_OK) st = take(e, &d);
        if (st != BRUME_OK) status = cli_failed();
    }
    drawing_close(&d);
    return status;
}

static brume_status read_labels(struct evaluation *e, const brume_st_tensor *t)
{
    int64_t *wide = malloc((size_t)e->im.n * sizeof *wide);
    e->im.labels = malloc((size_t)e->im.n * sizeof *e->im.labels);
    brume_status st = wide && e->im.labels ? brume_st_read_i64(t, 0, e->im.n, wide) : no_memory();
    for (int64_t i = 0; i < e->im.n && st == BRUME_OK; i++)
        e->im.labels[i] = wide[i] >= 0 && wide[i] <= INT32_MAX ? (int32_t)wide[i] : -1;
    free(wide);
    return st;
}

/* 'samples' (N, C, H, W) and, if there, 'labels' (N), as brume sample --save-tensors writes the former. */
static int read_samples(struct evaluation *e)
{
    const struct eval_args *a = e->a;
    brume_safetensors *file = NULL;
    if (brume_safetensors_open(a->samples, &file) != BRUME_OK) return cli_failed();
    const brume_st_tensor *t = brume_safetensors_find(file, "samples"), *labels = brume_safetensors_find(file, "labels");
    int status = CLI_GO_ON;
    if (!t || t->ndim != 4 || t->count < 1 || (labels && (labels->ndim != 1 || labels->shape[0] != t->shape[0]))) {
        status = cli_wrong(e->u, "--samples: expected a tensor 'samples' of shape (N, C, H, W) and, if any, 'labels' (N) in %s",
                           a->samples);
    } else {
        e->im = (struct eval_images){ NULL, NULL, a->n && a->n < t->shape[0] ? a->n : t->shape[0], t->shape[2],
                                      t->shape[3], t->shape[1] };
        const int64_t count = e->im.n * e->im.h * e->im.w * e->im.c;
        float *nchw = cli_array(count, sizeof *nchw);
        e->im.x = cli_array(count, sizeof *e->im.x);
        brume_status st = nchw && e->im.x ? brume_st_read_f32(t, 0, count, nchw) : no_memory();
        if (st == BRUME_OK) drawing_reorder(nchw, e->im.x, e->im.n, e->im.h * e->im.w, e->im.c, 0);
        if (st == BRUME_OK && labels) st = read_labels(e, labels);
        free(nchw);
        brume_json_put_string(e->w, "samples", a->samples);
        if (st != BRUME_OK) status = cli_failed();
    }
    brume_safetensors_close(file);
    return status;
}

/* ---- metrics --------------------------------------------------------------------------------------------------------------- */

static brume_shape batch_shape(const struct evaluation *e)
{
    return BRUME_SHAPE(e->im.n < e->a->batch ? e->im.n : e->a->batch, e->im.h, e->im.w, e->im.c);
}

static void figure(const struct evaluation *e, const char *name, const char *key, double x, const char *more)
{
    brume_json_put_double(e->w, key, x);
    if (!e->a->json) printf("%-18s%12.6g  %s\n", name, x, more);
}

static void from(const struct evaluation *e)
{
    static const char *const how[] = { "computed", "read", "damaged, computed again" };
    const brume_reference *r = e->reference;
    if (!e->a->quiet && r->path) fprintf(stderr, "features of the data set: %s, %s\n", how[r->from], r->path);
}

static brume_status prepare_features(struct evaluation *e)
{
    const struct eval_args *a = e->a;
    brume_status st = brume_feature_network_open(e->device, a->features, NULL, batch_shape(e), &e->f);
    if (st == BRUME_OK) tell_of_network(e, e->f);
    if (st == BRUME_OK) brume_json_put_string(e->w, "features", brume_feature_network_name(e->f));
    if (st != BRUME_OK || !(a->metrics & EVAL_OF_FEATURES)) return st;
    const int64_t n = a->reference_n < brume_dataset_count(e->ds) ? a->reference_n : 0;
    e->bar = (struct cli_progress){ 0 };
    st = brume_reference_new(e->f, e->ds, n, a->reference, reference_step, e, &e->reference);
    if (e->bar.what) cli_progress_end(&e->bar);
    if (st != BRUME_OK) return st;
    from(e);
    e->features = cli_array(e->im.n * e->reference->dims, sizeof *e->features);
    if (!e->features) return no_memory();
    brume_json_put_int(e->w, "reference_images", e->reference->n);
    return brume_feature_network_run(e->f, e->im.x, e->im.n, e->features);
}

static brume_status stats(const float *features, int64_t n, int64_t dims, brume_feature_stats **out)
{
    const brume_status st = brume_feature_stats_new(dims, out);
    return st == BRUME_OK ? brume_feature_stats_add(*out, features, n) : st;
}

static brume_status fid(struct evaluation *e)
{
    const brume_reference *r = e->reference;
    brume_feature_stats *drawn = NULL, *real = NULL;
    brume_frechet d;
    char more[160];
    brume_status st = stats(e->features, e->im.n, r->dims, &drawn);
    if (st == BRUME_OK) st = stats(r->features, r->n, r->dims, &real);
    if (st == BRUME_OK) st = brume_frechet_distance(drawn, real, &d);
    if (st == BRUME_OK) {
        snprintf(more, sizeof more, "means %.6g + covariances %.6g; N = %lld samples, %lld images", d.means, d.covariances,
                 (long long)e->im.n, (long long)r->n);
        figure(e, "fid", "fid", d.distance, more);
        brume_json_put_double(e->w, "fid_means", d.means);
        brume_json_put_double(e->w, "fid_covariances", d.covariances);
        brume_json_put_int(e->w, "fid_rank_of_samples", d.rank[0]);
        for (int i = 0; i < 2 && !e->a->json; i++)
            if (d.rank[i] < r->dims)
                printf("%-32sthe covariance of the %s is singular: rank %lld of %lld\n", "", i ? "images" : "samples",
                       (long long)d.rank[i], (long long)r->dims);
    }
    brume_feature_stats_free(drawn);
    brume_feature_stats_free(real);
    return st;
}

static brume_status kid(struct evaluation *e)
{
    const brume_reference *r = e->reference;
    const brume_kid_options o = { .subsets = (int32_t)e->a->kid_subsets, .seed = (uint64_t)e->a->seed };
    brume_kid k;
    char more[160];
    const brume_status st = brume_kid_distance(e->features, e->im.n, r->features, r->n, r->dims, &o, &k);
    if (st != BRUME_OK) return st;
    snprintf(more, sizeof more, "deviation %.3g over %d subsets of %lld of N = %lld", k.std, (int)k.subsets, (long long)k.size,
             (long long)e->im.n);
    figure(e, "kid", "kid", k.mean, more);
    brume_json_put_double(e->w, "kid_std", k.std);
    brume_json_put_int(e->w, "kid_subset_size", k.size);
    return BRUME_OK;
}

/* As many images as samples, as both papers have it; they are in random order. */
static brume_status prdc(struct evaluation *e)
{
    const brume_reference *r = e->reference;
    const int64_t n = r->n < e->im.n ? r->n : e->im.n;
    brume_prdc p;
    char more[160];
    const brume_status st = brume_prdc_compute(r->features, n, e->features, e->im.n, r->dims, (int32_t)e->a->k, &p);
    if (st != BRUME_OK) return st;
    snprintf(more, sizeof more, "k = %lld; N = %lld samples, %lld images", (long long)e->a->k, (long long)e->im.n, (long long)n);
    figure(e, "precision", "precision", p.precision, more);
    figure(e, "recall", "recall", p.recall, more);
    figure(e, "density", "density", p.density, more);
    figure(e, "coverage", "coverage", p.coverage, more);
    brume_json_put_int(e->w, "k", e->a->k);
    return BRUME_OK;
}

/* ---- all ------------------------------------------------------------------------------------------------------------------- */

static brume_status neighbours(struct evaluation *e)
{
    char own[4096];
    if (!e->a->out) snprintf(own, sizeof own, "%s/training/neighbours.png", e->folder);
    return eval_neighbours(e->a, &e->im, e->a->by_features ? e->f : NULL, e->a->out ? e->a->out : own, e->w);
}

static void explain(const struct evaluation *e)
{
    const unsigned m = e->a->metrics;
    if (e->a->json || !(m & EVAL_OF_FEATURES)) return;
    printf("\nfeatures   %s\n           Only figures of the same network, N and images compare; those of papers are of Inception "
           "v3.\n",
           brume_feature_network_name(e->f));
    if (m & EVAL_FID)
        printf("fid        Frechet distance (Heusel et al. 2017, eq. 6). Its estimate is too high, the more so the smaller N "
               "is%s.\n",
               e->im.n < 10000 ? "; below some 10000 samples rather take kid" : "");
    if (m & EVAL_KID) printf("kid        kernel distance (Binkowski et al. 2018): unbiased for every N, may be negative.\n");
    if (m & EVAL_PRDC) printf("precision  and recall: Kynkaanniemi et al. 2019; density and coverage: Naeem et al. 2020.\n");
}

static int measure(struct evaluation *e)
{
    const unsigned m = e->a->metrics;
    brume_status st = cli_device_open(&e->a->device, 1, &e->device);
    if (st == BRUME_OK && uses_features(e)) st = prepare_features(e);
    if (st == BRUME_OK && m & EVAL_FID) st = fid(e);
    if (st == BRUME_OK && m & EVAL_KID) st = kid(e);
    if (st == BRUME_OK && m & EVAL_PRDC) st = prdc(e);
    if (st != BRUME_OK) return cli_failed();
    const int status = m & EVAL_CLASSES ? eval_classes(e->a, e->u, &e->im, e->ds, e->device, e->w) : CLI_GO_ON;
    if (status != CLI_GO_ON) return status;
    if (m & EVAL_NEIGHBOURS && neighbours(e) != BRUME_OK) return cli_failed();
    explain(e);
    return CLI_GO_ON;
}

static int finish(const struct evaluation *e)
{
    brume_json_end(e->w);
    const char *text = brume_json_writer_text(e->w);
    if (e->a->json && text) puts(text);
    if (e->folder && eval_append(e->folder, text, e->a->quiet) != BRUME_OK) return cli_failed();
    return CLI_DONE;
}

int eval_samples(const struct eval_args *a, const struct cli_usage *u, const char *folder)
{
    struct evaluation e = { .a = a, .u = u, .folder = a->samples ? NULL : folder, .w = brume_json_writer_new() };
    if (!e.w) return cli_no_memory(u);
    brume_json_begin_object(e.w, NULL);
    if (e.folder) brume_json_put_string(e.w, "model", folder);
    int status = e.folder ? draw(&e) : read_samples(&e);
    if (status == CLI_GO_ON && !e.folder) status = open_data(&e);
    if (status == CLI_GO_ON) {
        brume_json_put_int(e.w, "n", e.im.n);
        if (a->data) {
            brume_json_put_string(e.w, "data", a->data);
            brume_json_put_string(e.w, "part", a->train ? "train" : "test");
        }
        status = measure(&e);
    }
    if (status == CLI_GO_ON) status = finish(&e);
    brume_reference_free(e.reference);
    brume_feature_network_free(e.f);
    brume_device_close(e.device);
    brume_dataset_free(e.ds);
    brume_json_writer_free(e.w);
    free(e.features);
    free(e.im.x);
    free(e.im.labels);
    return status;
}
