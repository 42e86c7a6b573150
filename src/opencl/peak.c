/* SPDX-License-Identifier: MIT
 * The multiply-add rate of a device, measured. */
#include "opencl/internal.h"

#include <stdio.h>
#include <time.h>

#define CHAINS 8          /* of cl/peak.cl */
#define RUNS 8            /* the best counts: a device may have to wake up */
#define LEAST_MS 5.0      /* long enough that the launch itself does not matter */
#define MOST_STEPS (1 << 22)

static double now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return 1e3 * (double)t.tv_sec + 1e-6 * (double)t.tv_nsec;
}

/* Milliseconds of one launch of `items` work-items, or an error. */
static brume_status launch(struct brume_cl_device *d, cl_kernel kernel, size_t items, cl_int steps, double *ms)
{
    cl_int err = d->cl->SetKernelArg(kernel, 1, sizeof steps, &steps);
    if (err) return brume_cl_fail(d, err, "clSetKernelArg", "peak.cl");
    const double begin = now_ms();
    err = d->cl->EnqueueNDRangeKernel(d->queue, kernel, 1, NULL, &items, NULL, 0, NULL, NULL);
    if (err) return brume_cl_fail(d, err, "clEnqueueNDRangeKernel", "peak.cl");
    const brume_status s = brume_cl_finish(&d->base);
    *ms = now_ms() - begin;
    return s;
}

brume_status brume_cl_measure_peak(struct brume_device *base, double *gflops)
{
    struct brume_cl_device *d = brume_cl_device_of(base);
    const int native = d->base.caps.vector_width, width = native >= 16 ? 16 : native >= 8 ? 8 : native >= 4 ? 4 : 1;
    const size_t items =
        (size_t)(d->base.caps.compute_units > 0 ? d->base.caps.compute_units : 1) * (d->info.is_cpu_type ? 8 : 4096);
    char defines[32];
    cl_program program;
    brume_buffer *y = NULL;
    double ms = 0;
    *gflops = 0;
    snprintf(defines, sizeof defines, "-DWIDTH=%d", width);
    brume_status s =
        brume_cl_program_get(d, &(struct brume_cl_want){ "peak.cl", NULL, defines, "measuring the multiply-add rate" }, &program);
    if (s != BRUME_OK) return s;
    if ((s = brume_cl_buffer_new(base, items * sizeof(float), &y)) != BRUME_OK) return s;
    cl_int err = CL_SUCCESS;
    cl_kernel kernel = d->cl->CreateKernel(program, "multiply_adds", &err);
    if (!kernel || err) s = brume_cl_fail(d, err, "clCreateKernel", "peak.cl");
    if (s == BRUME_OK && (err = d->cl->SetKernelArg(kernel, 0, sizeof(cl_mem), &((struct brume_cl_buffer *)y)->mem)))
        s = brume_cl_fail(d, err, "clSetKernelArg", "peak.cl");
    cl_int steps = 256;
    for (; s == BRUME_OK && ms < LEAST_MS && steps < MOST_STEPS; steps *= 2) s = launch(d, kernel, items, steps, &ms);
    for (int i = 0; i < RUNS && s == BRUME_OK; i++) {
        s = launch(d, kernel, items, steps, &ms);
        const double rate = 2e-6 * (double)steps * CHAINS * width * (double)items / ms;
        if (s == BRUME_OK && rate > *gflops) *gflops = rate;
    }
    if (kernel) d->cl->ReleaseKernel(kernel);
    brume_cl_buffer_free(y);
    return s;
}
