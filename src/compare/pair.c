/* SPDX-License-Identifier: MIT
 * The device that stands for two others: its buffers have a part on each. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compare/compare.h"
#include "plan/twin.h"

struct pair_buffer { struct brume_buffer base; brume_buffer *part[2]; bool owns; };

static struct pair_buffer *of(brume_buffer *b) { return (struct pair_buffer *)b; }

static brume_status join(struct brume_device *d, brume_buffer *const part[2], brume_buffer **out)
{
    struct pair_buffer *b = calloc(1, sizeof *b);
    if (!b) return brume_fail(BRUME_E_MEMORY, "compare: out of memory");
    const size_t bytes = part[0]->bytes < part[1]->bytes ? part[0]->bytes : part[1]->bytes;
    *b = (struct pair_buffer){ { d, bytes }, { part[0], part[1] }, false };
    *out = &b->base;
    return BRUME_OK;
}

static brume_status buffer_new(struct brume_device *d, size_t bytes, brume_buffer **out)
{
    brume_buffer *part[2] = { NULL, NULL };
    brume_status s = BRUME_OK;
    *out = NULL;
    for (int i = 0; s == BRUME_OK && i < 2; i++) s = brume_buffer_new(brume_pair_of(d)->side[i], bytes, &part[i]);
    if (s == BRUME_OK) s = join(d, part, out);
    if (s == BRUME_OK) of(*out)->owns = true;
    for (int i = 0; s != BRUME_OK && i < 2; i++) brume_buffer_free(part[i]);
    return s;
}

static void buffer_free(brume_buffer *b)
{
    for (int i = 0; i < 2 && of(b)->owns; i++) brume_buffer_free(of(b)->part[i]);
    free(b);
}

static brume_status buffer_write(brume_buffer *b, size_t offset, const void *src, size_t bytes)
{
    const brume_status s = brume_buffer_write(of(b)->part[0], offset, src, bytes);
    return s == BRUME_OK ? brume_buffer_write(of(b)->part[1], offset, src, bytes) : s;
}

static brume_status buffer_read(brume_buffer *b, size_t offset, void *dst, size_t bytes)
{
    return brume_buffer_read(of(b)->part[0], offset, dst, bytes);
}

static brume_status fill(brume_buffer *b, size_t offset, size_t bytes, uint32_t pattern)
{
    brume_status s = BRUME_OK;
    for (int i = 0; s == BRUME_OK && i < 2; i++)
        s = of(b)->part[i]->device->backend->fill(of(b)->part[i], offset, bytes, pattern);
    return s;
}

static brume_status finish(struct brume_device *d)
{
    const brume_status s = brume_device_finish(brume_pair_of(d)->side[0]);
    return s == BRUME_OK ? brume_device_finish(brume_pair_of(d)->side[1]) : s;
}

static brume_status measure_peak(struct brume_device *d, double *gflops)
{
    return brume_device_measure_peak(brume_pair_of(d)->side[0], gflops);
}

/* What the first side is; the name tells both. */
static void info(const struct brume_device *d, brume_device_info *out)
{
    brume_device_info b;
    brume_device_get_info(brume_pair_of(d)->side[0], out);
    brume_device_get_info(brume_pair_of(d)->side[1], &b);
    char name[sizeof out->name];
    snprintf(name, sizeof name, "%.60s beside %.56s", out->name, b.name);
    memcpy(out->name, name, sizeof name);
    if (b.memory_bytes < out->memory_bytes) out->memory_bytes = b.memory_bytes;
}

static void close_pair(struct brume_device *d)
{
    struct brume_pair *c = brume_pair_of(d);
    for (int i = 0; i < c->n; i++) free(c->nodes[i]);
    free(c->nodes);
    brume_host_free(&c->a);
    brume_host_free(&c->b);
    for (int j = 0; j < BRUME_FUSED_MAX_IN; j++) brume_host_free(&c->before[j]);
    free(c);
}

static brume_device *side(struct brume_device *d, int i, brume_plan_options *o)
{
    const struct brume_pair *c = brume_pair_of(d);
    if (c->options.variant[i]) o->variant = c->options.variant[i];
    if (c->options.no_fusion[i]) o->no_fusion = 1;
    o->drop_packed = 0; /* the memory of weights that are packed is read again where terms are measured */
    return c->side[i];
}

static brume_buffer *part(brume_buffer *b, int i) { return of(b)->part[i]; }

static const struct brume_twin_ops twins = { .side = side, .part = part, .join = join, .made = brume_pair_made,
                                             .freed = brume_pair_freed, .run = brume_pair_run };

static const struct brume_backend backend = {
    .kind = "pair", .close = close_pair, .info = info, .buffer_new = buffer_new, .buffer_free = buffer_free,
    .write = buffer_write, .read = buffer_read, .fill = fill, .finish = finish, .measure_peak = measure_peak, .twins = &twins,
};

brume_status brume_compare_open(brume_device *a, brume_device *b, const brume_compare_options *options, brume_device **out)
{
    if (!out) return brume_fail(BRUME_E_ARG, "brume_compare_open: out is NULL");
    *out = NULL;
    if (!a || !b) return brume_fail(BRUME_E_ARG, "brume_compare_open: two open devices are needed");
    if (a->backend->twins || b->backend->twins)
        return brume_fail(BRUME_E_ARG, "brume_compare_open: a device of two cannot be one of two");
    struct brume_pair *c = calloc(1, sizeof *c);
    if (!c) return brume_fail(BRUME_E_MEMORY, "compare: out of memory");
    c->base.backend = &backend;
    c->base.caps = a->caps;
    c->side[0] = a;
    c->side[1] = b;
    if (options) c->options = *options;
    c->first = -1;
    *out = &c->base;
    return BRUME_OK;
}

void brume_compare_phase(brume_device *d, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    vsnprintf(brume_pair_of(d)->phase, sizeof brume_pair_of(d)->phase, fmt, args);
    va_end(args);
}
