/* SPDX-License-Identifier: MIT
 * An OpenCL layer (OPENCL_LAYERS of the ICD loader): makes the n-th call fail, lie or return late, and counts what is created and
 * released.
 *
 * A test that loads it too finds cl_faults below. Any other program tells it by the environment:
 *   CL_FAULTS=MODE:N:CODE   MODE one of fail, silent, late, event (see cl_faults.h)
 *   CL_FAULTS_LOG=FILE      gets "calls N alive N failed NAME" when the program ends */
#define CL_TARGET_OPENCL_VERSION 120
#define CL_USE_DEPRECATED_OPENCL_1_2_APIS
#include <CL/cl_layer.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cl_faults.h"

#define EXPORT __attribute__((visibility("default")))

EXPORT struct cl_faults cl_faults;

static const cl_icd_dispatch *next;
static cl_icd_dispatch layer;

/* Programs are built in several threads. */
static int count(int *at, int by) { return __atomic_add_fetch(at, by, __ATOMIC_RELAXED); }

/* 1 if this call is to do nothing. */
static int fault(const char *name)
{
    if (cl_faults.mode == CL_FAULT_EVENT || count(&cl_faults.calls, 1) != cl_faults.fail_at) return 0;
    strncpy(cl_faults.failed, name, sizeof cl_faults.failed - 1);
    if (cl_faults.mode != CL_FAULT_LATE) return 1;
    const struct timespec wait = { cl_faults.code / 1000, cl_faults.code % 1000 * 1000000L };
    nanosleep(&wait, NULL);
    return 0;
}

static cl_int code(void) { return cl_faults.mode == CL_FAULT_SILENT ? CL_SUCCESS : cl_faults.code; }

/* A function that returns its error. */
#define CALL(name, params, ...)                          \
    static cl_int CL_API_CALL my_##name params           \
    {                                                    \
        return fault("cl" #name) ? code() : next->cl##name(__VA_ARGS__); \
    }
/* One that releases: whatever it says, the object is gone. */
#define RELEASE(name, type)                              \
    static cl_int CL_API_CALL my_##name(type x)          \
    {                                                    \
        const int failing = fault("cl" #name);           \
        const cl_int err = next->cl##name(x);            \
        count(&cl_faults.alive, -1);                     \
        return failing ? code() : err;                   \
    }
/* One that makes something and stores its error. */
#define CREATE(type, name, params, ...)                  \
    static type CL_API_CALL my_##name params             \
    {                                                    \
        count(&cl_faults.created, 1);                    \
        if (fault("cl" #name)) {                         \
            if (err) *err = code();                      \
            return NULL;                                 \
        }                                                \
        type made = next->cl##name(__VA_ARGS__);         \
        count(&cl_faults.alive, made != NULL);           \
        return made;                                     \
    }

CALL(GetPlatformIDs, (cl_uint n, cl_platform_id *ids, cl_uint *got), n, ids, got)
CALL(GetPlatformInfo, (cl_platform_id p, cl_platform_info what, size_t n, void *v, size_t *got), p, what, n, v, got)
CALL(GetDeviceIDs, (cl_platform_id p, cl_device_type t, cl_uint n, cl_device_id *ids, cl_uint *got), p, t, n, ids, got)
CALL(GetDeviceInfo, (cl_device_id d, cl_device_info what, size_t n, void *v, size_t *got), d, what, n, v, got)
CALL(EnqueueReadBuffer,
     (cl_command_queue q, cl_mem m, cl_bool b, size_t o, size_t n, void *v, cl_uint w, const cl_event *l, cl_event *e), q, m, b,
     o, n, v, w, l, e)
CALL(EnqueueWriteBuffer,
     (cl_command_queue q, cl_mem m, cl_bool b, size_t o, size_t n, const void *v, cl_uint w, const cl_event *l, cl_event *e), q,
     m, b, o, n, v, w, l, e)
CALL(BuildProgram,
     (cl_program p, cl_uint n, const cl_device_id *d, const char *o, void(CL_CALLBACK *c)(cl_program, void *), void *u), p, n, d,
     o, c, u)
CALL(GetProgramBuildInfo, (cl_program p, cl_device_id d, cl_program_build_info what, size_t n, void *v, size_t *got), p, d, what,
     n, v, got)
CALL(GetKernelInfo, (cl_kernel k, cl_kernel_info what, size_t n, void *v, size_t *got), k, what, n, v, got)
CALL(GetKernelWorkGroupInfo, (cl_kernel k, cl_device_id d, cl_kernel_work_group_info what, size_t n, void *v, size_t *got),
     k, d, what, n, v, got)
CALL(SetKernelArg, (cl_kernel k, cl_uint i, size_t n, const void *v), k, i, n, v)
CALL(Flush, (cl_command_queue q), q)
CALL(Finish, (cl_command_queue q), q)
CALL(WaitForEvents, (cl_uint n, const cl_event *e), n, e)
CALL(GetEventInfo, (cl_event e, cl_event_info what, size_t n, void *v, size_t *got), e, what, n, v, got)
CALL(GetEventProfilingInfo, (cl_event e, cl_profiling_info what, size_t n, void *v, size_t *got), e, what, n, v, got)

static cl_int CL_API_CALL my_GetProgramInfo(cl_program p, cl_program_info what, size_t n, void *v, size_t *got)
{
    if (fault("clGetProgramInfo")) return code();
    const cl_int err = next->clGetProgramInfo(p, what, n, v, got);
    if (!err && cl_faults.no_binary && what == CL_PROGRAM_BINARY_SIZES) memset(v, 0, n);
    return err;
}

/* An event of a launch that never ran. */
static cl_int failed_event(cl_command_queue q, cl_event *e)
{
    cl_context context;
    cl_int err = next->clGetCommandQueueInfo(q, CL_QUEUE_CONTEXT, sizeof context, &context, NULL);
    if (!err) *e = next->clCreateUserEvent(context, &err);
    if (!err) err = next->clSetUserEventStatus(*e, cl_faults.code);
    return err;
}

static cl_int CL_API_CALL my_EnqueueNDRangeKernel(cl_command_queue q, cl_kernel k, cl_uint n, const size_t *o, const size_t *g,
                                                  const size_t *l, cl_uint w, const cl_event *list, cl_event *e)
{
    cl_int err = CL_SUCCESS;
    if (cl_faults.mode != CL_FAULT_EVENT) {
        if (fault("clEnqueueNDRangeKernel")) return code(); /* of a lying driver's events there are none */
        err = next->clEnqueueNDRangeKernel(q, k, n, o, g, l, w, list, e);
    } else if (count(&cl_faults.calls, 1) < cl_faults.fail_at || !cl_faults.fail_at) {
        err = next->clEnqueueNDRangeKernel(q, k, n, o, g, l, w, list, e);
    } else {
        strcpy(cl_faults.failed, "clEnqueueNDRangeKernel");
        if (e) err = failed_event(q, e);
    }
    count(&cl_faults.alive, !err && e);
    return err;
}

RELEASE(ReleaseContext, cl_context)
RELEASE(ReleaseCommandQueue, cl_command_queue)
RELEASE(ReleaseMemObject, cl_mem)
RELEASE(ReleaseProgram, cl_program)
RELEASE(ReleaseKernel, cl_kernel)
RELEASE(ReleaseEvent, cl_event)

CREATE(cl_context, CreateContext, (const cl_context_properties *p, cl_uint n, const cl_device_id *d,
       void (CL_CALLBACK *c)(const char *, const void *, size_t, void *), void *u, cl_int *err), p, n, d, c, u, err)
CREATE(cl_command_queue, CreateCommandQueue, (cl_context c, cl_device_id d, cl_command_queue_properties p, cl_int *err), c, d, p,
       err)
CREATE(cl_mem, CreateBuffer, (cl_context c, cl_mem_flags f, size_t n, void *v, cl_int *err), c, f, n, v, err)
CREATE(cl_program, CreateProgramWithSource, (cl_context c, cl_uint n, const char **s, const size_t *l, cl_int *err), c, n, s, l,
       err)
CREATE(cl_kernel, CreateKernel, (cl_program p, const char *name, cl_int *err), p, name, err)

static cl_program CL_API_CALL my_CreateProgramWithBinary(cl_context c, cl_uint n, const cl_device_id *d, const size_t *bytes,
                                                         const unsigned char **binaries, cl_int *status, cl_int *err)
{
    count(&cl_faults.created, 1);
    count(&cl_faults.binaries, 1);
    const int failing = fault("clCreateProgramWithBinary");
    if (failing || cl_faults.refuse_binary) {
        *err = failing ? code() : CL_INVALID_BINARY;
        return NULL;
    }
    cl_program made = next->clCreateProgramWithBinary(c, n, d, bytes, binaries, status, err);
    count(&cl_faults.alive, made != NULL);
    return made;
}

static void tell(void)
{
    FILE *f = fopen(getenv("CL_FAULTS_LOG"), "w");
    if (!f) return;
    fprintf(f, "calls %d alive %d failed %s\n", cl_faults.calls, cl_faults.alive, cl_faults.failed);
    fclose(f);
}

static void read_environment(void)
{
    static const char *const modes[] = { "fail", "silent", "late", "event" };
    char mode[16];
    const char *text = getenv("CL_FAULTS");
    if (getenv("CL_FAULTS_LOG")) atexit(tell);
    if (!text) return;
    for (int m = 0; sscanf(text, "%15[a-z]:%d:%d", mode, &cl_faults.fail_at, &cl_faults.code) == 3 && m < 4; m++)
        if (!strcmp(mode, modes[m])) {
            cl_faults.mode = (enum cl_fault_mode)m;
            return;
        }
    fprintf(stderr, "CL_FAULTS=%s: expected MODE:N:CODE\n", text);
    exit(2);
}

EXPORT cl_int CL_API_CALL clGetLayerInfo(cl_layer_info what, size_t bytes, void *value, size_t *got)
{
    static const char name[] = "faults";
    const cl_layer_api_version version = CL_LAYER_API_VERSION_100;
    const void *from = what == CL_LAYER_NAME ? (const void *)name : &version;
    const size_t n = what == CL_LAYER_NAME ? sizeof name : sizeof version;
    if ((what != CL_LAYER_NAME && what != CL_LAYER_API_VERSION) || (value && bytes < n)) return CL_INVALID_VALUE;
    if (value) memcpy(value, from, n);
    if (got) *got = n;
    return CL_SUCCESS;
}

EXPORT cl_int CL_API_CALL clInitLayer(cl_uint n, const cl_icd_dispatch *target, cl_uint *n_out, const cl_icd_dispatch **out)
{
    if (n < sizeof layer / sizeof(void *)) return CL_INVALID_VALUE;
    next = target;
    layer = *target;
#define MINE(name) layer.cl##name = my_##name;
    MINE(GetPlatformIDs)
    MINE(GetPlatformInfo) MINE(GetDeviceIDs) MINE(GetDeviceInfo) MINE(EnqueueReadBuffer) MINE(EnqueueWriteBuffer)
        MINE(BuildProgram) MINE(GetProgramBuildInfo) MINE(GetProgramInfo) MINE(GetKernelInfo) MINE(GetKernelWorkGroupInfo)
            MINE(SetKernelArg) MINE(EnqueueNDRangeKernel) MINE(Flush) MINE(Finish) MINE(WaitForEvents) MINE(GetEventInfo)
                MINE(GetEventProfilingInfo) MINE(ReleaseContext) MINE(ReleaseCommandQueue) MINE(ReleaseMemObject)
                    MINE(ReleaseProgram) MINE(ReleaseKernel) MINE(ReleaseEvent) MINE(CreateContext) MINE(CreateCommandQueue)
                        MINE(CreateBuffer) MINE(CreateProgramWithSource) MINE(CreateProgramWithBinary) MINE(CreateKernel)
#undef MINE
                            read_environment();
    *n_out = sizeof layer / sizeof(void *);
    *out = &layer;
    return CL_SUCCESS;
}
