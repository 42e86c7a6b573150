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

/* "auto" of several ranks: the first one looks, and times where that is needed, while the others wait: side by side they would
 * time each other, and they must agree. why: its reason. */
static brume_status choose_auto(const brume_device_options *options, char spec[128], char why[256])
{
    struct { int opencl; char why[256]; } found = { .opencl = 0 };
    if (cli_parallel_first()) {
        brume_device *d = NULL;
        brume_device_info info;
        if (brume_device_open("auto", options, &d) == BRUME_OK) { /* else each rank fails by itself, and tells */
            brume_device_get_info(d, &info);
            found.opencl = info.is_opencl;
            snprintf(found.why, sizeof found.why, "%s", brume_device_choice(d));
        }
        brume_device_close(d);
    }
    const brume_status s = brume_parallel_broadcast(cli_parallel(), 0, &found, sizeof found);
    if (s != BRUME_OK) return s;
    memcpy(why, found.why, sizeof found.why);
    if (found.opencl) return share_devices(0, spec);
    snprintf(spec, 128, "cpu");
    return BRUME_OK;
}

/* The device of this rank: of a list, or of all that the machine has. */
static brume_status choose(const struct cli_device *d, const brume_device_options *options, char spec[128], char why[256])
{
    const char *at = d->spec;
    int n = 1;
    for (const char *p = at; *p; p++) n += *p == ',';
    for (int k = brume_parallel_local_rank(cli_parallel()) % n; k > 0; k--) at = strchr(at, ',') + 1;
    snprintf(spec, 128, "%.*s", (int)strcspn(at, ","), at);
    if (n > 1) return BRUME_OK;
    return !strcmp(spec, "auto") ? choose_auto(options, spec, why) : !strcmp(spec, "opencl") ? share_devices(1, spec) : BRUME_OK;
}

/* Of a device that was named, where both were probed before: naming one costs no probe. */
static void warn_of_slow(const brume_device_info *info, int threads)
{
    brume_device_info *all;
    brume_probe cpu, own;
    char text[400];
    int n;
    if (!info->is_opencl || info->is_cpu_type || !brume_probe_find(info, &own) || brume_device_list(&all, &n, NULL) != BRUME_OK)
        return;
    if (threads) all[0].compute_units = threads;
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
    char spec[128], why[256] = "";
    snprintf(preparing.device, sizeof preparing.device, "a probe of devices"); /* until one is chosen */
    preparing.terminal = !quiet && isatty(STDERR_FILENO);
    brume_status s = cli_parallel() ? choose(d, &options, spec, why) : BRUME_OK;
    if (s == BRUME_OK) s = brume_device_open(cli_parallel() ? spec : d->spec, &options, out);
    if (s != BRUME_OK) return s;
    brume_tuning_info tuning;
    brume_device_get_tuning(*out, &tuning);
    if (tuning.refused) fprintf(stderr, "brume: %s\n", tuning.note);
    brume_device_info info;
    brume_device_get_info(*out, &info);
    if (cli_parallel_first()) warn_of_slow(&info, options.threads);
    if (!quiet) {
        if (!*why) snprintf(why, sizeof why, "%s", brume_device_choice(*out));
        fprintf(stderr, "device %s: %s, %s, %d %s%s%s\n", info.spec, info.name, info.platform, info.compute_units,
                info.is_opencl ? "compute units" : "threads", *why ? "; " : "", why);
        snprintf(preparing.device, sizeof preparing.device, "%s", info.name);
    }
    return s;
}
