/* SPDX-License-Identifier: MIT
 * The Unet of denoising-diffusion-pytorch: state dicts become folders, which compute and differentiate as that program does
 * (scripts/make_lucidrains_golden.py); configs there and back; what is refused. */
#include <unistd.h>

#include "brume/convert.h"
#include "brume/model.h"
#include "brume/params.h"
#include "brume/plan.h"
#include "check.h"
#include "devices.h"
#include "patch.h"

#define DATA "tests/data/lucidrains/"
static char dir[] = "/tmp/brume_lucidrains_XXXXXX", folder[64], file[64];

static void remove_folder(const char *path)
{
    char command[300];
    snprintf(command, sizeof command, "rm -rf '%s'", path);
    CHECK_INT(system(command), 0);
}

static brume_status convert(const char *name, const brume_convert_options *o, char note[512])
{
    char path[96];
    snprintf(path, sizeof path, DATA "%s.safetensors", name);
    return brume_convert_to_folder(path, folder, o, note);
}

/* A tensor (N, C, H, W) or smaller of the golden file; images come as (N, H, W, C). *n values. */
static float *golden(const brume_weights *w, const char *name, int64_t *n)
{
    const brume_st_tensor *t = brume_weights_find(w, name);
    if (!CHECK(t != NULL)) { fprintf(stderr, "    %s\n", name); *n = 0; return calloc(1, sizeof(float)); }
    float *file_order = malloc((size_t)(t->count + 1) * sizeof(float)), *x = malloc((size_t)(t->count + 1) * sizeof(float));
    CHECK_OK(brume_st_read_f32(t, 0, t->count, file_order));
    memcpy(x, file_order, (size_t)t->count * sizeof *x);
    if (t->ndim == 4 && strncmp(name, "grad.", 5)) {
        const int64_t C = t->shape[1], pixels = t->shape[2] * t->shape[3];
        for (int64_t i = 0; i < t->shape[0]; i++)
            for (int64_t c = 0; c < C; c++)
                for (int64_t p = 0; p < pixels; p++) x[(i * pixels + p) * C + c] = file_order[(i * C + c) * pixels + p];
    }
    free(file_order);
    *n = t->count;
    return x;
}

/* Worst difference over the largest value. f32 over some fifty layers: 1e-6 was measured; derivatives lose more in sums that
 * cancel. */
static void compare(const char *what, const float *got, const float *want, int64_t n, double tolerance)
{
    double worst = 0, top = 1e-30;
    for (int64_t i = 0; i < n; i++) {
        const double e = fabs((double)got[i] - (double)want[i]);
        if (!(e <= worst)) worst = e;
        top = fmax(top, fabs((double)want[i]));
    }
    if (!CHECK(worst <= tolerance * top)) fprintf(stderr, "    %s: %.3g of %.3g\n", what, worst, top);
}

struct golden { float *x, *t, *y, *dy, *dx; int64_t nx, nt, ny, ndy, ndx; brume_weights *w; int64_t height, width; };

static void test_computes(const struct golden *k, const brume_model *m, const struct test_device *at)
{
    brume_graph *g = brume_graph_new();
    brume_plan *p = NULL;
    const brume_tensor slab = brume_slab(g, "params");
    const brume_unet2d_inputs in = brume_unet2d_declare_inputs(g, &m->unet, k->nt, k->height, k->width, 0);
    const brume_tensor y = brume_unet2d(g, &m->unet, slab, &in, NULL),
                       dy = brume_input(g, "dy", BRUME_F32, brume_tensor_shape(g, y));
    const brume_tensor loss = brume_sum(g, brume_mul(g, y, dy), 15u, 0);
    const brume_tensor grads = brume_grad_slab(g, loss, slab);
    brume_tensor dx = BRUME_NONE;
    brume_grad(g, loss, BRUME_NONE, 1, &in.x, &dx);
    brume_output(g, y, "y");
    brume_output(g, dx, "dx");
    brume_output(g, grads, "grads");
    CHECK_STR(brume_graph_error(g), "");
    float *out = malloc((size_t)(k->ny + k->nx + m->n_params) * sizeof *out),
          *scratch = malloc((size_t)m->n_params * sizeof *scratch);
    CHECK_OK(brume_plan_new(at->device, g, NULL, &p));
    for (int run = 0; run < 2 && p; run++) {
        float *first = run ? malloc((size_t)k->ny * sizeof *first) : NULL;
        if (first) memcpy(first, out, (size_t)k->ny * sizeof *first);
        CHECK_OK(brume_plan_write(p, slab, m->params, (size_t)m->n_params * sizeof(float)));
        CHECK_OK(brume_plan_write(p, in.x, k->x, (size_t)k->nx * sizeof(float)));
        CHECK_OK(brume_plan_write(p, in.t, k->t, (size_t)k->nt * sizeof(float)));
        CHECK_OK(brume_plan_write(p, dy, k->dy, (size_t)k->ndy * sizeof(float)));
        CHECK_OK(brume_plan_run(p));
        CHECK_OK(brume_plan_read(p, y, out, (size_t)k->ny * sizeof(float)));
        compare("y", out, k->y, k->ny, 1e-5);
        if (first) CHECK(!memcmp(first, out, (size_t)k->ny * sizeof *first));
        free(first);
        CHECK_OK(brume_plan_read(p, dx, out + k->ny, (size_t)k->nx * sizeof(float)));
        compare("dx", out + k->ny, k->dx, k->nx, 1e-4);
        CHECK_OK(brume_plan_read(p, grads, out + k->ny + k->nx, (size_t)m->n_params * sizeof(float)));
        for (int i = 0; i < brume_param_count(g, slab); i++) {
            const brume_param_info *info = brume_param_at(g, slab, i);
            char name[200];
            int64_t n;
            snprintf(name, sizeof name, "grad.%s", info->name);
            float *want = golden(k->w, name, &n);
            brume_param_to_file(info, out + k->ny + k->nx + info->offset, scratch);
            if (CHECK_INT(n, brume_shape_numel(info->shape))) compare(name, scratch, want, n, 1e-4);
            free(want);
        }
    }
    brume_plan_free(p);
    free(scratch);
    free(out);
    brume_graph_free(g);
}

static void test_golden(const char *name, const brume_convert_options *o, const struct test_devices *devices)
{
    brume_model *m = NULL;
    struct golden k = { .nx = 0 };
    char path[96], note[512];
    snprintf(path, sizeof path, DATA "%s_case.safetensors", name);
    if (CHECK_OK(convert(name, o, note)) && CHECK_OK(brume_model_load(folder, NULL, &m)) &&
        CHECK_OK(brume_weights_open(path, "case", NULL, &k.w))) {
        CHECK_STR(m->note, "");
        const brume_st_tensor *x = brume_weights_find(k.w, "x");
        k.height = x->shape[2];
        k.width = x->shape[3];
        k.x = golden(k.w, "x", &k.nx);
        k.t = golden(k.w, "t", &k.nt);
        k.y = golden(k.w, "y", &k.ny);
        k.dy = golden(k.w, "dy", &k.ndy);
        k.dx = golden(k.w, "dx", &k.ndx);
        for (int i = 0; i < devices->n; i++) {
            const int before = check_failed;
            test_computes(&k, m, &devices->at[i]);
            if (check_failed > before) fprintf(stderr, "    of %s, on %s\n", name, devices->at[i].where);
        }
        /* Written again by brume, the weights are the state dict still. */
        brume_weights *a = NULL, *b = NULL;
        char again[96];
        snprintf(again, sizeof again, "%s/again", dir);
        snprintf(path, sizeof path, "%s/again/unet", dir);
        CHECK_OK(brume_model_save(m, again));
        snprintf(again, sizeof again, DATA "%s.safetensors", name);
        if (CHECK_OK(brume_weights_open(path, "diffusion_pytorch_model", NULL, &a)) &&
            CHECK_OK(brume_weights_open(again, "model", NULL, &b)))
            for (int64_t i = 0; i < brume_weights_count(a); i++) {
                const brume_st_tensor *t = brume_weights_at(a, i);
                char theirs[200];
                snprintf(theirs, sizeof theirs, "%s%s", brume_weights_find(b, "betas") ? "model." : "", t->name);
                const brume_st_tensor *s = brume_weights_find(b, theirs);
                if (!CHECK(s && s->ndim == t->ndim && s->count == t->count &&
                           !memcmp(s->shape, t->shape, (size_t)t->ndim * sizeof *t->shape)))
                    continue;
                float *u = malloc((size_t)t->count * sizeof *u), *v = malloc((size_t)t->count * sizeof *v);
                CHECK_OK(brume_st_read_f32(t, 0, t->count, u));
                CHECK_OK(brume_st_read_f32(s, 0, t->count, v));
                CHECK(!memcmp(u, v, (size_t)t->count * sizeof *u));
                free(u);
                free(v);
            }
        brume_weights_close(a);
        brume_weights_close(b);
    }
    brume_weights_close(k.w);
    free(k.x);
    free(k.t);
    free(k.y);
    free(k.dy);
    free(k.dx);
    brume_model_free(m);
}

static void test_configs(void)
{
    brume_model *m = NULL;
    char note[512];
    const brume_convert_options keep = { .keep_dtype = true, .image_size = 8 },
    both = { .keep_dtype = true, .self_condition = true };
    if (CHECK_OK(convert("plain", &keep, note)) && CHECK_OK(brume_model_load(folder, NULL, &m))) {
        CHECK_INT(m->unet.dim, 4);
        CHECK_INT(m->unet.init_dim, 0);
        CHECK_INT(m->unet.sample_size[0], 8);
        CHECK(!m->unet.full_attention[0] && m->unet.full_attention[1] && !m->unet.self_condition);
        CHECK_INT(m->scheduler.num_train_timesteps, 40); /* found in the file */
        CHECK_STR(m->scheduler.beta_schedule, "sigmoid_alpha_bar");
        CHECK_INT(m->scheduler.prediction_type, BRUME_PREDICT_V);
        CHECK_INT(m->scheduler.variance_type, BRUME_VARIANCE_FIXED_SMALL);
    }
    brume_model_free(m);
    m = NULL;
    if (CHECK_OK(convert("rich", &both, note)) && CHECK_OK(brume_model_load(folder, NULL, &m))) {
        CHECK(strstr(note, "self-conditioned") && strstr(note, "learned frequencies") && strstr(note, "v (assumed)"));
        CHECK_INT(m->unet.in_channels, 3);
        CHECK_INT(m->unet.out_channels, 6);
        CHECK_INT(m->unet.init_dim, 6);
        CHECK_INT(m->unet.learned_sinusoidal_dim, 6);
        CHECK_INT(m->unet.level_attention_heads[2], 3);
        CHECK_INT(m->unet.level_head_dim[1], 3);
        CHECK_INT(m->scheduler.variance_type, BRUME_VARIANCE_LEARNED_RANGE);
        CHECK_INT(m->scheduler.num_train_timesteps, 1000);
    }
    brume_model_free(m);
    m = NULL;
    brume_convert_options o = { .keep_dtype = true, .schedule = "cosine", .prediction = "epsilon", .timesteps = 100,
                                .self_condition = true };
    if (CHECK_OK(convert("rich", &o, note)) && CHECK_OK(brume_model_load(folder, NULL, &m))) {
        CHECK_STR(m->scheduler.beta_schedule, "squaredcos_cap_v2");
        CHECK_INT(m->scheduler.prediction_type, BRUME_PREDICT_EPS);
    }
    brume_model_free(m);
}

static brume_status parse(const char *keys, brume_unet2d_config *c)
{
    char text[400], note[512];
    snprintf(text, sizeof text, "{\"_class_name\": \"BrumeLucidrainsUnet\", \"block_out_channels\": [64, 128]%s}", keys);
    return brume_unet2d_config_parse(text, strlen(text), "test.json", c, note);
}

static void test_config_refusals(void)
{
    static const struct { const char *keys, *says; brume_status status; } rows[] = {
        { ", \"dim\": 7", "dim must be even", BRUME_E_ARG },
        { ", \"dim\": 2", "at least 4", BRUME_E_ARG },
        { ", \"learned_sinusoidal_dim\": 3", "learned_sinusoidal_dim must be even", BRUME_E_ARG },
        { ", \"attn_heads\": [4, 17]", "attn_heads[1] must be within 1 .. 16", BRUME_E_ARG },
        { ", \"attn_heads\": [4, 4, 4]", "attn_heads has 3 entries", BRUME_E_ARG },
        { ", \"attn_dim_head\": 0", "attn_dim_head", BRUME_E_FORMAT },
        { ", \"full_attn\": [true]", "full_attn has 1 entries", BRUME_E_ARG },
        { ", \"full_attn\": 1", "true or false", BRUME_E_FORMAT },
        { ", \"num_mem_kv\": 0", "num_mem_kv", BRUME_E_FORMAT },
    };
    brume_unet2d_config c, d;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) CHECK_FAILS(parse(rows[i].keys, &c), rows[i].status, rows[i].says);
    CHECK_OK(parse(", \"attn_heads\": [17, 4], \"dim\": 64, \"full_attn\": false", &c)); /* linear attention takes any number */
    CHECK(!c.full_attention[0] && !c.full_attention[1]);
    if (CHECK_OK(parse("", &c))) {
        brume_unet2d_lucidrains_config_default(&d);
        d.levels = 2;
        d.block_out_channels[2] = d.block_out_channels[3] = d.level_attention_heads[2] = d.level_attention_heads[3] =
            d.level_head_dim[2] = d.level_head_dim[3] = 0;
        d.full_attention[1] = true;
        d.full_attention[3] = false;
        CHECK(!memcmp(&c, &d, sizeof c));
    }
    brume_unet2d_lucidrains_config_default(&d);
    CHECK_INT(brume_unet2d_param_count(&d), 35711491); /* of Unet(64) */
}

/* The tensors of a file with root in front of their names, and one more. */
static void rewrite(const char *name, const char *root, const char *extra)
{
    brume_weights *w = NULL;
    char path[96];
    snprintf(path, sizeof path, DATA "%s.safetensors", name);
    if (!CHECK_OK(brume_weights_open(path, "model", NULL, &w))) return;
    const int64_t n = brume_weights_count(w);
    brume_st_item *items = calloc((size_t)n + 1, sizeof *items);
    char(*names)[128] = calloc((size_t)n, sizeof *names);
    static const float one = 1;
    for (int64_t i = 0; i < n; i++) {
        const brume_st_tensor *t = brume_weights_at(w, i);
        float *x = malloc((size_t)(t->count + 1) * sizeof *x);
        CHECK_OK(brume_st_read_f32(t, 0, t->count, x));
        snprintf(names[i], sizeof names[i], "%s%s", root, t->name);
        items[i] = (brume_st_item){ .name = names[i], .dtype = BRUME_ST_F32, .ndim = t->ndim, .shape = t->shape, .data = x };
    }
    items[n] = (brume_st_item){ .name = extra, .dtype = BRUME_ST_F32, .data = &one };
    CHECK_OK(brume_safetensors_write(file, items, n + 1, NULL));
    for (int64_t i = 0; i < n; i++) free((void *)(uintptr_t)items[i].data);
    free(names);
    free(items);
    brume_weights_close(w);
}

static void test_malformed(void)
{
    const brume_convert_options o = { .keep_dtype = true, .self_condition = true };
    brume_weights *w = NULL;
    char note[512];
    struct patch p;
    remove_folder(folder);
    if (!CHECK_OK(brume_weights_open(DATA "rich.safetensors", "model", NULL, &w)) ||
        !patch_begin(&p, DATA "rich.safetensors", file))
        return;
    for (int64_t i = 0; i < brume_weights_count(w); i++) {
        const brume_st_tensor *t = brume_weights_at(w, i);
        char name[200];
        patch_name(&p, t);
        const brume_status s = brume_convert_to_folder(file, folder, &o, note);
        snprintf(name, sizeof name, "%.*s", (int)strlen(t->name) - 1, t->name);
        if (!CHECK(s == BRUME_E_FORMAT || s == BRUME_E_UNSUPPORTED) || !CHECK(strstr(brume_error(), name)))
            fprintf(stderr, "    without %s: %s\n", t->name, s ? brume_error() : "done");
        if (patch_turn(&p, t) && !CHECK(brume_convert_to_folder(file, folder, &o, note) != BRUME_OK))
            fprintf(stderr, "    turned %s\n", t->name);
    }
    patch_end(&p);
    brume_weights_close(w);
    rewrite("rich", "", "downs.0.4.weight");
    CHECK_FAILS(brume_convert_to_folder(file, folder, &o, note), BRUME_E_UNSUPPORTED,
                "'downs.0.4.weight' () has no counterpart in BrumeLucidrainsUnet");
    rewrite("plain", "", "optimizer");
    CHECK_FAILS(brume_convert_to_folder(file, folder, &o, note), BRUME_E_UNSUPPORTED,
                "tensor 'optimizer' is no part of 'model...");
    CHECK(access(folder, F_OK) != 0);
    /* What the trainer's moving average is saved as. */
    rewrite("plain", "ema_model.", "step");
    if (CHECK_OK(brume_convert_to_folder(file, folder, &o, note))) CHECK(strstr(note, "schedule of 40 steps") != NULL);
}

/* Recomputation gives the same gradients. */
static void test_recompute(void)
{
    brume_model *m = NULL;
    char note[512];
    const brume_convert_options o = { .keep_dtype = true };
    if (!CHECK_OK(convert("plain", &o, note)) || !CHECK_OK(brume_model_load(folder, NULL, &m))) return;
    brume_graph *g[2];
    float *grads[2] = { NULL, NULL };
    brume_device *d = NULL;
    CHECK_OK(brume_device_open("cpu", NULL, &d));
    for (int recompute = 0; recompute < 2; recompute++) {
        brume_plan *p = NULL;
        g[recompute] = brume_graph_new();
        const brume_tensor slab = brume_slab(g[recompute], "params");
        const brume_unet2d_inputs in = brume_unet2d_declare_inputs(g[recompute], &m->unet, 3, 4, 4, 0);
        const brume_tensor loss = brume_mse(g[recompute], brume_unet2d(g[recompute], &m->unet, slab, &in, NULL), in.x);
        brume_graph_recompute(g[recompute], recompute);
        const brume_tensor grad = brume_grad_slab(g[recompute], loss, slab);
        brume_output(g[recompute], grad, "grad");
        float x[3 * 16], t[3] = { 1, 20, 39 };
        for (int i = 0; i < 48; i++) x[i] = (float)((i * 29) % 17 - 8) / 8.0f;
        grads[recompute] = malloc((size_t)m->n_params * sizeof(float));
        if (!CHECK_OK(brume_plan_new(d, g[recompute], NULL, &p))) continue;
        CHECK_OK(brume_plan_write(p, slab, m->params, (size_t)m->n_params * sizeof(float)));
        CHECK_OK(brume_plan_write(p, in.x, x, sizeof x));
        CHECK_OK(brume_plan_write(p, in.t, t, sizeof t));
        CHECK_OK(brume_plan_run(p));
        CHECK_OK(brume_plan_read(p, grad, grads[recompute], (size_t)m->n_params * sizeof(float)));
        brume_plan_free(p);
    }
    CHECK(!memcmp(grads[0], grads[1], (size_t)m->n_params * sizeof(float)));
    for (int i = 0; i < 2; i++) {
        free(grads[i]);
        brume_graph_free(g[i]);
    }
    brume_device_close(d);
    brume_model_free(m);
}

int main(int argc, char **argv)
{
    struct test_devices devices;
    const brume_convert_options plain = { .keep_dtype = true }, rich = { .keep_dtype = true, .self_condition = true };
    test_devices_open(&devices, &argc, argv, 0);
    if (!CHECK(mkdtemp(dir) != NULL)) return check_report();
    snprintf(folder, sizeof folder, "%s/out", dir);
    snprintf(file, sizeof file, "%s/model.safetensors", dir);
    test_golden("plain", &plain, &devices);
    test_golden("rich", &rich, &devices);
    test_configs();
    test_config_refusals();
    test_malformed();
    test_recompute();
    remove_folder(dir);
    test_devices_close(&devices);
    return check_report();
}
