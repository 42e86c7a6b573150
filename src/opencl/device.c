/* SPDX-License-Identifier: MIT
 * Opening an OpenCL device: context, in-order queue, what it offers; and the backend's table. */
#include "config.h"
#include "opencl/internal.h"
#include "opencl/opencl.h"
#include "opencl/split.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void device_close(struct brume_device *base)
{
    struct brume_cl_device *d = brume_cl_device_of(base);
    if (!d) return;
    const struct brume_cl_api *cl = d->cl;
    if (d->queue && !d->lost) cl->Finish(d->queue);
    if (d->newest) cl->ReleaseEvent(d->newest);
    if (d->fill) cl->ReleaseKernel(d->fill);
    brume_cl_programs_keep(d);
    brume_cl_programs_free(d);
    brume_cl_cache_close(&d->cache);
    free(d->identity);
    if (d->dummy) cl->ReleaseMemObject(d->dummy);
    if (d->queue) cl->ReleaseCommandQueue(d->queue);
    if (d->context) cl->ReleaseContext(d->context);
    free(d);
}

static void device_info(const struct brume_device *base, brume_device_info *out)
{
    *out = ((const struct brume_cl_device *)base)->info;
}

static const struct brume_backend backend = {
    .kind = "opencl",
    .close = device_close,
    .info = device_info,
    .buffer_new = brume_cl_buffer_new,
    .buffer_free = brume_cl_buffer_free,
    .write = brume_cl_buffer_write,
    .read = brume_cl_buffer_read,
    .fill = brume_cl_buffer_fill,
    .finish = brume_cl_finish,
    .prepare = brume_cl_prepare,
    .exec_free = brume_cl_exec_free,
    .pack = brume_cl_pack,
    .run = brume_cl_run,
    .kernels = brume_opencl_kernels,
    .measure_peak = brume_cl_measure_peak,
    .bound = brume_cl_bound,
};

void brume_cl_progress(const struct brume_cl_device *d, const char *what, int done, int total)
{
    if (d->options.preparing) d->options.preparing(d->options.preparing_ctx, what, done, total);
}

/* A compiled program is of use only to the same brume on the same device with the same driver. */
static brume_status identify(struct brume_cl_device *d, cl_platform_id platform)
{
    char platform_version[128] = "";
    cl_uint bits = 0;
    d->cl->GetPlatformInfo(platform, CL_PLATFORM_VERSION, sizeof platform_version - 1, platform_version, NULL);
    d->cl->GetDeviceInfo(d->id, CL_DEVICE_ADDRESS_BITS, sizeof bits, &bits, NULL);
    const brume_device_info *i = &d->info;
    const size_t bytes = 1024;
    d->identity = malloc(bytes);
    if (!d->identity) return brume_fail(BRUME_E_MEMORY, "%s: cannot allocate the device's description", i->spec);
    snprintf(d->identity, bytes,
             "brume " BRUME_VERSION "\nplatform %s, %s\ndevice %s, %u bits, %d units, vectors of %d\ndriver %s\nversion %s",
             i->platform, platform_version, i->name, (unsigned)bits, i->compute_units, i->vector_width, i->driver, i->version);
    return BRUME_OK;
}

static brume_status open_queue(struct brume_cl_device *d, cl_platform_id platform)
{
    const cl_context_properties properties[] = { CL_CONTEXT_PLATFORM, (cl_context_properties)platform, 0 };
    const struct brume_cl_api *cl = d->cl;
    cl_int err = CL_SUCCESS;
    d->context = cl->CreateContext(properties, 1, &d->id, NULL, NULL, &err);
    if (!d->context || err) return brume_cl_fail(d, err, "clCreateContext", "opening the device");
    /* In order: drivers without out-of-order queues exist, and a plan is a list. */
    d->queue = cl->CreateCommandQueue(d->context, d->id, 0, &err);
    if (!d->queue || err) return brume_cl_fail(d, err, "clCreateCommandQueue", "opening the device");
    d->dummy = cl->CreateBuffer(d->context, CL_MEM_READ_WRITE, 256, NULL, &err);
    if (!d->dummy || err) return brume_cl_fail(d, err, "clCreateBuffer", "256 bytes");
    return BRUME_OK;
}

/* BRUME_OPENCL_KIND=cpu or gpu: take the kernels made for that kind of device. A machine without a GPU tests with it what GPUs
 * run. */
static bool wants_cpu_kernels(const brume_device_info *info, const brume_device_options *options)
{
    const char *kind = options && options->kind ? options->kind : getenv("BRUME_OPENCL_KIND");
    return kind && *kind ? !strcmp(kind, "cpu") : info->is_cpu_type;
}

brume_status brume_opencl_open(int platform, int device, const brume_device_options *options, struct brume_device **out)
{
    char why[256];
    cl_platform_id platforms[BRUME_CL_MAX_PLATFORMS];
    cl_device_id devices[BRUME_CL_MAX_DEVICES];
    *out = NULL;
    const struct brume_cl_api *cl = brume_cl_load(why);
    if (!cl) return brume_fail(BRUME_E_DEVICE, "opencl:%d.%d: %s", platform, device, why);
    const int n_platforms = brume_cl_platforms(cl, platforms, why);
    if (!n_platforms) return brume_fail(BRUME_E_DEVICE, "opencl:%d.%d: %s", platform, device, why);
    if (platform < 0 || platform >= n_platforms)
        return brume_fail(BRUME_E_ARG, "opencl:%d.%d: there are %d OpenCL platforms, counted from 0; `brume devices` lists them",
                          platform, device, n_platforms);
    const int n_devices = brume_cl_devices(cl, platforms[platform], devices, why);
    if (!n_devices) return brume_fail(BRUME_E_DEVICE, "opencl:%d.%d: %s", platform, device, why);
    if (device < 0 || device >= n_devices)
        return brume_fail(BRUME_E_ARG, "opencl:%d.%d: platform %d has %d devices, counted from 0; `brume devices` lists them",
                          platform, device, platform, n_devices);

    struct brume_cl_device *d = calloc(1, sizeof *d);
    if (!d) return brume_fail(BRUME_E_MEMORY, "opencl:%d.%d: cannot allocate the device", platform, device);
    d->base.backend = &backend;
    d->cl = cl;
    d->id = devices[device];
    d->next_serial = 1;
    brume_cl_describe(cl, platforms[platform], d->id, platform, device, &d->info);
    brume_status s = BRUME_OK;
    if (!d->info.usable)
        s = brume_fail(BRUME_E_UNSUPPORTED, "%s '%s' cannot be used: %s; `brume devices` lists the others", d->info.spec,
                       d->info.name, d->info.note);
    if (!s) s = identify(d, platforms[platform]);
    if (!s) s = open_queue(d, platforms[platform]);
    if (s) {
        device_close(&d->base);
        return s;
    }
    if (options) d->options = *options;
    d->bound_ms = brume_cl_bound_ms(options, &d->info);
    if (!d->options.no_cache) brume_cl_cache_open(&d->cache, why);
    const int clblast = options ? options->clblast : -1;
    d->base.caps = (struct brume_caps){
        .opencl = true,
        .cpu_type = wants_cpu_kernels(&d->info, options),
        .clblast = BRUME_HAVE_CLBLAST && (clblast == 1 || (clblast == -1 && d->info.is_gpu_type)),
        .vector_width = d->info.vector_width > 0 ? d->info.vector_width : 1,
        .compute_units = d->info.compute_units,
        .local_bytes = (size_t)d->info.local_bytes,
        .max_work_group = (size_t)d->info.max_work_group,
        .max_alloc = d->info.max_alloc_bytes,
    };
    *out = &d->base;
    return BRUME_OK;
}
