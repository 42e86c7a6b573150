/* SPDX-License-Identifier: MIT
 * Every op has the same bits for any number of threads: usage: test_threads [NAME]...   NAME: an op or the beginning of one */
#include <stdlib.h>
#include <string.h>

#include "brume/device.h"
#include "check.h"
#include "harness.h"

#define OPS(stem) extern const struct test_op *const tests_##stem[];
#include "ops.def"
#undef OPS

static const struct test_op *const *const tables[] = {
#define OPS(stem) tests_##stem,
#include "ops.def"
#undef OPS
};

enum { N_TABLES = sizeof tables / sizeof *tables };
static const int threads[] = { 1, 2, 3, 8 };
enum { N_THREADS = sizeof threads / sizeof *threads };

/* Large cases say as much about tasks as those of some ten thousand values, which have several. */
#define MAX_VALUES 20000

static bool wanted(const char *name, int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        if (!strncmp(name, argv[i], strlen(argv[i]))) return true;
    return argc < 2;
}

int main(int argc, char **argv)
{
    brume_device *devices[N_THREADS] = { 0 };
    for (int i = 0; i < N_THREADS; i++)
        if (!CHECK_OK(brume_device_open("cpu", &(brume_device_options){ .threads = threads[i] }, &devices[i])))
            return check_report();
    for (int t = 0; t < N_TABLES; t++)
        for (int k = 0; tables[t][k]; k++) {
            const struct test_op *op = tables[t][k];
            if (!wanted(op->name, argc, argv)) continue;
            uint64_t bits[N_THREADS];
            for (int i = 0; i < N_THREADS; i++) {
                struct test_report r = { .max_values = MAX_VALUES };
                test_run_op(op, devices[i], "cpu", &r);
                bits[i] = r.bits;
                if (r.failed) CHECK_INT(r.failed, 0);
            }
            for (int i = 1; i < N_THREADS; i++)
                if (!CHECK(bits[i] == bits[0]))
                    fprintf(stderr, "    %s: %d threads have other bits than one\n", op->name, threads[i]);
        }
    for (int i = 0; i < N_THREADS; i++) brume_device_close(devices[i]);
    return check_report();
}
