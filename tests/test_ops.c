/* SPDX-License-Identifier: MIT
 * Runs the operator tables of tests/ops. usage: test_ops [--device D]... [--max-values N] [--each] [--split] [NAME]...
 *   NAME           an op or the beginning of one
 *   --max-values   leaves out cases with more values in all tensors (interpreters of OpenCL C need it)
 *   --each         tells the counts of each op, as they come
 *   --split        on OpenCL devices, that launches in pieces give the same bits as whole ones */
#include <stdio.h>
#include <stdlib.h>
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

/* Takes `flag` and, unless value is NULL, the number behind it out of the arguments. */
static bool take(const char *flag, int64_t *value, int *argc, char **argv)
{
    const int words = value ? 2 : 1;
    for (int i = 1; i + words <= *argc; i++) {
        if (strcmp(argv[i], flag)) continue;
        if (value) *value = strtoll(argv[i + 1], NULL, 10);
        memmove(argv + i, argv + i + words, (size_t)(*argc - i - words) * sizeof *argv);
        *argc -= words;
        return true;
    }
    return false;
}

static void add(struct test_report *sum, const struct test_report *r)
{
    sum->passed += r->passed;
    sum->failed += r->failed;
    sum->left_out += r->left_out;
}

static void tell(const char *what, const struct test_report *r)
{
    printf("%s: %ld passed, %ld failed", what, r->passed, r->failed);
    if (r->left_out) printf(", %ld cases left out", r->left_out);
    printf("\n");
    fflush(stdout);
}

/* Every kernel of the ops, with launches as small as they can be made. */
static void run_split(brume_device *whole, const char *where, int argc, char **argv, struct test_report *r)
{
    brume_device_info info;
    brume_device *pieces = NULL;
    long launches[2] = { 0 };
    brume_device_get_info(whole, &info);
    if (!info.is_opencl) return;
    if (brume_device_open(info.spec, &(brume_device_options){ .clblast = 1, .launch_ms = 1e-9 }, &pieces) != BRUME_OK) {
        printf("FAILED on %s: %s\n", where, brume_error());
        r->failed++;
        return;
    }
    for (int i = 0; tables[i]; i++)
        for (int j = 0; tables[i][j]; j++)
            if (wanted(tables[i][j]->name, argc, argv)) test_run_split(tables[i][j], whole, pieces, where, r, launches);
    printf("%s: %ld launches, %ld in pieces\n", where, launches[0], launches[1]);
    if (launches[1] < 2 * launches[0]) {
        printf("FAILED on %s: launches were not cut\n", where);
        r->failed++;
    }
    brume_device_close(pieces);
}

int main(int argc, char **argv)
{
    struct test_devices devices;
    struct test_report total = { 0 };
    int64_t max_values = 0;
    take("--max-values", &max_values, &argc, argv);
    const bool each = take("--each", NULL, &argc, argv), split = take("--split", NULL, &argc, argv);
    test_devices_open(&devices, &argc, argv, 1);
    for (int d = 0; d < devices.n; d++) {
        struct test_report device = { 0 };
        if (split) run_split(devices.at[d].device, devices.at[d].where, argc, argv, &device);
        for (int i = 0; tables[i] && !split; i++)
            for (int j = 0; tables[i][j]; j++) {
                struct test_report r = { .max_values = max_values };
                if (!wanted(tables[i][j]->name, argc, argv)) continue;
                test_run_op(tables[i][j], devices.at[d].device, devices.at[d].where, &r);
                if (each || (r.left_out && !r.passed)) tell(tables[i][j]->name, &r);
                add(&device, &r);
            }
        tell(devices.at[d].where, &device);
        add(&total, &device);
    }
    test_devices_close(&devices);
    printf("%ld passed, %ld failed\n", total.passed, total.failed);
    return total.failed || !total.passed ? 1 : 0;
}
