/* SPDX-License-Identifier: MIT
 * Opening the devices that tests run on. */
#include "devices.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "simd/simd.h"

static void add(struct test_devices *t, const char *spec, const brume_device_options *options, const char *suffix)
{
    if (t->n == TEST_MAX_DEVICES) return;
    struct test_device *d = &t->at[t->n];
    if (brume_device_open(spec, options, &d->device) != BRUME_OK) {
        fprintf(stderr, "%s: %s\n", spec, brume_error());
        exit(2);
    }
    snprintf(d->where, sizeof d->where, "%s%s%s", spec, suffix ? " " : "", suffix ? suffix : "");
    t->n++;
}

static void add_all(struct test_devices *t, int all_isas)
{
    for (int i = 0; i == 0 || (all_isas && brume_simd_nth(i)); i++) {
        const brume_device_options options = { .isa = all_isas ? brume_simd_nth(i)->isa : NULL };
        add(t, "cpu", &options, options.isa);
    }
    /* More threads than most machines have cores, and than small cases have tasks. */
    if (all_isas) add(t, "cpu", &(brume_device_options){ .threads = 5 }, "5 threads");
    brume_device_info *list = NULL;
    int n = 0;
    char note[256] = "";
    if (brume_device_list(&list, &n, note) != BRUME_OK) {
        fprintf(stderr, "%s\n", brume_error());
        exit(2);
    }
    const brume_device_options options = { .clblast = all_isas ? 1 : -1 };
    for (int i = 0; i < n; i++)
        if (list[i].is_opencl && list[i].usable) add(t, list[i].spec, &options, list[i].name);
    if (t->n && note[0]) printf("note: %s\n", note);
    free(list);
}

void test_devices_open(struct test_devices *t, int *argc, char **argv, int all_isas)
{
    int left = 1;
    memset(t, 0, sizeof *t);
    const brume_device_options options = { .clblast = all_isas ? 1 : -1 };
    for (int i = 1; i < *argc; i++) {
        if (!strcmp(argv[i], "--device") && i + 1 < *argc) add(t, argv[++i], &options, NULL);
        else if (!strncmp(argv[i], "--device=", 9)) add(t, argv[i] + 9, &options, NULL);
        else argv[left++] = argv[i];
    }
    *argc = left;
    if (t->n == 0) add_all(t, all_isas);
}

void test_devices_close(struct test_devices *t)
{
    for (int i = 0; i < t->n; i++) brume_device_close(t->at[i].device);
    t->n = 0;
}
