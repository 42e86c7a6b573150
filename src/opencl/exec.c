/* SPDX-License-Identifier: MIT
 * Steps of a plan as OpenCL launches: one kernel object per launch, so that a run sets only arguments whose buffer changed. */
#include "opencl/internal.h"
#include "opencl/merge.h"
#include "opencl/pending.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/priority.h"

/* launches: the device starts while we still submit, and no batch grows long enough to meet a watchdog */
#define FLUSH_EVERY 64
#define WAIT_EVERY 4096    /* launches: bounds what a driver has to queue when a caller never reads */
#define PAUSE 0.25         /* of the time that a launch took, for other programs, if they shall have room */

struct launch {
    cl_kernel kernel;                /* NULL: the GEMM, or a part */
    int part;                        /* of the merged launch; -1: none */
    cl_uint dims;
    size_t global[3], local[3];      /* local[0] == 0: the driver chooses */
    const char *what, *name;         /* node, kernel: for messages */
    const struct brume_cl_gemm *gemm;
    int32_t slot[3];                 /* GEMM: operands */
    uint64_t offset[3];
    struct brume_cl_cut cut;
    double ms;                       /* of a piece, by the estimate for poor kernels; 0: no matter */
    bool fresh;                      /* the first of its kernel, whose program was compiled just now */
};

/* A kernel argument that is a buffer. */
struct ref { cl_kernel kernel; cl_uint arg; int32_t slot; };

struct brume_exec {
    struct brume_cl_device *d;
    struct launch *launches;         /* those of pack first */
    int n, n_pack;
    int *first;                      /* launch of each step; one more for the end */
    int n_steps;
    struct ref *refs;                /* sorted by slot */
    int n_refs;
    int *first_ref;                  /* n_slots + 1 */
    uint64_t *serial;                /* of the buffer that each slot's arguments hold now */
    int n_slots;
    struct brume_cl_gemm *gemms;
    struct brume_cl_merge *merge;    /* NULL: no launches are merged */
    bool merge_fresh;
    char *names;                     /* of the generated kernels */
    int n_fresh, n_tried;            /* fresh launches; those that ran */
};

static brume_status no_memory(const char *what)
{
    return brume_fail(BRUME_E_MEMORY, "cannot allocate %s of an OpenCL plan", what);
}

/* Sets everything but the buffers, which are only noted: they come with the run. */
static brume_status set_args(struct brume_exec *e, const struct brume_cl_pending *q, cl_kernel kernel)
{
    const struct brume_cl_api *cl = e->d->cl;
    cl_uint at = 0;
    cl_int err = CL_SUCCESS;
    for (int i = 0; i < q->k.n_args && !err; i++) {
        const struct brume_cl_arg *a = &q->k.args[i];
        if (brume_cl_is_tensor(a->kind)) {
            struct brume_place place;
            int64_t element;
            brume_status s = brume_cl_place_of(q, a, &place, &element);
            if (s) return s;
            const cl_ulong offset = place.slot < 0 ? ~(cl_ulong)0 : place.offset / (uint64_t)element;
            if (place.slot < 0) err = cl->SetKernelArg(kernel, at, sizeof(cl_mem), &e->d->dummy);
            else e->refs[e->n_refs++] = (struct ref){ kernel, at, place.slot };
            at++;
            if (!err) err = cl->SetKernelArg(kernel, at++, sizeof offset, &offset);
        } else if (a->kind == BRUME_CL_INT) {
            const cl_int v = (cl_int)a->index;
            err = cl->SetKernelArg(kernel, at++, sizeof v, &v);
        } else if (a->kind == BRUME_CL_LONG) {
            const cl_long v = a->index;
            err = cl->SetKernelArg(kernel, at++, sizeof v, &v);
        } else if (a->kind == BRUME_CL_FLOAT) {
            const cl_float v = a->f;
            err = cl->SetKernelArg(kernel, at++, sizeof v, &v);
        } else {
            err = cl->SetKernelArg(kernel, at++, (size_t)a->index, NULL);
        }
    }
    if (err)
        return brume_cl_fail(e->d, err, "clSetKernelArg", "%s '%s': %s: %s, argument %d", q->step->node->op->name,
                             q->step->node->name, q->k.file, q->k.kernel, (int)at - 1);
    return BRUME_OK;
}

/* A kernel without local memory whose own text (up to the brace at a line's start) does not ask for its place in the group runs
 * right with groups of any size. */
static bool may_shrink(const struct brume_cl_pending *q, cl_ulong local_bytes)
{
    const char *at = q->source ? q->source : brume_cl_source(q->k.file);
    const size_t length = strlen(q->k.kernel);
    while ((at = strstr(at, q->k.kernel)) && at[length] != '(') at += length;
    if (local_bytes || !at) return false;
    const char *end = strstr(at, "\n}"), *local = strstr(at, "get_local_"), *group = strstr(at, "get_group_id");
    return (!local || (end && local > end)) && (!group || (end && group > end));
}

static brume_status set_size(struct brume_exec *e, const struct brume_cl_pending *q, cl_kernel kernel, struct launch *l)
{
    const struct brume_cl_launch *k = &q->k;
    struct brume_cl_device *d = e->d;
    l->dims = (cl_uint)k->dims;
    size_t most = 0, fixed[3] = { 0 };
    cl_ulong local_bytes = 0;
    cl_int err = d->cl->GetKernelWorkGroupInfo(kernel, d->id, CL_KERNEL_WORK_GROUP_SIZE, sizeof most, &most, NULL);
    if (!err)
        err = d->cl->GetKernelWorkGroupInfo(kernel, d->id, CL_KERNEL_LOCAL_MEM_SIZE, sizeof local_bytes, &local_bytes, NULL);
    if (!err) err = d->cl->GetKernelWorkGroupInfo(kernel, d->id, CL_KERNEL_COMPILE_WORK_GROUP_SIZE, sizeof fixed, fixed, NULL);
    if (err) return brume_cl_fail(d, err, "clGetKernelWorkGroupInfo", "%s: %s", k->file, k->kernel);
    size_t items = 1;
    for (int i = 0; i < k->dims; i++) {
        l->local[i] = k->local[0] ? k->local[i] : 0;
        items *= l->local[i];
    }
    /* A size fixed in the source went through the compiler; what rusticl then says about the most is only a guess. */
    if (fixed[0]) most = items;
    while (items > most && may_shrink(q, local_bytes)) {
        int widest = 0;
        for (int i = 1; i < k->dims; i++)
            if (l->local[i] > l->local[widest]) widest = i;
        items /= l->local[widest];
        l->local[widest] /= 2;
        items *= l->local[widest];
    }
    if (items > most)
        return brume_fail(BRUME_E_UNSUPPORTED,
                          "%s '%s': %s: %s (%s) needs work-groups of %zu, %s '%s' allows %zu for it; choose another kernel "
                          "variant or --device cpu",
                          q->step->node->op->name, q->step->node->name, k->file, k->kernel, k->defines, items, d->info.spec,
                          d->info.name, most);
    if (local_bytes > d->info.local_bytes)
        return brume_fail(BRUME_E_UNSUPPORTED,
                          "%s '%s': %s: %s (%s) needs %llu bytes of local memory, %s '%s' has %llu; choose another kernel "
                          "variant or --device cpu",
                          q->step->node->op->name, q->step->node->name, k->file, k->kernel, k->defines,
                          (unsigned long long)local_bytes, d->info.spec, d->info.name, (unsigned long long)d->info.local_bytes);
    for (int i = 0; i < 3; i++) l->global[i] = 1;
    for (int i = 0; i < k->dims; i++)
        l->global[i] = l->local[i] ? (k->global[i] + l->local[i] - 1) / l->local[i] * l->local[i] : k->global[i];
    return BRUME_OK;
}

static brume_status prepare_kernel(struct brume_exec *e, const struct brume_cl_pending *q, struct launch *l)
{
    struct brume_cl_device *d = e->d;
    cl_program program;
    brume_status s =
        brume_cl_program_get(d, &(struct brume_cl_want){ q->k.file, q->source, q->k.defines, q->k.kernel }, &program);
    if (s) return brume_fail_in(s, "%s '%s'", q->step->node->op->name, q->step->node->name);
    cl_int err = CL_SUCCESS;
    cl_kernel kernel = d->cl->CreateKernel(program, q->k.kernel, &err);
    if (!kernel || err)
        return brume_cl_fail(d, err, "clCreateKernel", "%s '%s': %s: %s (%s)", q->step->node->op->name, q->step->node->name,
                             q->k.file, q->k.kernel, q->k.defines);
    l->kernel = kernel; /* the exec owns it from here on */
    cl_uint wants = 0, gets = 0;
    for (int i = 0; i < q->k.n_args; i++) gets += brume_cl_is_tensor(q->k.args[i].kind) ? 2 : 1;
    err = d->cl->GetKernelInfo(kernel, CL_KERNEL_NUM_ARGS, sizeof wants, &wants, NULL);
    if (err) return brume_cl_fail(d, err, "clGetKernelInfo", "%s: %s", q->k.file, q->k.kernel);
    if (wants != gets)
        return brume_fail(BRUME_E_DEVICE, "%s '%s': %s: %s takes %u OpenCL arguments (a TENSOR is two), the launch has %u",
                          q->step->node->op->name, q->step->node->name, q->k.file, q->k.kernel, (unsigned)wants, (unsigned)gets);
    s = set_args(e, q, kernel);
    return s ? s : set_size(e, q, kernel, l);
}

static brume_status prepare_gemm(struct brume_exec *e, const struct brume_cl_pending *q, struct launch *l,
                                 struct brume_cl_gemm *g)
{
    *g = q->k.gemm;
    l->gemm = g;
    if (q->k.n_args != 3)
        return brume_fail(BRUME_E_DEVICE, "%s '%s': a GEMM takes 3 operands, not %d", q->step->node->op->name,
                          q->step->node->name, q->k.n_args);
    for (int i = 0; i < 3; i++) {
        struct brume_place place;
        int64_t element;
        brume_status s = brume_cl_place_of(q, &q->k.args[i], &place, &element);
        if (s) return s;
        if (place.slot < 0)
            return brume_fail(BRUME_E_DEVICE, "%s '%s': operand %d of a GEMM is absent", q->step->node->op->name,
                              q->step->node->name, i);
        l->slot[i] = place.slot;
        l->offset[i] = place.offset / (uint64_t)element;
    }
    return brume_cl_warm_gemm(e->d, g);
}

/* All programs at once, so that they are compiled side by side; kernels then find theirs. */
static brume_status make_programs(struct brume_cl_device *d, const struct brume_cl_pendings *p)
{
    struct brume_cl_want *wants = calloc((size_t)p->n + 1, sizeof *wants);
    if (!wants) return no_memory("the programs");
    int n = 0;
    for (int i = 0; i < p->n; i++) {
        const struct brume_cl_pending *q = &p->at[i];
        bool known = !q->k.kernel || q->part >= 0;
        for (int j = 0; j < n && !known; j++)
            known = q->source == wants[j].text && !strcmp(q->k.file, wants[j].file) && !strcmp(q->k.defines, wants[j].defines);
        if (!known) wants[n++] = (struct brume_cl_want){ q->k.file, q->source, q->k.defines, q->k.kernel };
    }
    const brume_status s = brume_cl_programs_make(d, wants, n);
    free(wants);
    return s;
}

/* Drivers may compile a kernel when they first see it launched: these launches are waited for, so that one can tell how far it
 * is. */
static void mark_fresh(struct brume_exec *e)
{
    for (int i = 0; i < e->n; i++) {
        struct launch *l = &e->launches[i];
        l->fresh = l->kernel != NULL;
        for (int j = 0; j < i && l->fresh; j++) {
            const struct launch *other = &e->launches[j];
            l->fresh = !other->fresh || strcmp(l->name, other->name) || memcmp(l->local, other->local, sizeof l->local);
        }
        e->n_fresh += l->fresh;
    }
}

static int by_slot(const void *pa, const void *pb)
{
    const struct ref *a = pa, *b = pb;
    return (a->slot > b->slot) - (a->slot < b->slot);
}

static brume_status build_exec(struct brume_exec *e, const struct brume_cl_pendings *p, const struct brume_step *steps,
                               int n_slots)
{
    size_t n_refs = 0;
    for (int i = 0; i < p->n; i++) n_refs += (size_t)p->at[i].k.n_args;
    if (e->merge) n_refs += (size_t)e->merge->n_slots;
    e->n_slots = n_slots;
    e->launches = calloc((size_t)p->n + 1, sizeof *e->launches);
    e->gemms = calloc((size_t)p->n + 1, sizeof *e->gemms);
    e->refs = calloc(n_refs + 1, sizeof *e->refs);
    e->first_ref = calloc((size_t)n_slots + 1, sizeof *e->first_ref);
    e->serial = calloc((size_t)n_slots + 1, sizeof *e->serial);
    e->first = calloc((size_t)e->n_steps + 1, sizeof *e->first);
    if (!e->launches || !e->gemms || !e->refs || !e->first_ref || !e->serial || !e->first) return no_memory("the kernels");
    for (int pass = 0; pass < 2; pass++) {
        for (int i = 0; i < p->n; i++) {
            const struct brume_cl_pending *q = &p->at[i];
            if (q->pack != (pass == 0)) continue;
            struct launch *l = &e->launches[e->n++];
            if (!q->pack) e->first[q->step - steps + 1] = e->n;
            l->what = q->step->node->name;
            l->name = q->k.kernel;
            l->part = q->part;
            l->cut = q->cut;
            l->ms = q->ms;
            const brume_status s = q->part >= 0  ? BRUME_OK
                                   : q->k.kernel ? prepare_kernel(e, q, l)
                                                 : prepare_gemm(e, q, l, &e->gemms[e->n - 1]);
            if (s) return s;
        }
        if (pass == 0) e->n_pack = e->n;
    }
    e->first[0] = e->n_pack;
    for (int i = 1; i <= e->n_steps; i++)
        if (!e->first[i]) e->first[i] = e->first[i - 1]; /* a step without a launch */
    for (int i = 0; e->merge && i < e->merge->n_slots; i++)
        e->refs[e->n_refs++] = (struct ref){ e->merge->kernel, e->merge->first_arg + (cl_uint)i, e->merge->slot[i] };
    qsort(e->refs, (size_t)e->n_refs, sizeof *e->refs, by_slot);
    for (int slot = 0, r = 0; slot <= n_slots; slot++) {
        while (r < e->n_refs && e->refs[r].slot < slot) r++;
        e->first_ref[slot] = r;
    }
    return BRUME_OK;
}

brume_status brume_cl_prepare(struct brume_device *base, const struct brume_step *steps, int n, int n_slots,
                              struct brume_exec **out)
{
    struct brume_cl_device *d = brume_cl_device_of(base);
    *out = NULL;
    brume_status s = brume_cl_check_lost(d);
    if (s) return s;
    struct brume_exec *e = calloc(1, sizeof *e);
    if (!e) return no_memory("the steps");
    e->d = d;
    e->n_steps = n;
    struct brume_cl_pendings p = { 0 };
    char *source = NULL;
    s = brume_cl_collect(&d->base.caps, steps, n, &p, &source, &e->names);
    if (!s) s = brume_cl_cut_all(d, &p);
    const int compiled = d->base.programs_compiled;
    if (!s) s = brume_cl_merge_new(d, &p, &e->merge);
    e->merge_fresh = e->merge && d->base.programs_compiled > compiled;
    e->n_fresh = e->merge_fresh;
    const brume_status made = s ? s : make_programs(d, &p);
    if (d->lost) s = made; /* else what failed fails again in build_exec(), which knows the node */
    if (!s) s = build_exec(e, &p, steps, n_slots);
    if (!s && d->base.programs_compiled > compiled) mark_fresh(e);
    free(source);
    free(p.at);
    if (s) brume_cl_exec_free(e);
    else *out = e;
    return s;
}

void brume_cl_exec_free(struct brume_exec *e)
{
    if (!e) return;
    for (int i = 0; i < e->n; i++)
        if (e->launches[i].kernel) e->d->cl->ReleaseKernel(e->launches[i].kernel);
    brume_cl_merge_free(e->d, e->merge);
    free(e->launches);
    free(e->gemms);
    free(e->refs);
    free(e->first_ref);
    free(e->serial);
    free(e->names);
    free(e->first);
    free(e);
}

static struct brume_cl_buffer *buffer_at(brume_buffer *const *slots, int slot) { return (struct brume_cl_buffer *)slots[slot]; }

static brume_status bind_slots(struct brume_exec *e, brume_buffer *const *slots)
{
    for (int slot = 0; slot < e->n_slots; slot++) {
        struct brume_cl_buffer *b = buffer_at(slots, slot);
        const brume_status s = b ? brume_cl_buffer_settle(b) : BRUME_OK;
        if (s) return s;
        if (!b || b->serial == e->serial[slot]) continue;
        for (int r = e->first_ref[slot]; r < e->first_ref[slot + 1]; r++) {
            const cl_int err = e->d->cl->SetKernelArg(e->refs[r].kernel, e->refs[r].arg, sizeof b->mem, &b->mem);
            if (err)
                return brume_cl_fail(e->d, err, "clSetKernelArg", "buffer of slot %d as argument %u", slot,
                                     (unsigned)e->refs[r].arg);
        }
        e->serial[slot] = b->serial;
    }
    return BRUME_OK;
}

/* event: NULL, or the launch is to tell how it ended. CLBlast's do not. */
static double now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return 1e3 * (double)t.tv_sec + 1e-6 * (double)t.tv_nsec;
}

static brume_status flush(struct brume_cl_device *d, const char *what)
{
    const cl_int err = d->cl->Flush(d->queue);
    d->unflushed = 0;
    d->unflushed_ms = 0;
    return err ? brume_cl_fail(d, err, "clFlush", "after node '%s'", what) : BRUME_OK;
}

/* Waits for what other programs have to wait for, too, and lets them go first. */
static brume_status make_room(struct brume_cl_device *d)
{
    const double begin = now_ms();
    const brume_status s = brume_cl_finish(&d->base);
    brume_pause(1e-3 * PAUSE * (now_ms() - begin));
    return s;
}

/* After each launch: what the driver gathers goes to the device before it could take too long. */
static brume_status submitted(struct brume_cl_device *d, const struct launch *l)
{
    brume_status s = BRUME_OK;
    d->base.launches++;
    d->in_flight++;
    d->unflushed++;
    d->unflushed_ms += l->ms;
    const bool bound = d->unflushed_ms >= d->bound_ms;
    if (d->unflushed >= FLUSH_EVERY || bound) s = flush(d, l->what);
    if (!s && bound && d->options.nice_ms > 0) s = make_room(d);
    if (!s && d->in_flight >= WAIT_EVERY) s = brume_cl_finish(&d->base);
    return s;
}

static size_t lesser(size_t a, size_t b) { return a < b ? a : b; }

static brume_status submit_gemm(struct brume_exec *e, const struct launch *l, brume_buffer *const *slots)
{
    const cl_mem mem[3] = { buffer_at(slots, l->slot[0])->mem, buffer_at(slots, l->slot[1])->mem,
                            buffer_at(slots, l->slot[2])->mem };
    const struct brume_cl_gemm *g = l->gemm;
    const bool batched = g->batch > 1;
    const size_t all = (size_t)(batched ? g->batch : g->m), piece = l->cut.piece[0] ? l->cut.piece[0] : all;
    brume_status s = BRUME_OK;
    for (size_t at = 0; at < all && !s; at += piece) {
        struct brume_cl_gemm part = *g;
        const int64_t n = (int64_t)lesser(piece, all - at), first = (int64_t)at;
        if (batched) part.batch = n;
        else part.m = n;
        const int64_t moved[3] = { batched ? first * g->stride_a : g->trans_a ? first : first * g->lda,
                                   batched ? first * g->stride_b : 0, batched ? first * g->stride_c : first * g->ldc };
        const uint64_t offset[3] = { l->offset[0] + (uint64_t)moved[0], l->offset[1] + (uint64_t)moved[1],
                                     l->offset[2] + (uint64_t)moved[2] };
        s = brume_cl_run_gemm(e->d, &part, mem, offset, l->what);
        if (!s) s = submitted(e->d, l);
    }
    return s;
}

/* The event of what was submitted last takes the place of an older one. */
static void keep_newest(struct brume_cl_device *d, cl_event event)
{
    if (!event) return;
    if (d->newest) d->cl->ReleaseEvent(d->newest);
    d->newest = event;
}

/* last: the run ends with it. Events are asked for where somebody may wait next. */
static brume_status submit(struct brume_exec *e, const struct launch *l, brume_buffer *const *slots, bool last)
{
    struct brume_cl_device *d = e->d;
    if (!l->kernel) return submit_gemm(e, l, slots);
    size_t at[3], piece[3], size[3];
    for (int i = 0; i < 3; i++) piece[i] = l->cut.piece[i] ? l->cut.piece[i] : l->global[i];
    const bool whole = !l->cut.piece[0] && !l->cut.piece[1] && !l->cut.piece[2];
    brume_status s = BRUME_OK;
    for (at[2] = 0; at[2] < l->global[2] && !s; at[2] += piece[2])
        for (at[1] = 0; at[1] < l->global[1] && !s; at[1] += piece[1])
            for (at[0] = 0; at[0] < l->global[0] && !s; at[0] += piece[0]) {
                cl_event event = NULL, *const tell = last || !whole || d->unflushed + 1 >= FLUSH_EVERY ||
                                                             d->unflushed_ms + l->ms >= d->bound_ms
                                                         ? &event
                                                         : NULL;
                for (int i = 0; i < 3; i++) size[i] = lesser(piece[i], l->global[i] - at[i]);
                const cl_int err = d->cl->EnqueueNDRangeKernel(d->queue, l->kernel, l->dims, whole ? NULL : at, size,
                                                               l->local[0] ? l->local : NULL, 0, NULL, tell);
                keep_newest(d, event);
                if (err)
                    return brume_cl_fail(d, err, "clEnqueueNDRangeKernel",
                                         "node '%s', kernel %s, global %zu %zu %zu, local %zu %zu %zu", l->what, l->name, size[0],
                                         size[1], size[2], l->local[0], l->local[1], l->local[2]);
                s = submitted(d, l);
            }
    return s;
}

static brume_status submit_merged(struct brume_exec *e, const struct launch *l, int n)
{
    cl_event event = NULL;
    const brume_status s = brume_cl_merge_run(e->d, e->merge, l->part, l->part + n, l->what, &event);
    keep_newest(e->d, event);
    if (s) return s;
    e->d->unflushed += FLUSH_EVERY; /* it is many */
    return submitted(e->d, l);
}

static brume_status try_fresh(struct brume_exec *e, bool *fresh)
{
    const brume_status s = brume_cl_finish(&e->d->base);
    *fresh = false;
    brume_cl_progress(e->d, "preparing kernels", ++e->n_tried, e->n_fresh);
    return s;
}

/* Parts of the merged launch from launch i on that stand side by side: their number. */
static int parts_from(const struct brume_exec *e, int i, int to)
{
    int n = 1;
    while (i + n < to && e->launches[i + n].part == e->launches[i].part + n) n++;
    return n;
}

static brume_status run(struct brume_exec *e, brume_buffer *const *slots, int from, int to)
{
    struct brume_cl_device *d = e->d;
    brume_status s = brume_cl_check_lost(d);
    if (!s) s = bind_slots(e, slots);
    for (int i = from; i < to && !s;) {
        struct launch *l = &e->launches[i];
        const int n = l->part >= 0 ? parts_from(e, i, to) : 1;
        bool *const fresh = l->part >= 0 ? &e->merge_fresh : &l->fresh;
        s = l->part >= 0 ? submit_merged(e, l, n) : submit(e, l, slots, *fresh || i + n == to);
        i += n;
        if (!s && *fresh) s = try_fresh(e, fresh);
    }
    return s || from == to ? s : flush(d, "the last of a run");
}

brume_status brume_cl_pack(struct brume_exec *e, brume_buffer *const *slots) { return run(e, slots, 0, e->n_pack); }

brume_status brume_cl_run(struct brume_exec *e, brume_buffer *const *slots, int from, int to)
{
    return run(e, slots, e->first[from], e->first[to]);
}
