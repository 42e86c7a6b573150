/* SPDX-License-Identifier: MIT
 * The cpu backend: host memory, and steps that are function calls. */
#include "cpu/cpu.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/mman.h>
#endif

#include "base/cores.h"
#include "base/pool.h"
#include "base/system.h"
#include "cpu/fused.h"
#include "plan/backend.h"
#include "simd/simd.h"

#define PEAK_STEPS 500000 /* a few milliseconds */
#define PEAK_RUNS 20
#define PAGE 4096          /* alignment of buffers */
#define TAIL 256           /* bytes behind them */
#define COPY_TASK (1 << 20) /* bytes that one thread copies or fills at a time */

struct cpu_device {
    struct brume_device base;
    const struct brume_simd *simd;
    struct brume_pool *pool;
};

struct cpu_buffer {
    struct brume_buffer base;
    void *block;           /* what the system gave */
    unsigned char *bytes;  /* within, at the begin of a page */
};

struct brume_exec {
    struct cpu_device *device;
    const struct brume_step *steps;
    int n_steps;
    const void **in;       /* pointers of the step at hand */
    void *scratch_block;   /* what the system gave for it */
    float *scratch;        /* of chains, for every thread; begins at a page */
    size_t scratch_stride; /* floats */
};

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void cpu_close(struct brume_device *d)
{
    struct cpu_device *c = (struct cpu_device *)d;
    brume_pool_free(c->pool);
    free(c);
}

static void processor_name(char name[128])
{
    snprintf(name, 128, "this processor");
    FILE *f = fopen("/proc/cpuinfo", "r");
    char line[256];
    while (f && fgets(line, sizeof line, f)) {
        char *colon = strchr(line, ':');
        if (strncmp(line, "model name", 10) || !colon) continue;
        line[strcspn(line, "\n")] = 0;
        snprintf(name, 128, "%.127s", colon + 2);
        break;
    }
    if (f) fclose(f);
}

/* Bytes that a container (Linux, cgroup v2) allows its processes; 0: no limit. */
static uint64_t group_limit(void)
{
    FILE *f = fopen("/sys/fs/cgroup/memory.max", "r");
    unsigned long long bytes = 0;
    if (f && fscanf(f, "%llu", &bytes) != 1) bytes = 0;
    if (f) fclose(f);
    return bytes;
}

static void describe(const struct brume_simd *simd, int threads, brume_device_info *out)
{
    memset(out, 0, sizeof *out);
    snprintf(out->spec, sizeof out->spec, "cpu");
    processor_name(out->name);
    snprintf(out->platform, sizeof out->platform, "brume cpu (%s)", simd->isa);
    snprintf(out->driver, sizeof out->driver, "%s", simd->isa);
    snprintf(out->version, sizeof out->version, "C11");
    out->is_cpu_type = out->usable = 1;
    out->compute_units = threads;
    out->vector_width = simd->vector_width;
    const uint64_t group = group_limit();
    out->memory_bytes = brume_system_memory();
    if (group && group < out->memory_bytes) out->memory_bytes = group;
    const uint64_t addressed = SIZE_MAX; /* by a program of 32 bits, whatever the machine has */
    if (addressed < out->memory_bytes) out->memory_bytes = addressed;
}

static void cpu_info(const struct brume_device *d, brume_device_info *out)
{
    const struct cpu_device *c = (const struct cpu_device *)d;
    describe(c->simd, brume_pool_threads(c->pool), out);
}

void brume_cpu_describe(brume_device_info *out)
{
    describe(brume_simd_choose(NULL), brume_cores(), out); /* as many threads as brume_cpu_open() makes */
}

/* The first page that begins in a block. */
static void *page_in(void *block) { return (unsigned char *)block + (PAGE - (uintptr_t)block % PAGE) % PAGE; }

static brume_status cpu_buffer_new(struct brume_device *d, size_t bytes, brume_buffer **out)
{
    struct cpu_buffer *b = malloc(sizeof *b);
    /* Page aligned; the tail lets whole vectors be loaded at the end of the last tensor. calloc() gives large blocks as the
     * system does, of zeros that take no time (nor memory) before they are touched. */
    unsigned char *block = bytes < SIZE_MAX - PAGE - TAIL ? calloc(1, bytes + PAGE + TAIL) : NULL;
    if (!b || !block) {
        free(b);
        free(block);
        return brume_fail(BRUME_E_MEMORY, "cpu: cannot allocate %.1f MiB", (double)bytes / 1048576);
    }
    *b = (struct cpu_buffer){ { d, bytes }, block, page_in(block) };
    *out = &b->base;
    return BRUME_OK;
}

static void cpu_buffer_free(brume_buffer *b)
{
    if (!b) return;
    free(((struct cpu_buffer *)b)->block);
    free(b);
}

static brume_status in_range(const brume_buffer *b, size_t offset, size_t bytes)
{
    if (offset <= b->bytes && bytes <= b->bytes - offset) return BRUME_OK;
    return brume_fail(BRUME_E_ARG, "cpu: bytes %zu to %zu of a buffer of %zu", offset, offset + bytes, b->bytes);
}

struct copying { unsigned char *to; const unsigned char *from; size_t bytes; };

static void copy_task(void *ctx, int64_t task, int thread)
{
    (void)thread;
    const struct copying *c = ctx;
    const size_t first = (size_t)task * COPY_TASK, rest = c->bytes - first;
    memcpy(c->to + first, c->from + first, rest < COPY_TASK ? rest : COPY_TASK);
}

/* All threads copy: where the memory is new, getting its pages takes far longer than the copy. */
static brume_status cpu_write(brume_buffer *b, size_t offset, const void *src, size_t bytes)
{
    const brume_status s = in_range(b, offset, bytes);
    if (s != BRUME_OK || !bytes) return s;
    struct copying c = { ((struct cpu_buffer *)b)->bytes + offset, src, bytes };
    brume_pool_run(((struct cpu_device *)b->device)->pool, (int64_t)((bytes - 1) / COPY_TASK + 1), copy_task, &c);
    return BRUME_OK;
}

static void *cpu_host(brume_buffer *b) { return ((struct cpu_buffer *)b)->bytes; }

static brume_status cpu_read(brume_buffer *b, size_t offset, void *dst, size_t bytes)
{
    brume_status s = in_range(b, offset, bytes);
    if (s == BRUME_OK) memcpy(dst, ((struct cpu_buffer *)b)->bytes + offset, bytes);
    return s;
}

struct filling { unsigned char *to; size_t bytes; uint32_t pattern; };

static void fill_task(void *ctx, int64_t task, int thread)
{
    (void)thread;
    const struct filling *f = ctx;
    const size_t first = (size_t)task * COPY_TASK, end = f->bytes - first < COPY_TASK ? f->bytes : first + COPY_TASK;
    if (f->pattern == 0) memset(f->to + first, 0, end - first);
    for (size_t i = first; f->pattern && i + 4 <= end; i += 4) memcpy(f->to + i, &f->pattern, 4);
}

static brume_status cpu_fill(brume_buffer *b, size_t offset, size_t bytes, uint32_t pattern)
{
    brume_status s = in_range(b, offset, bytes);
    if (s != BRUME_OK) return s;
    struct filling f = { ((struct cpu_buffer *)b)->bytes + offset, bytes, pattern };
    if (bytes) brume_pool_run(((struct cpu_device *)b->device)->pool, (int64_t)((bytes - 1) / COPY_TASK + 1), fill_task, &f);
    return BRUME_OK;
}

static brume_status cpu_finish(struct brume_device *d)
{
    (void)d;
    return BRUME_OK;
}

static void cpu_exec_free(struct brume_exec *e)
{
    if (!e) return;
    free(e->in);
    free(e->scratch_block);
    free(e);
}

/* Floats of scratch that a thread needs for the longest chain. */
static size_t scratch_floats(const struct brume_step *steps, int n)
{
    size_t most = 0;
    for (int i = 0; i < n; i++)
        if (steps[i].fused && brume_cpu_fused_scratch(steps[i].fused) > most) most = brume_cpu_fused_scratch(steps[i].fused);
    return most;
}

static uint64_t cpu_scratch_bytes(const struct brume_device *d, const struct brume_step *steps, int n)
{
    return (uint64_t)scratch_floats(steps, n) * (uint64_t)brume_pool_threads(((const struct cpu_device *)d)->pool) *
           sizeof(float);
}

static brume_status cpu_prepare(struct brume_device *d, const struct brume_step *steps, int n, int n_slots,
                                struct brume_exec **out)
{
    (void)n_slots;
    struct cpu_device *c = (struct cpu_device *)d;
    struct brume_exec *e = calloc(1, sizeof *e);
    size_t most = 1;
    if (!e) return brume_fail(BRUME_E_MEMORY, "cpu: out of memory preparing a plan");
    e->device = c;
    e->steps = steps;
    e->n_steps = n;
    e->scratch_stride = scratch_floats(steps, n);
    for (int i = 0; i < n; i++)
        if ((size_t)steps[i].n_in > most) most = (size_t)steps[i].n_in;
    e->in = malloc(most * sizeof *e->in);
    if (e->scratch_stride)
        e->scratch_block = malloc(e->scratch_stride * (size_t)brume_pool_threads(c->pool) * sizeof(float) + PAGE);
    if (!e->in || (e->scratch_stride && !e->scratch_block)) {
        cpu_exec_free(e);
        return brume_fail(BRUME_E_MEMORY, "cpu: out of memory preparing a plan");
    }
    if (e->scratch_block) e->scratch = page_in(e->scratch_block);
    *out = e;
    return BRUME_OK;
}

static void *at(brume_buffer *const *slots, struct brume_place p)
{
    return p.slot < 0 ? NULL : ((struct cpu_buffer *)slots[p.slot])->bytes + p.offset;
}

static struct brume_cpu_call call_of(struct brume_exec *e, const struct brume_step *s, brume_buffer *const *slots, void **out)
{
    for (int j = 0; j < s->n_in; j++) e->in[j] = at(slots, s->in[j]);
    for (int k = 0; k < s->n_out; k++) out[k] = at(slots, s->out[k]);
    return (struct brume_cpu_call){ s->node, e->in, out, at(slots, s->work), at(slots, s->packed),
                                    e->device->simd, e->device->pool };
}

/* The pages that lie wholly within hold nothing from now on, and take no memory until they are written again. */
static void give_back(unsigned char *begin, size_t bytes)
{
#ifdef __linux__
    const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), first = ((uintptr_t)begin + page - 1) / page * page,
                    end = ((uintptr_t)begin + bytes) / page * page;
    if (first < end) (void)madvise((void *)first, end - first, MADV_DONTNEED);
#else
    (void)begin, (void)bytes;
#endif
}

static brume_status cpu_pack(struct brume_exec *e, brume_buffer *const *slots)
{
    void *out[BRUME_MAX_OUT];
    for (int i = 0; i < e->n_steps; i++) {
        const struct brume_step *s = &e->steps[i];
        if (!s->pack_once) continue;
        const struct brume_cpu_call c = call_of(e, s, slots, out);
        s->variant->cpu_pack(&c, at(slots, s->packed));
        const int j = s->variant->pack_input;
        const brume_dtype type = s->variant->half ? BRUME_F16 : s->node->in_v[j]->dtype;
        if (s->drop)
            give_back(at(slots, s->in[j]), (size_t)(brume_shape_numel(s->node->in_v[j]->shape) * brume_dtype_bytes(type)));
    }
    return BRUME_OK;
}

static void run_step(struct brume_exec *e, brume_buffer *const *slots, int step)
{
    void *out[BRUME_MAX_OUT];
    const struct brume_step *s = &e->steps[step];
    const struct brume_cpu_call c = call_of(e, s, slots, out);
    if (s->fused) {
        brume_cpu_fused_run(s->fused, c.simd, c.pool, (const float *const *)e->in, out[0], e->scratch, e->scratch_stride);
    } else {
        if (s->packed.slot >= 0 && !s->pack_once) s->variant->cpu_pack(&c, at(slots, s->packed));
        s->variant->cpu(&c);
    }
}

static brume_status cpu_run(struct brume_exec *e, brume_buffer *const *slots, int from, int to)
{
    for (int i = from; i < to; i++) run_step(e, slots, i);
    return BRUME_OK;
}

static void peak_task(void *ctx, int64_t task, int thread)
{
    (void)task, (void)thread;
    const struct cpu_device *c = ctx;
    c->simd->multiply_adds(PEAK_STEPS);
}

/* The best of several short runs: the processor may have to wake up, and other work may be about. */
static brume_status cpu_measure_peak(struct brume_device *d, double *gflops)
{
    struct cpu_device *c = (struct cpu_device *)d;
    const int threads = brume_pool_threads(c->pool);
    *gflops = 0;
    for (int i = 0; i < PEAK_RUNS; i++) {
        const double begin = now();
        brume_pool_run(c->pool, threads, peak_task, c);
        const double rate = 2e-9 * (double)PEAK_STEPS * threads * BRUME_SIMD_CHAINS * c->simd->vector_width / (now() - begin);
        if (rate > *gflops) *gflops = rate;
    }
    return BRUME_OK;
}

static const struct brume_backend backend = {
    .kind = "cpu", .drops = true, .zeroed = true, .close = cpu_close, .info = cpu_info, .buffer_new = cpu_buffer_new,
    .buffer_free = cpu_buffer_free, .write = cpu_write, .host = cpu_host, .read = cpu_read, .fill = cpu_fill,
    .finish = cpu_finish, .prepare = cpu_prepare, .exec_free = cpu_exec_free, .pack = cpu_pack, .run = cpu_run,
    .scratch_bytes = cpu_scratch_bytes, .measure_peak = cpu_measure_peak,
};

brume_status brume_cpu_open(const brume_device_options *options, brume_device **out)
{
    const char *isa = options ? options->isa : NULL;
    const struct brume_simd *simd = brume_simd_choose(isa);
    *out = NULL;
    if (!simd)
        return brume_fail(BRUME_E_UNSUPPORTED,
                          "cpu: this build or this processor has no instruction set '%s'; leave the choice to brume", isa);
    struct cpu_device *c = calloc(1, sizeof *c);
    if (!c) return brume_fail(BRUME_E_MEMORY, "cpu: out of memory");
    brume_status s = brume_pool_new(options ? options->threads : 0, &c->pool);
    if (s != BRUME_OK) {
        free(c);
        return s;
    }
    c->simd = simd;
    c->base.backend = &backend;
    c->base.caps = (struct brume_caps){ .cpu_type = true, .vector_width = simd->vector_width,
                                        .compute_units = brume_pool_threads(c->pool) };
    *out = &c->base;
    return BRUME_OK;
}
