/* SPDX-License-Identifier: MIT
 * Model folders with expected outputs, loss and gradients (io.safetensors), on any device.
 *
 * usage: golden_models [--device D]... [DIR...]
 * Default devices: the cpu and every usable OpenCL device. Default folders: tests/data/models and, where present, golden/models of
 * the shared data. Folders of other model classes are skipped, and say so. Exit 0: nothing failed. */
#include <dirent.h>

#include "base/file.h"
#include "brume/json.h"
#include "brume/model.h"
#include "brume/params.h"
#include "brume/plan.h"
#include "check.h"
#include "devices.h"

#define OUTPUT_TOL 1e-4   /* of max|output| */
#define GRAD_TOL 1e-3     /* of the gradient's max */
#define GRAD_ABS 1e-6     /* gradients of to_k.bias are 0 in theory */

/* What one model on one device needs; freed together. */
struct run {
    const char *name, *device_name;
    brume_model *model;
    brume_safetensors *io;
    brume_graph *g;
    brume_plan *plan;
    brume_tensor slab, x, t, labels, target, y, loss, grad;
    float *got, *want, *nhwc, *again;
    int64_t room;
    int bad;                       /* tensors that differ */
    double worst_out, worst_grad;  /* in units of what is allowed */
    int gradients;
};

static int complain(struct run *r, const char *what, const char *detail)
{
    r->bad++;
    fprintf(stderr, "%s on %s: %s: %s\n", r->name, r->device_name, what, detail);
    return 0;
}

static int ok(struct run *r, const char *what, brume_status s) { return s == BRUME_OK ? 1 : complain(r, what, brume_error()); }

/* Judges by <=, so that a NaN fails. Returns the worst error in units of what is allowed. */
static double compare(struct run *r, const char *what, const float *got, const float *want, int64_t n, double rel, double abs_tol)
{
    double top = 0, worst = 0;
    int64_t at = -1;
    for (int64_t i = 0; i < n; i++) top = fmax(top, fabs((double)want[i]));
    const double allowed = rel * top + abs_tol;
    for (int64_t i = 0; i < n; i++) {
        const double e = fabs((double)got[i] - want[i]) / (allowed > 0 ? allowed : 1e-30);
        if (!(e <= worst) && !isnan(worst)) { worst = e; at = i; }
    }
    if (!(worst <= 1)) {
        char text[200];
        snprintf(text, sizeof text, "worst element %lld of %lld: got %.9g, want %.9g, allowed %.3g", (long long)at, (long long)n, (double)got[at],
                 (double)want[at], allowed);
        complain(r, what, text);
    }
    return worst;
}

static void to_nhwc(const float *nchw, const int64_t s[4], float *out)
{
    for (int64_t n = 0; n < s[0]; n++)
        for (int64_t c = 0; c < s[1]; c++)
            for (int64_t p = 0; p < s[2] * s[3]; p++) out[(n * s[2] * s[3] + p) * s[1] + c] = *nchw++;
}

/* Reads an image tensor (N, C, H, W) into r->nhwc. */
static int read_image(struct run *r, const char *name, const int64_t shape[4])
{
    const brume_st_tensor *t = brume_safetensors_find(r->io, name);
    if (!t || t->ndim != 4 || memcmp(t->shape, shape, 4 * sizeof *shape)) return complain(r, name, "missing from io.safetensors, or of another shape");
    if (!ok(r, name, brume_st_read_f32(t, 0, t->count, r->want))) return 0;
    to_nhwc(r->want, shape, r->nhwc);
    return 1;
}

static int build(struct run *r, brume_device *d, const int64_t in[4], const int64_t out[4], int with_grad)
{
    const brume_unet2d_config *c = &r->model->unet;
    const brume_dtype time_type = c->time_embedding_type == BRUME_TIME_LEARNED ? BRUME_I32 : BRUME_F32;
    brume_graph *g = r->g = brume_graph_new();
    if (!g) return complain(r, "graph", "out of memory");
    r->slab = brume_slab(g, "params");
    r->x = brume_input(g, "x", BRUME_F32, BRUME_SHAPE(in[0], in[2], in[3], in[1]));
    r->t = brume_input(g, "t", time_type, BRUME_SHAPE(in[0]));
    r->labels = BRUME_NONE;
    if (c->class_embed_type == BRUME_CLASS_TABLE) r->labels = brume_input(g, "labels", BRUME_I32, BRUME_SHAPE(in[0]));
    if (c->class_embed_type == BRUME_CLASS_TIMESTEP) r->labels = brume_input(g, "labels", time_type, BRUME_SHAPE(in[0]));
    if (c->class_embed_type == BRUME_CLASS_IDENTITY) r->labels = brume_input(g, "labels", BRUME_F32, BRUME_SHAPE(in[0], brume_unet2d_embedding_dim(c)));
    r->y = brume_unet2d(g, c, r->slab, r->x, r->t, r->labels, NULL);
    brume_output(g, r->y, "y");
    if (with_grad) {
        r->target = brume_input(g, "target", BRUME_F32, BRUME_SHAPE(out[0], out[2], out[3], out[1]));
        r->loss = brume_mse(g, r->y, r->target);
        brume_output(g, r->loss, "loss");
        r->grad = brume_grad_slab(g, r->loss, r->slab);
        brume_output(g, r->grad, "grad");
    }
    if (brume_graph_status(g) != BRUME_OK) return complain(r, "graph", brume_graph_error(g));
    return ok(r, "plan", brume_plan_new(d, g, NULL, &r->plan));
}

/* Writes values of the file, whatever their type there, to an input of f32 or i32. One value stands for one per sample. */
static int set_numbers(struct run *r, const char *name, brume_tensor to)
{
    const brume_st_tensor *t = brume_safetensors_find(r->io, name);
    const int64_t n = brume_shape_numel(brume_tensor_shape(r->g, to));
    float *values = r->want;
    if (!t || (t->count != n && t->count != 1) || n > r->room) return complain(r, name, "missing, or not one per sample");
    if (!ok(r, name, brume_st_read_f32(t, 0, t->count, values))) return 0;
    for (int64_t i = t->count; i < n; i++) values[i] = values[0];
    if (brume_tensor_dtype(r->g, to) == BRUME_I32)
        for (int64_t i = 0; i < n; i++) memcpy(&values[i], &(int32_t){ (int32_t)values[i] }, sizeof(int32_t));
    return ok(r, name, brume_plan_write(r->plan, to, values, (size_t)n * 4));
}

static int set_inputs(struct run *r, const int64_t in[4], const int64_t out[4], int with_grad)
{
    if (!set_numbers(r, "timestep", r->t)) return 0;
    if (r->labels != BRUME_NONE && !set_numbers(r, "class_labels", r->labels)) return 0;
    if (!ok(r, "parameters", brume_plan_write(r->plan, r->slab, r->model->params, (size_t)r->model->n_params * sizeof(float)))) return 0;
    if (!read_image(r, "sample", in)) return 0;
    if (!ok(r, "sample", brume_plan_write(r->plan, r->x, r->nhwc, (size_t)(in[0] * in[1] * in[2] * in[3]) * 4))) return 0;
    if (!with_grad) return 1;
    if (!read_image(r, "target", out)) return 0;
    return ok(r, "target", brume_plan_write(r->plan, r->target, r->nhwc, (size_t)(out[0] * out[1] * out[2] * out[3]) * 4));
}

static void check_gradients(struct run *r)
{
    const int n = brume_param_count(r->g, r->slab);
    char name[300];
    if (!ok(r, "grad", brume_plan_read(r->plan, r->grad, r->again, (size_t)r->model->n_params * 4))) return;
    for (int i = 0; i < n; i++) {
        const brume_param_info *p = brume_param_at(r->g, r->slab, i);
        const int64_t count = brume_shape_numel(p->shape);
        snprintf(name, sizeof name, "grad.%s", p->name);
        const brume_st_tensor *t = brume_safetensors_find(r->io, name);
        if (!t) {
            if (p->trainable) complain(r, name, "missing from io.safetensors");
            continue;
        }
        if (t->count != count) { complain(r, name, "of another size"); continue; }
        if (!ok(r, name, brume_st_read_f32(t, 0, count, r->want))) continue;
        brume_param_to_file(p, r->again + p->offset, r->got);
        r->worst_grad = fmax(r->worst_grad, compare(r, name, r->got, r->want, count, GRAD_TOL, GRAD_ABS));
        r->gradients++;
    }
    for (int64_t k = 0; k < brume_safetensors_count(r->io); k++) {
        const char *file = brume_safetensors_at(r->io, k)->name;
        int known = strncmp(file, "grad.", 5) != 0;
        for (int i = 0; i < n && !known; i++) {
            const brume_param_info *p = brume_param_at(r->g, r->slab, i);
            known = p->trainable && !strcmp(file + 5, p->name);
        }
        if (!known) complain(r, file, "a gradient of no trainable parameter of the model");
    }
}

static void check_results(struct run *r, const int64_t out[4], int with_grad)
{
    const int64_t count = out[0] * out[1] * out[2] * out[3];
    if (!ok(r, "run", brume_plan_run(r->plan)) || !ok(r, "output", brume_plan_read(r->plan, r->y, r->got, (size_t)count * 4))) return;
    if (!read_image(r, "output", out)) return;
    r->worst_out = compare(r, "output", r->got, r->nhwc, count, OUTPUT_TOL, 0);
    if (with_grad) {
        float loss = NAN, want = NAN;
        const brume_st_tensor *t = brume_safetensors_find(r->io, "loss");
        if (!t || t->count != 1) complain(r, "loss", "missing from io.safetensors");
        else if (ok(r, "loss", brume_st_read_f32(t, 0, 1, &want)) && ok(r, "loss", brume_plan_read(r->plan, r->loss, &loss, sizeof loss)))
            compare(r, "loss", &loss, &want, 1, OUTPUT_TOL, 0);
        memcpy(r->nhwc, r->got, (size_t)count * 4);
        check_gradients(r);
    } else {
        memcpy(r->nhwc, r->got, (size_t)count * 4);
    }
    if (!ok(r, "second run", brume_plan_run(r->plan)) || !ok(r, "second run", brume_plan_read(r->plan, r->y, r->got, (size_t)count * 4))) return;
    if (memcmp(r->got, r->nhwc, (size_t)count * 4)) complain(r, "output", "a second run gives other bits");
    if (!with_grad || !ok(r, "second run", brume_plan_read(r->plan, r->grad, r->got, (size_t)r->model->n_params * 4))) return;
    if (memcmp(r->got, r->again, (size_t)r->model->n_params * 4)) complain(r, "gradients", "a second run gives other bits");
}

static void run_model(const char *dir, const char *name, brume_model *m, brume_device *d, const char *device_name)
{
    struct run r = { .name = name, .device_name = device_name, .model = m };
    char *path = brume_path_join(dir, "io.safetensors");
    if (path && ok(&r, "io.safetensors", brume_safetensors_open(path, &r.io))) {
        const brume_st_tensor *in = brume_safetensors_find(r.io, "sample"), *out = brume_safetensors_find(r.io, "output");
        const int with_grad = brume_safetensors_find(r.io, "loss") && brume_safetensors_find(r.io, "grad.conv_in.weight");
        if (!in || !out || in->ndim != 4 || out->ndim != 4) {
            complain(&r, "io.safetensors", "sample or output is missing");
        } else {
            const int64_t images = in->count > out->count ? in->count : out->count;
            r.room = m->n_params > images ? m->n_params : images;
            r.got = malloc((size_t)r.room * 4);
            r.want = malloc((size_t)r.room * 4);
            r.again = malloc((size_t)r.room * 4);
            r.nhwc = malloc((size_t)r.room * 4);
            if (!r.got || !r.want || !r.again || !r.nhwc) complain(&r, "buffers", "out of memory");
            else if (build(&r, d, in->shape, out->shape, with_grad) && set_inputs(&r, in->shape, out->shape, with_grad))
                check_results(&r, out->shape, with_grad);
        }
    }
    if (r.bad) {
        check_failed++;
        printf("FAILED  %s on %s: %d tensors differ\n", name, device_name, r.bad);
    } else {
        check_passed++;
        printf("ok      %s on %s: output at %.3f of its tolerance", name, device_name, r.worst_out);
        if (r.gradients) printf(", worst of %d gradients at %.3f", r.gradients, r.worst_grad);
        printf("\n");
    }
    fflush(stdout);
    brume_plan_free(r.plan);
    brume_graph_free(r.g);
    brume_safetensors_close(r.io);
    free(r.got);
    free(r.want);
    free(r.again);
    free(r.nhwc);
    free(path);
}

/* Has the folder a model that this driver could know by its class? */
static int has_model(const char *dir)
{
    static const char *const files[] = { "config.json", "unet/config.json", "model_index.json" };
    int found = 0;
    for (int i = 0; i < 3 && !found; i++) {
        char *path = brume_path_join(dir, files[i]);
        found = path && brume_is_file(path);
        free(path);
    }
    return found;
}

static void run_folder(const char *dir, const struct test_devices *devices)
{
    brume_model *m = NULL;
    char plain[1024];
    snprintf(plain, sizeof plain, "%s", dir);
    while (strlen(plain) > 1 && plain[strlen(plain) - 1] == '/') plain[strlen(plain) - 1] = 0;
    const char *slash = strrchr(plain, '/'), *name = slash && slash[1] ? slash + 1 : plain;
    if (brume_is_folder(plain) && !has_model(plain)) {
        printf("skipped %s: holds neither config.json, unet/config.json nor model_index.json\n", name);
        check_skipped++;
        return;
    }
    const brume_status s = brume_model_load(plain, NULL, &m);
    if (s == BRUME_E_UNSUPPORTED) {
        printf("skipped %s: %s\n", name, brume_error());
        check_skipped++;
    } else if (s != BRUME_OK) {
        printf("FAILED  %s: %s\n", name, brume_error());
        check_failed++;
    } else {
        if (m->note[0]) printf("note    %s: %s\n", name, m->note);
        for (int i = 0; i < devices->n; i++) run_model(plain, name, m, devices->at[i].device, devices->at[i].where);
    }
    brume_model_free(m);
}

static int by_name(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

/* Every folder in a folder, sorted. */
static void run_all_in(const char *parent, const struct test_devices *devices)
{
    char *names[256];
    int count = 0;
    DIR *d = opendir(parent);
    if (!d) {
        printf("skipped %s: no such folder\n", parent);
        check_skipped++;
        return;
    }
    for (struct dirent *e; count < 256 && (e = readdir(d));) {
        char *path = e->d_name[0] == '.' ? NULL : brume_path_join(parent, e->d_name);
        if (path && brume_is_folder(path)) names[count++] = path;
        else free(path);
    }
    closedir(d);
    qsort(names, (size_t)count, sizeof *names, by_name);
    for (int i = 0; i < count; i++) {
        run_folder(names[i], devices);
        free(names[i]);
    }
}

int main(int argc, char **argv)
{
    struct test_devices devices;
    test_devices_open(&devices, &argc, argv, 0);
    if (argc > 1 && argv[1][0] == '-') {
        fprintf(stderr, "usage: golden_models [--device D]... [DIR...]\n");
        test_devices_close(&devices);
        return 2;
    }
    if (argc == 1) {
        run_all_in("tests/data/models", &devices);
        run_all_in(check_shared("golden/models"), &devices);
    }
    for (int i = 1; i < argc; i++) run_folder(argv[i], &devices);
    test_devices_close(&devices);
    check_report();
    return check_failed != 0;
}
