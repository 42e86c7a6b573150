/* SPDX-License-Identifier: MIT
 * Samples before a judge: does a classifier take them for what they were drawn as? */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "brume/classifier.h"
#include "eval.h"
#include "memory.h"

/* Images that are judged by their classes: right ones, and all. */
struct tally { int64_t *right, *all; };

struct court {
    const struct eval_args *a;
    const struct cli_usage *u;
    brume_device *device;
    brume_classifier *c;
    int64_t batch, classes;
    brume_json_writer *w;
};

static brume_status no_memory(void) { return BRUME_E_MEMORY; }

static int64_t likeliest(const float *log_p, int64_t classes)
{
    int64_t best = 0;
    for (int64_t k = 1; k < classes; k++)
        if (log_p[k] > log_p[best]) best = k;
    return best;
}

/* Batches have one size: the last one reaches back to images that were judged before. */
static brume_status judge(const struct court *j, const struct eval_images *im, struct tally t)
{
    const int64_t batch = j->batch, each = im->h * im->w * im->c;
    const brume_level clean = { .a = 1 };
    brume_buffer *x = NULL;
    float *log_p = malloc((size_t)(batch * j->classes) * sizeof *log_p);
    brume_status st = log_p ? brume_buffer_new(j->device, (size_t)(batch * each) * sizeof(float), &x) : no_memory();
    for (int64_t first = 0; first < im->n && st == BRUME_OK; first += batch) {
        const int64_t end = first + batch < im->n ? first + batch : im->n, from = end - batch;
        st = brume_buffer_write(x, 0, im->x + from * each, (size_t)(batch * each) * sizeof(float));
        if (st == BRUME_OK) st = brume_classifier_log_p(j->c, x, &clean, log_p);
        for (int64_t i = first; i < end && st == BRUME_OK; i++) {
            const float *p = log_p + (i - from) * j->classes;
            const int64_t best = likeliest(p, j->classes);
            t.all[im->labels[i]]++;
            t.right[im->labels[i]] += best == im->labels[i] && isfinite(p[best]);
        }
    }
    brume_buffer_free(x);
    free(log_p);
    return st;
}

/* As many real images as samples, evenly spread over the data set. */
static brume_status real_images(const brume_dataset *ds, const struct eval_images *like, struct eval_images *out)
{
    const int64_t each = like->h * like->w * like->c, count = brume_dataset_count(ds);
    *out = (struct eval_images){ NULL, NULL, like->n < count ? like->n : count, like->h, like->w, like->c };
    out->x = cli_array(out->n * each, sizeof *out->x);
    out->labels = malloc((size_t)out->n * sizeof *out->labels);
    brume_status st = out->x && out->labels ? BRUME_OK : no_memory();
    for (int64_t i = 0; i < out->n && st == BRUME_OK; i++)
        st = brume_dataset_get(ds, i * count / out->n, out->x + i * each, out->labels + i);
    return st;
}

static int labels_fit(const struct court *j, const struct eval_images *im, const char *what)
{
    for (int64_t i = 0; i < im->n; i++)
        if (im->labels[i] < 0 || im->labels[i] >= j->classes)
            return cli_wrong(j->u, "class-accuracy: %s %lld is of class %d, the classifier knows 0 to %lld", what, (long long)i,
                             (int)im->labels[i], (long long)j->classes - 1);
    return CLI_GO_ON;
}

static void figure(const struct court *j, const char *name, const char *key, const struct eval_images *im, struct tally t,
                   const char *of)
{
    char more[64];
    int64_t right = 0;
    for (int64_t k = 0; k < j->classes; k++) right += t.right[k];
    const double n = (double)im->n, p = (double)right / n, error = sqrt(p * (1 - p) / n);
    brume_json_put_double(j->w, key, p);
    snprintf(more, sizeof more, "%s_error", key);
    brume_json_put_double(j->w, more, error);
    if (!j->a->json) printf("%-18s%12.6g  +- %.2g; N = %lld %s\n", name, p, error, (long long)im->n, of);
}

static void by_class(const struct court *j, struct tally t)
{
    brume_json_begin_array(j->w, "class_accuracy_by_class", 1);
    for (int64_t k = 0; k < j->classes; k++) {
        if (t.all[k]) brume_json_put_double(j->w, NULL, (double)t.right[k] / (double)t.all[k]);
        else brume_json_put_null(j->w, NULL);
    }
    brume_json_end(j->w);
    if (j->a->json) return;
    printf("%-32sby class:", "");
    for (int64_t k = 0; k < j->classes; k++)
        if (t.all[k]) printf(" %lld: %.4g", (long long)k, (double)t.right[k] / (double)t.all[k]);
    printf("\n");
}

static int judge_all(const struct court *j, const struct eval_images *im, const brume_dataset *ds)
{
    struct eval_images real = { 0 };
    char judged_by[4200];
    int64_t *counts = calloc((size_t)(4 * j->classes), sizeof *counts);
    const struct tally drawn = { counts, counts + j->classes }, given = { counts + 2 * j->classes, counts + 3 * j->classes };
    int status = labels_fit(j, im, "sample");
    brume_status st = counts ? BRUME_OK : no_memory();
    if (st == BRUME_OK && status == CLI_GO_ON) st = judge(j, im, drawn);
    if (st == BRUME_OK && status == CLI_GO_ON) {
        snprintf(judged_by, sizeof judged_by, "samples, judged by %s", j->a->classifier);
        figure(j, "class-accuracy", "class_accuracy", im, drawn, judged_by);
        brume_json_put_string(j->w, "classifier", j->a->classifier);
        by_class(j, drawn);
        if (ds && brume_dataset_classes(ds) > 0) {
            st = real_images(ds, im, &real);
            if (st == BRUME_OK) status = labels_fit(j, &real, "image");
            /* fewer images than samples, and then than a batch holds, cannot tell much */
            if (st == BRUME_OK && status == CLI_GO_ON && real.n >= j->batch) {
                st = judge(j, &real, given);
                if (st == BRUME_OK)
                    figure(j, "of real images", "real_accuracy", &real, given,
                           j->a->train ? "images of the training part" : "images of the test part");
            }
        }
    }
    free(real.x);
    free(real.labels);
    free(counts);
    return st == BRUME_OK ? status : cli_failed();
}

int eval_classes(const struct eval_args *a, const struct cli_usage *u, const struct eval_images *im, const brume_dataset *ds,
                 brume_device *device, brume_json_writer *w)
{
    struct court j = { .a = a, .u = u, .device = device, .batch = im->n < a->batch ? im->n : a->batch, .w = w };
    brume_model *m = NULL;
    if (!im->labels) return cli_wrong(u, "class-accuracy: the file of --samples has no 'labels'");
    brume_status st = brume_model_load(a->classifier, NULL, &m);
    if (st == BRUME_OK) st = brume_classifier_new(device, m, BRUME_SHAPE(j.batch, im->h, im->w, im->c), NULL, &j.c);
    int status = CLI_GO_ON;
    if (st == BRUME_OK) {
        j.classes = brume_classifier_classes(j.c);
        status = judge_all(&j, im, ds);
    }
    brume_classifier_free(j.c);
    brume_model_free(m);
    return st == BRUME_OK ? status : cli_failed();
}
