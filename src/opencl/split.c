/* SPDX-License-Identifier: MIT
 * Launches that would take too long are cut into several, by global offsets: a display's watchdog ends a kernel that runs for two
 * seconds, and other programs get the device only between two launches.
 *
 * Offsets move get_global_id() but not get_group_id(), and get_global_size() becomes that of the piece. So kernels that number
 * groups are compiled with -DSPLIT, which numbers them through all pieces (cl/common.h), and no launch is cut along a dimension
 * whose size its file asks for. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "opencl/internal.h"
#include "opencl/pending.h"
#include "opencl/split.h"

/* A poor kernel reaches this part of the multiply-add rate (2 %), and moves a byte in the time of so many operations at the full
 * rate: memory is slower by 10 to 60 on GPUs, and reached by a tenth. Long launches that are better are cut into more pieces than
 * they need, of some milliseconds each, which costs next to nothing. */
#define LEAST_PART 0.02
#define OPS_PER_BYTE 250.0
#define WEAKEST 20.0        /* GFLOP/s; what fits the bound there need not be measured */
#define DEFAULT_MS 200.0    /* a tenth of what watchdogs allow */
#define GEMM_ROWS 1024      /* of a piece by CLBlast, at least: below, it chooses other kernels, with other bits */
#define NO_LOCAL 64         /* work-items that are kept together where the driver chooses the groups */

double brume_cl_bound_ms(const brume_device_options *o, const brume_device_info *info)
{
    const char *text = getenv("BRUME_LAUNCH_MS");
    char *end = NULL;
    const double asked = text ? strtod(text, &end) : 0;
    if (o && o->nice_ms > 0) return o->nice_ms;
    if (o && o->launch_ms != 0) return o->launch_ms > 0 ? o->launch_ms : INFINITY;
    if (text && end != text && !*end && asked > 0) return asked;
    return info->is_cpu_type ? INFINITY : DEFAULT_MS; /* no watchdog looks after processors */
}

static double elements(const struct brume_value *v) { return v ? (double)brume_shape_numel(v->shape) : 0; }

/* Operations at the full rate that take as long as the step by a poor kernel. */
static double work_of(const struct brume_step *s)
{
    const struct brume_node *n = s->node;
    double flops = 0, bytes = 0;
    if (s->fused) {
        flops = elements(n->out_v[0]) * s->fused->n_ops;
        bytes = 4 * elements(n->out_v[0]) * (s->fused->n_in + 1);
    } else {
        for (int j = 0; j < n->n_in; j++) bytes += elements(n->in_v[j]) * (n->in_v[j] ? brume_dtype_bytes(n->in_v[j]->dtype) : 0);
        for (int k = 0; k < n->n_out; k++) bytes += 4 * elements(n->out_v[k]);
        flops = n->op->flops ? n->op->flops(n) : bytes / 4;
    }
    return fmax(flops / LEAST_PART, bytes * OPS_PER_BYTE);
}

/* What decides: the most that a launch may take (ms), the multiply-add rate (GFLOP/s) and compute units of the device. */
struct limit { double bound_ms, gflops; size_t units; };

static struct limit limit_of(const struct brume_cl_device *d)
{
    return (struct limit){ d->bound_ms, d->gflops, d->base.caps.compute_units > 0 ? (size_t)d->base.caps.compute_units : 1 };
}

/* Milliseconds of a step by a poor kernel; 0 on devices without a bound. */
static double step_ms(const struct limit *l, const struct brume_step *s)
{
    return isinf(l->bound_ms) ? 0 : work_of(s) / fmax(l->gflops, WEAKEST) / 1e6;
}

static bool asks_size(const char *text, int dim)
{
    char call[32];
    snprintf(call, sizeof call, "get_global_size(%d)", dim);
    return strstr(text, call) != NULL;
}

static size_t ceil_div(size_t a, size_t b) { return (a + b - 1) / b; }

/* A product: along the batch, else along the rows. */
static int cut_gemm(const struct brume_cl_gemm *g, double wanted, struct brume_cl_cut *c)
{
    const size_t n = (size_t)(g->batch > 1 ? g->batch : g->m), least = g->batch > 1 ? 2 : GEMM_ROWS;
    if (n < 2 * least) return 1;
    const size_t most = n / least, pieces = wanted < (double)most ? (size_t)wanted : most;
    c->piece[0] = ceil_div(n, pieces);
    return (int)ceil_div(n, c->piece[0]);
}

/* Of a launch of `text`'s kernel that would take ms; may add a define. Returns the number of pieces, 1 where it stays whole. */
static int cut(const struct limit *l, struct brume_cl_launch *k, const char *text, double ms, struct brume_cl_cut *c)
{
    *c = (struct brume_cl_cut){ { 0 } };
    if (!(ms > l->bound_ms)) return 1;
    const double wanted = ceil(ms / l->bound_ms);
    if (!k->kernel) return cut_gemm(&k->gemm, wanted, c);
    size_t groups[3], unit[3], all = 1, pieces = 1;
    for (int i = 0; i < k->dims; i++) {
        unit[i] = k->local[0] ? k->local[i] : i == 0 ? NO_LOCAL : 1;
        groups[i] = ceil_div(k->global[i], unit[i]);
        all *= groups[i];
    }
    /* Fewer groups than units would leave some idle and take no less time. */
    const size_t most = all / l->units > 0 ? all / l->units : 1;
    size_t left = wanted < (double)most ? (size_t)wanted : most;
    for (int i = k->dims - 1; i >= 0 && left > 1; i--) { /* outer dimensions first: neighbours in memory stay together */
        if (asks_size(text, i) || groups[i] < 2) continue;
        const size_t n = left < groups[i] ? left : groups[i], per = ceil_div(groups[i], n), parts = ceil_div(groups[i], per);
        c->piece[i] = per * unit[i];
        pieces *= parts;
        left = ceil_div(left, parts);
    }
    if (pieces > 1 && strstr(text, "get_group_id")) {
        const size_t used = strlen(k->defines);
        snprintf(k->defines + used, sizeof k->defines - used, " -DSPLIT");
    }
    return (int)pieces;
}

/* Sets q->ms to that of a piece, and returns the number of pieces. */
static int cut_one(const struct limit *l, struct brume_cl_pending *q)
{
    const char *text = q->source ? q->source : q->k.kernel ? brume_cl_source(q->k.file) : "";
    q->ms = step_ms(l, q->step);
    const int pieces = text ? cut(l, &q->k, text, q->ms, &q->cut) : 1;
    q->ms /= pieces;
    return pieces;
}

brume_status brume_cl_cut_all(struct brume_cl_device *d, struct brume_cl_pendings *p)
{
    struct limit l = limit_of(d);
    for (int i = 0; i < p->n; i++) {
        if (!(d->gflops > 0) && step_ms(&l, p->at[i].step) > d->bound_ms) {
            const brume_status s = brume_cl_measure_peak(&d->base, &d->gflops);
            if (s) return s;
            l = limit_of(d);
        }
        (void)cut_one(&l, &p->at[i]);
    }
    return BRUME_OK;
}

brume_status brume_cl_bound(struct brume_device *base, const struct brume_step *steps, int n, brume_plan_bound *b)
{
    struct brume_cl_device *d = brume_cl_device_of(base);
    struct brume_cl_pendings p = { 0 };
    char *source = NULL, *names = NULL;
    brume_status s = b->gflops > 0 || d->gflops > 0 ? BRUME_OK : brume_cl_measure_peak(base, &d->gflops);
    struct limit l = limit_of(d);
    if (b->gflops > 0) l.gflops = b->gflops;
    if (isinf(l.bound_ms)) l.bound_ms = DEFAULT_MS;
    b->gflops = l.gflops;
    b->bound_ms = l.bound_ms;
    if (!s) s = brume_cl_collect(&base->caps, steps, n, &p, &source, &names);
    for (int i = 0; i < p.n && !s; i++) {
        struct brume_cl_pending *q = &p.at[i];
        if (q->pack) continue; /* not of every run */
        const double whole = step_ms(&l, q->step);
        const int pieces = cut_one(&l, q);
        b->launches++;
        b->cut += pieces > 1;
        b->pieces += pieces;
        if (q->ms > b->piece_ms) b->piece_ms = q->ms;
        if (whole <= b->longest_ms) continue;
        b->longest_ms = whole;
        b->longest_pieces = pieces;
        b->longest_step = (int)(q->step - steps);
    }
    free(source);
    free(names);
    free(p.at);
    return s;
}
