/* SPDX-License-Identifier: MIT
 * What brume keeps between runs: tuned kernels, those that passed their self-test, figures of probes, decoded pictures, compiled
 * programs. */
#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/hash.h"
#include "brume/data.h"
#include "brume/image.h"
#include "brume/ops.h"
#include "brume/plan.h"
#include "brume/self_test.h"
#include "config.h"
#include "fuzz.h"
#include "plan/tuning.h"
#include "runtime/probe.h"

static void use_cache(void) { setenv("BRUME_CACHE", fuzz_path("cache"), 1); }
static void leave_cache(void) { setenv("BRUME_CACHE", "off", 1); }

/* The one file with this ending that brume made in a part of its cache, and its name in the folder of the harness. */
static uint8_t *made(const char *part, const char *ending, char name[300], size_t *n)
{
    enum { MOST = 1 << 16 };
    char folder[64];
    snprintf(folder, sizeof folder, "cache/%s", part);
    DIR *d = opendir(fuzz_path(folder));
    name[0] = 0;
    for (const struct dirent *e; d && (e = readdir(d));)
        if (strlen(e->d_name) > strlen(ending) && !strcmp(e->d_name + strlen(e->d_name) - strlen(ending), ending))
            snprintf(name, 300, "%s/%.200s", folder, e->d_name);
    if (d) closedir(d);
    FILE *f = name[0] ? fopen(fuzz_path(name), "rb") : NULL;
    uint8_t *bytes = calloc(1, MOST);
    *n = f && bytes ? fread(bytes, 1, MOST, f) : 0;
    if (!*n) fuzz_broken("brume made no such file in its cache");
    fclose(f);
    return bytes;
}

/* Puts a file with the owner of another (its first line), the input, and the checksum of both; an input that begins with x is the
 * whole file. */
static void put_sealed(const char *name, const uint8_t *owner, const uint8_t *data, size_t n)
{
    if (n && data[0] == 'x') {
        fuzz_put(name, data + 1, n - 1);
        return;
    }
    const size_t head = (size_t)((const uint8_t *)strchr((const char *)owner, '\n') + 1 - owner);
    char *file = malloc(head + n + 32);
    memcpy(file, owner, head);
    if (n) memcpy(file + head, data, n);
    const int sum = snprintf(file + head + n, 32, "%016llx\n", (unsigned long long)brume_fnv1a(file, head + n));
    fuzz_put(name, file, head + n + (size_t)sum);
    free(file);
}

/* Kernels that passed: each is known, and known once. */
void fuzz_passed(const uint8_t *data, size_t n)
{
    static char name[300];
    static uint8_t *right;
    const brume_device_options one = { .threads = 1 };
    brume_device *d;
    brume_self_test_info info;
    use_cache();
    unsetenv("BRUME_SELF_TEST");
    if (!right) { /* a plan, for which brume tests a kernel and keeps that */
        brume_graph *g = brume_graph_new();
        brume_plan *p;
        size_t bytes;
        brume_output(g, brume_softmax(g, brume_input(g, "x", BRUME_F32, BRUME_SHAPE(2, 3))), "y");
        if (brume_device_open("cpu", &one, &d) != BRUME_OK || brume_plan_new(d, g, NULL, &p) != BRUME_OK)
            fuzz_broken(brume_error());
        brume_plan_free(p);
        brume_graph_free(g);
        brume_device_close(d);
        right = made("selftest", ".txt", name, &bytes);
        if (brume_device_open("cpu", &one, &d) != BRUME_OK) fuzz_broken(brume_error());
        brume_device_get_self_test(d, &info);
        if (info.tested < 1) fuzz_broken("a kernel that passed is not known");
        brume_device_close(d);
    }
    put_sealed(name, right, data, n);
    if (brume_device_open("cpu", &one, &d) != BRUME_OK) fuzz_broken(brume_error());
    brume_device_get_self_test(d, &info);
    if (info.failed || info.tested < 0 || (size_t)info.tested > n / 16)
        fuzz_broken("more kernels are known than a file of its size can name");
    brume_device_close(d);
    leave_cache();
}

/* Figures of a probe. */
void fuzz_probe(const uint8_t *data, size_t n)
{
    static const brume_device_info device = { .name = "device", .driver = "driver", .compute_units = 2, .is_opencl = 1 };
    static char name[300];
    static uint8_t *right;
    brume_probe p = { .matmul_gflops = 100, .conv_gflops = 50, .launch_us = 5 };
    use_cache();
    if (!right) {
        size_t bytes;
        brume_probe_store(&device, &p);
        if (!brume_probe_find(&device, &p)) fuzz_broken("figures that were kept are not found");
        right = made("probe", ".txt", name, &bytes);
    }
    put_sealed(name, right, data, n);
    if (brume_probe_find(&device, &p) &&
        !(p.matmul_gflops > 0 && p.conv_gflops > 0 && p.launch_us > 0 && p.step_ms > 0 && isfinite(p.step_ms)))
        fuzz_broken("figures that no probe can have");
    leave_cache();
}

/* A file of tuned kernels less its last line, which is a checksum of the rest; with an 'x' before it, as it is. */
void fuzz_tuning(const uint8_t *data, size_t n)
{
    static const struct brume_tuning_id id = { "device", "platform", "driver", "1", "kernels" };
    struct brume_tuning *t = brume_tuning_new();
    if (n && data[0] == 'x') {
        fuzz_put("tuning.json", data + 1, n - 1);
    } else {
        char *text = malloc(n + 64);
        if (n) memcpy(text, data, n);
        const int tail = snprintf(text + n, 64, "  \"checksum\": \"%016llx\"\n}\n", (unsigned long long)brume_fnv1a(text, n));
        fuzz_put("tuning.json", text, n + (size_t)tail);
        free(text);
    }
    if (brume_tuning_read(t, fuzz_path("tuning.json"), &id) == BRUME_OK) {
        for (int i = 0; i < t->n; i++)
            if (brume_tuning_find(t, t->entries[i].key) != &t->entries[i]) fuzz_broken("an entry is not found by its key");
    } else if (t->n) {
        fuzz_broken("entries of a refused file were taken");
    }
    brume_tuning_free(t);
}

/* A file of the size of two images of 8 x 8 x 1, where brume looks for such a picture folder's. Its first 40 bytes are made right
 * unless the input says x. */
void fuzz_decoded(const uint8_t *data, size_t n)
{
    static char cached[300];
    static uint8_t *right;
    static size_t size;
    const brume_dataset_options o = { .size = 8, .channels = 1, .cache = BRUME_DATA_CACHE_DISK,
                                      .bad_files = BRUME_BAD_FILES_SKIP, .threads = -1 };
    const char *pictures = fuzz_kept("pictures");
    brume_dataset *ds;
    float x[64];
    use_cache();
    if (!right) { /* picture and cached file as they should be */
        brume_image *im;
        if (brume_image_new(8, 8, 1, &im) != BRUME_OK || mkdir(pictures, 0777) ||
            brume_png_write(fuzz_kept("pictures/a.png"), im) != BRUME_OK || brume_dataset_open(pictures, &o, &ds) != BRUME_OK)
            fuzz_broken(brume_error());
        brume_image_free(im);
        brume_dataset_free(ds);
        right = made("data", ".pixels", cached, &size);
    }
    uint8_t *file = malloc(size + n);
    size_t bytes = n;
    if (n && data[0] == 'x') {
        memcpy(file, data + 1, --bytes);
    } else { /* values and marks of the input in a file that is right otherwise */
        enum { HEAD = 40 };
        memcpy(file, right, bytes = size);
        const size_t body = size - HEAD - sizeof(uint64_t);
        if (n) memcpy(file + HEAD, data, n < body ? n : body);
        const uint64_t values = brume_hash_values(0, file + HEAD, (body - 1) / sizeof(float), sizeof(float));
        const uint64_t sum = brume_hash_values(values, file + HEAD + body - 1, 1, 1);
        memcpy(file + HEAD + body, &sum, sizeof sum);
    }
    fuzz_put(cached, file, bytes);
    free(file);
    if (brume_dataset_open(pictures, &o, &ds) == BRUME_OK) {
        int32_t label;
        if (brume_dataset_get(ds, 0, x, &label) == BRUME_OK) fuzz_use(x, sizeof x);
        brume_dataset_free(ds);
    }
    leave_cache();
}

#if BRUME_HAVE_OPENCL
#include <zlib.h>

#include "opencl/cache.h"

/* An entry of the cache of programs, whose checksum is made right unless the input begins with x. */
void fuzz_programs(const uint8_t *data, size_t n)
{
    static const char key[] = "device, options, source";
    struct brume_cl_cache c = { (char *)fuzz_folder(), 1 << 20 };
    const unsigned char *binary;
    size_t bytes;
    unsigned kernels;
    char name[32];
    const int raw = n && data[0] == 'x';
    uint8_t *file = malloc(n + 64);
    if (raw) memcpy(file, data + 1, --n);
    else if (n) memcpy(file, data, n);
    if (!raw && n >= 8) {
        const uint32_t sum = (uint32_t)crc32_z(0, file + 8, n - 8);
        memcpy(file + 4, &sum, sizeof sum);
    }
    snprintf(name, sizeof name, "%016llx.clbin", (unsigned long long)brume_fnv1a(key, sizeof key - 1));
    fuzz_put(name, file, n);
    free(file);
    void *found = brume_cl_cache_load(&c, key, &binary, &bytes, &kernels);
    if (found) fuzz_use(binary, bytes);
    free(found);
    brume_cl_cache_trim(&c);
}
#else
void fuzz_programs(const uint8_t *data, size_t n) { fuzz_use(data, n); }
#endif
