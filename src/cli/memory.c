/* SPDX-License-Identifier: MIT
 * Memory of this process. */
#include "memory.h"

#include <stdio.h>
#include <sys/resource.h>

#include "brume/ops.h"
#include "brume/plan.h"

double cli_peak(void)
{
    /* Linux: ru_maxrss would begin with the memory of the process that started this one. */
    FILE *f = fopen("/proc/self/status", "r");
    char line[256];
    double kib = 0;
    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "VmHWM: %lf kB", &kib) == 1) break;
    if (f) fclose(f);
    if (kib > 0) return kib * 1024;
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
#ifdef __APPLE__
    return (double)usage.ru_maxrss; /* bytes there, KiB elsewhere */
#else
    return 1024.0 * (double)usage.ru_maxrss;
#endif
}

void cli_peak_reset(void)
{
    FILE *f = fopen("/proc/self/clear_refs", "w");
    if (!f) return;
    fputs("5", f);
    fclose(f);
}

brume_status cli_base(brume_device *d, double *bytes)
{
    brume_plan *plan = NULL;
    brume_graph *g = brume_graph_new();
    float x = 1;
    const brume_tensor in = brume_input(g, "x", BRUME_F32, BRUME_SCALAR), out = brume_silu(g, in);
    brume_output(g, out, "y");
    brume_status s = brume_plan_new(d, g, NULL, &plan);
    if (s == BRUME_OK) s = brume_plan_write(plan, in, &x, sizeof x);
    if (s == BRUME_OK) s = brume_plan_run(plan);
    if (s == BRUME_OK) s = brume_plan_read(plan, out, &x, sizeof x);
    *bytes = cli_peak();
    brume_plan_free(plan);
    brume_graph_free(g);
    return s;
}
