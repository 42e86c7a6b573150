/* SPDX-License-Identifier: MIT
 * The public functions of devices and buffers: what a spec means, and the way to the backend. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "base/priority.h"
#include "brume/device.h"
#include "plan/self_test.h"
#include "plan/tuning.h"
#include "runtime/backends.h"
#include "runtime/probe.h"

#define FORMS "expected auto, cpu, opencl or opencl:P.D (`brume devices` lists them)"

/* "P" or "P.D" with nothing after; D is 0 where it is left out. */
static bool parse_numbers(const char *s, int *platform, int *device)
{
    int *const into[2] = { platform, device };
    *device = 0;
    for (int i = 0; i < 2; i++) {
        char *end;
        if (!isdigit((unsigned char)*s)) return false;
        const long v = strtol(s, &end, 10);
        if (v > 9999) return false;
        *into[i] = (int)v;
        if (!*end) return true;
        if (*end != '.') return false;
        s = end + 1;
    }
    return false;
}

/* Letters that must be changed, added or left out to make b of a (Levenshtein 1966), ignoring case. */
static int distance(const char *a, const char *b)
{
    int row[32];
    const int n = (int)strlen(b);
    for (int j = 0; j <= n; j++) row[j] = j;
    for (int i = 1; a[i - 1]; i++) {
        int diagonal = row[0];
        row[0] = i;
        for (int j = 1; j <= n; j++) {
            const int swap = diagonal + (tolower((unsigned char)a[i - 1]) != b[j - 1]);
            diagonal = row[j];
            row[j] = row[j] < row[j - 1] ? row[j] + 1 : row[j - 1] + 1;
            if (swap < row[j]) row[j] = swap;
        }
    }
    return row[n];
}

static const char *nearest(const char *spec)
{
    static const char *const forms[] = { "auto", "cpu", "opencl" };
    static const struct { const char *said, *meant; } others[] = { { "gpu", "opencl" }, { "cl", "opencl" }, { "cuda", "opencl" },
                                                                   { "rocm", "opencl" },
                                                                   { "metal", "opencl" }, { "ocl", "opencl" },
                                                                   { "host", "cpu" }, { "", "auto" } };
    char word[16];
    size_t n = strcspn(spec, ":,. ");
    n = n < sizeof word - 1 ? n : sizeof word - 1;
    memcpy(word, spec, n);
    word[n] = 0;
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (!distance(word, others[i].said)) return others[i].meant;
    const char *best = forms[0];
    for (size_t i = 1; i < sizeof forms / sizeof *forms; i++)
        if (distance(word, forms[i]) < distance(word, best)) best = forms[i];
    return best;
}

/* The best usable OpenCL device: GPUs, then what is neither, then CPUs. spec "" if there is none. */
static brume_status best_opencl(char spec[32], char note[256])
{
    brume_device_info *list;
    int n, best = -1;
    spec[0] = 0;
    brume_status s = brume_backends_list(&list, &n, note);
    if (s) return s;
    for (int i = 0; i < n; i++) {
        const brume_device_info *d = &list[i];
        if (!d->is_opencl) continue;
        if (!d->usable) {
            snprintf(note, 256, "%s: %.200s", d->spec, d->note);
            continue;
        }
        const int rank = d->is_gpu_type ? 2 : !d->is_cpu_type;
        if (rank <= best) continue;
        best = rank;
        memcpy(spec, d->spec, 32);
    }
    free(list);
    return BRUME_OK;
}

static brume_status open_by(const char *spec, const brume_device_options *options, brume_device **out)
{
    char found[32], note[256];
    int platform, device;
    brume_status s;
    if (!out) return brume_fail(BRUME_E_ARG, "brume_device_open: out is NULL");
    *out = NULL;
    if (!spec) return brume_fail(BRUME_E_ARG, "brume_device_open: spec is NULL; " FORMS);
    if (options && options->threads < 0)
        return brume_fail(BRUME_E_ARG, "threads: expected 0 (one per core) or more, got %d", options->threads);
    if (options && options->nice_ms > 0) brume_priority_lower(); /* before a backend makes its threads */
    if (!strcmp(spec, "cpu")) return brume_backends_open(spec, options, out);
    if (!strcmp(spec, "auto")) {
        s = brume_auto_choose(options, found, note);
        if (s == BRUME_OK) s = brume_backends_open(found, options, out);
        if (s != BRUME_OK && strcmp(found, "cpu")) { /* a GPU that does not open any more */
            s = brume_backends_open("cpu", options, out);
            snprintf(note, sizeof note, "%s did not open", found);
        }
        if (s == BRUME_OK) memcpy((*out)->choice, note, sizeof note);
        return s;
    }
    const bool prefix = !strncmp(spec, "opencl", 6),
               numbered = prefix && spec[6] == ':' && parse_numbers(spec + 7, &platform, &device);
    if (!prefix || (spec[6] && !numbered))
        return brume_fail(BRUME_E_ARG, "unknown device '%.40s', did you mean '%s'? " FORMS, spec,
                          prefix ? "opencl:0.0" : nearest(spec));
    if (!brume_backends_have_opencl())
        return brume_fail(BRUME_E_UNSUPPORTED,
                          "device '%s': this build has no OpenCL backend; install the OpenCL headers and configure with "
                          "-Dopencl=enabled, or use cpu",
                          spec);
    if (numbered) {
        snprintf(found, sizeof found, "opencl:%d.%d", platform, device);
        return brume_backends_open(found, options, out);
    }
    s = best_opencl(found, note);
    if (s) return s;
    if (!found[0])
        return brume_fail(BRUME_E_DEVICE, "device 'opencl': no usable OpenCL device%s%s; or use cpu", note[0] ? ": " : "", note);
    return brume_backends_open(found, options, out);
}

/* What kernels are compared with: plain C of the cpu backend, as the compiler makes it for any processor of the kind. */
static brume_status open_reference(brume_device **out)
{
    return brume_backends_open("cpu", &(brume_device_options){ .isa = "generic", .no_tuning = 1, .no_self_test = 1 }, out);
}

brume_status brume_device_open(const char *spec, const brume_device_options *options, brume_device **out)
{
    brume_status s = open_by(spec, options, out);
    if (s != BRUME_OK) return s;
    s = brume_self_test_open(*out, options, open_reference);
    if (s == BRUME_OK && !(options && options->no_tuning)) s = brume_tuning_open(*out);
    if (s == BRUME_OK) return s;
    brume_device_close(*out);
    *out = NULL;
    return s;
}

void brume_device_close(brume_device *d)
{
    if (!d) return;
    brume_tuning_free(d->tuning);
    brume_self_test_free(d->self_test);
    d->backend->close(d);
}

const char *brume_device_choice(const brume_device *d) { return d->choice; }

void brume_device_get_info(const brume_device *d, brume_device_info *info) { d->backend->info(d, info); }

brume_status brume_device_list(brume_device_info **out, int *n, char note[256])
{
    char text[256];
    brume_status s = brume_backends_list(out, n, text);
    if (note) memcpy(note, text, sizeof text);
    return s;
}

void brume_device_get_programs(const brume_device *d, int *compiled, int *cached)
{
    *compiled = d->programs_compiled;
    *cached = d->programs_cached;
}

uint64_t brume_device_launches(const brume_device *d) { return d->launches; }

void brume_cache_get_info(brume_cache_info *info) { brume_backends_cache(info); }

brume_status brume_device_finish(brume_device *d) { return d->backend->finish(d); }

brume_status brume_device_measure_peak(brume_device *d, double *gflops) { return d->backend->measure_peak(d, gflops); }

brume_status brume_buffer_new(brume_device *d, size_t bytes, brume_buffer **out) { return d->backend->buffer_new(d, bytes, out); }

void brume_buffer_free(brume_buffer *b)
{
    if (b) b->device->backend->buffer_free(b);
}

size_t brume_buffer_bytes(const brume_buffer *b) { return b->bytes; }

brume_status brume_buffer_write(brume_buffer *b, size_t offset, const void *src, size_t bytes)
{
    return b->device->backend->write(b, offset, src, bytes);
}

brume_status brume_buffer_read(brume_buffer *b, size_t offset, void *dst, size_t bytes)
{
    return b->device->backend->read(b, offset, dst, bytes);
}

void *brume_buffer_host(brume_buffer *b) { return b->device->backend->host ? b->device->backend->host(b) : NULL; }
