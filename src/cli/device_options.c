/* SPDX-License-Identifier: MIT
 * Opening the device that the command line names. */
#include "device_options.h"

#include <stdio.h>

brume_status cli_device_open(const struct cli_device *d, int quiet, brume_device **out)
{
    static const int clblast[] = { -1, 0, 1 };
    const brume_device_options options = { .threads = (int)d->threads, .clblast = clblast[d->clblast] };
    const brume_status s = brume_device_open(d->spec, &options, out);
    if (s == BRUME_OK && !quiet) {
        brume_device_info info;
        brume_device_get_info(*out, &info);
        fprintf(stderr, "device %s: %s, %s, %d %s\n", info.spec, info.name, info.platform, info.compute_units, info.is_opencl ? "compute units" : "threads");
    }
    return s;
}
