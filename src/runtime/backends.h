/* SPDX-License-Identifier: MIT
 * The devices of every backend of this build. */
#ifndef BRUME_RUNTIME_BACKENDS_H
#define BRUME_RUNTIME_BACKENDS_H

#include "brume/device.h"

/** Every device that this build knows, the cpu first; see brume_device_list(). */
brume_status brume_backends_list(brume_device_info **out, int *n, char note[256]);

/** Opens a device by its spec without a choice left in it: "cpu" or "opencl:P.D". */
brume_status brume_backends_open(const char *spec, const brume_device_options *options, brume_device **out);

/** See brume_cache_get_info(). */
void brume_backends_cache(brume_cache_info *info);

/** A hash of the sources of all OpenCL kernels; 0 where this build has none. */
uint64_t brume_backends_kernels(void);

/** 1 if this build has the OpenCL backend. */
int brume_backends_have_opencl(void);

#endif
