/* SPDX-License-Identifier: MIT
 * Lets every OpenCL call of a small job fail, one after the other: each time there must be a clear error, no crash, no leak, and no
 * work on a device that was lost. Then drivers that have no binaries or refuse them. Usage: opencl_faults PATH-OF-CL-FAULTS-LIBRARY
 * FOLDER, which is filled with compiled programs. Exit status 77 where there is no OpenCL device. */
#include "check.h"

#include <dlfcn.h>

#include "brume/device.h"
#include "cl_faults.h"
#include "graph/cl_launch.h"
#include "plan/backend.h"

static const struct brume_ew ew_add = { 2, 0, "a + b", 901 };

static void cl_word(const struct brume_node *n, const struct brume_caps *c, struct brume_cl_list *l)
{
    (void)n; (void)c;
    struct brume_cl_launch *k = brume_cl_add(l, "fill.cl", "fill", "");
    brume_cl_size1(k, 100, 64);
    brume_cl_out(k, 0);
    brume_cl_long(k, 100);
    brume_cl_int(k, 0x40000000);
}

static int compiled, cached; /* programs of the last job */

/* 1 + 2 + 2: opens a device, fills, prepares a plan of two steps, runs it twice, reads; stops at the first error. */
static brume_status job(struct cl_faults *faults, const char *spec, float *first)
{
    const struct brume_variant variant = { .name = "any", .cl = cl_word };
    const struct brume_op op = { .name = "word", .n_out = 1 };
    struct brume_value value = { .dtype = BRUME_F32 };
    const struct brume_node node = { .op = &op, .name = "here", .n_out = 1, .out_v = { &value } };
    const struct brume_fused sum = { .ndim = 1, .dims = { 100 }, .n_in = 2, .stride = { { 1 }, { 1 } }, .n_ops = 1,
                                     .op = { { .ew = &ew_add, .arg = { 0, 1 } } } };
    const struct brume_place in[2] = { { 0, 0 }, { 1, 0 } };
    const struct brume_step steps[2] = {
        { .node = &node, .variant = &variant, .n_out = 1, .out = { { 1, 0 } }, .work = { -1, 0 }, .packed = { -1, 0 } },
        { .node = &node, .fused = &sum, .n_in = 2, .n_out = 1, .in = in, .out = { { 0, 0 } }, .work = { -1, 0 }, .packed = { -1, 0 } },
    };
    brume_device *d = NULL;
    brume_buffer *slots[2] = { NULL };
    struct brume_exec *e = NULL;
    float y[100] = { 1.0f };
    brume_status s = brume_device_open(spec, NULL, &d);
    if (!s) s = brume_buffer_new(d, 400, &slots[0]);
    if (!s) s = brume_buffer_new(d, 400, &slots[1]);
    if (!s) s = d->backend->fill(slots[0], 0, 400, 0);
    if (!s) s = brume_buffer_write(slots[0], 0, y, 4);
    if (!s) s = d->backend->prepare(d, steps, 2, 2, &e);
    const int created = faults->created;
    if (!s) s = d->backend->run(e, slots, 0, 2);
    if (!s) s = d->backend->run(e, slots, 0, 2);
    CHECK_INT(faults->created, created); /* a run makes nothing */
    if (!s) s = brume_buffer_read(slots[0], 0, y, 400);
    if (!s) s = brume_device_finish(d);
    *first = y[0];
    if (d) brume_device_get_programs(d, &compiled, &cached);
    if (s && d && (faults->code == -5 || faults->code == -14 || faults->code == -36)) {
        const int calls = faults->calls;
        CHECK_FAILS(brume_device_finish(d), BRUME_E_DEVICE, "lost");
        if (slots[0]) CHECK_FAILS(brume_buffer_read(slots[0], 0, y, 4), BRUME_E_DEVICE, "lost");
        CHECK_INT(faults->calls, calls);
    }
    if (e) d->backend->exec_free(e);
    for (int i = 0; i < 2; i++) brume_buffer_free(slots[i]);
    brume_device_close(d);
    return s;
}

/* Every call fails in its turn, with each of the codes. Returns the number of calls. */
static int every_call(struct cl_faults *faults, const char *spec, const int *codes, int n_codes)
{
    float first = 0;
    *faults = (struct cl_faults){ 0 };
    CHECK_OK(job(faults, spec, &first));
    CHECK(first == 5.0f);
    CHECK_INT(faults->alive, 0);
    const int calls = faults->calls;
    for (int c = 0; c < n_codes; c++)
        for (int n = 1; n <= calls + 1; n++) {
            *faults = (struct cl_faults){ .fail_at = n, .code = codes[c] };
            first = 0;
            const brume_status s = job(faults, spec, &first);
            const int passed = check_failed == 0;
            /* A write is tried again, a description may lack what only messages need, and a binary is not needed: then all must be right. */
            if (!s) CHECK(first == 5.0f);
            else CHECK(s != BRUME_OK && brume_error()[0]);
            CHECK_INT(faults->alive, 0);
            if (passed && check_failed) fprintf(stderr, "    call %d (%s) failing with %d: %s\n", n, faults->failed, codes[c], s ? brume_error() : "ok");
        }
    return calls;
}

/* A job with what the folder holds: so many programs must be compiled, and so many come from it. */
static void counted(struct cl_faults *faults, const char *spec, int want_compiled, int want_cached)
{
    float first = 0;
    CHECK_OK(job(faults, spec, &first));
    CHECK(first == 5.0f);
    CHECK_INT(compiled, want_compiled);
    CHECK_INT(cached, want_cached);
    CHECK_INT(faults->alive, 0);
}

static void drivers_and_their_binaries(struct cl_faults *faults, const char *spec)
{
    *faults = (struct cl_faults){ .no_binary = 1 };
    counted(faults, spec, 2, 0);
    counted(faults, spec, 2, 0); /* nothing was stored */
    CHECK_INT(faults->binaries, 0);
    *faults = (struct cl_faults){ 0 };
    counted(faults, spec, 2, 0);
    CHECK_INT(faults->binaries, 0);
    counted(faults, spec, 0, 2);
    CHECK_INT(faults->binaries, 2);
    *faults = (struct cl_faults){ .refuse_binary = 1 };
    counted(faults, spec, 2, 0);
    CHECK_INT(faults->binaries, 2);
    *faults = (struct cl_faults){ 0 };
    counted(faults, spec, 0, 2); /* what was refused has been replaced */
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "usage: opencl_faults LIBRARY FOLDER\n");
        return 2;
    }
    setenv("BRUME_OPENCL_LIBRARY", argv[1], 1);
    setenv("BRUME_CACHE", "off", 1);
    void *lib = dlopen(argv[1], RTLD_NOW);
    struct cl_faults *faults = lib ? dlsym(lib, "cl_faults") : NULL;
    if (!faults) {
        fprintf(stderr, "%s\n", dlerror());
        return 1;
    }
    brume_device *d = NULL;
    if (brume_device_open("opencl", NULL, &d)) {
        printf("skipped: %s\n", brume_error());
        return 77;
    }
    brume_device_info info;
    brume_device_get_info(d, &info);
    brume_device_close(d);

    static const int codes[] = { -5, -6, -30 };
    const int calls = every_call(faults, info.spec, codes, 3);
    /* With a folder of its own for every run: what an earlier one left would be found. */
    char folder[4096];
    snprintf(folder, sizeof folder, "%s/faults-XXXXXX", argv[2]);
    if (!CHECK(mkdtemp(folder) != NULL)) return check_report();
    setenv("BRUME_CACHE", folder, 1);
    drivers_and_their_binaries(faults, info.spec);
    const int with_cache = every_call(faults, info.spec, codes, 1);
    *faults = (struct cl_faults){ 0 };
    counted(faults, info.spec, 0, 2); /* whatever failed, the folder is sound */
    printf("%d calls, %d with compiled programs\n", calls, with_cache);
    return check_report();
}
