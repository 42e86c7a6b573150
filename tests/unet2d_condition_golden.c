/* SPDX-License-Identifier: MIT
 * UNet2DConditionModel against diffusers in double precision (scripts/make_golden_condition.py): results, and products with the
 * Jacobian by image, context and vectors of class_embed_type "identity"; the denoiser's derivative, and the likelihood by the ODE
 * that uses it. */
#include <math.h>

#include "brume/json.h"
#include "brume/likelihood.h"
#include "brume/model.h"
#include "brume/ops.h"
#include "brume/params.h"
#include "check.h"

enum { N = 2, H = 4, W = 6, C = 4, S = 3, X = 6, E = 32, PIXELS = N * H * W * C, CONTEXT = N * S * X, LABELS = N * E };

static brume_device *cpu;
static brume_json *golden;

static void wave(float *to, int64_t n, double step, double phase)
{
    for (int64_t i = 0; i < n; i++) to[i] = (float)sin(step * (double)i + phase);
}

/* NCHW, as the waves are laid out in the script, to NHWC, or back. */
static void turn(const float *from, float *to, int back)
{
    for (int n = 0; n < N; n++)
        for (int c = 0; c < C; c++)
            for (int p = 0; p < H * W; p++) {
                const int file = (n * C + c) * H * W + p, inside = (n * H * W + p) * C + c;
                to[back ? file : inside] = from[back ? inside : file];
            }
}

static void image(float *to, double step, double phase)
{
    float file[PIXELS];
    wave(file, PIXELS, step, phase);
    turn(file, to, 0);
}

static brume_unet2d_config config(brume_class_embedding kind)
{
    brume_unet2d_config c;
    brume_unet2d_condition_config_default(&c);
    c.levels = 2;
    c.block_out_channels[0] = 8;
    c.block_out_channels[1] = 12;
    c.down_block_types[0] = c.up_block_types[1] = BRUME_BLOCK_CROSS_ATTENTION;
    c.down_block_types[1] = c.up_block_types[0] = BRUME_BLOCK_RESNET;
    c.layers_per_block = 1;
    c.norm_num_groups = 4;
    c.attention_head_dim = 2;
    c.cross_attention_dim = X;
    c.class_embed_type = kind;
    return c;
}

/* The script's formulas for parameters, in the order of the file's values. */
static void fill(const brume_param_info *p, float *inside)
{
    const brume_shape shape = brume_param_file_shape(p);
    const int64_t n = brume_shape_numel(shape);
    int64_t phase = 0;
    for (const char *c = p->name; *c; c++) phase += (unsigned char)*c;
    float *file = malloc((size_t)n * sizeof *file);
    if (!CHECK(file)) return;
    wave(file, n, 0.61, (double)(phase % 1000));
    const float scale = shape.ndim > 1 ? (float)sqrt((double)shape.d[0] / (double)n) : 0.1f;
    const int norm = shape.ndim == 1 && strlen(p->name) > 6 && !strcmp(p->name + strlen(p->name) - 6, "weight");
    for (int64_t i = 0; i < n; i++) file[i] = file[i] * scale + (norm ? 1.0f : 0.0f);
    brume_param_from_file(p, file, inside);
    free(file);
}

static float *parameters(const brume_unet2d_config *c)
{
    brume_graph *g = brume_graph_new();
    brume_tensor slab;
    float *params = NULL;
    if (CHECK_OK(brume_unet2d_on_paper(g, c, &slab)) && (params = calloc((size_t)brume_params_numel(g, slab), sizeof *params)))
        for (int i = 0; i < brume_param_count(g, slab); i++)
            fill(brume_param_at(g, slab, i), params + brume_param_at(g, slab, i)->offset);
    brume_graph_free(g);
    return params;
}

/* Judged by the largest value: the script's own time embedding is computed in f32. */
static void compare(const float *got, const char *kind, const char *key, int n)
{
    const brume_json *want = brume_json_find(brume_json_find(golden, kind), key);
    double most = 0, worst = 0;
    if (!CHECK_INT(brume_json_count(want), n)) return;
    for (int i = 0; i < n; i++) {
        const double w = brume_json_number(brume_json_at(want, i), NAN), e = fabs(got[i] - w);
        most = fmax(most, fabs(w));
        if (!(e <= worst)) worst = e;
    }
    if (!CHECK(worst <= 1e-4 * most)) fprintf(stderr, "    %s of class_embed_type %s: off by %g of %g\n", key, kind, worst, most);
}

/* The network itself, with the gradients of sum(y v). */
static void test_network(const char *name, brume_class_embedding kind)
{
    const brume_unet2d_config c = config(kind);
    const int vectors = kind == BRUME_CLASS_IDENTITY;
    static const float times[N] = { 3.5f, 640.0f };
    float x[PIXELS], v[PIXELS], context[CONTEXT], labels[LABELS], got[PIXELS], file[PIXELS];
    brume_plan *p = NULL;
    brume_graph *g = brume_graph_new();
    float *params = parameters(&c);
    const brume_tensor slab = brume_slab(g, "params");
    const brume_unet2d_inputs in = brume_unet2d_declare_inputs(g, &c, N, H, W, S);
    const brume_tensor seed = brume_input(g, "v", BRUME_F32, BRUME_SHAPE(N, H, W, C));
    const brume_tensor y = brume_unet2d(g, &c, slab, &in, NULL), by[3] = { in.x, in.context, in.labels };
    brume_tensor d[3];
    brume_grad(g, y, seed, vectors ? 3 : 2, by, d);
    brume_output(g, y, "y");
    for (int i = 0; i < 2 + vectors; i++) brume_output(g, d[i], i ? i > 1 ? "dlabels" : "dcontext" : "dx");
    image(x, 1.7, 0);
    image(v, 2.3, 3);
    wave(context, CONTEXT, 0.9, 1);
    wave(labels, LABELS, 0.3, 2);
    if (!CHECK_OK(brume_graph_status(g))) fprintf(stderr, "    %s\n", brume_graph_error(g));
    else if (CHECK(params) && CHECK_OK(brume_plan_new(cpu, g, &(brume_plan_options){ .poison = 1 }, &p))) {
        CHECK_OK(brume_plan_write(p, slab, params, (size_t)brume_params_numel(g, slab) * sizeof *params));
        CHECK_OK(brume_plan_write(p, in.x, x, sizeof x));
        CHECK_OK(brume_plan_write(p, in.t, times, sizeof times));
        CHECK_OK(brume_plan_write(p, in.context, context, sizeof context));
        if (vectors) CHECK_OK(brume_plan_write(p, in.labels, labels, sizeof labels));
        CHECK_OK(brume_plan_write(p, seed, v, sizeof v));
        CHECK_OK(brume_plan_run(p));
        CHECK_OK(brume_plan_read(p, y, got, sizeof got));
        turn(got, file, 1);
        compare(file, name, "y", PIXELS);
        CHECK_OK(brume_plan_read(p, d[0], got, sizeof got));
        turn(got, file, 1);
        compare(file, name, "dx", PIXELS);
        CHECK_OK(brume_plan_read(p, d[1], context, sizeof context));
        compare(context, name, "dcontext", CONTEXT);
        if (vectors) CHECK_OK(brume_plan_read(p, d[2], labels, sizeof labels));
        if (vectors) compare(labels, name, "dlabels", LABELS);
    }
    brume_plan_free(p);
    brume_graph_free(g);
    free(params);
}

/* The denoiser asks for one time for all images, so each image is compared where it has the golden's time. */
static void test_denoiser(void)
{
    static const double times[N] = { 3.5, 640 };
    const brume_unet2d_config c = config(BRUME_CLASS_NONE);
    float x[PIXELS], v[PIXELS], context[CONTEXT], m[PIXELS], product[PIXELS], all[2][PIXELS], file[PIXELS];
    brume_unet2d_denoiser *d = NULL;
    brume_buffer *b[4] = { NULL };
    float *params = parameters(&c);
    image(x, 1.7, 0);
    image(v, 2.3, 3);
    wave(context, CONTEXT, 0.9, 1);
    brume_unet2d_denoiser_options o = { .context = context, .tokens = S, .guidance.scale = 1, .derivative = true };
    int ok = CHECK(params) && CHECK_OK(brume_unet2d_denoiser_new(cpu, &c, params, BRUME_SHAPE(N, H, W, C), &o, &d));
    for (int i = 0; i < 4; i++) ok = ok && CHECK_OK(brume_buffer_new(cpu, sizeof x, &b[i]));
    for (int i = 0; ok && i < N; i++) {
        const brume_denoiser *f = brume_unet2d_denoiser_get(d);
        CHECK_OK(brume_buffer_write(b[0], 0, x, sizeof x));
        CHECK_OK(brume_buffer_write(b[1], 0, v, sizeof v));
        if (!CHECK(f->vjp != NULL)) break;
        CHECK_OK(f->vjp(f->self, b[0], &(brume_level){ .t = times[i], .a = 1, .s = 1 }, b[1], b[2], b[3]));
        CHECK_OK(brume_buffer_read(b[2], 0, m, sizeof m));
        CHECK_OK(brume_buffer_read(b[3], 0, product, sizeof product));
        memcpy(all[0] + i * PIXELS / N, m + i * PIXELS / N, sizeof m / N);
        memcpy(all[1] + i * PIXELS / N, product + i * PIXELS / N, sizeof m / N);
    }
    for (int i = 0; ok && i < 2; i++) {
        turn(all[i], file, 1);
        compare(file, "none", i ? "dx" : "y", PIXELS);
    }
    for (int i = 0; i < 4; i++) brume_buffer_free(b[i]);
    brume_unet2d_denoiser_free(d);
    d = NULL;
    o.guidance.scale = 2;
    o.null_context = context;
    CHECK_FAILS(brume_unet2d_denoiser_new(cpu, &c, params, BRUME_SHAPE(N, H, W, C), &o, &d),
                BRUME_E_UNSUPPORTED, "without guidance");
    const brume_unet2d_config vectors = config(BRUME_CLASS_IDENTITY);
    o.guidance.scale = 1;
    CHECK_FAILS(brume_unet2d_denoiser_new(cpu, &vectors, params, BRUME_SHAPE(N, H, W, C), &o, &d), BRUME_E_UNSUPPORTED,
                "takes class numbers");
    free(params);
}

/*
 * log p with the derivative is that by differences of the network; another context gives another. Of flow matching, whose ODE is
 * the network itself: where it is multiplied by 1 / s, as for eps, the rounding of differences is, too.
 */
static void test_likelihood(void)
{
    enum { SIDE = 2, VALUES = N * SIDE * SIDE * C };
    const brume_unet2d_config c = config(BRUME_CLASS_NONE);
    const brume_shape images = BRUME_SHAPE(N, SIDE, SIDE, C);
    const int64_t seeds[N] = { 5, 6 };
    float x[VALUES], context[CONTEXT];
    brume_scheduler_config flow;
    brume_model *m = NULL;
    brume_ode_image by[3][N] = { 0 };
    wave(x, VALUES, 1.7, 0);
    if (!CHECK_OK(brume_scheduler_config_class("FlowMatchEulerDiscreteScheduler", &flow)) ||
        !CHECK_OK(brume_model_new(&c, NULL, 3, &m)))
        return;
    for (int kind = 0; kind < 3; kind++) { /* derivative, differences, another context */
        brume_unet2d_denoiser *d = NULL;
        brume_ode_likelihood *l = NULL;
        wave(context, CONTEXT, kind == 2 ? 0.8 : 0.9, 1);
        const brume_unet2d_denoiser_options o = { .prediction_type = BRUME_PREDICT_FLOW, .context = context, .tokens = S,
                                                  .guidance.scale = 1, .derivative = kind != 1 };
        const brume_ode_likelihood_options options = { .scheduler = &flow, .rtol = 1e-3, .atol = 1e-3 };
        if (CHECK_OK(brume_unet2d_denoiser_new(cpu, &c, m->params, images, &o, &d)) &&
            CHECK_OK(brume_ode_likelihood_new(cpu, &options, images, &l)))
            CHECK_OK(brume_ode_likelihood_run(l, brume_unet2d_denoiser_get(d), x, seeds, by[kind], NULL, NULL, NULL, NULL));
        brume_ode_likelihood_free(l);
        brume_unet2d_denoiser_free(d);
    }
    for (int i = 0; i < N; i++) {
        CHECK(isfinite(by[0][i].log_p));
        CHECK_NEAR(by[0][i].log_p, by[1][i].log_p, 0.5); /* paths within rtol: 0.2 of 20 nats, 3 of which are the divergence's */
        CHECK(by[0][i].log_p != by[2][i].log_p);
    }
    brume_model_free(m);
    brume_scheduler_config_clear(&flow);
}

int main(void)
{
    if (!CHECK_OK(brume_device_open("cpu", NULL, &cpu)) ||
        !CHECK_OK(brume_json_load("tests/data/unet2d_condition.json", &golden)))
        return check_report();
    test_network("none", BRUME_CLASS_NONE);
    test_network("identity", BRUME_CLASS_IDENTITY);
    test_denoiser();
    test_likelihood();
    brume_json_free(golden);
    brume_device_close(cpu);
    return check_report();
}
