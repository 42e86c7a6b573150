/* SPDX-License-Identifier: MIT
 * The name of a device, and what brume takes from the environment. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "brume/parallel.h"
#include "config.h"
#include "fuzz.h"
#if BRUME_HAVE_OPENCL
#include "opencl/cache.h"
#include "opencl/split.h"
#endif

static const char *const names[] = { "BRUME_ISA", "BRUME_SELF_TEST", "BRUME_CACHE", "BRUME_CACHE_MIB", "BRUME_LAUNCH_MS",
                                     "OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "MV2_COMM_WORLD_SIZE", "SLURM_NTASKS", "PMIX_RANK" };
enum { N_NAMES = sizeof names / sizeof *names };

/* Takes a line NAME=VALUE; folders of caches stay in that of the harness. */
static void set(const char *line)
{
    for (int i = 0; i < N_NAMES; i++) {
        const size_t n = strlen(names[i]);
        if (strncmp(line, names[i], n) || line[n] != '=') continue;
        const char *value = line + n + 1;
        if (strcmp(names[i], "BRUME_CACHE")) setenv(names[i], value, 1);
        else if (!strpbrk(value, "/.") && strlen(value) < 100) setenv(names[i], *value ? fuzz_path(value) : value, 1);
    }
}

/* A line with the device, and lines NAME=VALUE. */
void fuzz_environment(const uint8_t *data, size_t n)
{
    char *text = malloc(n + 1), *next = NULL;
    brume_device *d = NULL;
    if (n) memcpy(text, data, n);
    text[n] = 0;
    const char *spec = strtok_r(text, "\n", &next), *line;
    while ((line = strtok_r(NULL, "\n", &next))) set(line);
    const int ranks = brume_parallel_started();
    if (ranks < 1 || ranks > 1 << 24) fuzz_broken("a number of processes that nobody can start");
#if BRUME_HAVE_OPENCL
    const brume_device_info gpu = { .is_gpu_type = 1 };
    struct brume_cl_cache c;
    char why[256];
    if (!(brume_cl_bound_ms(NULL, &gpu) > 0)) fuzz_broken("launches that may take no time");
    brume_cl_cache_open(&c, why);
    fuzz_use_text(why);
    brume_cl_cache_close(&c);
#endif
    const int here = spec && strcmp(spec, "auto") && strncmp(spec, "opencl", 6); /* no driver is asked */
    if (here && brume_device_open(spec, &(brume_device_options){ .threads = 1 }, &d) == BRUME_OK) brume_device_close(d);
    for (int i = 0; i < N_NAMES; i++) unsetenv(names[i]);
    setenv("BRUME_CACHE", "off", 1);
    free(text);
}
