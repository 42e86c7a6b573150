/* SPDX-License-Identifier: MIT
 * Runs the operator tables of tests/ops. usage: test_ops [--device D]... [NAME]...   NAME: an op or the beginning of one */
#include <stdio.h>
#include <string.h>

#include "devices.h"
#include "harness.h"

#define OPS(stem) extern const struct test_op *const tests_##stem[];
#include "ops.def"
#undef OPS

static const struct test_op *const *const tables[] = {
#define OPS(stem) tests_##stem,
#include "ops.def"
#undef OPS
    NULL,
};

static bool wanted(const char *name, int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        if (!strncmp(name, argv[i], strlen(argv[i]))) return true;
    return argc < 2;
}

int main(int argc, char **argv)
{
    struct test_devices devices;
    struct test_report total = { 0 };
    test_devices_open(&devices, &argc, argv, 1);
    for (int d = 0; d < devices.n; d++) {
        struct test_report r = { 0 };
        for (int i = 0; tables[i]; i++)
            for (int j = 0; tables[i][j]; j++)
                if (wanted(tables[i][j]->name, argc, argv)) test_run_op(tables[i][j], devices.at[d].device, devices.at[d].where, &r);
        printf("%s: %ld passed, %ld failed\n", devices.at[d].where, r.passed, r.failed);
        fflush(stdout);
        total.passed += r.passed;
        total.failed += r.failed;
    }
    test_devices_close(&devices);
    printf("%ld passed, %ld failed\n", total.passed, total.failed);
    return total.failed || !total.passed ? 1 : 0;
}
