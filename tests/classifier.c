/* SPDX-License-Identifier: MIT
 * Classifiers of noisy images: gradients against differences at the levels of any process, training that raises the accuracy,
 * folders. */
#include <unistd.h>

#include "brume/classifier.h"
#include "brume/params.h"
#include "brume/rng.h"
#include "brume/train.h"
#include "check.h"
#include "devices.h"

static char folder[256];

static void small_config(brume_train_config *c)
{
    brume_train_config_default(c);
    c->unet.levels = 2;
    c->unet.block_out_channels[0] = 8;
    c->unet.block_out_channels[1] = 16;
    c->unet.down_block_types[1] = BRUME_BLOCK_ATTENTION;
    c->unet.layers_per_block = 1;
    c->unet.norm_num_groups = 4;
    c->unet.in_channels = 1;
    c->unet.out_channels = 5;
    c->unet.sample_size[0] = c->unet.sample_size[1] = 8;
    brume_train_config_classifier(c);
}

enum { N = 3, SIDE = 8, VALUES = N * SIDE * SIDE, CLASSES = 5 };
static const int32_t wanted[N] = { 4, 0, 2 };

/* Sum of ln p(y | x) at a level. */
static double sum_log_p(brume_classifier *c, brume_buffer *x, const brume_level *l)
{
    float log_p[N * CLASSES];
    double sum = 0;
    CHECK_OK(brume_classifier_log_p(c, x, l, log_p));
    for (int i = 0; i < N; i++) {
        double total = 0;
        for (int k = 0; k < CLASSES; k++) total += exp((double)log_p[i * CLASSES + k]);
        CHECK_NEAR(total, 1, 1e-6);
        sum += (double)log_p[i * CLASSES + wanted[i]];
    }
    return sum;
}

/* The gradient along random directions against central differences of the probabilities. */
static void check_gradient(const struct test_device *d, brume_classifier *c, const brume_level *l, float *gradient)
{
    float x[VALUES], v[VALUES], moved[VALUES];
    brume_buffer *bx = NULL, *bg = NULL;
    const brume_classifier_gradient *cg = brume_classifier_get_gradient(c);
    const double h = 0.02;
    brume_fill_normal(1, 0, 0, 0, VALUES, x);
    for (int i = 0; i < VALUES; i++) x[i] *= (float)sqrt(0.25 * l->a * l->a + l->s * l->s);
    CHECK_OK(brume_buffer_new(d->device, sizeof x, &bx));
    CHECK_OK(brume_buffer_new(d->device, sizeof x, &bg));
    CHECK_OK(brume_buffer_write(bx, 0, x, sizeof x));
    CHECK_OK(cg->gradient(cg->self, bx, l, bg));
    CHECK_OK(brume_buffer_read(bg, 0, gradient, sizeof x));
    for (int k = 0; k < 3; k++) {
        double want = 0, size = 0, along = 0;
        const double step = h * sqrt(0.25 * l->a * l->a + l->s * l->s);
        brume_fill_normal(2 + (uint64_t)k, 0, 0, 0, VALUES, v);
        for (int side = -1; side <= 1; side += 2) {
            for (int i = 0; i < VALUES; i++) moved[i] = x[i] + (float)(side * step) * v[i];
            CHECK_OK(brume_buffer_write(bx, 0, moved, sizeof moved));
            want += side * sum_log_p(c, bx, l) / (2 * step);
        }
        for (int i = 0; i < VALUES; i++) {
            along += (double)gradient[i] * (double)v[i];
            size += (double)gradient[i] * (double)gradient[i];
        }
        /* f32 roundings of ln p, divided by the step, and the curvature that differences of h leave */
        if (!CHECK_NEAR(along, want, 0.02 * sqrt(size) + 3e-6 / step))
            fprintf(stderr, "    on %s, sigma %g\n", d->where, l->s / l->a);
        CHECK(size > 0);
    }
    brume_buffer_free(bx);
    brume_buffer_free(bg);
}

static void test_gradient(const struct test_device *d)
{
    brume_train_config c;
    brume_model *m = NULL;
    brume_classifier *judge = NULL;
    brume_process *vp = NULL;
    small_config(&c);
    CHECK_OK(brume_model_new(&c.unet, &c.scheduler, 7, &m));
    if (!m || !CHECK_OK(brume_classifier_new(d->device, m, BRUME_SHAPE(N, SIDE, SIDE, 1), wanted, &judge))) return;
    CHECK_INT(brume_classifier_classes(judge), CLASSES);
    CHECK_OK(brume_process_new(&c.scheduler, &vp));
    const double times[] = { 0, 400, 999 };
    for (int i = 0; i < 3; i++) {
        float at_t[VALUES], in_sigma[VALUES];
        const brume_level l = brume_process_level(vp, times[i]), same = { .t = 0, .a = 1, .s = l.s / l.a };
        check_gradient(d, judge, &l, at_t);
        /* The same image in sigma space, y = x / a: d/dy = a d/dx. */
        check_gradient(d, judge, &same, in_sigma);
        double worst = 0, most = 0;
        for (int k = 0; k < VALUES; k++) {
            worst = fmax(worst, fabs((double)in_sigma[k] - l.a * (double)at_t[k]));
            most = fmax(most, l.a * fabs((double)at_t[k]));
        }
        CHECK(worst <= 1e-3 * most); /* x itself is rounded in both */
    }
    const brume_level clean = { .a = 1 }, nothing = { .t = 999, .s = 1 };
    float ignored[VALUES];
    check_gradient(d, judge, &clean, ignored);
    check_gradient(d, judge, &nothing, ignored); /* alpha_bar = 0: only noise */

    const int32_t wrong[N] = { 0, 5, 1 };
    CHECK_FAILS(brume_classifier_set_labels(judge, wrong), BRUME_E_ARG, "class 5");
    brume_classifier_free(judge);
    CHECK_FAILS(brume_classifier_new(d->device, m, BRUME_SHAPE(N, SIDE, SIDE, 2), NULL, &judge), BRUME_E_SHAPE, "(N, H, W, 1)");
    brume_unet2d_denoiser *draws = NULL;
    const brume_unet2d_denoiser_options o = { .guidance.scale = 1 };
    CHECK_FAILS(brume_unet2d_denoiser_new(d->device, &m->unet, m->params, BRUME_SHAPE(N, SIDE, SIDE, 1), &o, &draws), BRUME_E_ARG,
                "--classifier");
    brume_process_free(vp);
    brume_model_free(m);
    brume_train_config u;
    brume_train_config_default(&u);
    u.unet = c.unet;
    u.unet.architecture = BRUME_ARCHITECTURE_UNET;
    u.unet.out_channels = 1;
    u.unet.up_block_types[0] = BRUME_BLOCK_ATTENTION;
    CHECK_OK(brume_model_new(&u.unet, NULL, 7, &m));
    CHECK_FAILS(brume_classifier_new(d->device, m, BRUME_SHAPE(N, SIDE, SIDE, 1), NULL, &judge), BRUME_E_ARG, "no classifier");
    brume_model_free(m);
}

/* ---- training ---- */

static brume_status steps(const brume_train_config *c, const brume_dataset *data, int resume, int n, int save, float *params,
                          double *first, double *last)
{
    brume_device *d = NULL;
    brume_trainer *t = NULL;
    const int edge = n / 5;
    brume_status s = brume_device_open("cpu", &(brume_device_options){ .threads = 1 }, &d);
    if (s == BRUME_OK) s = brume_trainer_new(d, c, data, &t);
    if (s == BRUME_OK && resume) s = brume_trainer_resume(t, folder, NULL);
    *first = *last = 0;
    for (int i = 0; s == BRUME_OK && i < n; i++) {
        brume_train_result r;
        s = brume_trainer_step(t, &r);
        CHECK(r.accuracy >= 0 && r.accuracy <= 1);
        if (i < edge) *first += r.accuracy / edge;
        if (i >= n - edge) *last += r.accuracy / edge;
    }
    if (s == BRUME_OK && save) s = brume_trainer_save(t, folder, 0);
    if (s == BRUME_OK && params) s = brume_trainer_get_params(t, 1, params);
    brume_trainer_free(t);
    brume_device_close(d);
    return s;
}

/* Part of the pictures whose class the folder's classifier finds when they are clean. */
static double accuracy(const brume_dataset *data)
{
    enum { COUNT = 32 };
    brume_model *m = NULL;
    brume_device *d = NULL;
    brume_classifier *c = NULL;
    brume_buffer *x = NULL;
    float pictures[COUNT * SIDE * SIDE], log_p[COUNT * 6];
    int32_t label[COUNT];
    int right = 0;
    for (int i = 0; i < COUNT; i++) CHECK_OK(brume_dataset_get(data, i, pictures + i * SIDE * SIDE, &label[i]));
    CHECK_OK(brume_model_load(folder, NULL, &m));
    CHECK_OK(brume_device_open("cpu", NULL, &d));
    if (m && d && CHECK_OK(brume_classifier_new(d, m, BRUME_SHAPE(COUNT, SIDE, SIDE, 1), NULL, &c))) {
        CHECK_OK(brume_buffer_new(d, sizeof pictures, &x));
        CHECK_OK(brume_buffer_write(x, 0, pictures, sizeof pictures));
        CHECK_OK(brume_classifier_log_p(c, x, &(brume_level){ .a = 1 }, log_p));
        for (int i = 0; i < COUNT; i++) {
            int best = 0;
            for (int k = 1; k < 6; k++)
                if (log_p[i * 6 + k] > log_p[i * 6 + best]) best = k;
            right += best == label[i];
        }
    }
    brume_buffer_free(x);
    brume_classifier_free(c);
    brume_device_close(d);
    brume_model_free(m);
    return (double)right / COUNT;
}

static void test_training(const brume_dataset *data)
{
    brume_train_config c;
    double first, last;
    small_config(&c);
    c.batch = 32;
    c.lr = 3e-3;
    c.warmup = 20;
    c.ema_decay = 0.99;
    c.objective.times = BRUME_TIMES_LOGNORMAL; /* mostly little noise: there is something to see */
    c.objective.time_mean = -2;
    CHECK_OK(brume_train_config_fit(&c, data, 1));
    CHECK_INT(c.unet.out_channels, 6);
    const size_t bytes = (size_t)brume_unet2d_param_count(&c.unet) * sizeof(float);
    float *one = malloc(bytes), *other = malloc(bytes);
    CHECK_OK(steps(&c, data, 0, 6, 0, one, &first, &last));
    CHECK_OK(steps(&c, data, 0, 3, 1, NULL, &first, &last));
    CHECK_OK(steps(&c, data, 1, 3, 0, other, &first, &last));
    CHECK(!memcmp(one, other, bytes));
    free(one);
    free(other);
    CHECK_OK(steps(&c, data, 0, 400, 1, NULL, &first, &last));
    if (!CHECK(last > 0.6 && last > first + 0.2)) fprintf(stderr, "    accuracy %g -> %g\n", first, last); /* chance is 1/6 */
    const double clean = accuracy(data);
    if (!CHECK(clean > 0.7)) fprintf(stderr, "    accuracy of clean pictures %g\n", clean);

    c.unet.out_channels = 7;
    CHECK_FAILS(steps(&c, data, 0, 1, 0, NULL, &first, &last), BRUME_E_ARG, "of as many");
    c.unet.out_channels = 6;
    c.objective.times = BRUME_TIMES_LOSS_SECOND_MOMENT;
    CHECK_FAILS(steps(&c, data, 0, 1, 0, NULL, &first, &last), BRUME_E_UNSUPPORTED, "follows the losses");
    c.unet.class_embed_type = BRUME_CLASS_TABLE;
    c.unet.num_class_embeds = 7;
    CHECK_FAILS(brume_unet2d_config_check(&c.unet), BRUME_E_ARG, "takes no classes");
}

int main(int argc, char **argv)
{
    struct test_devices devices;
    const char *tmp = getenv("TMPDIR");
    brume_dataset *data = NULL;
    const brume_dataset_options o = { .size = SIDE, .channels = 1, .count = 32 };
    test_devices_open(&devices, &argc, argv, 0);
    snprintf(folder, sizeof folder, "%s/brume-classifier-XXXXXX", tmp && *tmp ? tmp : "/tmp");
    if (!CHECK(mkdtemp(folder) != NULL)) return check_report();
    CHECK_OK(brume_dataset_open("shapes", &o, &data));
    for (int d = 0; d < devices.n; d++) test_gradient(&devices.at[d]);
    test_training(data);
    brume_dataset_free(data);
    char command[300];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    CHECK_INT(system(command), 0);
    test_devices_close(&devices);
    return check_report();
}
