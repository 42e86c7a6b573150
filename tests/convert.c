/* SPDX-License-Identifier: MIT
 * brume_convert_to_folder(): a small network of guided-diffusion, every tensor written down by hand; and what must be refused. */
#include "brume/convert.h"

#include <sys/stat.h>
#include <unistd.h>

#include "base/folder.h"
#include "brume/model.h"
#include "brume/weights.h"
#include "check.h"

/* 2 levels of 32 and 64 channels, 1 layer, attention at the second and in the middle, scale-shift, 4 classes, learned
 * variance. */
struct pair { const char *theirs, *ours; int ndim; int64_t shape[4]; };
#define LINEAR(a, b, o, i) { a ".weight", b ".weight", 2, { o, i } }, { a ".bias", b ".bias", 1, { o } }
#define CONV(a, b, o, i, k) { a ".weight", b ".weight", 4, { o, i, k, k } }, { a ".bias", b ".bias", 1, { o } }
#define NORM(a, b, c) { a ".weight", b ".weight", 1, { c } }, { a ".bias", b ".bias", 1, { c } }
#define RES(a, b, i, o) NORM(a ".in_layers.0", b ".norm1", i), CONV(a ".in_layers.2", b ".conv1", o, i, 3), \
    LINEAR(a ".emb_layers.1", b ".time_emb_proj", 2 * o, 128), NORM(a ".out_layers.0", b ".norm2", o), \
    CONV(a ".out_layers.3", b ".conv2", o, o, 3)
#define WIDER(a, b, i, o) RES(a, b, i, o), CONV(a ".skip_connection", b ".conv_shortcut", o, i, 1)
/* ours NULL: the stacked projection, checked apart */
#define ATTENTION(a, b) NORM(a ".norm", b ".group_norm", 64), \
    { a ".qkv.weight", NULL, 3, { 192, 64, 1 } }, { a ".qkv.bias", NULL, 1, { 192 } }, \
    { a ".proj_out.weight", b ".to_out.0.weight", 3, { 64, 64, 1 } }, { a ".proj_out.bias", b ".to_out.0.bias", 1, { 64 } }
static const struct pair pairs[] = {
    LINEAR("time_embed.0", "time_embedding.linear_1", 128, 32), LINEAR("time_embed.2", "time_embedding.linear_2", 128, 128),
    { "label_emb.weight", "class_embedding.weight", 2, { 4, 128 } },
    CONV("input_blocks.0.0", "conv_in", 32, 3, 3),
    RES("input_blocks.1.0", "down_blocks.0.resnets.0", 32, 32),
    CONV("input_blocks.2.0.op", "down_blocks.0.downsamplers.0.conv", 32, 32, 3),
    WIDER("input_blocks.3.0", "down_blocks.1.resnets.0", 32, 64), ATTENTION("input_blocks.3.1", "down_blocks.1.attentions.0"),
    RES("middle_block.0", "mid_block.resnets.0", 64, 64), ATTENTION("middle_block.1", "mid_block.attentions.0"),
    RES("middle_block.2", "mid_block.resnets.1", 64, 64),
    WIDER("output_blocks.0.0", "up_blocks.0.resnets.0", 128, 64), ATTENTION("output_blocks.0.1", "up_blocks.0.attentions.0"),
    WIDER("output_blocks.1.0", "up_blocks.0.resnets.1", 96, 64), ATTENTION("output_blocks.1.1", "up_blocks.0.attentions.1"),
    CONV("output_blocks.1.2.conv", "up_blocks.0.upsamplers.0.conv", 64, 64, 3),
    WIDER("output_blocks.2.0", "up_blocks.1.resnets.0", 96, 32), WIDER("output_blocks.3.0", "up_blocks.1.resnets.1", 64, 32),
    NORM("out.0", "conv_norm_out", 32), CONV("out.2", "conv_out", 6, 32, 3),
};
enum { N = sizeof pairs / sizeof *pairs };

static char dir[] = "/tmp/brume_convert_XXXXXX", file[64], folder[64];

static int64_t count_of(const struct pair *p)
{
    int64_t n = 1;
    for (int i = 0; i < p->ndim; i++) n *= p->shape[i];
    return n;
}

/* Element k of tensor i: exact in bf16, f16 and f32. */
static float value(int i, int64_t k) { return (float)((k * 37 + i * 11) % 251 - 125) / 64.0f; }

/* The network without tensor `without` (-1: all), with one more called `extra` (or NULL); root in front of the names. */
static void write_file(const char *root, int without, const char *extra, brume_st_dtype dtype)
{
    static char names[N + 1][96];
    brume_st_item items[N + 1];
    int n = 0;
    for (int i = 0; i < N; i++) {
        if (i == without) continue;
        float *x = malloc((size_t)count_of(&pairs[i]) * sizeof *x);
        for (int64_t k = 0; k < count_of(&pairs[i]); k++) x[k] = value(i, k);
        snprintf(names[n], sizeof names[n], "%s%s", root, pairs[i].theirs);
        items[n] = (brume_st_item){ .name = names[n], .dtype = dtype, .ndim = pairs[i].ndim, .shape = pairs[i].shape, .data = x };
        n++;
    }
    static const float one = 1;
    if (extra) items[n++] = (brume_st_item){ .name = extra, .dtype = BRUME_ST_F32, .data = &one };
    CHECK_OK(brume_safetensors_write(file, items, n, NULL));
    for (int i = 0; i < n - (extra != NULL); i++) free((void *)(uintptr_t)items[i].data);
}

static void remove_results(void) { CHECK_OK(brume_folder_remove(folder)); }

static void compare(const brume_weights *w, const char *name, int i, const int64_t *rows, int64_t n_rows, brume_st_dtype dtype)
{
    const brume_st_tensor *t = brume_weights_find(w, name);
    if (!CHECK(t != NULL) || !CHECK(t->dtype == dtype)) { fprintf(stderr, "    %s\n", name); return; }
    const int64_t width = count_of(&pairs[i]) / pairs[i].shape[0];
    if (!CHECK_INT(t->count, n_rows * width)) { fprintf(stderr, "    %s\n", name); return; }
    float *x = malloc((size_t)t->count * sizeof *x);
    int64_t wrong = 0;
    CHECK_OK(brume_st_read_f32(t, 0, t->count, x));
    for (int64_t k = 0; k < t->count; k++) wrong += x[k] != value(i, (rows ? rows[k / width] : k / width) * width + k % width);
    if (!CHECK_INT(wrong, 0)) fprintf(stderr, "    %s\n", name);
    free(x);
}

static void test_names(const char *root, bool new_order, brume_st_dtype in, const brume_convert_options *options)
{
    brume_convert_options o = *options;
    char note[512];
    brume_weights *w = NULL;
    brume_model *m = NULL;
    const brume_st_dtype out = o.keep_dtype ? in : o.dtype;
    o.new_attention_order = new_order;
    write_file(root, -1, NULL, in);
    if (!CHECK_OK(brume_convert_to_folder(file, folder, &o, note))) return;
    CHECK(strstr(note, "learned variance") != NULL);
    char path[96];
    snprintf(path, sizeof path, "%s/unet", folder);
    if (!CHECK_OK(brume_weights_open(path, "diffusion_pytorch_model", NULL, &w))) return;
    int tensors = 0;
    for (int i = 0; i < N; i++) {
        if (pairs[i].ours) {
            compare(w, pairs[i].ours, i, NULL, pairs[i].shape[0], out);
            tensors++;
            continue;
        }
        /* qkv of "....1.qkv.x": the attention's other names are those of the row before the last */
        const int norm = strstr(pairs[i].theirs, "weight") ? i - 2 : i - 3;
        static const char *const projections[] = { "to_q", "to_k", "to_v" };
        const char *end = strstr(pairs[norm].ours, ".group_norm");
        for (int p = 0; p < 3; p++) {
            int64_t rows[64];
            char name[96];
            /* 4 heads of 16: heads, then q, k, v, then channels; in the new order q, k, v come first */
            for (int64_t r = 0; r < 64; r++) rows[r] = new_order ? p * 64 + r : r / 16 * 48 + p * 16 + r % 16;
            snprintf(name, sizeof name, "%.*s.%s%s", (int)(end - pairs[norm].ours), pairs[norm].ours, projections[p],
                     strrchr(pairs[i].theirs, '.'));
            compare(w, name, i, rows, 64, out);
            tensors++;
        }
    }
    CHECK_INT(brume_weights_count(w), tensors);
    brume_weights_close(w);
    if (CHECK_OK(brume_model_load(folder, NULL, &m))) {
        CHECK_STR(m->note, "");
        CHECK_INT(m->unet.attention_head_dim, 16);
        CHECK_INT(m->unet.attn_norm_num_groups, 32);
        CHECK_INT(m->unet.num_class_embeds, 4);
        CHECK_INT(m->unet.resnet_time_scale_shift, BRUME_TIME_SCALE_SHIFT);
        CHECK_INT(m->scheduler.variance_type, BRUME_VARIANCE_LEARNED_RANGE);
        CHECK_INT(m->unet.sample_size[0], o.image_size);
    }
    brume_model_free(m);
    remove_results();
}

static void test_refusals(const brume_convert_options *options)
{
    char note[512], text[200];
    /* any tensor may be missing, and is named (a whole table or module by what it would have become) */
    for (int i = 0; i < N; i++) {
        write_file("", i, NULL, BRUME_ST_F32);
        if (!strcmp(pairs[i].theirs, "label_emb.weight")) continue; /* a network without classes */
        const brume_status s = brume_convert_to_folder(file, folder, options, note);
        if (!CHECK(s == BRUME_E_FORMAT || s == BRUME_E_UNSUPPORTED))
            fprintf(stderr, "    without %s: %s\n", pairs[i].theirs, s ? brume_error() : "done");
        if (!CHECK(strstr(brume_error(), "input_blocks") || strstr(brume_error(), pairs[i].theirs) ||
                   (pairs[i].ours && strstr(brume_error(), pairs[i].ours)) || strstr(brume_error(), "no counterpart")))
            fprintf(stderr, "    without %s: %s\n", pairs[i].theirs, brume_error());
    }
    write_file("", 0, NULL, BRUME_ST_F32);
    CHECK_FAILS(brume_convert_to_folder(file, folder, options, note), BRUME_E_FORMAT,
                "read as guided-diffusion: tensor 'time_embed.0.weight' is missing");
    write_file("", -1, "input_blocks.9.0.strange", BRUME_ST_F32);
    CHECK_FAILS(brume_convert_to_folder(file, folder, options, note), BRUME_E_UNSUPPORTED,
                "'input_blocks.9.0.strange' () has no counterpart");
    write_file("", -1, NULL, BRUME_ST_F32);
    brume_convert_options o = *options;
    o.heads = 0;
    CHECK_FAILS(brume_convert_to_folder(file, folder, &o, note), BRUME_E_ARG, "--heads");
    o.heads = 7;
    CHECK_FAILS(brume_convert_to_folder(file, folder, &o, note), BRUME_E_ARG, "64 channels cannot be cut by 7");
    o.heads = 4;
    o.schedule = "no-such-schedule";
    CHECK_FAILS(brume_convert_to_folder(file, folder, &o, note), BRUME_E_UNSUPPORTED, "no-such-schedule");
    CHECK(access(folder, F_OK) != 0); /* nothing was written */

    const float zero[4 * 3 * 7 * 7] = { 0 };
    const brume_st_item old[] = { /* denoising-diffusion-pytorch before 2.x */
        { .name = "init_conv.weight", .dtype = BRUME_ST_F32, .ndim = 4, .shape = (const int64_t[]){ 4, 3, 7, 7 }, .data = zero },
        { .name = "downs.0.0.block1.proj.weight", .dtype = BRUME_ST_F32, .ndim = 4,
          .shape = (const int64_t[]){ 4, 4, 3, 3 }, .data = zero },
        { .name = "downs.0.0.block1.norm.weight", .dtype = BRUME_ST_F32, .ndim = 1,
          .shape = (const int64_t[]){ 4 }, .data = zero },
    };
    CHECK_OK(brume_safetensors_write(file, old, 3, NULL));
    CHECK_FAILS(brume_convert_to_folder(file, folder, options, note), BRUME_E_UNSUPPORTED,
                "'downs.0.0.block1.norm.weight' has no counterpart: this is an older release");
    CHECK_OK(brume_safetensors_write(file, old, 1, NULL));
    snprintf(text, sizeof text, "%s: not a layout that brume knows", file);
    CHECK_FAILS(brume_convert_to_folder(file, folder, options, note), BRUME_E_FORMAT, text);
}

int main(void)
{
    const brume_convert_options keep = { .keep_dtype = true, .heads = 4, .image_size = 32 },
    half = { .dtype = BRUME_ST_F16, .head_channels = 16 };
    if (!CHECK(mkdtemp(dir) != NULL)) return check_report();
    snprintf(file, sizeof file, "%s/model.safetensors", dir);
    snprintf(folder, sizeof folder, "%s/out", dir);
    test_names("", false, BRUME_ST_F32, &keep);
    test_names("", true, BRUME_ST_BF16, &keep);
    test_names("module.", false, BRUME_ST_F32, &half);
    test_refusals(&keep);
    remove(file);
    rmdir(dir);
    return check_report();
}
