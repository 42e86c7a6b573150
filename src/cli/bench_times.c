/* SPDX-License-Identifier: MIT
 * Measured times. */
#include <stdlib.h>
#include <time.h>

#include "bench.h"

double bench_now_ms(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return 1e3 * (double)ts.tv_sec + 1e-6 * (double)ts.tv_nsec;
}

brume_status bench_add(struct bench_times *t, double ms)
{
    if (t->n == t->cap) {
        const int cap = t->cap ? 2 * t->cap : 256;
        double *p = realloc(t->ms, (size_t)cap * sizeof *p);
        if (!p) return BRUME_E_MEMORY;
        t->ms = p;
        t->cap = cap;
    }
    t->ms[t->n++] = ms;
    return BRUME_OK;
}

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

void bench_sort(struct bench_times *t)
{
    if (t->n) qsort(t->ms, (size_t)t->n, sizeof *t->ms, by_value);
}

double bench_median(const struct bench_times *t) { return t->n ? t->ms[t->n / 2] : 0; }
