/* SPDX-License-Identifier: MIT
 * The one file that names every backend of this build. */
#include "runtime/backends.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "config.h"
#include "cpu/cpu.h"
#if BRUME_HAVE_OPENCL
#include "opencl/opencl.h"
#endif

int brume_backends_have_opencl(void) { return BRUME_HAVE_OPENCL; }

brume_status brume_backends_list(brume_device_info **out, int *n, char note[256])
{
    *n = 0;
    note[0] = 0;
    *out = calloc(1, sizeof **out);
    if (!*out) return brume_fail(BRUME_E_MEMORY, "cannot allocate the list of devices");
    brume_cpu_describe(&(*out)[(*n)++]);
    brume_status s = BRUME_OK;
#if BRUME_HAVE_OPENCL
    s = brume_opencl_list(out, n, note);
#else
    snprintf(note, 256, "this build has no OpenCL backend");
#endif
    if (s) {
        free(*out);
        *out = NULL;
        *n = 0;
    }
    return s;
}

void brume_backends_cache(brume_cache_info *info)
{
#if BRUME_HAVE_OPENCL
    brume_opencl_cache(info);
#else
    *info = (brume_cache_info){ .note = "this build has no OpenCL backend" };
#endif
}

uint64_t brume_backends_kernels(void)
{
#if BRUME_HAVE_OPENCL
    return brume_opencl_kernels();
#else
    return 0;
#endif
}

brume_status brume_backends_open(const char *spec, const brume_device_options *options, brume_device **out)
{
    if (!strcmp(spec, "cpu")) return brume_cpu_open(options, out);
#if BRUME_HAVE_OPENCL
    int platform, device;
    if (sscanf(spec, "opencl:%d.%d", &platform, &device) == 2) return brume_opencl_open(platform, device, options, out);
#endif
    return brume_fail(BRUME_E_UNSUPPORTED, "no backend for device '%s'", spec);
}
