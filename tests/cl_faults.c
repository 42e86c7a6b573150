/* SPDX-License-Identifier: MIT
 * An OpenCL library between brume and the real one: makes the n-th call fail and counts what is created and released.
 * Opened through BRUME_OPENCL_LIBRARY by tests/opencl_faults.c, which finds cl_faults below. */
#define CL_TARGET_OPENCL_VERSION 120
#define CL_USE_DEPRECATED_OPENCL_1_2_APIS
#include <CL/cl.h>
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#include "cl_faults.h"

struct cl_faults cl_faults;

static void real(const char *name, void *pointer)
{
    static void *lib;
    if (!lib) lib = dlopen("libOpenCL.so.1", RTLD_NOW | RTLD_LOCAL);
    void *f = lib ? dlsym(lib, name) : NULL;
    if (!f) abort();
    memcpy(pointer, &f, sizeof f);
}

/* 1 if this call is to fail. */
static int fault(const char *name)
{
    cl_faults.calls++;
    if (cl_faults.calls != cl_faults.fail_at) return 0;
    strncpy(cl_faults.failed, name, sizeof cl_faults.failed - 1);
    return 1;
}

#define REAL(name) __typeof__(cl##name) *real_ = NULL; real("cl" #name, &real_)

/* A function that returns its error. */
#define CALL(name, params, ...)                                     \
    CL_API_ENTRY cl_int CL_API_CALL cl##name params                 \
    {                                                               \
        REAL(name);                                                 \
        return fault("cl" #name) ? cl_faults.code : real_(__VA_ARGS__); \
    }
/* One that releases: it must not fail, and is no work on the device. */
#define RELEASE(name, type)                             \
    CL_API_ENTRY cl_int CL_API_CALL cl##name(type x)    \
    {                                                   \
        REAL(name);                                     \
        cl_faults.alive--;                              \
        return real_(x);                                    \
    }
/* One that makes something and stores its error. */
#define CREATE(type, name, params, ...)                 \
    CL_API_ENTRY type CL_API_CALL cl##name params       \
    {                                                   \
        REAL(name);                                     \
        cl_faults.created++;                            \
        if (fault("cl" #name)) {                        \
            *err = cl_faults.code;                      \
            return NULL;                                \
        }                                               \
        type made = real_(__VA_ARGS__);                     \
        cl_faults.alive += made != NULL;                \
        return made;                                    \
    }

CALL(GetPlatformIDs, (cl_uint n, cl_platform_id *ids, cl_uint *got), n, ids, got)
CALL(GetPlatformInfo, (cl_platform_id p, cl_platform_info what, size_t n, void *v, size_t *got), p, what, n, v, got)
CALL(GetDeviceIDs, (cl_platform_id p, cl_device_type t, cl_uint n, cl_device_id *ids, cl_uint *got), p, t, n, ids, got)
CALL(GetDeviceInfo, (cl_device_id d, cl_device_info what, size_t n, void *v, size_t *got), d, what, n, v, got)
CALL(EnqueueReadBuffer, (cl_command_queue q, cl_mem m, cl_bool b, size_t o, size_t n, void *v, cl_uint w, const cl_event *l, cl_event *e),
     q, m, b, o, n, v, w, l, e)
CALL(EnqueueWriteBuffer, (cl_command_queue q, cl_mem m, cl_bool b, size_t o, size_t n, const void *v, cl_uint w, const cl_event *l, cl_event *e),
     q, m, b, o, n, v, w, l, e)
CALL(BuildProgram, (cl_program p, cl_uint n, const cl_device_id *d, const char *o, void (CL_CALLBACK *c)(cl_program, void *), void *u),
     p, n, d, o, c, u)
CALL(GetProgramBuildInfo, (cl_program p, cl_device_id d, cl_program_build_info what, size_t n, void *v, size_t *got), p, d, what, n, v, got)
CL_API_ENTRY cl_int CL_API_CALL clGetProgramInfo(cl_program p, cl_program_info what, size_t n, void *v, size_t *got)
{
    REAL(GetProgramInfo);
    if (fault("clGetProgramInfo")) return cl_faults.code;
    const cl_int err = real_(p, what, n, v, got);
    if (!err && cl_faults.no_binary && what == CL_PROGRAM_BINARY_SIZES) memset(v, 0, n);
    return err;
}
CALL(GetKernelInfo, (cl_kernel k, cl_kernel_info what, size_t n, void *v, size_t *got), k, what, n, v, got)
CALL(GetKernelWorkGroupInfo, (cl_kernel k, cl_device_id d, cl_kernel_work_group_info what, size_t n, void *v, size_t *got),
     k, d, what, n, v, got)
CALL(SetKernelArg, (cl_kernel k, cl_uint i, size_t n, const void *v), k, i, n, v)
CALL(EnqueueNDRangeKernel, (cl_command_queue q, cl_kernel k, cl_uint n, const size_t *o, const size_t *g, const size_t *l, cl_uint w,
     const cl_event *list, cl_event *e), q, k, n, o, g, l, w, list, e)
CALL(Flush, (cl_command_queue q), q)
CALL(Finish, (cl_command_queue q), q)

RELEASE(ReleaseContext, cl_context)
RELEASE(ReleaseCommandQueue, cl_command_queue)
RELEASE(ReleaseMemObject, cl_mem)
RELEASE(ReleaseProgram, cl_program)
RELEASE(ReleaseKernel, cl_kernel)

CREATE(cl_context, CreateContext, (const cl_context_properties *p, cl_uint n, const cl_device_id *d,
       void (CL_CALLBACK *c)(const char *, const void *, size_t, void *), void *u, cl_int *err), p, n, d, c, u, err)
CREATE(cl_command_queue, CreateCommandQueue, (cl_context c, cl_device_id d, cl_command_queue_properties p, cl_int *err), c, d, p, err)
CREATE(cl_mem, CreateBuffer, (cl_context c, cl_mem_flags f, size_t n, void *v, cl_int *err), c, f, n, v, err)
CREATE(cl_program, CreateProgramWithSource, (cl_context c, cl_uint n, const char **s, const size_t *l, cl_int *err), c, n, s, l, err)
CL_API_ENTRY cl_program CL_API_CALL clCreateProgramWithBinary(cl_context c, cl_uint n, const cl_device_id *d, const size_t *bytes,
                                                              const unsigned char **binaries, cl_int *status, cl_int *err)
{
    REAL(CreateProgramWithBinary);
    cl_faults.created++;
    cl_faults.binaries++;
    const int failing = fault("clCreateProgramWithBinary");
    if (failing || cl_faults.refuse_binary) {
        *err = failing ? cl_faults.code : CL_INVALID_BINARY;
        return NULL;
    }
    cl_program made = real_(c, n, d, bytes, binaries, status, err);
    cl_faults.alive += made != NULL;
    return made;
}
CREATE(cl_kernel, CreateKernel, (cl_program p, const char *name, cl_int *err), p, name, err)
