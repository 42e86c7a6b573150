/* SPDX-License-Identifier: MIT
 * Opening the device that the command line names, and telling what it does at its first use. */
#include "device_options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "brume/probe.h"
#include "brume/tune.h"
#include "parallel.h"

const char *const cli_device_names[] = { "auto", "cpu", "opencl", NULL };
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

/* Beside a line that is drawn over. */
static void tell_warning(void *ctx, const char *text)
{
    (void)ctx;
    fprintf(stderr, "%sbrume: %s\n", preparing.terminal ? "\r\033[K" : "", text);
}

/* Of usable devices, by rank: GPUs, where there are any; else, if OpenCL is asked for, the other ones. Leaves spec as it is where
 * nothing is to be shared. */
static brume_status share_devices(int opencl, char spec[128])
{
    brume_device_info *all;
    int n, gpus = 0, usable = 0;
    const brume_status s = brume_device_list(&all, &n, NULL);
    if (s != BRUME_OK) return s;
    for (int i = 0; i < n; i++) {
        usable += all[i].is_opencl && all[i].usable;
        gpus += all[i].is_opencl && all[i].usable && all[i].is_gpu_type;
    }
    const int of = gpus ? gpus : opencl ? usable : 0;
    for (int i = 0, k = 0; of && i < n; i++) {
        if (!all[i].is_opencl || !all[i].usable || (gpus && !all[i].is_gpu_type)) continue;
        if (k++ == brume_parallel_local_rank(cli_parallel()) % of) snprintf(spec, 128, "%s", all[i].spec);
    }
    free(all);
    return s;
}

/* The device of this rank: of a list, or of all that the machine has. */
static brume_status choose(const struct cli_device *d, char spec[128])
{
    const char *at = d->spec;
    int n = 1;
    for (const char *p = at; *p; p++) n += *p == ',';
    for (int k = brume_parallel_local_rank(cli_parallel()) % n; k > 0; k--) at = strchr(at, ',') + 1;
    snprintf(spec, 128, "%.*s", (int)strcspn(at, ","), at);
    const int any = !strcmp(spec, "opencl");
    return n == 1 && (any || !strcmp(spec, "auto")) ? share_devices(any, spec) : BRUME_OK;
}

/* Of a device that was named, where both were probed before: naming one costs no probe. */
static void warn_of_slow(const brume_device_info *info, int64_t threads)
{
    brume_device_info *all;
    brume_probe cpu, own;
    char text[400];
    int n;
    if (!info->is_opencl || info->is_cpu_type || !brume_probe_find(info, &own) || brume_device_list(&all, &n, NULL) != BRUME_OK)
        return;
    if (threads) all[0].compute_units = (int)threads;
    if (brume_probe_find(&all[0], &cpu) && cpu.step_ms < own.step_ms) {
        snprintf(text, sizeof text,
                 "%s (%s) was %.1f times slower than the cpu in a probe; --device cpu is faster (brume devices --probe measures "
                 "again)",
                 info->spec, info->name, own.step_ms / cpu.step_ms);
        tell_warning(NULL, text);
    }
    free(all);
}

brume_status cli_device_open(const struct cli_device *d, int quiet, brume_device **out)
{
    static const int clblast[] = { -1, 0, 1 };
    const brume_device_options options = { .threads = (int)(d->threads ? d->threads : brume_parallel_threads(cli_parallel())),
                                           .clblast = clblast[d->clblast], .no_cache = !d->cache, .no_tuning = !d->tuning,
                                           .nice_ms = d->nice_ms, .no_self_test = !d->self_test, .warn = tell_warning,
                                           .preparing = quiet ? NULL : tell_preparing };
    char spec[128];
    snprintf(preparing.device, sizeof preparing.device, "a probe of devices"); /* until one is chosen */
    preparing.terminal = !quiet && isatty(STDERR_FILENO);
    brume_status s = cli_parallel() ? choose(d, spec) : BRUME_OK;
    if (s == BRUME_OK) s = brume_device_open(cli_parallel() ? spec : d->spec, &options, out);
    if (s != BRUME_OK) return s;
    brume_tuning_info tuning;
    brume_device_get_tuning(*out, &tuning);
    if (tuning.refused) fprintf(stderr, "brume: %s\n", tuning.note);
    brume_device_info info;
    brume_device_get_info(*out, &info);
    warn_of_slow(&info, d->threads);
    if (!quiet) {
        const char *why = brume_device_choice(*out);
        fprintf(stderr, "device %s: %s, %s, %d %s%s%s\n", info.spec, info.name, info.platform, info.compute_units,
                info.is_opencl ? "compute units" : "threads", *why ? "; " : "", why);
        snprintf(preparing.device, sizeof preparing.device, "%s", info.name);
    }
    return s;
}
