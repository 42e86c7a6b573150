/* SPDX-License-Identifier: MIT
 * The choice of "auto": the faster one of the cpu and what is no processor. */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "runtime/backends.h"
#include "runtime/probe.h"

static void warn(const brume_device_options *o, const char *text)
{
    if (o && o->warn) o->warn(o->warn_ctx, text);
    else fprintf(stderr, "brume: %s\n", text);
}

/* Simulators say that they are everything at once: what is a processor, too, is none of these. */
static bool candidate(const brume_device_info *i) { return i->is_opencl && i->usable && !i->is_cpu_type; }

/* The cpu as it would be opened: with so many threads, that instruction set. */
static brume_status describe_cpu(const brume_device_options *options, brume_device_info *info)
{
    brume_device *d;
    const brume_status s = brume_backends_open("cpu", options, &d);
    if (s != BRUME_OK) return s;
    brume_device_get_info(d, info);
    brume_device_close(d);
    return s;
}

static bool probe(const brume_device_info *info, const brume_device_options *options, brume_probe *p)
{
    char text[900];
    if (!(options && options->no_cache) && brume_probe_find(info, p)) return true;
    if (brume_probe_run(info->spec, options, p) == BRUME_OK) return true;
    snprintf(text, sizeof text, "%s (%s) is not chosen: its probe failed: %.600s", info->spec, info->name, brume_error());
    warn(options, text);
    return false;
}

brume_status brume_auto_choose(const brume_device_options *options, char spec[32], char why[256])
{
    brume_device_info *list, other = { .usable = 0 };
    brume_probe best = { .cached = 0 }, next = { .cached = 0 }, p; /* next: the best that is not chosen */
    int n, candidates = 0;
    char note[256];
    strcpy(spec, "cpu");
    why[0] = 0;
    brume_status s = brume_backends_list(&list, &n, note);
    if (s != BRUME_OK) return s;
    for (int i = 0; i < n; i++) candidates += candidate(&list[i]);
    if (candidates) s = describe_cpu(options, &list[0]);
    for (int i = 0; i < n && candidates && s == BRUME_OK; i++) {
        if ((i && !candidate(&list[i])) || !probe(&list[i], options, &p)) continue;
        const bool better = !best.step_ms || p.step_ms < best.step_ms;
        if (better || !next.step_ms || p.step_ms < next.step_ms) {
            next = better ? best : p;
            if (!better) other = list[i];
            for (int k = 0; better && k < n; k++)
                if (!strcmp(list[k].spec, spec)) other = list[k];
        }
        if (!better) continue;
        best = p;
        strcpy(spec, list[i].spec);
    }
    if (best.step_ms && next.step_ms) {
        char name[160] = "the cpu";
        if (other.is_opencl) snprintf(name, sizeof name, "%s (%.100s)", other.spec, other.name);
        snprintf(why, 256, "%.1fx the speed of %s in a probe%s", next.step_ms / best.step_ms, name,
                 best.cached && next.cached ? " (cached)" : "");
    } else if (best.step_ms) {
        snprintf(why, 256, "the only one whose probe worked");
    }
    free(list);
    return s;
}
