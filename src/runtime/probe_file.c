/* SPDX-License-Identifier: MIT
 * Figures of probes on disk. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/sealed_file.h"
#include "brume/version.h"
#include "runtime/backends.h"
#include "runtime/probe.h"

#define MOST_BYTES 4096
#define LINE 1024

/* Unlike results, speed depends on the number of threads. */
static void identify(const brume_device_info *i, char line[LINE])
{
    const char *kind = getenv("BRUME_OPENCL_KIND");
    snprintf(line, LINE, "brume probe 1; %s; %s; %s; %s; %d units; %s %s; %s %016" PRIx64, i->name, i->platform, i->driver,
             i->version, i->compute_units,
             i->is_cpu_type   ? "cpu"
             : i->is_gpu_type ? "gpu"
                              : "other",
             i->is_opencl && kind ? kind : "", brume_version(), brume_backends_kernels());
    brume_sealed_owner(line);
}

static char *path_of(const char *line)
{
    char why[256];
    return brume_sealed_path("probe", line, why);
}

int brume_probe_find(const brume_device_info *info, brume_probe *out)
{
    char line[LINE];
    brume_probe p = { .cached = 1 };
    *out = (brume_probe){ .cached = 0 };
    identify(info, line);
    char *path = path_of(line), *text = path ? brume_sealed_read(path, line, MOST_BYTES) : NULL;
    if (text && sscanf(text, "%lf %lf %lf", &p.matmul_gflops, &p.conv_gflops, &p.launch_us) == 3 && p.matmul_gflops > 0 &&
        p.conv_gflops > 0 && p.launch_us > 0) {
        brume_probe_rate(&p);
        if (isfinite(p.step_ms) && p.step_ms > 0) *out = p;
    }
    free(text);
    free(path);
    return out->cached;
}

void brume_probe_store(const brume_device_info *info, const brume_probe *p)
{
    char line[LINE], text[128];
    identify(info, line);
    snprintf(text, sizeof text, "%.6g %.6g %.6g\n", p->matmul_gflops, p->conv_gflops, p->launch_us);
    char *path = path_of(line);
    if (path) (void)brume_sealed_write(path, line, text); /* what is not kept is measured again */
    free(path);
}
