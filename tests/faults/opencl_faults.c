/* SPDX-License-Identifier: MIT
 * Lets every OpenCL call of a small job fail, one after the other: each time there must be an error that names call and code, no
 * crash, no leak, and no work on a device that was lost; the same for calls that only pretend to work, for launches that fail
 * after they were accepted, and (with the right result) for calls that come late. Then drivers that have no binaries or refuse
 * them. Usage: opencl_faults PATH-OF-CL-FAULTS-LIBRARY FOLDER, which is filled with compiled programs. Exit status 77 where there
 * is no OpenCL device. */
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
static char said[2048];      /* why it failed */

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
        { .node = &node, .fused = &sum, .n_in = 2, .n_out = 1, .in = in, .out = { { 0, 0 } },
          .work = { -1, 0 }, .packed = { -1, 0 } },
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
    snprintf(said, sizeof said, "%s", brume_error());
    if (d) brume_device_get_programs(d, &compiled, &cached);
    if (s && d && faults->mode != CL_FAULT_SILENT && (faults->code == -5 || faults->code == -14 || faults->code == -36)) {
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

/* One way in which calls fail; names: what must be in a message beside the call. */
struct fault_kind { enum cl_fault_mode mode; int code; const char *names; };

/* What a job says whose call failed, whatever it was. */
static void judge(const struct cl_faults *faults, const struct fault_kind *kind, brume_status s, float first)
{
    /* A write is tried again, a release has no error, a description may lack what only messages need, and a binary is not needed:
     * then all must be right. A driver that lies about one of these may be found out by a wrong result only. */
    if (!s && kind->mode != CL_FAULT_SILENT) CHECK(first == 5.0f);
    if (kind->mode == CL_FAULT_LATE || kind->mode == CL_FAULT_EVENT)
        CHECK((s != BRUME_OK) == (kind->mode == CL_FAULT_EVENT && faults->failed[0]));
    if (!s) return;
    CHECK(said[0] && faults->failed[0]);
    if (kind->mode == CL_FAULT_SILENT) return;
    CHECK(strstr(said, faults->failed) != NULL);
    CHECK(strstr(said, kind->names) != NULL);
    CHECK(strstr(said, "--device cpu") || strstr(said, "clinfo")); /* what to do */
}

/* Every call fails in its turn, in each of the ways. Returns the number of calls. */
static int every_call(struct cl_faults *faults, const char *spec, const struct fault_kind *kinds, int n_kinds)
{
    float first = 0;
    *faults = (struct cl_faults){ 0 };
    CHECK_OK(job(faults, spec, &first));
    CHECK(first == 5.0f);
    CHECK_INT(faults->alive, 0);
    const int calls = faults->calls;
    for (int k = 0; k < n_kinds; k++) {
        int n = 0;
        do {
            *faults = (struct cl_faults){ .mode = kinds[k].mode, .fail_at = ++n, .code = kinds[k].code };
            first = 0;
            const int failed_before = check_failed;
            const brume_status s = job(faults, spec, &first);
            judge(faults, &kinds[k], s, first);
            CHECK_INT(faults->alive, 0);
            if (check_failed > failed_before)
                fprintf(stderr, "    call %d (%s) failing in way %d with %d: %s\n", n, faults->failed, (int)kinds[k].mode,
                        kinds[k].code, s ? said : "ok");
        } while (faults->failed[0]);
        CHECK(n > 1);
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
    setenv("OPENCL_LAYERS", argv[1], 1);
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
    if (!faults->calls) {
        printf("skipped: the OpenCL loader takes no layers\n");
        return 77;
    }

    static const struct fault_kind kinds[] = {
        { CL_FAULT_FAIL, -5, "CL_OUT_OF_RESOURCES (-5)" },
        /* these with compiled programs at hand */
        { CL_FAULT_FAIL, -6, "CL_OUT_OF_HOST_MEMORY (-6)" },
        { CL_FAULT_EVENT, -14, "CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST (-14)" }, { CL_FAULT_SILENT, 0, "" },
        { CL_FAULT_LATE, 2, "" },
    };
    const int calls = every_call(faults, info.spec, kinds, 1);
    /* With a folder of its own for every run: what an earlier one left would be found. */
    char folder[4096];
    snprintf(folder, sizeof folder, "%s/faults-XXXXXX", argv[2]);
    if (!CHECK(mkdtemp(folder) != NULL)) return check_report();
    setenv("BRUME_CACHE", folder, 1);
    drivers_and_their_binaries(faults, info.spec);
    const int with_cache = every_call(faults, info.spec, kinds + 1, sizeof kinds / sizeof *kinds - 1);
    *faults = (struct cl_faults){ 0 };
    counted(faults, info.spec, 0, 2); /* whatever failed, the folder is sound */
    printf("%d calls, %d with compiled programs\n", calls, with_cache);
    return check_report();
}
