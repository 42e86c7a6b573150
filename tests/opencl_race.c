/* SPDX-License-Identifier: MIT
 * A kernel that races in local memory and writes behind its buffer. A checker of OpenCL programs that stays silent about it
 * checks nothing: scripts/check_opencls.sh asks before it believes one. Prints "N units, type T" of the first device. Exit
 * status: 0 the kernel ran. */
#include <stdio.h>

#include "opencl/internal.h"

static const char source[] =
    "kernel void planted(global int *x)\n"
    "{\n"
    "    local int shared[16];\n"
    "    const int i = get_local_id(0);\n"
    "    shared[i] = i;\n"
    "    x[get_global_id(0) + (i == 15 ? 1 : 0)] = shared[(i + 1) & 15];\n"
    "}\n";

int main(void)
{
    char why[256];
    const struct brume_cl_api *cl = brume_cl_load(why);
    cl_platform_id platform;
    cl_device_id device;
    if (!cl || cl->GetPlatformIDs(1, &platform, NULL) || cl->GetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, 1, &device, NULL)) {
        printf("no OpenCL device\n");
        return 1;
    }
    const char *text = source;
    const size_t n = 16;
    cl_int err = 0;
    cl_context context = cl->CreateContext(NULL, 1, &device, NULL, NULL, &err);
    cl_command_queue queue = cl->CreateCommandQueue(context, device, 0, &err);
    cl_program program = cl->CreateProgramWithSource(context, 1, &text, NULL, &err);
    cl_mem buffer = cl->CreateBuffer(context, CL_MEM_READ_WRITE, n * sizeof(cl_int), NULL, &err);
    if (err || cl->BuildProgram(program, 1, &device, "", NULL, NULL)) return 1;
    cl_kernel kernel = cl->CreateKernel(program, "planted", &err);
    if (err || cl->SetKernelArg(kernel, 0, sizeof buffer, &buffer)) return 1;
    err = cl->EnqueueNDRangeKernel(queue, kernel, 1, NULL, &n, &n, 0, NULL, NULL);
    if (!err) err = cl->Finish(queue);
    cl->ReleaseKernel(kernel);
    cl->ReleaseProgram(program);
    cl->ReleaseMemObject(buffer);
    cl->ReleaseCommandQueue(queue);
    cl->ReleaseContext(context);
    return err != 0;
}
