/* SPDX-License-Identifier: MIT
 * Finds OpenCL platforms and devices and says which of them brume can use. */
#include "opencl/internal.h"
#include "opencl/opencl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PLATFORM_NOT_FOUND_KHR (-1001) /* cl_khr_icd: a loader without any driver */

int brume_cl_platforms(const struct brume_cl_api *cl, cl_platform_id ids[BRUME_CL_MAX_PLATFORMS], char *why)
{
    cl_uint n = 0;
    const cl_int err = cl->GetPlatformIDs(BRUME_CL_MAX_PLATFORMS, ids, &n);
    char name[64];
    why[0] = 0;
    if (err == PLATFORM_NOT_FOUND_KHR || (!err && !n))
        snprintf(why, 256, "no OpenCL driver is installed: install that of your GPU, or PoCL for a CPU");
    else if (err)
        snprintf(why, 256, "clGetPlatformIDs: %s; check the drivers with clinfo", brume_cl_error_text(err, name));
    if (err) return 0;
    return n < BRUME_CL_MAX_PLATFORMS ? (int)n : BRUME_CL_MAX_PLATFORMS;
}

int brume_cl_devices(const struct brume_cl_api *cl, cl_platform_id p, cl_device_id ids[BRUME_CL_MAX_DEVICES], char *why)
{
    cl_uint n = 0;
    const cl_int err = cl->GetDeviceIDs(p, CL_DEVICE_TYPE_ALL, BRUME_CL_MAX_DEVICES, ids, &n);
    char name[64], platform[128] = "";
    why[0] = 0;
    if (err || !n) {
        cl->GetPlatformInfo(p, CL_PLATFORM_NAME, sizeof platform - 1, platform, NULL);
        snprintf(why, 256, "platform '%s' has no device (clGetDeviceIDs: %s); check the driver with clinfo", platform,
                 brume_cl_error_text(err ? err : CL_DEVICE_NOT_FOUND, name));
        return 0;
    }
    return n < BRUME_CL_MAX_DEVICES ? (int)n : BRUME_CL_MAX_DEVICES;
}

/* The first error of several calls. */
struct trouble { cl_int err; const char *call; };

static void saw(struct trouble *t, cl_int err, const char *call)
{
    if (err && !t->err) *t = (struct trouble){ err, call };
}

static void query_text(const struct brume_cl_api *cl, cl_device_id d, cl_device_info what, char *out, size_t bytes,
                       struct trouble *t)
{
    /* Asked into a large buffer: a text longer than `out` is cut instead of refused. */
    char text[4096] = "";
    saw(t, cl->GetDeviceInfo(d, what, sizeof text, text, NULL), "clGetDeviceInfo");
    text[sizeof text - 1] = 0;
    const char *from = text;
    while (*from == ' ') from++;
    snprintf(out, bytes, "%s", from);
}

/* OpenCL fixes the type of each value; one of another size would be a broken driver. */
#define QUERY(type, what) \
    __extension__({ \
        type value_ = 0; \
        saw(&trouble, cl->GetDeviceInfo(d, what, sizeof value_, &value_, NULL), "clGetDeviceInfo"); \
        value_; \
    })

static void note(brume_device_info *info, const char *text)
{
    if (!info->usable) return; /* the first reason stays */
    info->usable = 0;
    snprintf(info->note, sizeof info->note, "%s", text);
}

void brume_cl_describe(const struct brume_cl_api *cl, cl_platform_id p, cl_device_id d, int platform, int device,
                       brume_device_info *info)
{
    memset(info, 0, sizeof *info);
    struct trouble trouble = { CL_SUCCESS, NULL };
    snprintf(info->spec, sizeof info->spec, "opencl:%d.%d", platform, device);
    char text[4096] = "";
    saw(&trouble, cl->GetPlatformInfo(p, CL_PLATFORM_NAME, sizeof text - 1, text, NULL), "clGetPlatformInfo");
    snprintf(info->platform, sizeof info->platform, "%.127s", text);
    query_text(cl, d, CL_DEVICE_NAME, info->name, sizeof info->name, &trouble);
    query_text(cl, d, CL_DRIVER_VERSION, info->driver, sizeof info->driver, &trouble);
    query_text(cl, d, CL_DEVICE_VERSION, info->version, sizeof info->version, &trouble);
    char profile[64];
    query_text(cl, d, CL_DEVICE_PROFILE, profile, sizeof profile, &trouble);

    const cl_device_type type = QUERY(cl_device_type, CL_DEVICE_TYPE);
    info->is_opencl = 1;
    /* BRUME_OPENCL_TYPE=cpu, gpu or other: as if the driver said so. A machine without a GPU tests with it what is done with
     * one. */
    const char *as = getenv("BRUME_OPENCL_TYPE");
    info->is_cpu_type = as && *as ? !strcmp(as, "cpu") : (type & CL_DEVICE_TYPE_CPU) != 0;
    info->is_gpu_type = as && *as ? !strcmp(as, "gpu") : (type & CL_DEVICE_TYPE_GPU) != 0;
    info->compute_units = (int)QUERY(cl_uint, CL_DEVICE_MAX_COMPUTE_UNITS);
    info->vector_width = (int)QUERY(cl_uint, CL_DEVICE_NATIVE_VECTOR_WIDTH_FLOAT);
    info->memory_bytes = QUERY(cl_ulong, CL_DEVICE_GLOBAL_MEM_SIZE);
    info->max_alloc_bytes = QUERY(cl_ulong, CL_DEVICE_MAX_MEM_ALLOC_SIZE);
    info->local_bytes = QUERY(cl_ulong, CL_DEVICE_LOCAL_MEM_SIZE);
    info->max_work_group = QUERY(size_t, CL_DEVICE_MAX_WORK_GROUP_SIZE);

    info->usable = 1;
    int major = 0, minor = 0;
    if (sscanf(info->version, "OpenCL %d.%d", &major, &minor) != 2) saw(&trouble, CL_INVALID_VALUE, "version of the device");
    size_t items[16] = { 0 };
    saw(&trouble, cl->GetDeviceInfo(d, CL_DEVICE_MAX_WORK_ITEM_SIZES, sizeof items, items, NULL), "clGetDeviceInfo");
    const bool available = QUERY(cl_bool, CL_DEVICE_AVAILABLE), compiler = QUERY(cl_bool, CL_DEVICE_COMPILER_AVAILABLE);
    const bool little = QUERY(cl_bool, CL_DEVICE_ENDIAN_LITTLE);
    if (trouble.err) {
        char name[64], why[128];
        snprintf(why, sizeof why, "%s: %s; check the driver with clinfo", trouble.call, brume_cl_error_text(trouble.err, name));
        note(info, why);
    }
    if (!available) note(info, "the driver says that the device is not available");
    else if (!compiler) note(info, "the driver has no compiler for OpenCL C");
    else if (major < 1 || (major == 1 && minor < 2)) note(info, "OpenCL 1.2 is needed");
    else if (!strcmp(profile, "EMBEDDED_PROFILE"))
        note(info, "the embedded profile may round differently; the full profile is needed");
    else if (!little) note(info, "a little-endian device is needed");
    /* A device that takes no two-dimensional work-groups (the CPU device of macOS) would run few of the kernels. */
    else if (info->max_work_group < 64 || items[0] < 64 || items[1] < 16)
        note(info, "work-groups of 64 x 1 and 8 x 8 are needed");
    else if (info->local_bytes < 16384) note(info, "16 KiB of local memory are needed");
}

brume_status brume_opencl_list(brume_device_info **list, int *n, char note_out[256])
{
    const struct brume_cl_api *cl = brume_cl_load(note_out);
    if (!cl) return BRUME_OK;
    cl_platform_id platforms[BRUME_CL_MAX_PLATFORMS];
    const int n_platforms = brume_cl_platforms(cl, platforms, note_out);
    for (int p = 0; p < n_platforms; p++) {
        cl_device_id devices[BRUME_CL_MAX_DEVICES];
        char why[256];
        const int n_devices = brume_cl_devices(cl, platforms[p], devices, why);
        if (!n_devices) {
            snprintf(note_out, 256, "%s", why);
            continue;
        }
        brume_device_info *grown = realloc(*list, (size_t)(*n + n_devices) * sizeof *grown);
        if (!grown) return brume_fail(BRUME_E_MEMORY, "cannot allocate the list of OpenCL devices");
        *list = grown;
        for (int d = 0; d < n_devices; d++) brume_cl_describe(cl, platforms[p], devices[d], p, d, &grown[(*n)++]);
    }
    return BRUME_OK;
}
