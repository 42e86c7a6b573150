/* SPDX-License-Identifier: MIT
 * A network with inputs, outputs, loss and gradients of a golden file. */
#include "golden_model.h"

#include "base/file.h"
#include "brume/params.h"
#include "check.h"

#define OUTPUT_TOL 1e-4   /* of max|output| */
#define GRAD_TOL 1e-3     /* of the gradient's max */
#define GRAD_ABS 1e-6     /* gradients of key biases are 0 in theory */

int golden_complain(struct golden_run *r, const char *what, const char *detail)
{
    r->bad++;
    fprintf(stderr, "%s on %s: %s: %s\n", r->name, r->device_name, what, detail);
    return 0;
}

int golden_ok(struct golden_run *r, const char *what, brume_status s)
{
    return s == BRUME_OK ? 1 : golden_complain(r, what, brume_error());
}

/* Judges by <=, so that a NaN fails. Returns the worst error in units of what is allowed. */
static double compare(struct golden_run *r, const char *what, const float *got, const float *want, int64_t n, double rel,
                      double abs_tol)
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
        snprintf(text, sizeof text, "worst element %lld of %lld: got %.9g, want %.9g, allowed %.3g", (long long)at, (long long)n,
                 (double)got[at], (double)want[at], allowed);
        golden_complain(r, what, text);
    }
    return worst;
}

brume_shape golden_run_shape(const struct golden_run *r, const char *name)
{
    const brume_st_tensor *t = brume_safetensors_find(r->io, name);
    brume_shape s = { .ndim = 0 };
    if (!t || t->ndim > 5) return s;
    s.ndim = t->ndim;
    for (int i = 0; i < t->ndim; i++) s.d[i] = t->shape[i];
    return t->ndim == 4 ? BRUME_SHAPE(s.d[0], s.d[2], s.d[3], s.d[1]) : s;
}

/* Values of the file into r->inside, images turned. */
static int read_inside(struct golden_run *r, const char *name, int64_t count)
{
    const brume_st_tensor *t = brume_safetensors_find(r->io, name);
    if (!t || (t->count != count && t->count != 1) || count > r->room)
        return golden_complain(r, name, "missing from io.safetensors, or of another size");
    if (!golden_ok(r, name, brume_st_read_f32(t, 0, t->count, r->want))) return 0;
    if (t->ndim == 4) {
        const float *from = r->want;
        for (int64_t n = 0; n < t->shape[0]; n++)
            for (int64_t c = 0; c < t->shape[1]; c++)
                for (int64_t p = 0, pixels = t->shape[2] * t->shape[3]; p < pixels; p++)
                    r->inside[(n * pixels + p) * t->shape[1] + c] = *from++;
    } else {
        memcpy(r->inside, r->want, (size_t)t->count * 4);
    }
    for (int64_t i = t->count; i < count; i++) r->inside[i] = r->inside[0];
    return 1;
}

int golden_run_set(struct golden_run *r, const char *name, brume_tensor to)
{
    const int64_t n = brume_shape_numel(brume_tensor_shape(r->g, to));
    if (!read_inside(r, name, n)) return 0;
    if (brume_tensor_dtype(r->g, to) == BRUME_I32)
        for (int64_t i = 0; i < n; i++) memcpy(&r->inside[i], &(int32_t){ (int32_t)r->inside[i] }, sizeof(int32_t));
    return golden_ok(r, name, brume_plan_write(r->plan, to, r->inside, (size_t)n * 4));
}

int golden_run_open(struct golden_run *r, const char *folder, const char *name, const char *device_name, int64_t n_params)
{
    *r = (struct golden_run){ .name = name, .device_name = device_name, .n_params = n_params, .room = n_params };
    char *path = brume_path_join(folder, "io.safetensors");
    const int opened = path && golden_ok(r, "io.safetensors", brume_safetensors_open(path, &r->io));
    free(path);
    if (!opened) return 0;
    for (int64_t i = 0; i < brume_safetensors_count(r->io); i++) {
        const brume_st_tensor *t = brume_safetensors_at(r->io, i);
        if (t->count > r->room) r->room = t->count;
        r->with_grad |= !strncmp(t->name, "grad.", 5);
    }
    r->got = malloc((size_t)r->room * 4);
    r->want = malloc((size_t)r->room * 4);
    r->again = malloc((size_t)r->room * 4);
    r->inside = malloc((size_t)r->room * 4);
    r->g = brume_graph_new();
    if (!r->got || !r->want || !r->again || !r->inside || !r->g) return golden_complain(r, "buffers", "out of memory");
    r->slab = brume_slab(r->g, "params");
    return 1;
}

int golden_run_finish(struct golden_run *r, brume_device *d, const float *params)
{
    brume_output(r->g, r->y, "y");
    if (r->with_grad) {
        r->target = brume_input(r->g, "target", BRUME_F32, brume_tensor_shape(r->g, r->y));
        r->loss = brume_mse(r->g, r->y, r->target);
        brume_output(r->g, r->loss, "loss");
        r->grad = brume_grad_slab(r->g, r->loss, r->slab);
        brume_output(r->g, r->grad, "grad");
    }
    if (brume_graph_status(r->g) != BRUME_OK) return golden_complain(r, "graph", brume_graph_error(r->g));
    if (brume_params_numel(r->g, r->slab) != r->n_params)
        return golden_complain(r, "parameters", "the network has another number of them");
    return golden_ok(r, "plan", brume_plan_new(d, r->g, NULL, &r->plan)) &&
           golden_ok(r, "parameters", brume_plan_write(r->plan, r->slab, params, (size_t)r->n_params * sizeof *params)) &&
           (!r->with_grad || golden_run_set(r, "target", r->target));
}

double golden_run_compare(struct golden_run *r, const char *name, brume_tensor result, double rel)
{
    const int64_t count = brume_shape_numel(brume_tensor_shape(r->g, result));
    if (!read_inside(r, name, count) || !golden_ok(r, name, brume_plan_read(r->plan, result, r->got, (size_t)count * 4)))
        return INFINITY;
    return compare(r, name, r->got, r->inside, count, rel, 0);
}

/* A parameter's name in the file of gradients. */
static const char *gradient_of(const struct golden_run *r, const brume_param_info *p)
{
    const size_t n = r->strip ? strlen(r->strip) : 0;
    return n && !strncmp(p->name, r->strip, n) ? p->name + n : p->name;
}

static void check_gradients(struct golden_run *r)
{
    const int n = brume_param_count(r->g, r->slab);
    char name[300];
    if (!golden_ok(r, "grad", brume_plan_read(r->plan, r->grad, r->again, (size_t)r->n_params * 4))) return;
    for (int i = 0; i < n; i++) {
        const brume_param_info *p = brume_param_at(r->g, r->slab, i);
        const int64_t count = brume_shape_numel(p->shape);
        snprintf(name, sizeof name, "grad.%s", gradient_of(r, p));
        const brume_st_tensor *t = brume_safetensors_find(r->io, name);
        if (!t) {
            if (p->trainable) golden_complain(r, name, "missing from io.safetensors");
            continue;
        }
        if (t->count != count) { golden_complain(r, name, "of another size"); continue; }
        if (!golden_ok(r, name, brume_st_read_f32(t, 0, count, r->want))) continue;
        brume_param_to_file(p, r->again + p->offset, r->got);
        r->worst_grad = fmax(r->worst_grad, compare(r, name, r->got, r->want, count, GRAD_TOL, GRAD_ABS));
        r->gradients++;
    }
    for (int64_t k = 0; k < brume_safetensors_count(r->io); k++) {
        const char *file = brume_safetensors_at(r->io, k)->name;
        int known = strncmp(file, "grad.", 5) != 0;
        for (int i = 0; i < n && !known; i++) {
            const brume_param_info *p = brume_param_at(r->g, r->slab, i);
            known = p->trainable && !strcmp(file + 5, gradient_of(r, p));
        }
        if (!known) golden_complain(r, file, "a gradient of no trainable parameter of the model");
    }
}

void golden_run_check(struct golden_run *r)
{
    const size_t bytes = (size_t)brume_shape_numel(brume_tensor_shape(r->g, r->y)) * 4;
    if (!golden_ok(r, "run", brume_plan_run(r->plan))) return;
    r->worst_out = golden_run_compare(r, "output", r->y, OUTPUT_TOL);
    if (r->with_grad) {
        golden_run_compare(r, "loss", r->loss, OUTPUT_TOL);
        check_gradients(r);
    }
    if (!golden_ok(r, "output", brume_plan_read(r->plan, r->y, r->inside, bytes)) ||
        !golden_ok(r, "second run", brume_plan_run(r->plan)) ||
        !golden_ok(r, "second run", brume_plan_read(r->plan, r->y, r->got, bytes)))
        return;
    if (memcmp(r->got, r->inside, bytes)) golden_complain(r, "output", "a second run gives other bits");
    if (!r->with_grad || !golden_ok(r, "second run", brume_plan_read(r->plan, r->grad, r->got, (size_t)r->n_params * 4))) return;
    if (memcmp(r->got, r->again, (size_t)r->n_params * 4)) golden_complain(r, "gradients", "a second run gives other bits");
}

void golden_run_close(struct golden_run *r)
{
    if (r->bad) {
        check_failed++;
        printf("FAILED  %s on %s: %d tensors differ\n", r->name, r->device_name, r->bad);
    } else {
        check_passed++;
        printf("ok      %s on %s: output at %.3f of its tolerance", r->name, r->device_name, r->worst_out);
        if (r->gradients) printf(", worst of %d gradients at %.3f", r->gradients, r->worst_grad);
        printf("\n");
    }
    fflush(stdout);
    brume_plan_free(r->plan);
    brume_graph_free(r->g);
    brume_safetensors_close(r->io);
    free(r->got);
    free(r->want);
    free(r->again);
    free(r->inside);
}
