/* SPDX-License-Identifier: MIT
 * UNet2DModel: every option of its config built, differentiated, written and read back, dropout, sizes of inputs, fresh
 * parameters. */
#include "brume/model.h"
#include "brume/params.h"
#include "brume/plan.h"
#include "nn_tiny.h"

static brume_device *cpu;

/* One option changed per row. */
struct option { const char *name; void (*set)(brume_unet2d_config *c); };

static void plain(brume_unet2d_config *c) { (void)c; }
static void center(brume_unet2d_config *c) { c->center_input_sample = true; }
static void fourier(brume_unet2d_config *c) { c->time_embedding_type = BRUME_TIME_FOURIER; }
static void learned(brume_unet2d_config *c) { c->time_embedding_type = BRUME_TIME_LEARNED; c->num_train_timesteps = 7; }
static void embedding_dim(brume_unet2d_config *c) { c->time_embedding_dim = 20; }
static void sin_first(brume_unet2d_config *c) { c->flip_sin_to_cos = false; c->freq_shift = 1; }
static void no_mid(brume_unet2d_config *c) { c->mid_block = false; }
static void mid_no_attention(brume_unet2d_config *c) { c->add_attention = false; }
static void mid_scale(brume_unet2d_config *c) { c->mid_block_scale_factor = 1.5; }
static void layers(brume_unet2d_config *c) { c->layers_per_block = 3; }
static void bottom_right(brume_unet2d_config *c) { c->downsample_padding = 0; }
static void resnet_samplers(brume_unet2d_config *c)
{
    c->downsample_type = c->upsample_type = BRUME_RESAMPLE_RESNET;
    c->down_block_types[0] = BRUME_BLOCK_ATTENTION;
}
static void resnet_blocks(brume_unet2d_config *c) { c->down_block_types[0] = c->up_block_types[0] = BRUME_BLOCK_RESNET_RESAMPLE; }
static void mish(brume_unet2d_config *c) { c->act_fn = BRUME_ACT_MISH; }
static void gelu(brume_unet2d_config *c) { c->act_fn = BRUME_ACT_GELU_ERF; }
static void relu(brume_unet2d_config *c) { c->act_fn = BRUME_ACT_RELU; }
static void one_head(brume_unet2d_config *c) { c->attention_head_dim = 0; }
static void odd_heads(brume_unet2d_config *c) { c->attention_head_dim = 5; } /* 2 heads of 5: inner width 10 of 12 channels */
static void mid_groups(brume_unet2d_config *c) { c->attn_norm_num_groups = 3; }
static void scale_shift(brume_unet2d_config *c) { c->resnet_time_scale_shift = BRUME_TIME_SCALE_SHIFT; }
static void class_times(brume_unet2d_config *c) { c->class_embed_type = BRUME_CLASS_TIMESTEP; }
static void class_identity(brume_unet2d_config *c) { c->class_embed_type = BRUME_CLASS_IDENTITY; }
static void dropout(brume_unet2d_config *c) { c->dropout = 0.25; }
static void one_level(brume_unet2d_config *c) { c->levels = 1; c->up_block_types[0] = BRUME_BLOCK_RESNET; }

static void ncsnpp(brume_unet2d_config *c)
{
    c->in_channels = c->out_channels = 3;
    c->block_out_channels[0] = c->block_out_channels[1] = 32;
    c->down_block_types[0] = c->up_block_types[1] = BRUME_BLOCK_SKIP;
    c->down_block_types[1] = c->up_block_types[0] = BRUME_BLOCK_ATTENTION_SKIP;
    c->norm_num_groups = 0;
    fourier(c);
}

static const struct option options[] = {
    { "defaults", plain }, { "center_input_sample", center }, { "fourier", fourier }, { "learned", learned },
    { "time_embedding_dim", embedding_dim }, { "flip_sin_to_cos false", sin_first }, { "mid_block null", no_mid },
    { "add_attention false", mid_no_attention }, { "mid_block_scale_factor", mid_scale }, { "layers_per_block", layers },
    { "downsample_padding 0", bottom_right }, { "resnet resamplers of attention blocks", resnet_samplers },
    { "resnet resample blocks", resnet_blocks }, { "mish", mish }, { "gelu", gelu }, { "relu", relu },
    { "attention_head_dim null", one_head }, { "attention_head_dim 5", odd_heads }, { "attn_norm_num_groups", mid_groups },
    { "scale_shift", scale_shift }, { "class table", classes }, { "class timestep", class_times },
    { "class identity", class_identity }, { "dropout", dropout }, { "one level", one_level }, { "ncsnpp", ncsnpp },
};

/* A training graph with its inputs set. */
struct net {
    brume_graph *g;
    brume_plan *p;
    brume_tensor slab, x, t, labels, target, y, loss, grad, seeds, step;
    int64_t params;
    float *host;
};

static void net_free(struct net *n)
{
    brume_plan_free(n->p);
    brume_graph_free(n->g);
    free(n->host);
}

enum { N = 2, H = 4, W = 6 };

static int net_new(struct net *n, const brume_unet2d_config *c, int train)
{
    static const float times[N] = { 3.5f, 640.0f };
    static const int32_t whole[N] = { 3, 6 }, labels[N] = { 4, 0 };
    static const int64_t seeds[N] = { 11, 12 };
    *n = (struct net){ .g = brume_graph_new(), .labels = BRUME_NONE };
    brume_graph *g = n->g;
    n->slab = brume_slab(g, "params");
    const brume_unet2d_inputs in = brume_unet2d_declare_inputs(g, c, N, H, W, 1);
    n->x = in.x;
    n->t = in.t;
    n->labels = in.labels;
    n->seeds = brume_input(g, "seeds", BRUME_I64, BRUME_SHAPE(N));
    n->step = brume_input(g, "step", BRUME_I32, BRUME_SCALAR);
    const brume_dropout_source source = { n->seeds, n->step, 100 };
    n->y = brume_unet2d(g, c, n->slab, &in, train ? &source : NULL);
    n->target = brume_input(g, "target", BRUME_F32, BRUME_SHAPE(N, H, W, c->out_channels));
    n->loss = brume_mse(g, n->y, n->target);
    n->grad = brume_grad_slab(g, n->loss, n->slab);
    brume_output(g, n->y, "y");
    brume_output(g, n->loss, "loss");
    brume_output(g, n->grad, "grad");
    if (!CHECK_OK(brume_graph_status(g))) { fprintf(stderr, "    %s\n", brume_graph_error(g)); return 0; }
    if (!CHECK_OK(brume_plan_new(cpu, g, &(brume_plan_options){ .poison = 1 }, &n->p))) return 0;
    n->params = brume_params_numel(g, n->slab);
    n->host = malloc((size_t)n->params * 4);
    brume_params_init(g, n->slab, 5, n->host);
    float image[N * H * W * 4], emb[N * 80];
    for (int i = 0; i < N * H * W * 4; i++) image[i] = (float)sin(1.7 * i);
    for (int i = 0; i < N * 80; i++) emb[i] = (float)cos(0.3 * i);
    const size_t pixels = (size_t)N * H * W * 4;
    int ok = CHECK_OK(brume_plan_write(n->p, n->slab, n->host, (size_t)n->params * 4));
    ok &= CHECK_OK(brume_plan_write(n->p, n->x, image, pixels * (size_t)c->in_channels));
    ok &= CHECK_OK(brume_plan_write(n->p, n->target, image + 7, pixels * (size_t)c->out_channels));
    ok &= CHECK_OK(brume_plan_write(n->p, n->t, brume_tensor_dtype(g, n->t) == BRUME_I32 ? (const void *)whole : times, N * 4));
    if (c->class_embed_type == BRUME_CLASS_IDENTITY)
        ok &= CHECK_OK(brume_plan_write(n->p, n->labels, emb, (size_t)(N * brume_unet2d_embedding_dim(c)) * 4));
    else if (n->labels != BRUME_NONE)
        ok &= CHECK_OK(brume_plan_write(n->p, n->labels,
                                        brume_tensor_dtype(g, n->labels) == BRUME_I32 ? (const void *)labels : times, N * 4));
    if (train && c->dropout > 0) {
        ok &= CHECK_OK(brume_plan_write(n->p, n->seeds, seeds, sizeof seeds));
        ok &= CHECK_OK(brume_plan_write(n->p, n->step, &(int32_t){ 0 }, 4));
    }
    return ok;
}

/* Every option: the graph builds, runs in a poisoned arena, and every trainable parameter has a finite gradient that is not 0. */
static void test_options(void)
{
    for (size_t k = 0; k < sizeof options / sizeof *options; k++) {
        brume_unet2d_config c = tiny();
        struct net n;
        options[k].set(&c);
        const int before = check_failed;
        if (net_new(&n, &c, 1) && CHECK_OK(brume_plan_run(n.p)) && CHECK_OK(brume_plan_check_guards(n.p))) {
            float loss = NAN, *grad = malloc((size_t)n.params * 4);
            CHECK_INT(n.params, brume_unet2d_param_count(&c));
            CHECK_OK(brume_plan_read(n.p, n.loss, &loss, sizeof loss));
            CHECK(isfinite(loss) && loss > 0);
            CHECK_OK(brume_plan_read(n.p, n.grad, grad, (size_t)n.params * 4));
            for (int i = 0; i < brume_param_count(n.g, n.slab); i++) {
                const brume_param_info *p = brume_param_at(n.g, n.slab, i);
                int finite = 1, nonzero = 0;
                for (int64_t e = 0; e < brume_shape_numel(p->shape); e++) {
                    finite &= isfinite(grad[p->offset + e]) != 0;
                    nonzero |= grad[p->offset + e] != 0;
                }
                /* the gradient of a key bias vanishes in theory; a table that is not trained has none */
                const int ok = finite && (p->trainable ? nonzero || strstr(p->name, "to_k.bias") : !nonzero);
                if (!CHECK(ok)) fprintf(stderr, "    gradient of %s\n", p->name);
            }
            free(grad);
        }
        if (check_failed != before) fprintf(stderr, "    option: %s\n", options[k].name);
        net_free(&n);
    }
}

/* A slope of the loss along a random direction against the gradient: the whole network, end to end. */
static void test_slope(void)
{
    brume_unet2d_config c = tiny();
    struct net n;
    scale_shift(&c);
    classes(&c);
    if (net_new(&n, &c, 0) && CHECK_OK(brume_plan_run(n.p))) {
        float *grad = malloc((size_t)n.params * 4), *moved = malloc((size_t)n.params * 4), loss[2];
        double want = 0;
        CHECK_OK(brume_plan_read(n.p, n.grad, grad, (size_t)n.params * 4));
        const double h = 2e-3;
        for (int64_t i = 0; i < n.params; i++) want += grad[i] * (double)grad[i];
        const double scale = h / sqrt(want);
        for (int side = 0; side < 2; side++) {
            for (int64_t i = 0; i < n.params; i++) moved[i] = (float)(n.host[i] + (side ? scale : -scale) * grad[i]);
            CHECK_OK(brume_plan_write(n.p, n.slab, moved, (size_t)n.params * 4));
            CHECK_OK(brume_plan_run(n.p));
            CHECK_OK(brume_plan_read(n.p, n.loss, &loss[side], 4));
        }
        CHECK_NEAR((loss[1] - (double)loss[0]) / (2 * h), sqrt(want), 5e-3 * sqrt(want));
        free(grad);
        free(moved);
    }
    net_free(&n);
}

static void read_y(struct net *n, float *y)
{
    CHECK_OK(brume_plan_run(n->p));
    CHECK_OK(brume_plan_read(n->p, n->y, y, (size_t)brume_shape_numel(brume_tensor_shape(n->g, n->y)) * 4));
}

static void test_dropout(void)
{
    brume_unet2d_config c = tiny();
    struct net train, eval;
    float a[N * H * W * 3], b[N * H * W * 3], e[N * H * W * 3];
    dropout(&c);
    if (net_new(&train, &c, 1)) {
        read_y(&train, a);
        read_y(&train, b);
        CHECK(!memcmp(a, b, sizeof a));
        CHECK_OK(brume_plan_write(train.p, train.step, &(int32_t){ 1 }, 4));
        read_y(&train, b);
        CHECK(memcmp(a, b, sizeof a) != 0);
    }
    if (net_new(&eval, &c, 0)) {
        read_y(&eval, e);
        CHECK(memcmp(a, e, sizeof a) != 0);
    }
    net_free(&train);
    net_free(&eval);
}

static void test_inputs(void)
{
    static const struct { int64_t h, w, channels; int labels; const char *says; brume_status status; } rows[] = {
        { 5, 6, 2, 1, "multiples of 2", BRUME_E_SHAPE }, { 4, 6, 3, 1, "(N, H, W, 2)", BRUME_E_SHAPE },
        { 4, 6, 2, 0, "labels must be given", BRUME_E_ARG }, { 4, 6, 2, 2, "i32 of shape (1)", BRUME_E_SHAPE },
    };
    for (size_t k = 0; k < sizeof rows / sizeof *rows; k++) {
        brume_unet2d_config c = tiny();
        classes(&c);
        brume_graph *g = brume_graph_new();
        const brume_tensor x = brume_input(g, "x", BRUME_F32, BRUME_SHAPE(1, rows[k].h, rows[k].w, rows[k].channels));
        const brume_tensor t = brume_input(g, "t", BRUME_F32, BRUME_SHAPE(1));
        const brume_tensor l =
            rows[k].labels ? brume_input(g, "l", rows[k].labels == 1 ? BRUME_I32 : BRUME_F32, BRUME_SHAPE(1)) : BRUME_NONE;
        CHECK(brume_unet2d(g, &c, brume_slab(g, "p"),
                           &(brume_unet2d_inputs){ .x = x, .t = t, .labels = l, .context = BRUME_NONE }, NULL) == BRUME_NONE);
        CHECK_INT(brume_graph_status(g), rows[k].status);
        if (!CHECK(strstr(brume_graph_error(g), rows[k].says) != NULL)) fprintf(stderr, "    %s\n", brume_graph_error(g));
        brume_graph_free(g);
    }
    brume_unet2d_config c = tiny();
    brume_graph *g = brume_graph_new();
    const brume_tensor x = brume_input(g, "x", BRUME_F32, BRUME_SHAPE(1, 4, 4, 2)),
    t = brume_input(g, "t", BRUME_F32, BRUME_SHAPE(1));
    const brume_tensor slab = brume_slab(g, "p");
    brume_unet2d(g, &c, slab, &(brume_unet2d_inputs){ .x = x, .t = t, .labels = BRUME_NONE, .context = BRUME_NONE }, NULL);
    CHECK_OK(brume_graph_status(g));
    brume_unet2d(g, &c, slab, &(brume_unet2d_inputs){ .x = x, .t = t, .labels = BRUME_NONE, .context = BRUME_NONE }, NULL);
    CHECK(strstr(brume_graph_error(g), "cannot grow any more") != NULL || strstr(brume_graph_error(g),
                                                                                 "already has one of that name") != NULL);
    brume_graph_free(g);
}

/* config.json of every option is read back as it was. */
static void test_config_files(void)
{
    for (size_t k = 0; k < sizeof options / sizeof *options; k++) {
        brume_unet2d_config c = tiny(), back;
        char note[512];
        options[k].set(&c);
        c.sample_size[0] = 28;
        c.sample_size[1] = k % 2 ? 28 : 32;
        for (int i = c.levels; i < BRUME_UNET2D_MAX_LEVELS; i++) c.block_out_channels[i] = 0;
        for (int i = c.levels; i < BRUME_UNET2D_MAX_LEVELS; i++) c.down_block_types[i] = c.up_block_types[i] = BRUME_BLOCK_RESNET;
        if (!CHECK_OK(brume_unet2d_config_write(in_dir("config.json"), &c))) continue;
        if (!CHECK_OK(brume_unet2d_config_read(in_dir("config.json"), &back, note))) continue;
        CHECK_STR(note, "");
        if (!CHECK(!memcmp(&c, &back, sizeof c))) fprintf(stderr, "    option: %s\n", options[k].name);
    }
}

static void test_init(void)
{
    brume_unet2d_config c = tiny();
    brume_model *m = NULL, *again = NULL, *other = NULL;
    fourier(&c);
    if (!CHECK_OK(brume_model_new(&c, NULL, 1, &m)) || !CHECK_OK(brume_model_new(&c, NULL, 1, &again))) return;
    CHECK_OK(brume_model_new(&c, NULL, 2, &other));
    const size_t bytes = (size_t)m->n_params * sizeof(float);
    CHECK(!memcmp(m->params, again->params, bytes) && memcmp(m->params, other->params, bytes));
    brume_graph *g = brume_graph_new();
    const brume_tensor x = brume_input(g, "x", BRUME_F32, BRUME_SHAPE(1, 2, 2, 2)),
    t = brume_input(g, "t", BRUME_F32, BRUME_SHAPE(1));
    const brume_tensor slab = brume_slab(g, "p");
    brume_unet2d(g, &c, slab, &(brume_unet2d_inputs){ .x = x, .t = t, .labels = BRUME_NONE, .context = BRUME_NONE }, NULL);
    for (int i = 0; i < brume_param_count(g, slab); i++) {
        const brume_param_info *p = brume_param_at(g, slab, i);
        const float *v = m->params + p->offset;
        const int64_t n = brume_shape_numel(p->shape);
        double top = 0, sq = 0;
        for (int64_t k = 0; k < n; k++) { top = fmax(top, fabs((double)v[k])); sq += (double)v[k] * v[k]; }
        const double rms = sqrt(sq / (double)n), b = 1 / sqrt((double)p->fan_in);
        int ok = 1;
        if (strstr(p->name, "norm")) ok = strstr(p->name, "weight") ? v[0] == 1 && v[n - 1] == 1 : top == 0;
        else if (!strcmp(p->name, "time_proj.weight")) ok = rms > 4 && rms < 40 && !p->trainable;
        else ok = top <= b && (n < 100 || fabs(rms / (b / sqrt(3.0)) - 1) < 0.15);
        if (!CHECK(ok)) fprintf(stderr, "    %s: largest %g, rms %g, bound %g\n", p->name, top, rms, b);
    }
    brume_graph_free(g);
    brume_model_free(m);
    brume_model_free(again);
    brume_model_free(other);
}

int main(void)
{
    if (!CHECK_OK(brume_device_open("cpu", NULL, &cpu))) return check_report();
    test_config_files();
    test_options();
    test_slope();
    test_dropout();
    test_inputs();
    test_init();
    remove_dir();
    brume_device_close(cpu);
    return check_report();
}
