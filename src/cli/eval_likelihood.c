/* SPDX-License-Identifier: MIT
 * Likelihoods of brume eval: how probable a model finds the pictures of a data set. */
#include "eval.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "brume/data.h"
#include "brume/json.h"
#include "brume/likelihood.h"
#include "brume/model.h"
#include "brume/rng.h"
#include "brume/train.h"
#include "memory.h"
#include "progress.h"

/* One figure of every image, and what follows for all. */
struct figure { double *of_image, mean, error; };

struct evaluation {
    const struct eval_args *a;
    brume_model *model;
    brume_device *device;
    brume_dataset *data;
    brume_unet2d_denoiser *denoiser;
    int64_t n, batch, dims;       /* images; images at once; values of an image */
    float *images;                /* n rounded up to whole batches, dequantised in turn by the ODE */
    int32_t *labels;              /* of the images; NULL for a model without classes */
    int64_t *seeds;
    struct cli_progress bar;
    int64_t calls, done;          /* network calls so far; batches done */
    /* results, bits/dim */
    struct figure total, prior, middle, decoder, ode;
    double drawn_error;           /* what drawing times adds to the error of total and middle */
    double *by_time;              /* of the bound; NULL without */
    int32_t T, bound_calls;
    double ode_calls;             /* network calls per batch, mean */
    double prior_std;
};

static int64_t batches(const struct evaluation *e) { return (e->n + e->batch - 1) / e->batch; }
static brume_status no_memory(void) { return BRUME_E_MEMORY; }

static brume_status figure_new(struct evaluation *e, struct figure *f)
{
    f->of_image = cli_array(batches(e) * e->batch, sizeof *f->of_image);
    return f->of_image ? BRUME_OK : no_memory();
}

/* Images left over in the last batch do not count. */
static void figure_end(const struct evaluation *e, struct figure *f) { brume_mean_error(f->of_image, e->n, &f->mean, &f->error); }

static brume_status step(void *ctx, int32_t done, int32_t all)
{
    struct evaluation *e = ctx;
    (void)done;
    (void)all;
    cli_progress_step(&e->bar, ++e->calls, "%s", "");
    return BRUME_OK;
}

static brume_status set_labels(struct evaluation *e, int64_t first)
{
    return e->labels ? brume_unet2d_denoiser_set_labels(e->denoiser, e->labels + first) : BRUME_OK;
}

static brume_status ode_step(void *ctx, int32_t done, int32_t all)
{
    struct evaluation *e = ctx;
    (void)all;
    cli_progress_step(&e->bar, e->done, "%d network calls", (int)done);
    return BRUME_OK;
}

/* ---- the metrics ----------------------------------------------------------------------------------------------------------- */

static brume_status bound_batch(struct evaluation *e, brume_vlb *v, int64_t first, brume_vlb_image *bits)
{
    double drawn = 0;
    const brume_denoiser *d = brume_unet2d_denoiser_get(e->denoiser);
    brume_status s = set_labels(e, first);
    if (s == BRUME_OK) s = brume_vlb_run(v, d, e->images + first * e->dims, e->seeds + first, bits, &drawn, step, e);
    for (int64_t i = 0; s == BRUME_OK && i < e->batch; i++) {
        e->total.of_image[first + i] = bits[i].total;
        e->prior.of_image[first + i] = bits[i].prior;
        e->middle.of_image[first + i] = bits[i].middle;
        e->decoder.of_image[first + i] = bits[i].decoder;
    }
    const double share = (double)(e->n - first < e->batch ? e->n - first : e->batch) / (double)e->n;
    e->drawn_error = sqrt(e->drawn_error * e->drawn_error + share * drawn * share * drawn);
    return s;
}

static brume_status run_vlb(struct evaluation *e, brume_shape shape)
{
    static const brume_variance variances[] = { BRUME_VARIANCE_FIXED_SMALL, BRUME_VARIANCE_FIXED_SMALL,
                                                BRUME_VARIANCE_FIXED_LARGE };
    brume_scheduler_config *c = &e->model->scheduler;
    brume_vlb *v = NULL;
    struct figure *const figures[] = { &e->total, &e->prior, &e->middle, &e->decoder };
    if (e->a->variance) c->variance_type = variances[e->a->variance];
    const brume_vlb_options o = { .scheduler = c, .cdf = (brume_normal_cdf)e->a->cdf, .terms = (int32_t)e->a->steps };
    brume_vlb_image *bits = malloc((size_t)e->batch * sizeof *bits);
    brume_status s = bits ? brume_vlb_new(e->device, &o, shape, &v) : no_memory();
    for (int i = 0; i < 4 && s == BRUME_OK; i++) s = figure_new(e, figures[i]);
    if (s == BRUME_OK) {
        e->bound_calls = brume_vlb_calls(v);
        cli_progress_begin(&e->bar, "variational bound", 0, batches(e) * e->bound_calls, e->a->quiet);
    }
    for (int64_t b = 0; b < batches(e) && s == BRUME_OK; b++) s = bound_batch(e, v, b * e->batch, bits);
    cli_progress_end(&e->bar);
    if (s == BRUME_OK) {
        for (int i = 0; i < 4; i++) figure_end(e, figures[i]);
        const double *mean = brume_vlb_by_time(v, &e->T);
        e->by_time = malloc((size_t)e->T * sizeof *e->by_time);
        if (e->by_time) memcpy(e->by_time, mean, (size_t)e->T * sizeof *mean);
        else s = no_memory();
    }
    brume_vlb_free(v);
    free(bits);
    return s;
}

static brume_status run_ode(struct evaluation *e, brume_shape shape)
{
    const brume_ode_likelihood_options o = { .scheduler = &e->model->scheduler, .rtol = e->a->tolerance, .atol = e->a->tolerance,
                                             .probe = (brume_divergence)e->a->probe, .probes = (int32_t)e->a->probes };
    const size_t count = (size_t)(e->batch * e->dims);
    brume_ode_likelihood *l = NULL;
    brume_process *p = NULL;
    float *x = malloc(count * sizeof *x);
    brume_ode_image *log_p = malloc((size_t)e->batch * sizeof *log_p);
    brume_status s = x && log_p ? brume_ode_likelihood_new(e->device, &o, shape, &l) : no_memory();
    if (s == BRUME_OK) s = brume_process_new(&e->model->scheduler, &p);
    if (s == BRUME_OK) s = figure_new(e, &e->ode);
    if (s == BRUME_OK) e->prior_std = brume_process_prior_std(p);
    cli_progress_begin(&e->bar, "probability-flow ODE, batches", 0, batches(e), e->a->quiet);
    for (int64_t b = 0; b < batches(e) && s == BRUME_OK; b++) {
        const int64_t first = b * e->batch;
        brume_sampler_stats stats;
        for (int64_t i = 0; i < e->batch; i++)
            brume_dequantise(e->images + (first + i) * e->dims, e->dims, e->seeds[first + i], x + i * e->dims);
        s = set_labels(e, first);
        if (s == BRUME_OK)
            s = brume_ode_likelihood_run(l, brume_unet2d_denoiser_get(e->denoiser), x, e->seeds + first, log_p, NULL, &stats,
                                         ode_step, e);
        if (s != BRUME_OK) break;
        for (int64_t i = 0; i < e->batch; i++) e->ode.of_image[first + i] = brume_bits_per_dim(log_p[i].log_p, e->dims);
        e->ode_calls += stats.calls / (double)batches(e);
        cli_progress_step(&e->bar, ++e->done, "%d network calls", (int)stats.calls);
    }
    cli_progress_end(&e->bar);
    if (s == BRUME_OK) figure_end(e, &e->ode);
    brume_ode_likelihood_free(l);
    brume_process_free(p);
    free(log_p);
    free(x);
    return s;
}

/* ---- what goes in ---------------------------------------------------------------------------------------------------------- */

static brume_status load_images(struct evaluation *e)
{
    const int64_t all = batches(e) * e->batch;
    brume_loader *loader = NULL;
    int64_t *labels = malloc((size_t)all * sizeof *labels);
    const brume_unet2d_config *c = &e->model->unet;
    const int32_t rows = c->class_embed_type == BRUME_CLASS_TABLE ? c->num_class_embeds : 0;
    e->images = cli_array(all * e->dims, sizeof *e->images);
    e->seeds = cli_array(all, sizeof *e->seeds);
    if (rows) e->labels = malloc((size_t)all * sizeof *e->labels);
    brume_status s = labels && e->images && e->seeds && (!rows || e->labels)
                         ? brume_loader_new(e->data, (uint64_t)e->a->seed, &loader)
                         : no_memory();
    if (s == BRUME_OK) s = brume_loader_read(loader, 0, all, e->images, labels, NULL);
    for (int64_t i = 0; i < all && s == BRUME_OK; i++) {
        e->seeds[i] = (int64_t)brume_seed_mix((uint64_t)e->a->seed, (uint64_t)i);
        /* the last row stands for "no class" */
        if (rows) e->labels[i] = e->a->conditional && labels[i] < rows ? (int32_t)labels[i] : rows - 1;
    }
    brume_loader_free(loader);
    free(labels);
    return s;
}

static int prepare(struct evaluation *e, const struct cli_usage *u)
{
    const brume_unet2d_config *c = &e->model->unet;
    const brume_dataset_options o = { .test = !e->a->train, .size = c->sample_size[0],
                                      .width = c->sample_size[1] == c->sample_size[0] ? 0 : c->sample_size[1],
                                      .channels = c->in_channels,
                                      .insist = BRUME_INSIST_SIZE | BRUME_INSIST_CHANNELS }; /* as the model was trained */
    if (brume_dataset_open(e->a->data, &o, &e->data) != BRUME_OK) return cli_failed();
    const int32_t h = brume_dataset_height(e->data), w = brume_dataset_width(e->data), k = brume_dataset_channels(e->data);
    if (k != c->in_channels) return cli_wrong(u, "the pictures have %d channels, the model takes %d", k, c->in_channels);
    e->dims = (int64_t)h * w * k;
    e->n = e->a->n && e->a->n < brume_dataset_count(e->data) ? e->a->n : brume_dataset_count(e->data);
    const int64_t parts = (e->n + e->a->batch - 1) / e->a->batch;
    e->batch = (e->n + parts - 1) / parts; /* of equal size, so that one plan serves all; what is too much does not count */
    return load_images(e) == BRUME_OK ? CLI_GO_ON : cli_failed();
}

/* ---- what comes out -------------------------------------------------------------------------------------------------------- */

static double total_error(const struct evaluation *e, const struct figure *f)
{
    return sqrt(f->error * f->error + e->drawn_error * e->drawn_error);
}

static void put(brume_json_writer *w, const char *key, double x)
{
    if (isfinite(x)) brume_json_put_double(w, key, x);
    else brume_json_put_null(w, key);
}

static void put_bound(const struct evaluation *e, brume_json_writer *w)
{
    brume_json_begin_object(w, "vlb");
    put(w, "bits_per_dim", e->total.mean);
    put(w, "standard_error", total_error(e, &e->total));
    put(w, "error_of_drawn_times", e->drawn_error);
    put(w, "prior", e->prior.mean);
    put(w, "middle", e->middle.mean);
    put(w, "decoder", e->decoder.mean);
    brume_json_put_int(w, "terms", e->bound_calls);
    brume_json_put_int(w, "steps", e->T);
    brume_json_begin_array(w, "by_time", 1);
    for (int32_t t = 0; t < e->T; t++) put(w, NULL, e->by_time[t]);
    brume_json_end(w);
    brume_json_end(w);
}

static void put_ode(const struct evaluation *e, brume_json_writer *w)
{
    static const char *const probes[] = { "signs", "normal", "exact" };
    brume_json_begin_object(w, "ode_nll");
    put(w, "bits_per_dim", e->ode.mean);
    put(w, "standard_error", e->ode.error);
    put(w, "offset_bits", 7);
    brume_json_put_string(w, "dequantisation", "uniform");
    brume_json_put_string(w, "probe", probes[e->a->probe]);
    brume_json_put_int(w, "probes", e->a->probes);
    put(w, "tolerance", e->a->tolerance);
    put(w, "network_calls", e->ode_calls);
    brume_json_end(w);
}

static void report_json(const struct evaluation *e, const char *model)
{
    brume_json_writer *w = brume_json_writer_new();
    if (!w) return;
    brume_json_begin_object(w, NULL);
    brume_json_put_string(w, "model", model);
    brume_json_put_string(w, "data", e->a->data);
    brume_json_put_string(w, "part", e->a->train ? "train" : "test");
    brume_json_put_int(w, "images", e->n);
    brume_json_put_int(w, "dims", e->dims);
    brume_json_put_bool(w, "conditional", e->labels && e->a->conditional);
    if (e->total.of_image) put_bound(e, w);
    if (e->ode.of_image) put_ode(e, w);
    brume_json_end(w);
    const char *text = brume_json_writer_text(w);
    if (text) puts(text);
    brume_json_writer_free(w);
}

static void line(const struct evaluation *e, const char *what, double mean, double error)
{
    printf("%-42s%11.5f", what, mean);
    if (isfinite(error)) printf("%17.5f", error);
    else printf("%17s", "-");
    printf("%9lld\n", (long long)e->n);
}

static void report(const struct evaluation *e)
{
    static const char *const probes[] = { "v of random signs", "normal v", "the exact trace" };
    static const char *const cdfs[] = { "its released tanh form", "exact" };
    const char *given = e->labels && e->a->conditional ? "image | class" : "image";
    printf("%-42s%11s%17s%9s\n", "", "bits/dim", "standard error", "images");
    if (e->total.of_image) {
        line(e, "vlb", e->total.mean, total_error(e, &e->total));
        line(e, "  L_T   KL(q(x_T | x0) || N(0, 1))", e->prior.mean, e->prior.error);
        line(e, "  L_t   0 < t < T", e->middle.mean, total_error(e, &e->middle));
        line(e, "  L_0   decoder", e->decoder.mean, e->decoder.error);
    }
    if (e->ode.of_image) line(e, "ode-nll", e->ode.mean, e->ode.error);
    printf("\nbits/dim: -log2 P(%s) / D, 8-bit images of D = %lld values.\n", given, (long long)e->dims);
    if (e->total.of_image) {
        printf("vlb      an upper bound (Ho et al. 2020, eq. 5); decoder: a normal distribution over bins of 2/255, distribution "
               "function %s.\n",
               cdfs[e->a->cdf]);
        if (e->bound_calls == e->T) printf("         Complete: all %d terms.\n", e->T);
        else
            printf("         %d of %d terms 0 < t < T drawn per batch, unbiased; that alone has a standard error of %.5f, "
                   "contained above.\n",
                   e->bound_calls - 1, e->T - 1, e->drawn_error);
    }
    if (!e->ode.of_image) return;
    printf("ode-nll  -log p / (D ln 2) + 7 (Song et al. 2021, eqs. 39, 40). Level k of 256 is dequantised to (k + u) / 128 - 1, "
           "u uniform in [0, 1):\n"
           "         it is 2^-7 wide, hence the offset of 7 bits from density to probability. Noise at the end: N(0, %.6g^2).\n"
           "         Divergence: %s",
           e->prior_std, probes[e->a->probe]);
    if (e->a->probe != BRUME_PROBE_EXACT) printf(" (Hutchinson), %lld per image, unbiased in -log p", (long long)e->a->probes);
    printf("; Runge-Kutta 5(4), tolerance %g: %.0f network calls per batch.\n", e->a->tolerance, e->ode_calls);
}

/* The figures as a line of the run's training/evaluation.jsonl. */
static brume_status append(const struct evaluation *e, const char *folder)
{
    brume_json_writer *w = brume_json_writer_new();
    if (!w) return no_memory();
    brume_json_begin_object(w, NULL);
    brume_json_put_string(w, "model", folder);
    brume_json_put_string(w, "data", e->a->data);
    brume_json_put_string(w, "part", e->a->train ? "train" : "test");
    brume_json_put_int(w, "images", e->n);
    if (e->total.of_image) {
        put(w, "vlb", e->total.mean);
        put(w, "vlb_error", total_error(e, &e->total));
    }
    if (e->ode.of_image) {
        put(w, "ode_nll", e->ode.mean);
        put(w, "ode_nll_error", e->ode.error);
    }
    brume_json_end(w);
    const brume_status s = eval_append(folder, brume_json_writer_text(w), e->a->quiet);
    brume_json_writer_free(w);
    return s;
}

/* ---- all ------------------------------------------------------------------------------------------------------------------- */

int eval_likelihood(const struct eval_args *a, const struct cli_usage *u, const char *folder)
{
    int vlb = (a->metrics & EVAL_VLB) != 0, ode = (a->metrics & EVAL_ODE) != 0;
    struct evaluation e = { .a = a };
    int status = CLI_GO_ON;
    brume_status s = brume_model_load(folder, a->weights, &e.model);
    if (s == BRUME_OK && a->ema > 0) s = brume_train_read_average(folder, a->ema, e.model);
    if (s == BRUME_OK && e.model->note[0] && !a->quiet) fprintf(stderr, "%s\n", e.model->note);
    if (s == BRUME_OK && !a->metrics) { /* not asked for by name */
        vlb = e.model->scheduler.process == BRUME_PROCESS_DISCRETE;
        ode = !vlb;
    }
    if (s == BRUME_OK) status = prepare(&e, u);
    if (s == BRUME_OK && status == CLI_GO_ON) {
        const brume_shape shape =
            BRUME_SHAPE(e.batch, brume_dataset_height(e.data), brume_dataset_width(e.data), brume_dataset_channels(e.data));
        const brume_unet2d_denoiser_options o = { .prediction_type = e.model->scheduler.prediction_type, .labels = e.labels,
                                                  .guidance = { .scale = 1 }, .derivative = ode };
        s = cli_device_open(&a->device, a->quiet, &e.device);
        if (s == BRUME_OK) s = brume_unet2d_denoiser_new(e.device, &e.model->unet, e.model->params, shape, &o, &e.denoiser);
        if (s == BRUME_OK) brume_model_drop_params(e.model);
        if (s == BRUME_OK && vlb) s = run_vlb(&e, shape);
        if (s == BRUME_OK && ode) s = run_ode(&e, shape);
        if (s == BRUME_OK && a->json) report_json(&e, folder);
        else if (s == BRUME_OK) report(&e);
        if (s == BRUME_OK) s = append(&e, folder);
    }
    brume_unet2d_denoiser_free(e.denoiser);
    brume_device_close(e.device);
    brume_dataset_free(e.data);
    brume_model_free(e.model);
    struct figure *const figures[] = { &e.total, &e.prior, &e.middle, &e.decoder, &e.ode };
    for (int i = 0; i < 5; i++) free(figures[i]->of_image);
    free(e.by_time);
    free(e.images);
    free(e.labels);
    free(e.seeds);
    if (s != BRUME_OK) return cli_failed();
    return status == CLI_GO_ON ? CLI_DONE : status;
}
