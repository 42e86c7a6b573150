/* SPDX-License-Identifier: MIT
 * OpenCL error codes as text, as a status, and as what to do next. */
#include "opencl/internal.h"

#include <stdarg.h>
#include <stdio.h>

#define E(code) { code, #code }
static const struct { cl_int code; const char *name; } codes[] = {
    E(CL_DEVICE_NOT_FOUND), E(CL_DEVICE_NOT_AVAILABLE), E(CL_COMPILER_NOT_AVAILABLE), E(CL_MEM_OBJECT_ALLOCATION_FAILURE),
    E(CL_OUT_OF_RESOURCES), E(CL_OUT_OF_HOST_MEMORY), E(CL_PROFILING_INFO_NOT_AVAILABLE), E(CL_MEM_COPY_OVERLAP),
    E(CL_BUILD_PROGRAM_FAILURE), E(CL_MAP_FAILURE), E(CL_MISALIGNED_SUB_BUFFER_OFFSET),
    E(CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST), E(CL_COMPILE_PROGRAM_FAILURE), E(CL_LINKER_NOT_AVAILABLE),
    E(CL_LINK_PROGRAM_FAILURE), E(CL_DEVICE_PARTITION_FAILED), E(CL_KERNEL_ARG_INFO_NOT_AVAILABLE), E(CL_INVALID_VALUE),
    E(CL_INVALID_DEVICE_TYPE), E(CL_INVALID_PLATFORM), E(CL_INVALID_DEVICE), E(CL_INVALID_CONTEXT),
    E(CL_INVALID_QUEUE_PROPERTIES), E(CL_INVALID_COMMAND_QUEUE), E(CL_INVALID_HOST_PTR), E(CL_INVALID_MEM_OBJECT),
    E(CL_INVALID_BINARY), E(CL_INVALID_BUILD_OPTIONS), E(CL_INVALID_PROGRAM), E(CL_INVALID_PROGRAM_EXECUTABLE),
    E(CL_INVALID_KERNEL_NAME), E(CL_INVALID_KERNEL_DEFINITION), E(CL_INVALID_KERNEL), E(CL_INVALID_ARG_INDEX),
    E(CL_INVALID_ARG_VALUE), E(CL_INVALID_ARG_SIZE), E(CL_INVALID_KERNEL_ARGS), E(CL_INVALID_WORK_DIMENSION),
    E(CL_INVALID_WORK_GROUP_SIZE), E(CL_INVALID_WORK_ITEM_SIZE), E(CL_INVALID_GLOBAL_OFFSET), E(CL_INVALID_EVENT_WAIT_LIST),
    E(CL_INVALID_EVENT), E(CL_INVALID_OPERATION), E(CL_INVALID_BUFFER_SIZE), E(CL_INVALID_GLOBAL_WORK_SIZE),
    E(CL_INVALID_PROPERTY),
    { CL_SUCCESS, "CL_SUCCESS without a result" }, /* of a call that should have made something */
    { -1001, "CL_PLATFORM_NOT_FOUND_KHR" },
    /* CLBlast's own, where they say more than the number */
    { -1017, "CLBlast kInvalidDimension" }, { -1016, "CLBlast kInvalidLeadDimA" }, { -1015, "CLBlast kInvalidLeadDimB" },
    { -1014, "CLBlast kInvalidLeadDimC" }, { -1011, "CLBlast kInsufficientMemoryA" }, { -1010, "CLBlast kInsufficientMemoryB" },
    { -1009, "CLBlast kInsufficientMemoryC" }, { -2046, "CLBlast kInvalidLocalMemUsage" }, { -2039, "CLBlast kUnexpectedError" },
    { -2040, "CLBlast kUnknownError" },
};

const char *brume_cl_error_text(cl_int err, char buf[64])
{
    const char *name = "error";
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
        if (codes[i].code == err) name = codes[i].name;
    snprintf(buf, 64, "%s (%d)", name, (int)err);
    return buf;
}

static const char *advice(cl_int err)
{
    switch (err) {
    case CL_MEM_OBJECT_ALLOCATION_FAILURE: case CL_INVALID_BUFFER_SIZE: case CL_OUT_OF_HOST_MEMORY:
        return "use a smaller batch or model, or --device cpu";
    case CL_OUT_OF_RESOURCES: case CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST: case CL_INVALID_COMMAND_QUEUE:
        return "the device was reset or ran out of memory: start again, with a smaller batch or --device cpu";
    case CL_DEVICE_NOT_AVAILABLE: case CL_COMPILER_NOT_AVAILABLE: case CL_LINKER_NOT_AVAILABLE:
        return "check the driver with clinfo, or use --device cpu";
    default:
        return "try --device cpu; if that works, this is a fault of brume or of the driver: please report it with this text";
    }
}

brume_status brume_cl_fail(struct brume_cl_device *d, cl_int err, const char *call, const char *fmt, ...)
{
    char context[1024], name[64];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(context, sizeof context, fmt, ap);
    va_end(ap);
    brume_cl_error_text(err, name);
    /* The queue is of no use after these, and with some drivers any later call hangs. */
    if (err == CL_OUT_OF_RESOURCES || err == CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST || err == CL_INVALID_COMMAND_QUEUE) {
        if (!d->lost) snprintf(d->lost_why, sizeof d->lost_why, "%s: %s", call, name);
        d->lost = true;
    }
    const bool memory = err == CL_MEM_OBJECT_ALLOCATION_FAILURE || err == CL_INVALID_BUFFER_SIZE || err == CL_OUT_OF_HOST_MEMORY;
    return brume_fail(memory ? BRUME_E_MEMORY : BRUME_E_DEVICE, "%s: %s on %s '%s': %s; %s", call, name, d->info.spec,
                      d->info.name, context, advice(err));
}

brume_status brume_cl_check_lost(const struct brume_cl_device *d)
{
    if (!d->lost) return BRUME_OK;
    return brume_fail(BRUME_E_DEVICE, "%s '%s' was lost earlier (%s): close it and start again, or use --device cpu",
                      d->info.spec, d->info.name, d->lost_why);
}
