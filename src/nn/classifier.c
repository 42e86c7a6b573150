/* SPDX-License-Identifier: MIT
 * Classifiers of noisy images and their gradients. */
#include "brume/classifier.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "brume/ops.h"
#include "brume/params.h"

/* The network planned for one purpose: probabilities, or the gradient. */
struct network {
    brume_graph *g;
    brume_plan *p;
    brume_tensor slab, x, scale, t, labels, out, features; /* out: logits, or gradient */
};

struct brume_classifier {
    brume_classifier_gradient gradient;
    brume_unet2d_config config;
    brume_process *process;     /* that it was trained with */
    struct network forward, backward;
    brume_buffer *params;       /* read by both */
    int64_t images;
    float *times;               /* N */
};

void brume_classifier_free(brume_classifier *c)
{
    if (!c) return;
    struct network *const all[] = { &c->forward, &c->backward };
    for (int i = 0; i < 2; i++) {
        brume_plan_free(all[i]->p);
        brume_graph_free(all[i]->g);
    }
    brume_buffer_free(c->params);
    brume_process_free(c->process);
    free(c->times);
    free(c);
}

int32_t brume_classifier_classes(const brume_classifier *c) { return c->config.out_channels; }
const brume_classifier_gradient *brume_classifier_get_gradient(const brume_classifier *c) { return &c->gradient; }

/* log softmax of every row */
static void log_softmax(float *x, int64_t rows, int64_t n)
{
    for (int64_t r = 0; r < rows; r++, x += n) {
        double top = -INFINITY, sum = 0;
        for (int64_t i = 0; i < n; i++) top = fmax(top, (double)x[i]);
        for (int64_t i = 0; i < n; i++) sum += exp((double)x[i] - top);
        for (int64_t i = 0; i < n; i++) x[i] = (float)((double)x[i] - top - log(sum));
    }
}

/* Binds x, and tells the network the level of its own process that has the same ratio of noise to signal. */
static brume_status ready(brume_classifier *c, struct network *w, brume_buffer *x, const brume_level *level)
{
    double lo, hi;
    brume_process_sigma_range(c->process, &lo, &hi);
    const brume_level own = brume_process_level_of_sigma(c->process, level->a > 0 ? level->s / level->a : hi);
    const float scale = (float)(level->a > 0 ? own.a / level->a : own.s / level->s);
    for (int64_t i = 0; i < c->images; i++) c->times[i] = (float)own.t;
    brume_status s = brume_plan_bind(w->p, w->x, x);
    if (s == BRUME_OK) s = brume_plan_write(w->p, w->scale, &scale, sizeof scale);
    return s == BRUME_OK ? brume_plan_write(w->p, w->t, c->times, (size_t)c->images * sizeof *c->times) : s;
}

brume_status brume_classifier_log_p(brume_classifier *c, brume_buffer *x, const brume_level *level, float *log_p)
{
    struct network *w = &c->forward;
    brume_status s = ready(c, w, x, level);
    if (s == BRUME_OK) s = brume_plan_run(w->p);
    if (s == BRUME_OK) s = brume_plan_read(w->p, w->out, log_p, (size_t)(c->images * c->config.out_channels) * sizeof *log_p);
    if (s == BRUME_OK) log_softmax(log_p, c->images, c->config.out_channels);
    return s;
}

brume_status brume_classifier_features(brume_classifier *c, brume_buffer *x, const brume_level *level, float *features)
{
    struct network *w = &c->forward;
    brume_status s = ready(c, w, x, level);
    if (s == BRUME_OK) s = brume_plan_run(w->p);
    return s == BRUME_OK
               ? brume_plan_read(w->p, w->features, features, (size_t)(c->images * brume_classifier_width(c)) * sizeof *features)
               : s;
}

int64_t brume_classifier_width(const brume_classifier *c) { return brume_tensor_shape(c->forward.g, c->forward.features).d[1]; }

static brume_status gradient(void *self, brume_buffer *x, const brume_level *level, brume_buffer *out)
{
    brume_classifier *c = self;
    struct network *w = &c->backward;
    brume_status s = ready(c, w, x, level);
    if (s == BRUME_OK) s = brume_plan_bind(w->p, w->out, out);
    return s == BRUME_OK ? brume_plan_run(w->p) : s;
}

brume_status brume_classifier_set_labels(brume_classifier *c, const int32_t *labels)
{
    for (int64_t i = 0; i < c->images; i++)
        if (labels[i] < 0 || labels[i] >= c->config.out_channels)
            return brume_fail(BRUME_E_ARG, "class %d is outside 0 .. %d, the classes of the classifier", labels[i],
                              c->config.out_channels - 1);
    return brume_plan_write(c->backward.p, c->backward.labels, labels, (size_t)c->images * sizeof *labels);
}

static brume_status build(brume_classifier *c, struct network *w, brume_device *d, brume_shape images)
{
    const bool backward = w == &c->backward;
    brume_graph *g = w->g = brume_graph_new();
    if (!g) return brume_fail(BRUME_E_MEMORY, "out of memory for a classifier");
    w->slab = brume_slab(g, "params");
    w->x = brume_input(g, "x", BRUME_F32, images);
    w->scale = brume_input(g, "scale", BRUME_F32, BRUME_SCALAR);
    w->t = brume_input(g, "t", BRUME_F32, BRUME_SHAPE(c->images));
    const brume_unet2d_inputs in = { .x = brume_mul(g, w->x, w->scale), .t = w->t, .labels = BRUME_NONE, .context = BRUME_NONE,
                                     .features = &w->features };
    const brume_tensor logits = brume_unet2d(g, &c->config, w->slab, &in, NULL);
    if (backward) { /* of sum_i ln p(y_i | x_i), which is - N times the mean cross-entropy */
        w->labels = brume_input(g, "labels", BRUME_I32, BRUME_SHAPE(c->images));
        brume_tensor dx = BRUME_NONE;
        brume_grad(g, brume_cross_entropy(g, logits, w->labels), brume_constant(g, BRUME_SCALAR, -(float)c->images), 1, &w->x,
                   &dx);
        w->out = brume_persistent(g, "gradient", BRUME_F32, images);
        brume_assign(g, w->out, dx);
    } else {
        w->out = logits;
        brume_output(g, logits, "logits");
        brume_output(g, w->features, "features");
    }
    if (brume_graph_status(g) != BRUME_OK) return brume_fail(brume_graph_status(g), "%s", brume_graph_error(g));
    const brume_tensor elsewhere[] = { w->x, w->slab, backward ? w->out : BRUME_NONE, BRUME_NONE };
    const brume_plan_options options = { .elsewhere = elsewhere };
    return brume_plan_new(d, g, &options, &w->p);
}

static brume_status check(const brume_model *m, brume_shape images)
{
    if (m->unet.architecture != BRUME_ARCHITECTURE_CLASSIFIER)
        return brume_fail(BRUME_E_ARG, "the model is no classifier; brume train --task classifier makes one");
    if (images.ndim != 4) return brume_fail(BRUME_E_SHAPE, "a classifier's images must be (N, H, W, C)");
    if (m->unet.time_embedding_type == BRUME_TIME_LEARNED)
        return brume_fail(BRUME_E_UNSUPPORTED,
                          "a classifier's time embedding must be positional or fourier: it is asked at times between steps");
    return BRUME_OK;
}

brume_status brume_classifier_new(brume_device *d, const brume_model *m, brume_shape images, const int32_t *labels,
                                  brume_classifier **out)
{
    *out = NULL;
    brume_status s = check(m, images);
    if (s != BRUME_OK) return s;
    const size_t bytes = (size_t)m->n_params * sizeof *m->params;
    brume_classifier *c = calloc(1, sizeof *c);
    if (!c) return brume_fail(BRUME_E_MEMORY, "out of memory for a classifier");
    c->config = m->unet;
    c->images = images.d[0];
    c->gradient = (brume_classifier_gradient){ .self = c, .gradient = gradient, .scale = 1 };
    c->times = malloc((size_t)c->images * sizeof *c->times);
    int32_t *zeros = calloc((size_t)c->images, sizeof *zeros);
    if (!c->times || !zeros) s = brume_fail(BRUME_E_MEMORY, "out of memory for a classifier");
    if (s == BRUME_OK) s = brume_process_new(&m->scheduler, &c->process);
    if (s == BRUME_OK) s = build(c, &c->forward, d, images);
    if (s == BRUME_OK) s = build(c, &c->backward, d, images);
    if (s == BRUME_OK) s = brume_buffer_new(d, bytes, &c->params);
    if (s == BRUME_OK) s = brume_buffer_write(c->params, 0, m->params, bytes);
    if (s == BRUME_OK) s = brume_plan_bind(c->forward.p, c->forward.slab, c->params);
    if (s == BRUME_OK) s = brume_plan_bind(c->backward.p, c->backward.slab, c->params);
    if (s == BRUME_OK) s = brume_classifier_set_labels(c, labels ? labels : zeros);
    free(zeros);
    if (s != BRUME_OK) brume_classifier_free(c);
    else *out = c;
    return s;
}
