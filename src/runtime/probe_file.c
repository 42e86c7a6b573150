/* SPDX-License-Identifier: MIT
 * Figures of probes on disk: a line for what they belong to, one for the figures, and a checksum. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cache_folder.h"
#include "base/file.h"
#include "base/hash.h"
#include "brume/version.h"
#include "runtime/backends.h"
#include "runtime/probe.h"

#define MOST_BYTES 4096
#define LINE 1024

/* One line; texts of drivers may hold anything. Unlike results, speed depends on the number of threads. */
static void identify(const brume_device_info *i, char line[LINE])
{
    const char *kind = getenv("BRUME_OPENCL_KIND");
    snprintf(line, LINE, "brume probe 1; %s; %s; %s; %s; %d units; %s %s; %s %016" PRIx64, i->name, i->platform, i->driver, i->version, i->compute_units,
             i->is_cpu_type ? "cpu" : i->is_gpu_type ? "gpu" : "other", i->is_opencl && kind ? kind : "", brume_version(), brume_backends_kernels());
    for (char *c = line; *c; c++)
        if (*c == '\n' || *c == '\r') *c = ' ';
}

static char *path_of(const char *line)
{
    char why[256], name[32];
    snprintf(name, sizeof name, "%016" PRIx64 ".txt", brume_fnv1a(line, strlen(line)));
    char *folder = brume_cache_folder("probe", why), *path = folder ? brume_path_join(folder, name) : NULL;
    free(folder);
    return path;
}

int brume_probe_find(const brume_device_info *info, brume_probe *out)
{
    char line[LINE], sum[20];
    char *data = NULL;
    size_t bytes = 0;
    brume_probe p = { .cached = 1 };
    *out = (brume_probe){ .cached = 0 };
    identify(info, line);
    char *path = path_of(line);
    const size_t head = strlen(line);
    if (path && brume_is_file(path) && brume_file_read(path, MOST_BYTES, (void **)&data, &bytes) == BRUME_OK && bytes > head + 18 && !memcmp(data, line, head) &&
        data[head] == '\n') {
        snprintf(sum, sizeof sum, "%016" PRIx64 "\n", brume_fnv1a(data, bytes - 17));
        if (!memcmp(data + bytes - 17, sum, 17) && sscanf(data + head + 1, "%lf %lf %lf", &p.matmul_gflops, &p.conv_gflops, &p.launch_us) == 3 &&
            p.matmul_gflops > 0 && p.conv_gflops > 0 && p.launch_us > 0) {
            brume_probe_rate(&p);
            if (isfinite(p.step_ms) && p.step_ms > 0) *out = p;
        }
    }
    free(data);
    free(path);
    return out->cached;
}

void brume_probe_store(const brume_device_info *info, const brume_probe *p)
{
    char line[LINE], text[LINE + 128];
    brume_atomic *a = NULL;
    identify(info, line);
    char *path = path_of(line), *folder = path ? strdup(path) : NULL;
    if (folder) *brume_path_slash(folder) = 0;
    if (folder && brume_make_folders(folder) == BRUME_OK && brume_atomic_open(path, &a) == BRUME_OK) {
        int n = snprintf(text, sizeof text, "%s\n%.6g %.6g %.6g\n", line, p->matmul_gflops, p->conv_gflops, p->launch_us);
        n += snprintf(text + n, sizeof text - (size_t)n, "%016" PRIx64 "\n", brume_fnv1a(text, (size_t)n));
        if (brume_atomic_write(a, text, (size_t)n) == BRUME_OK) (void)brume_atomic_commit(a);
        else brume_atomic_abort(a);
    }
    free(folder);
    free(path);
}
