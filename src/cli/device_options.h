/* SPDX-License-Identifier: MIT
 * The options that every command with a device shares: --device, --threads, --clblast, --cache, --tuning, --self-test, --nice. */
#ifndef BRUME_CLI_DEVICE_OPTIONS_H
#define BRUME_CLI_DEVICE_OPTIONS_H

#include <stdint.h>

#include "brume/device.h"

extern const char *const cli_clblasts[], *const cli_storages[]; /* choices */
extern const char *const cli_device_names[];

struct cli_device { const char *spec; int64_t threads; int clblast, cache, tuning, self_test; double nice_ms; };

/* Defaults; then rows of an option table: OPT_DEVICE(&d). */
#define CLI_DEVICE_DEFAULT { .spec = "auto", .clblast = 0, .cache = 1, .tuning = 1, .self_test = 1 }
#define OPT_DEVICE(d) \
    OPT_NAME("device", &(d)->spec, cli_device_names, "D", \
        "auto: the cpu, or a GPU that is faster in a probe; the last also as opencl:PLATFORM.DEVICE (see brume devices); " \
        "under mpirun a list, A,B,..., for the ranks of a machine in turn"), \
        OPT_INT("threads", &(d)->threads, 0, 1024, "N", "threads of the cpu device; 0: one per core"), \
        OPT_CHOICE("clblast", &(d)->clblast, cli_clblasts, "matrix products of OpenCL devices by CLBlast; auto: on GPUs"), \
        OPT_FLAG("cache", &(d)->cache, "keep compiled OpenCL programs on the disk (see brume devices)"), \
        OPT_FLAG("tuning", &(d)->tuning, \
            "take the kernels that brume tune found fastest on this device (they may change last bits)"), \
        OPT_FLAG("self-test", &(d)->self_test, "test kernels at their first use on a device, replace those that are wrong"), \
        OPT_FLOAT("nice", &(d)->nice_ms, 0, 1e5, "MS", \
            "leave room for other programs: lower priority; on OpenCL at most MS milliseconds at once, then a pause")

/* Row of an option table for a storage: int *. */
#define OPT_STORAGE(to) \
    OPT_CHOICE("storage", to, cli_storages, \
        "what waits in memory (arithmetic is f32): f16 takes half as much, rounded to 11 bits")

/* Opens the device and, unless quiet, says on stderr which, and how far its preparations at the first use are. Always warns of
 * tuned choices that are damaged. */
brume_status cli_device_open(const struct cli_device *d, int quiet, brume_device **out);

#endif
