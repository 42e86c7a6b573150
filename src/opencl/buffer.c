/* SPDX-License-Identifier: MIT
 * Memory of an OpenCL device. */
#include "opencl/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct brume_cl_device *owner(const brume_buffer *b) { return brume_cl_device_of(b->device); }

brume_status brume_cl_buffer_new(struct brume_device *base, size_t bytes, brume_buffer **out)
{
    struct brume_cl_device *d = brume_cl_device_of(base);
    *out = NULL;
    brume_status s = brume_cl_check_lost(d);
    if (s) return s;
    if (bytes > d->info.max_alloc_bytes)
        return brume_fail(BRUME_E_MEMORY,
                          "%s '%s': a buffer of %.1f MiB is needed, the device allows %.1f MiB in one buffer (%.1f MiB in all); "
                          "use a smaller batch or model, or --device cpu",
                          d->info.spec, d->info.name, (double)bytes / 1048576, (double)d->info.max_alloc_bytes / 1048576,
                          (double)d->info.memory_bytes / 1048576);
    struct brume_cl_buffer *b = calloc(1, sizeof *b);
    if (!b) return brume_fail(BRUME_E_MEMORY, "cannot allocate a buffer's description");
    cl_int err = CL_SUCCESS;
    b->mem = d->cl->CreateBuffer(d->context, CL_MEM_READ_WRITE, bytes ? bytes : 1, NULL, &err);
    if (!b->mem || err) {
        free(b);
        return brume_cl_fail(d, err, "clCreateBuffer", "%.1f MiB of the device's %.1f", (double)bytes / 1048576,
                             (double)d->info.memory_bytes / 1048576);
    }
    b->base = (struct brume_buffer){ base, bytes };
    b->serial = d->next_serial++;
    b->fresh = true;
    b->zeros_from = bytes;
    *out = &b->base;
    return BRUME_OK;
}

void brume_cl_buffer_free(brume_buffer *base)
{
    struct brume_cl_buffer *b = (struct brume_cl_buffer *)base;
    if (!b) return;
    owner(base)->cl->ReleaseMemObject(b->mem);
    free(b);
}

static brume_status check_range(const brume_buffer *b, const char *what, size_t offset, size_t bytes)
{
    if (offset <= b->bytes && bytes <= b->bytes - offset) return BRUME_OK;
    return brume_fail(BRUME_E_ARG, "%s of bytes %zu..%zu of a buffer of %zu", what, offset, offset + bytes, b->bytes);
}

static brume_status fill_kernel(struct brume_cl_device *d)
{
    if (d->fill) return BRUME_OK;
    cl_program program;
    brume_status s = brume_cl_program_get(d, &(struct brume_cl_want){ "fill.cl", NULL, "", "fill" }, &program);
    if (s) return s;
    cl_int err = CL_SUCCESS;
    cl_kernel k = d->cl->CreateKernel(program, "fill", &err);
    if (!k || err) return brume_cl_fail(d, err, "clCreateKernel", "fill.cl: fill");
    d->fill = k;
    return BRUME_OK;
}

/* Not clEnqueueFillBuffer: on an M2 Max it writes wrong data (CLIc#213). */
static brume_status enqueue_fill(struct brume_cl_device *d, cl_mem mem, size_t offset, size_t bytes, uint32_t pattern)
{
    brume_status s = bytes ? fill_kernel(d) : BRUME_OK;
    if (s || !bytes) return s;
    const cl_ulong first = offset / 4, n = bytes / 4;
    const cl_uint word = pattern;
    const size_t local = 64, items = d->base.caps.cpu_type ? 4096 : 65536; /* each item strides over the range */
    const size_t wanted = (n + local - 1) / local * local, global = wanted < items ? wanted : items;
    cl_int err = d->cl->SetKernelArg(d->fill, 0, sizeof mem, &mem);
    if (!err) err = d->cl->SetKernelArg(d->fill, 1, sizeof first, &first);
    if (!err) err = d->cl->SetKernelArg(d->fill, 2, sizeof n, &n);
    if (!err) err = d->cl->SetKernelArg(d->fill, 3, sizeof word, &word);
    if (err) return brume_cl_fail(d, err, "clSetKernelArg", "fill.cl: fill");
    err = d->cl->EnqueueNDRangeKernel(d->queue, d->fill, 1, NULL, &global, &local, 0, NULL, NULL);
    if (err) return brume_cl_fail(d, err, "clEnqueueNDRangeKernel", "fill.cl: fill of %zu bytes", bytes);
    return BRUME_OK;
}

/* A fresh buffer of zeros is filled when somebody looks at it. Weights are written from its start to its end before that, and
 * would only replace what took as long to fill as to write. */
brume_status brume_cl_buffer_fill(brume_buffer *base, size_t offset, size_t bytes, uint32_t pattern)
{
    struct brume_cl_buffer *b = (struct brume_cl_buffer *)base;
    struct brume_cl_device *d = owner(base);
    brume_status s = check_range(base, "fill", offset, bytes);
    if (!s && (offset % 4 || bytes % 4))
        s = brume_fail(BRUME_E_ARG, "fill of %zu bytes at %zu: both must be multiples of 4", bytes, offset);
    if (!s) s = brume_cl_check_lost(d);
    if (s) return s;
    if (b->fresh && pattern == 0 && offset == 0 && bytes == base->bytes) {
        if ((s = fill_kernel(d))) return s; /* now: whoever looks may be a plan, and a run makes nothing */
        b->fresh = false;
        b->zeros_from = 0;
        return BRUME_OK;
    }
    s = brume_cl_buffer_settle(b);
    return s ? s : enqueue_fill(d, b->mem, offset, bytes, pattern);
}

/* Zeros up to `end` now. */
static brume_status settle_to(struct brume_cl_buffer *b, size_t end)
{
    if (b->zeros_from >= end) return BRUME_OK;
    const size_t from = b->zeros_from;
    b->zeros_from = end;
    return enqueue_fill(owner(&b->base), b->mem, from, end - from, 0);
}

brume_status brume_cl_buffer_settle(struct brume_cl_buffer *b)
{
    b->fresh = false;
    return settle_to(b, b->base.bytes);
}

/* The same before a write of whole words at or behind the first zeros: only what lies in front of it. */
static brume_status settle_for(struct brume_cl_buffer *b, size_t offset, size_t bytes)
{
    b->fresh = false;
    if (b->zeros_from == b->base.bytes) return BRUME_OK;
    if (offset % 4 || bytes % 4) return brume_cl_buffer_settle(b);
    const brume_status s = settle_to(b, offset);
    if (b->zeros_from < offset + bytes) b->zeros_from = offset + bytes;
    return s;
}

brume_status brume_cl_buffer_write(brume_buffer *base, size_t offset, const void *src, size_t bytes)
{
    struct brume_cl_device *d = owner(base);
    const cl_mem mem = ((struct brume_cl_buffer *)base)->mem;
    brume_status s = check_range(base, "write", offset, bytes);
    if (!s) s = brume_cl_check_lost(d);
    if (!s && bytes) s = settle_for((struct brume_cl_buffer *)base, offset, bytes);
    if (s || !bytes) return s;
    cl_int err = d->cl->EnqueueWriteBuffer(d->queue, mem, CL_TRUE, offset, bytes, src, 0, NULL, NULL);
    if (err == CL_INVALID_VALUE) {
        /* Some macOS drivers refuse to read from static or constant memory (arrayfire#1921): once more, from the heap. */
        void *copy = malloc(bytes);
        if (!copy) return brume_fail(BRUME_E_MEMORY, "cannot allocate %zu bytes to stage a write", bytes);
        memcpy(copy, src, bytes);
        err = d->cl->EnqueueWriteBuffer(d->queue, mem, CL_TRUE, offset, bytes, copy, 0, NULL, NULL);
        free(copy);
    }
    if (err) return brume_cl_fail(d, err, "clEnqueueWriteBuffer", "writing %zu bytes", bytes);
    return brume_cl_waited(d);
}

brume_status brume_cl_buffer_read(brume_buffer *base, size_t offset, void *dst, size_t bytes)
{
    struct brume_cl_device *d = owner(base);
    brume_status s = check_range(base, "read", offset, bytes);
    if (!s) s = brume_cl_check_lost(d);
    if (!s && bytes) s = brume_cl_buffer_settle((struct brume_cl_buffer *)base);
    if (s || !bytes) return s;
    const cl_mem mem = ((struct brume_cl_buffer *)base)->mem;
    const cl_int err = d->cl->EnqueueReadBuffer(d->queue, mem, CL_TRUE, offset, bytes, dst, 0, NULL, NULL);
    if (err) return brume_cl_fail(d, err, "clEnqueueReadBuffer", "reading %zu bytes", bytes);
    return brume_cl_waited(d);
}

brume_status brume_cl_waited(struct brume_cl_device *d)
{
    const cl_event newest = d->newest;
    cl_int state = CL_COMPLETE;
    d->in_flight = 0;
    if (!newest) return BRUME_OK;
    d->newest = NULL;
    const cl_int err = d->cl->GetEventInfo(newest, CL_EVENT_COMMAND_EXECUTION_STATUS, sizeof state, &state, NULL);
    d->cl->ReleaseEvent(newest);
    if (err) return brume_cl_fail(d, err, "clGetEventInfo", "asking how launches ended");
    if (state >= 0) return BRUME_OK;
    const brume_status s =
        brume_cl_fail(d, state, "clEnqueueNDRangeKernel", "launches were accepted, but ended with this status");
    if (!d->lost) snprintf(d->lost_why, sizeof d->lost_why, "launches ended with status %d", (int)state);
    d->lost = true;
    return s;
}

brume_status brume_cl_finish(struct brume_device *base)
{
    struct brume_cl_device *d = brume_cl_device_of(base);
    brume_status s = brume_cl_check_lost(d);
    if (s) return s;
    const cl_int err = d->cl->Finish(d->queue);
    if (err) return brume_cl_fail(d, err, "clFinish", "waiting for %d launches", d->in_flight);
    return brume_cl_waited(d);
}
