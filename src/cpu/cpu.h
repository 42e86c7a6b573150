/* SPDX-License-Identifier: MIT
 * The cpu backend: plain C with SIMD loops, on a thread pool. */
#ifndef BRUME_CPU_CPU_H
#define BRUME_CPU_CPU_H

#include "brume/device.h"

/** Opens the cpu as a device. options: threads, isa. */
brume_status brume_cpu_open(const brume_device_options *options, brume_device **out);
/** Facts of the cpu without opening it. */
void brume_cpu_describe(brume_device_info *out);

#endif
