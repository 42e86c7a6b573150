/* SPDX-License-Identifier: MIT
 * What the OpenCL backend shows to src/runtime: finding and opening its devices. */
#ifndef BRUME_OPENCL_OPENCL_H
#define BRUME_OPENCL_OPENCL_H

#include "brume/device.h"

struct brume_device;

/**
 * Appends every OpenCL device, usable or not, to an array that the caller frees with free(). A machine without a loader, platform
 * or device appends none and is BRUME_OK; note receives why ("" if all is well).
 */
brume_status brume_opencl_list(brume_device_info **list, int *n, char note[256]);

/**
 * Opens device `device` of platform `platform`, counted as brume_opencl_list() does. For tests, BRUME_OPENCL_KIND=gpu or cpu in
 * the environment takes the kernels made for that kind of device, BRUME_OPENCL_TYPE=cpu, gpu or other takes the device itself for
 * one of that type, and BRUME_OPENCL_LIBRARY names the OpenCL library to load.
 */
brume_status brume_opencl_open(int platform, int device, const brume_device_options *options, struct brume_device **out);

/** A hash of all sources in cl/. */
uint64_t brume_opencl_kernels(void);

/** See brume_cache_get_info(). */
void brume_opencl_cache(brume_cache_info *info);

#endif
