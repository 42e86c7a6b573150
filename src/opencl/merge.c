/* SPDX-License-Identifier: MIT
 * Many launches of a plan as one: the kernel's arguments, and the table of its parts. */
#include "opencl/merge.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/cores.h"
#include "opencl/merge_source.h"

#define LEAST 16      /* launches that are worth a program of their own */
#define MOST_SLOTS 64 /* buffers among the arguments: a kernel has 1024 bytes for them */
#define PIECES 16     /* of a part, for each unit: small enough that none has to wait long for the last one */

static brume_status no_memory(void)
{
    return brume_fail(BRUME_E_MEMORY, "cannot allocate the merged launches of an OpenCL plan");
}

/* A device that runs functions of the host as well (clEnqueueNativeKernel) is the host's threads, with the host's view of memory.
 * One that likes vectors (else the preferred width is 1) compiles work-items as they are written; compilers that make vectors of
 * work-items instead took minutes for a kernel of everything, 10 s for its parts. */
static bool wanted(const struct brume_cl_device *d)
{
    const char *asked = getenv("BRUME_OPENCL_MERGE");
    cl_device_exec_capabilities can = 0;
    cl_uint width = 0;
    if ((asked && !strcmp(asked, "0")) || !d->info.is_cpu_type || d->info.is_gpu_type || !d->base.caps.cpu_type) return false;
    /* a merged launch is as long as the plan, and a trial's programs are nobody else's */
    if (!isinf(d->bound_ms) || d->base.trial) return false;
    if (d->cl->GetDeviceInfo(d->id, CL_DEVICE_EXECUTION_CAPABILITIES, sizeof can, &can, NULL)) return false;
    if (d->cl->GetDeviceInfo(d->id, CL_DEVICE_PREFERRED_VECTOR_WIDTH_FLOAT, sizeof width, &width, NULL)) return false;
    return can & CL_EXEC_NATIVE_KERNEL && width > 1;
}

static size_t groups_along(const struct brume_cl_launch *k, int i)
{
    if (i >= k->dims) return 1;
    const size_t local = k->local[0] ? k->local[i] : 1;
    return (k->global[i] + local - 1) / local;
}

static size_t local_along(const struct brume_cl_launch *k, int i) { return i < k->dims && k->local[0] ? k->local[i] : 1; }

static int slot_index(struct brume_cl_merge *m, int32_t slot)
{
    for (int i = 0; i < m->n_slots; i++)
        if (m->slot[i] == slot) return i;
    if (m->n_slots == MOST_SLOTS) return -1;
    m->slot[m->n_slots] = slot;
    return m->n_slots++;
}

/* The argument as words of the table; base 0 is the dummy buffer of absent tensors, base i + 1 that of slot i. Returns their
 * number, 0 if there are too many slots, -1 after an error. */
static int argument_words(struct brume_cl_merge *m, const struct brume_cl_pending *q, const struct brume_cl_arg *a,
                          cl_ulong words[2])
{
    if (brume_cl_is_tensor(a->kind)) {
        struct brume_place place;
        int64_t element;
        if (brume_cl_place_of(q, a, &place, &element)) return -1;
        const int i = place.slot < 0 ? -1 : slot_index(m, place.slot);
        if (place.slot >= 0 && i < 0) return 0;
        words[0] = (cl_ulong)(i + 1);
        words[1] = place.slot < 0 ? ~(cl_ulong)0 : place.offset / (uint64_t)element;
        return 2;
    }
    cl_uint bits;
    memcpy(&bits, &a->f, sizeof bits);
    words[0] = a->kind == BRUME_CL_FLOAT ? bits : (cl_ulong)a->index;
    return 1;
}

struct table { cl_ulong *at; size_t n, cap; };

static bool append(struct table *t, cl_ulong word)
{
    if (t->n == t->cap) {
        const size_t cap = 2 * t->cap + 1024;
        cl_ulong *at = realloc(t->at, cap * sizeof *at);
        if (!at) return false;
        t->at = at;
        t->cap = cap;
    }
    t->at[t->n++] = word;
    return true;
}

/* Row of a part: routine, pieces, groups of a piece, groups, then along each axis groups and work-items of a group, then the
 * arguments. *fits false: too many slots. */
static brume_status append_row(struct brume_cl_merge *m, struct table *t, const struct brume_cl_pending *q, int routine,
                               int units, bool *fits)
{
    const struct brume_cl_launch *k = &q->k;
    const size_t along[3] = { groups_along(k, 0), groups_along(k, 1), groups_along(k, 2) }, all = along[0] * along[1] * along[2];
    const size_t least = (size_t)(PIECES * units), per = (all + least - 1) / least, pieces = per ? (all + per - 1) / per : 0;
    bool ok = append(t, (cl_ulong)routine) && append(t, pieces) && append(t, per) && append(t, all);
    for (int i = 0; i < 3; i++) ok = ok && append(t, along[i]);
    for (int i = 0; i < 3; i++) ok = ok && append(t, local_along(k, i));
    for (int i = 0; i < k->n_args && ok; i++) {
        cl_ulong words[2];
        const int n = argument_words(m, q, &k->args[i], words);
        if (n < 0) return BRUME_E_DEVICE;
        if (n == 0) *fits = false;
        for (int j = 0; j < n; j++) ok = ok && append(t, words[j]);
    }
    return ok ? BRUME_OK : no_memory();
}

/* The rows of all parts behind a list of where they begin. */
static brume_status make_table(struct brume_cl_merge *m, const struct brume_cl_pendings *p, const int *routines, int units,
                               struct table *t, bool *fits)
{
    *fits = true;
    for (int i = 0; i < m->parts; i++)
        if (!append(t, 0)) return no_memory();
    for (int i = 0; i < p->n; i++) {
        if (p->at[i].part < 0) continue;
        t->at[p->at[i].part] = t->n;
        const brume_status s = append_row(m, t, &p->at[i], routines[p->at[i].part], units, fits);
        if (s) return s;
    }
    return BRUME_OK;
}

/* Reads it back: a table that a driver did not write would lead the kernel to any address of this process. */
static brume_status check_written(struct brume_cl_device *d, const void *content, size_t bytes, cl_mem mem)
{
    unsigned char *back = malloc(bytes);
    if (!back) return no_memory();
    memset(back, ~*(const unsigned char *)content, bytes);
    const cl_int err = d->cl->EnqueueReadBuffer(d->queue, mem, CL_TRUE, 0, bytes, back, 0, NULL, NULL);
    const bool there = !memcmp(back, content, bytes);
    free(back);
    if (err) return brume_cl_fail(d, err, "clEnqueueReadBuffer", "%zu bytes for merged launches", bytes);
    return there ? BRUME_OK
                 : brume_fail(BRUME_E_DEVICE, "opencl: %zu bytes for merged launches were written and are not there: update the "
                              "driver, try BRUME_OPENCL_MERGE=0, or use --device cpu", bytes);
}

static brume_status make_buffer(struct brume_cl_device *d, const void *content, size_t bytes, cl_mem *out)
{
    cl_int err = CL_SUCCESS;
    *out = d->cl->CreateBuffer(d->context, CL_MEM_READ_WRITE, bytes, NULL, &err);
    if (!*out || err) return brume_cl_fail(d, err, "clCreateBuffer", "%zu bytes for merged launches", bytes);
    err = d->cl->EnqueueWriteBuffer(d->queue, *out, CL_TRUE, 0, bytes, content, 0, NULL, NULL);
    if (err) return brume_cl_fail(d, err, "clEnqueueWriteBuffer", "%zu bytes for merged launches", bytes);
    return check_written(d, content, bytes, *out);
}

#define COUNTER_STEP 16 /* words of 4 bytes: each part's counters have a cache line of their own */

static brume_status make_buffers(struct brume_cl_device *d, struct brume_cl_merge *m, const struct table *t)
{
    const size_t bytes = (size_t)(m->parts + 1) * COUNTER_STEP * sizeof(cl_int);
    void *zeros = calloc(1, bytes);
    if (!zeros) return no_memory();
    brume_status s = make_buffer(d, t->at, t->n * sizeof *t->at, &m->table);
    if (!s) s = make_buffer(d, zeros, bytes, &m->counters);
    free(zeros);
    return s;
}

static brume_status make_kernel(struct brume_cl_device *d, struct brume_cl_merge *m, cl_program program)
{
    cl_int err = CL_SUCCESS;
    m->kernel = d->cl->CreateKernel(program, BRUME_CL_MERGED, &err);
    if (!m->kernel || err) return brume_cl_fail(d, err, "clCreateKernel", "merged launches");
    const cl_int groups = (cl_int)m->groups;
    err = d->cl->SetKernelArg(m->kernel, 0, sizeof m->table, &m->table);
    if (!err) err = d->cl->SetKernelArg(m->kernel, 1, sizeof m->counters, &m->counters);
    if (!err) err = d->cl->SetKernelArg(m->kernel, 4, sizeof groups, &groups);
    if (!err) err = d->cl->SetKernelArg(m->kernel, 5, sizeof d->dummy, &d->dummy);
    m->first_arg = 6;
    return err ? brume_cl_fail(d, err, "clSetKernelArg", "merged launches") : BRUME_OK;
}

static brume_status set_up(struct brume_cl_device *d, struct brume_cl_merge *m, const struct table *t, const char *source)
{
    const char *const asked = "the merged launches of a plan";
    cl_program program;
    brume_status s = brume_cl_program_get(d, &(struct brume_cl_want){ "merged launches", source, "", asked }, &program);
    if (!s) s = make_buffers(d, m, t);
    return s ? s : make_kernel(d, m, program);
}

/* Chooses the parts of p: their number. */
static int choose(struct brume_cl_pendings *p)
{
    int n = 0;
    for (int i = 0; i < p->n; i++) {
        struct brume_cl_pending *q = &p->at[i];
        q->part = !q->pack && brume_cl_merge_fits(q) ? n++ : -1;
    }
    return n;
}

static brume_status make(struct brume_cl_device *d, struct brume_cl_merge *m, const struct brume_cl_pendings *p, bool *made)
{
    const int units = d->base.caps.compute_units > 0 ? d->base.caps.compute_units : 1;
    struct brume_cl_routines r = { 0 };
    struct table t = { 0 };
    bool fits = false;
    char *source = NULL;
    /* The device is this process's threads: where fewer of them can run at once, groups would wait for one that waits for its
     * turn. */
    m->groups = (size_t)(brume_cores() < units ? brume_cores() : units);
    m->slot = calloc(MOST_SLOTS, sizeof *m->slot);
    brume_status s = m->slot ? brume_cl_routines_of(p, m->parts, &r) : no_memory();
    if (!s) s = make_table(m, p, r.of_part, units, &t, &fits);
    if (!s && fits) s = brume_cl_merge_source(&r, m->parts, m->n_slots, &source);
    if (!s && fits) *made = set_up(d, m, &t, source) == BRUME_OK;
    brume_cl_routines_free(&r);
    free(t.at);
    free(source);
    return s;
}

brume_status brume_cl_merge_new(struct brume_cl_device *d, struct brume_cl_pendings *p, struct brume_cl_merge **out)
{
    *out = NULL;
    const int parts = choose(p);
    struct brume_cl_merge *m = wanted(d) && parts >= LEAST ? calloc(1, sizeof *m) : NULL;
    bool made = false;
    brume_status s = BRUME_OK;
    if (m) {
        m->parts = parts;
        s = make(d, m, p, &made);
    }
    if (made) {
        *out = m;
        return s;
    }
    for (int i = 0; i < p->n; i++) p->at[i].part = -1;
    brume_cl_merge_free(d, m);
    return s;
}

void brume_cl_merge_free(const struct brume_cl_device *d, struct brume_cl_merge *m)
{
    if (!m) return;
    if (m->kernel) d->cl->ReleaseKernel(m->kernel);
    if (m->table) d->cl->ReleaseMemObject(m->table);
    if (m->counters) d->cl->ReleaseMemObject(m->counters);
    free(m->slot);
    free(m);
}

brume_status brume_cl_merge_run(struct brume_cl_device *d, const struct brume_cl_merge *m, int first, int last, const char *what,
                                cl_event *event)
{
    const cl_int from = first, to = last;
    const size_t one = 1;
    cl_int err = d->cl->SetKernelArg(m->kernel, 2, sizeof from, &from);
    if (!err) err = d->cl->SetKernelArg(m->kernel, 3, sizeof to, &to);
    if (err) return brume_cl_fail(d, err, "clSetKernelArg", "%d merged launches from node '%s' on", last - first, what);
    err = d->cl->EnqueueNDRangeKernel(d->queue, m->kernel, 1, NULL, &m->groups, &one, 0, NULL, event);
    return err ? brume_cl_fail(d, err, "clEnqueueNDRangeKernel", "%d merged launches from node '%s' on", last - first, what)
               : BRUME_OK;
}
