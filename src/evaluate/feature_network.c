/* SPDX-License-Identifier: MIT
 * Networks that turn images into features: classifiers of brume, networks described by a file, or the pixels themselves. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "base/file.h"
#include "base/hash.h"
#include "brume/classifier.h"
#include "brume/evaluate.h"
#include "evaluate/feature_graph.h"

enum { MAX_CHANNELS = 16 };

/* What a network described by a file wants to see. */
struct input { int64_t h, w, c; double lo, hi, mean[MAX_CHANNELS], std[MAX_CHANNELS]; };

struct brume_feature_network {
    brume_shape images;          /* (N, H, W, C) */
    int64_t width;
    char *name, note[2048];
    uint64_t fingerprint;
    brume_classifier *judge;     /* of a classifier, */
    brume_buffer *x;
    brume_graph *g;              /* or of a network described by a file; neither: pixels */
    brume_plan *p;
    brume_tensor in, out;
    struct input input;
    float *given, *features;     /* of a whole batch: what the network is given, and what it gives */
};

void brume_feature_network_free(brume_feature_network *f)
{
    if (!f) return;
    brume_classifier_free(f->judge);
    brume_buffer_free(f->x);
    brume_plan_free(f->p);
    brume_graph_free(f->g);
    free(f->name);
    free(f->given);
    free(f->features);
    free(f);
}

int64_t brume_feature_network_width(const brume_feature_network *f) { return f->width; }
const char *brume_feature_network_name(const brume_feature_network *f) { return f->name; }
const char *brume_feature_network_note(const brume_feature_network *f) { return f->note; }
uint64_t brume_feature_network_fingerprint(const brume_feature_network *f) { return f->fingerprint; }

static int64_t values(const brume_feature_network *f) { return f->images.d[1] * f->images.d[2] * f->images.d[3]; }
static brume_status no_memory(void) { return brume_fail(BRUME_E_MEMORY, "out of memory for a feature network"); }

static brume_status name(brume_feature_network *f, const char *of, const char *what)
{
    const size_t room = strlen(of) + strlen(what) + 64;
    if (!(f->name = malloc(room))) return no_memory();
    snprintf(f->name, room, "%lld %s%s", (long long)f->width, of, what);
    return BRUME_OK;
}

/* ---- a classifier of brume ------------------------------------------------------------------------------------------------- */

static brume_status open_classifier(brume_feature_network *f, brume_device *d, const char *folder, const char *variant)
{
    brume_model *m = NULL;
    brume_process *process = NULL;
    brume_status s = brume_model_load(folder, variant, &m);
    if (s == BRUME_OK && m->unet.architecture != BRUME_ARCHITECTURE_CLASSIFIER)
        s = brume_fail(BRUME_E_ARG,
                       "%s: neither a classifier (brume train --task classifier) nor a BrumeFeatureNetwork: features are what "
                       "such networks see",
                       folder);
    if (s == BRUME_OK) s = brume_classifier_new(d, m, f->images, NULL, &f->judge);
    if (s == BRUME_OK) s = brume_process_new(&m->scheduler, &process);
    if (s == BRUME_OK) s = brume_buffer_new(d, (size_t)(f->images.d[0] * values(f)) * sizeof(float), &f->x);
    if (s == BRUME_OK) {
        const brume_level level = brume_process_level_of_sigma(process, 0);
        const double asked[] = { level.t, level.a };
        f->width = brume_classifier_width(f->judge);
        snprintf(f->note, sizeof f->note, "%s", m->note);
        f->fingerprint = brume_hash_values(brume_model_fingerprint(m), asked, 2, sizeof *asked);
        s = name(f, "values before the last layer of the classifier ", folder);
    }
    brume_process_free(process);
    brume_model_free(m);
    return s;
}

/* ---- a network described by a file ----------------------------------------------------------------------------------------- */

static brume_status read_list(const brume_json *in, const char *key, double fallback, int64_t n, double *to)
{
    const brume_json *list = brume_json_find(in, key);
    for (int64_t i = 0; i < n; i++) to[i] = fallback;
    if (brume_json_is_null(list)) return BRUME_OK;
    if (brume_json_typeof(list) != BRUME_JSON_ARRAY || brume_json_count(list) != n)
        return brume_fail(BRUME_E_FORMAT, "%s: expected a list of %lld numbers", brume_json_where(list), (long long)n);
    for (int64_t i = 0; i < n; i++) {
        to[i] = brume_json_number(brume_json_at(list, i), NAN);
        if (!isfinite(to[i]))
            return brume_fail(BRUME_E_FORMAT, "%s: expected a number", brume_json_where(brume_json_at(list, i)));
    }
    return BRUME_OK;
}

static brume_status read_input(brume_feature_network *f, const brume_json *root)
{
    const brume_json *in = brume_json_find(root, "input");
    struct input *to = &f->input;
    int64_t size[2];
    int n = 0;
    double range[2] = { 0, 1 };
    brume_status s = brume_json_get_int(in, "channels", f->images.d[3], 1, MAX_CHANNELS, &to->c);
    if (s == BRUME_OK) s = brume_json_get_ints(in, "size", 2, 1, 4096, size, &n);
    if (s == BRUME_OK) s = read_list(in, "mean", 0, to->c, to->mean);
    if (s == BRUME_OK) s = read_list(in, "std", 1, to->c, to->std);
    if (s == BRUME_OK && !brume_json_is_null(brume_json_find(in, "range"))) s = read_list(in, "range", 0, 2, range);
    if (s != BRUME_OK) return s;
    to->lo = range[0];
    to->hi = range[1];
    to->h = n ? size[0] : f->images.d[1];
    to->w = n ? size[n - 1] : f->images.d[2];
    for (int64_t k = 0; k < to->c; k++)
        if (!(to->std[k] > 0)) return brume_fail(BRUME_E_FORMAT, "%s: \"std\" must be above 0", brume_json_where(in));
    if (to->c != f->images.d[3] && f->images.d[3] != 1)
        return brume_fail(BRUME_E_SHAPE, "the feature network sees %lld channels, the images have %lld", (long long)to->c,
                          (long long)f->images.d[3]);
    return BRUME_OK;
}

static brume_status load_weights(brume_feature_network *f, brume_tensor slab, const char *folder, const char *variant)
{
    const int64_t n = brume_params_numel(f->g, slab);
    brume_weights *w = NULL;
    if (!n) return BRUME_OK;
    float *host = NULL;
    brume_status s = brume_weights_open(folder, "model", variant, &w);
    if (s == BRUME_OK) s = brume_params_check(f->g, slab, w);
    if (s == BRUME_OK && !(host = malloc((size_t)n * sizeof *host))) s = no_memory();
    if (s == BRUME_OK) s = brume_params_load(f->g, slab, w, host, f->note);
    if (s == BRUME_OK) s = brume_plan_write(f->p, slab, host, (size_t)n * sizeof *host);
    if (s == BRUME_OK) f->fingerprint = brume_hash_values(f->fingerprint, host, (size_t)n, sizeof *host);
    brume_weights_close(w);
    free(host);
    return s;
}

static brume_status open_graph(brume_feature_network *f, brume_device *d, const char *folder, const char *variant,
                               const char *config, const brume_json *root)
{
    const int64_t n = f->images.d[0];
    brume_status s = read_input(f, root);
    if (s == BRUME_OK) s = brume_file_fingerprint(config, &f->fingerprint);
    if (s != BRUME_OK) return s;
    if (!(f->g = brume_graph_new())) return no_memory();
    const brume_tensor slab = brume_slab(f->g, "params");
    f->in = brume_input(f->g, "x", BRUME_F32, BRUME_SHAPE(n, f->input.h, f->input.w, f->input.c));
    f->out = brume_feature_graph(f->g, root, slab, f->in);
    brume_output(f->g, f->out, "features");
    if (brume_graph_status(f->g) != BRUME_OK) return brume_fail(brume_graph_status(f->g), "%s", brume_graph_error(f->g));
    f->width = brume_tensor_shape(f->g, f->out).d[1];
    f->given = malloc((size_t)(n * f->input.h * f->input.w * f->input.c) * sizeof *f->given);
    if (!f->given) return no_memory();
    s = brume_plan_new(d, f->g, &(brume_plan_options){ .drop_packed = 1 }, &f->p);
    if (s == BRUME_OK) s = load_weights(f, slab, folder, variant);
    return s == BRUME_OK ? name(f, "values of the feature network ", folder) : s;
}

/* Where bilinear interpolation finds pixel i of `out` among `in` (pixel centres at halves, no smoothing), as feature networks are
 * commonly given images. */
static void between(int64_t i, int64_t out, int64_t in, int64_t *a, int64_t *b, double *t)
{
    const double at = fmax(((double)i + 0.5) * (double)in / (double)out - 0.5, 0);
    *a = (int64_t)at < in ? (int64_t)at : in - 1;
    *b = *a + 1 < in ? *a + 1 : *a;
    *t = at - (double)*a;
}

static void present(const brume_feature_network *f, const float *image, float *to)
{
    const struct input *in = &f->input;
    const int64_t h = f->images.d[1], w = f->images.d[2], c = f->images.d[3];
    for (int64_t y = 0; y < in->h; y++)
        for (int64_t x = 0; x < in->w; x++) {
            int64_t y0, y1, x0, x1;
            double v, u;
            between(y, in->h, h, &y0, &y1, &v);
            between(x, in->w, w, &x0, &x1, &u);
            for (int64_t k = 0; k < in->c; k++) {
                const float *p = image + (c == 1 ? 0 : k); /* grey stands for every channel */
                const double above = (1 - u) * (double)p[(y0 * w + x0) * c] + u * (double)p[(y0 * w + x1) * c];
                const double below = (1 - u) * (double)p[(y1 * w + x0) * c] + u * (double)p[(y1 * w + x1) * c];
                const double value = in->lo + (in->hi - in->lo) * (((1 - v) * above + v * below) + 1) / 2;
                to[(y * in->w + x) * in->c + k] = (float)((value - in->mean[k]) / in->std[k]);
            }
        }
}

/* ---- all ------------------------------------------------------------------------------------------------------------------- */

static brume_status open_folder(brume_feature_network *f, brume_device *d, const char *folder, const char *variant)
{
    char *config = brume_path_join(folder, "config.json");
    brume_json *root = NULL;
    brume_status s = config ? BRUME_OK : no_memory();
    if (s == BRUME_OK && !brume_is_folder(folder))
        s = brume_fail(BRUME_E_ARG, "feature network '%s': expected a folder, or pixels", folder);
    if (s == BRUME_OK && brume_is_file(config)) s = brume_json_load(config, &root);
    if (s == BRUME_OK && !strcmp(brume_json_string(brume_json_find(root, "_class_name"), ""), "BrumeFeatureNetwork"))
        s = open_graph(f, d, folder, variant, config, root);
    else if (s == BRUME_OK) s = open_classifier(f, d, folder, variant);
    brume_json_free(root);
    free(config);
    return s;
}

brume_status brume_feature_network_open(brume_device *d, const char *what, const char *variant, brume_shape images,
                                        brume_feature_network **out)
{
    *out = NULL;
    if (images.ndim != 4 || brume_shape_numel(images) < 1)
        return brume_fail(BRUME_E_SHAPE, "a feature network's images must be (N, H, W, C)");
    brume_feature_network *f = calloc(1, sizeof *f);
    if (!f) return no_memory();
    brume_status s = BRUME_OK;
    f->images = images;
    if (!strcmp(what, "pixels")) {
        f->width = values(f);
        f->fingerprint = brume_fnv1a("pixels", 6);
        s = name(f, "values of the pixels", "");
    } else {
        s = open_folder(f, d, what, variant);
        if (s == BRUME_OK && !(f->features = malloc((size_t)(images.d[0] * f->width) * sizeof *f->features))) s = no_memory();
    }
    if (s != BRUME_OK) brume_feature_network_free(f);
    else *out = f;
    return s;
}

/* A whole batch; what is left over repeats its last image. */
static brume_status run_batch(brume_feature_network *f, const float *images, int64_t n)
{
    const int64_t batch = f->images.d[0], each = values(f);
    brume_status s = BRUME_OK;
    if (f->judge) {
        const brume_level clean = { .a = 1 };
        for (int64_t i = 0; i < batch && s == BRUME_OK; i++)
            s = brume_buffer_write(f->x, (size_t)(i * each) * sizeof(float), images + (i < n ? i : n - 1) * each,
                                   (size_t)each * sizeof(float));
        return s == BRUME_OK ? brume_classifier_features(f->judge, f->x, &clean, f->features) : s;
    }
    const int64_t given = f->input.h * f->input.w * f->input.c;
    for (int64_t i = 0; i < batch; i++) present(f, images + (i < n ? i : n - 1) * each, f->given + i * given);
    s = brume_plan_write(f->p, f->in, f->given, (size_t)(batch * given) * sizeof *f->given);
    if (s == BRUME_OK) s = brume_plan_run(f->p);
    return s == BRUME_OK ? brume_plan_read(f->p, f->out, f->features, (size_t)(batch * f->width) * sizeof *f->features) : s;
}

brume_status brume_feature_network_run(brume_feature_network *f, const float *images, int64_t n, float *features)
{
    const int64_t batch = f->images.d[0], each = values(f), d = f->width;
    brume_status s = BRUME_OK;
    for (int64_t i = 0; i < n && s == BRUME_OK; i += batch) {
        const int64_t part = n - i < batch ? n - i : batch;
        if (f->features) {
            s = run_batch(f, images + i * each, part);
            if (s == BRUME_OK) memcpy(features + i * d, f->features, (size_t)(part * d) * sizeof *features);
        } else {
            memcpy(features + i * d, images + i * each, (size_t)(part * d) * sizeof *features);
        }
    }
    for (int64_t i = 0; i < n * d && s == BRUME_OK; i++)
        if (!isfinite(features[i]))
            return brume_fail(BRUME_E_NUMERIC, "image %lld: its features by %s are not finite%s%s", (long long)(i / d), f->name,
                              f->note[0] ? "; " : "; is the image?", f->note);
    return s;
}
