/* SPDX-License-Identifier: MIT
 * Opening the device that the command line names, and telling what it does at its first use. */
#include "device_options.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "brume/tune.h"

const char *const cli_clblasts[] = { "auto", "off", "on", NULL }, *const cli_storages[] = { "f32", "f16", NULL };

#define LINE 5 /* seconds between two lines where there is no terminal */

static struct { char device[128]; const char *what; time_t told; int terminal; } preparing;

/* One line that is drawn over on a terminal and gone at the end; elsewhere one when something new begins, and now and then. */
static void tell_preparing(void *ctx, const char *what, int done, int total)
{
    (void)ctx;
    const time_t now = time(NULL);
    const int begins = !preparing.what || strcmp(what, preparing.what);
    preparing.what = done == total ? NULL : what;
    if (preparing.terminal) {
        if (done == total) fprintf(stderr, "\r\033[K");
        else fprintf(stderr, "\r%s: %d of %d for %s (first use only)\033[K", what, done, total, preparing.device);
        fflush(stderr);
    } else if (begins || now - preparing.told >= LINE) {
        preparing.told = now;
        fprintf(stderr, "%s: %d of %d for %s (first use only)\n", what, done, total, preparing.device);
    }
}

brume_status cli_device_open(const struct cli_device *d, int quiet, brume_device **out)
{
    static const int clblast[] = { -1, 0, 1 };
    const brume_device_options options = { .threads = (int)d->threads, .clblast = clblast[d->clblast], .no_cache = !d->cache, .no_tuning = !d->tuning,
                                           .preparing = quiet ? NULL : tell_preparing };
    const brume_status s = brume_device_open(d->spec, &options, out);
    if (s != BRUME_OK) return s;
    brume_tuning_info tuning;
    brume_device_get_tuning(*out, &tuning);
    if (tuning.refused) fprintf(stderr, "brume: %s\n", tuning.note);
    if (!quiet) {
        brume_device_info info;
        brume_device_get_info(*out, &info);
        fprintf(stderr, "device %s: %s, %s, %d %s\n", info.spec, info.name, info.platform, info.compute_units, info.is_opencl ? "compute units" : "threads");
        snprintf(preparing.device, sizeof preparing.device, "%s", info.name);
        preparing.terminal = isatty(STDERR_FILENO);
    }
    return s;
}
