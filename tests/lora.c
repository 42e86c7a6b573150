/* SPDX-License-Identifier: MIT
 * Low-rank adapters in networks: which layers get them, gradients against differences, frozen weights without gradients, and
 * merged weights that compute the same. */
#include "brume/lora.h"

#include "brume/ops.h"
#include "brume/params.h"
#include "brume/plan.h"
#include "brume/rng.h"
#include "brume/text_encoder.h"
#include "brume/unet2d.h"
#include "check.h"
#include "devices.h"

enum { N = 2, SIDE = 4, TOKENS = 5, WIDTH = 8 };

/* Two networks in one slab, the text encoder before the U-Net, as in training; or a UNet2DModel alone. */
struct net {
    brume_graph *g;
    brume_plan *plan;
    brume_tensor weights, x, t, ids, weigh, y, loss, grad;
    brume_lora lora;
};

static void small_unet(brume_unet2d_config *c, int text)
{
    if (text) brume_unet2d_condition_config_default(c);
    else brume_unet2d_config_default(c);
    c->in_channels = c->out_channels = 3;
    c->levels = 2;
    for (int i = 0; i < 2; i++) {
        c->block_out_channels[i] = 8 + 4 * i;
        c->down_block_types[i] = c->up_block_types[1 - i] = !i     ? BRUME_BLOCK_RESNET
                                                            : text ? BRUME_BLOCK_CROSS_ATTENTION
                                                                   : BRUME_BLOCK_ATTENTION;
    }
    c->layers_per_block = 1;
    c->norm_num_groups = 4;
    c->attention_head_dim = text ? 2 : 4;
    c->cross_attention_dim = WIDTH;
}

static const brume_text_encoder_config *small_text(void)
{
    static brume_text_encoder_config c;
    brume_text_encoder_config_default(&c);
    c.vocab_size = 11;
    c.hidden_size = WIDTH;
    c.intermediate_size = 12;
    c.num_attention_heads = 2;
    c.num_hidden_layers = 2;
    c.max_position_embeddings = TOKENS;
    return &c;
}

static int net_open(struct net *n, brume_device *d, int text, int rank, double alpha)
{
    brume_unet2d_config c;
    brume_graph *g = n->g = brume_graph_new();
    small_unet(&c, text);
    n->weights = brume_slab(g, "params");
    n->lora = (brume_lora){ brume_slab(g, "adapters"), rank, alpha };
    n->ids = BRUME_NONE;
    brume_unet2d_inputs in = { .labels = BRUME_NONE, .context = BRUME_NONE, .lora = &n->lora };
    if (text) {
        n->ids = brume_input(g, "ids", BRUME_I32, BRUME_SHAPE(N, TOKENS));
        in.context = brume_text_encoder_adapted(g, small_text(), n->weights, "text_encoder.", n->ids, &n->lora);
    }
    in.x = n->x = brume_input(g, "x", BRUME_F32, BRUME_SHAPE(N, SIDE, SIDE, 3));
    in.t = n->t = brume_input(g, "t", BRUME_F32, BRUME_SHAPE(N));
    n->y = brume_unet2d(g, &c, n->weights, &in, NULL);
    n->weigh = brume_input(g, "weigh", BRUME_F32, BRUME_SHAPE(N, SIDE, SIDE, 3));
    n->loss = brume_sum(g, brume_mul(g, n->y, n->weigh), 15, 0);
    n->grad = brume_grad_slab(g, n->loss, n->lora.slab);
    brume_output(g, n->y, "y");
    brume_output(g, n->loss, "loss");
    brume_output(g, n->grad, "grad");
    if (!CHECK_OK(brume_graph_status(g))) fprintf(stderr, "    %s\n", brume_graph_error(g));
    return CHECK_OK(brume_plan_new(d, g, &(brume_plan_options){ 0 }, &n->plan));
}

static void net_close(struct net *n)
{
    brume_plan_free(n->plan);
    brume_graph_free(n->g);
}

/* The sum of y times fixed weights, in double; y may be NULL. */
static double run(struct net *n, const float *weights, const float *adapters, float *y)
{
    enum { VALUES = N * SIDE * SIDE * 3 };
    float x[VALUES], w[VALUES], own[VALUES], *to = y ? y : own;
    const float t[N] = { 3, 700 };
    int32_t ids[N * TOKENS];
    double sum = 0;
    brume_fill_normal(1, 0, 0, 0, VALUES, x);
    brume_fill_normal(2, 0, 0, 0, VALUES, w);
    for (int i = 0; i < N * TOKENS; i++) ids[i] = (7 * i + 3) % 11;
    CHECK_OK(brume_plan_write(n->plan, n->x, x, sizeof x));
    CHECK_OK(brume_plan_write(n->plan, n->t, t, sizeof t));
    CHECK_OK(brume_plan_write(n->plan, n->weigh, w, sizeof w));
    if (n->ids != BRUME_NONE) CHECK_OK(brume_plan_write(n->plan, n->ids, ids, sizeof ids));
    CHECK_OK(brume_plan_write(n->plan, n->weights, weights, (size_t)brume_params_numel(n->g, n->weights) * sizeof *weights));
    CHECK_OK(
        brume_plan_write(n->plan, n->lora.slab, adapters, (size_t)brume_params_numel(n->g, n->lora.slab) * sizeof *adapters));
    CHECK_OK(brume_plan_run(n->plan));
    CHECK_OK(brume_plan_read(n->plan, n->y, to, sizeof x));
    for (int i = 0; i < VALUES; i++) sum += (double)to[i] * (double)w[i];
    return sum;
}

/* Two parameters beside every projection, none elsewhere; a fresh B is zero and A within kaiming's bounds. */
static void test_layers(struct net *n, int text)
{
    const char *const leaves[] = { "to_q", "to_k", "to_v", "to_out.0", "q_proj", "k_proj", "v_proj", "out_proj" };
    /* one on the way down, one in the middle, two on the way up; two layers of text */
    const int attentions = text ? 2 + 2 * 4 : 4;
    CHECK_INT(brume_param_count(n->g, n->lora.slab), attentions * 4 * 2);
    float *fresh = malloc((size_t)brume_params_numel(n->g, n->lora.slab) * sizeof *fresh);
    brume_params_init(n->g, n->lora.slab, 5, fresh);
    for (int i = 0; i < brume_param_count(n->g, n->lora.slab); i++) {
        const brume_param_info *p = brume_param_at(n->g, n->lora.slab, i);
        int known = 0;
        float most = 0;
        for (int k = 0; k < 8; k++) known += strstr(p->name, leaves[k]) != NULL;
        CHECK(known == 1 && (!strncmp(p->name, "unet.", 5) || !strncmp(p->name, "text_encoder.text_model.", 24)));
        for (int64_t k = 0; k < brume_shape_numel(p->shape); k++) most = fmaxf(most, fabsf(fresh[p->offset + k]));
        if (i % 2) CHECK(most == 0);
        else CHECK(most > 0 && (double)most <= 1 / sqrt((double)p->shape.d[0]));
    }
    free(fresh);
}

static void test_net(const struct test_device *d, int text)
{
    struct net n;
    if (!net_open(&n, d->device, text, 3, 2)) return;
    const int64_t n_weights = brume_params_numel(n.g, n.weights), n_adapters = brume_params_numel(n.g, n.lora.slab);
    float *weights = malloc((size_t)n_weights * sizeof *weights), *adapters = calloc((size_t)n_adapters, sizeof *adapters);
    float *grad = malloc((size_t)n_adapters * sizeof *grad), *moved = malloc((size_t)n_adapters * sizeof *moved),
          *way = malloc((size_t)n_adapters * sizeof *way);
    test_layers(&n, text);
    brume_params_init(n.g, n.weights, 3, weights);
    brume_fill_normal(4, 0, 0, 0, n_adapters, adapters);
    for (int64_t i = 0; i < n_adapters; i++) adapters[i] *= 0.3f;
    float y[N * SIDE * SIDE * 3], plain[sizeof y / sizeof *y], merged[sizeof y / sizeof *y];
    run(&n, weights, adapters, y);
    CHECK_OK(brume_plan_read(n.plan, n.grad, grad, (size_t)n_adapters * sizeof *grad));

    /* Along random directions. Differences of f32 results: 1e-6 of some 10, over the step; and the curvature of steps of 1 %. */
    for (int k = 0; k < 3; k++) {
        double along = 0, size = 0, difference = 0;
        const double h = 0.01;
        brume_fill_normal(10 + (uint64_t)k, 0, 0, 0, n_adapters, way);
        for (int64_t i = 0; i < n_adapters; i++) {
            way[i] *= 0.1f;
            along += (double)way[i] * (double)grad[i];
            size += (double)way[i] * (double)grad[i] * (double)way[i] * (double)grad[i];
        }
        for (int side = -1; side <= 1; side += 2) {
            for (int64_t i = 0; i < n_adapters; i++) moved[i] = adapters[i] + (float)(side * h) * way[i];
            difference += side * run(&n, weights, moved, NULL) / (2 * h);
        }
        if (!CHECK_NEAR(along, difference, 0.01 * sqrt(size) + 1e-3))
            fprintf(stderr, "    on %s, %s\n", d->where, text ? "text" : "plain");
        CHECK(size > 1e-3);
    }

    /* Merged weights and adapters of zero compute the same as adapters beside plain weights. */
    memset(moved, 0, (size_t)n_adapters * sizeof *moved);
    run(&n, weights, moved, plain);
    CHECK_OK(brume_lora_add(n.g, &n.lora, adapters, 1, n.weights, weights));
    run(&n, weights, moved, merged);
    double worst = 0, changed = 0;
    for (size_t i = 0; i < sizeof y / sizeof *y; i++) {
        worst = fmax(worst, fabs((double)y[i] - (double)merged[i]));
        changed = fmax(changed, fabs((double)y[i] - (double)plain[i]));
    }
    CHECK(worst <= 2e-5 && changed > 0.05); /* roundings of values about 1 through a dozen layers */
    CHECK_OK(brume_lora_add(n.g, &n.lora, adapters, -1, n.weights, weights)); /* and back, up to rounding */
    run(&n, weights, moved, merged);
    for (size_t i = 0; i < sizeof y / sizeof *y; i++) CHECK_NEAR(merged[i], plain[i], 2e-5);
    free(weights);
    free(adapters);
    free(grad);
    free(moved);
    free(way);
    net_close(&n);
}

static void test_refusals(void)
{
    const int ranks[] = { 0, -1, BRUME_LORA_MAX_RANK + 1 };
    for (int k = 0; k < 3; k++) {
        brume_graph *g = brume_graph_new();
        const brume_lora lora = { brume_slab(g, "adapters"), ranks[k], 1 };
        brume_text_encoder_adapted(g, small_text(), brume_slab(g, "params"), "",
                                   brume_input(g, "ids", BRUME_I32, BRUME_SHAPE(1, 2)), &lora);
        CHECK_INT(brume_graph_status(g), BRUME_E_ARG);
        CHECK(strstr(brume_graph_error(g), "rank must be 1 to 4096"));
        brume_graph_free(g);
    }
}

int main(int argc, char **argv)
{
    struct test_devices devices;
    test_devices_open(&devices, &argc, argv, 0);
    for (int d = 0; d < devices.n; d++) {
        if (d == 0) test_net(&devices.at[d], 0); /* the kernels of the other are nearly the same, and take long to compile */
        test_net(&devices.at[d], 1);
    }
    test_refusals();
    test_devices_close(&devices);
    return check_report();
}
