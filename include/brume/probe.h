/* SPDX-License-Identifier: MIT
 * Probes: how fast a device is, timed in about half a second. They decide what "auto" opens where there is a GPU. */
#ifndef BRUME_PROBE_H
#define BRUME_PROBE_H

#include "brume/api.h"
#include "brume/device.h"

BRUME_API_BEGIN

/** How fast a device is. */
typedef struct brume_probe {
    double matmul_gflops; /* a product of two matrices of 512 x 512, one of them a constant weight; a multiply-add counts as
                             two */
    double conv_gflops;   /* a convolution of 3 x 3 from 64 to 64 channels, 8 images of 32 x 32 */
    double launch_us;     /* an elementwise op on 64 values, one of many in a row: what a kernel costs beside its work */
    double step_ms;       /* what decides: 20 such products, 20 such convolutions and 100 such ops together */
    int cached;           /* 1: measured before and found in the cache */
} brume_probe;

/**
 * Opens a device ("cpu" or "opencl:P.D"; options as for brume_device_open(), may be NULL; of them clblast, no_tuning, launch_ms
 * and nice_ms do not count) and measures it: plans of one node each, as any plan is made, so that kernels are compiled and tested
 * at their first use; then the median of a few runs. What is too slow at those sizes is measured at a smaller one. The figures
 * are kept, unless options->no_cache or kind is set, in the folder probe beside compiled programs (see brume_cache_get_info()),
 * for this device, driver, number of threads and version of brume. Fails where the device does, and with BRUME_E_DEVICE where a
 * result is wrong.
 */
brume_status brume_probe_run(const char *spec, const brume_device_options *options, brume_probe *out);
/** 1: the figures of a device were kept before; 0: none, or none that are whole: out is all zeros. info: of brume_device_list()
 * or of an open device. */
int brume_probe_find(const brume_device_info *info, brume_probe *out);

BRUME_API_END

#endif
