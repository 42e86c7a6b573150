/* SPDX-License-Identifier: MIT
 * Probes: figures are kept whole or not taken, and "auto" opens what they say is faster. An OpenCL device serves as a GPU
 * (BRUME_OPENCL_TYPE). Usage: probe FOLDER, for a cache of its own */
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "brume/probe.h"
#include "check.h"
#include "runtime/probe.h"

static char folder[512];
static char warned[1024];

static void warn(void *ctx, const char *text)
{
    (void)ctx;
    snprintf(warned, sizeof warned, "%s", text);
}

static const brume_device_options options = { .threads = 1, .clblast = -1, .no_self_test = 1, .warn = warn };

static brume_device_info cpu_info(void)
{
    brume_device *d = NULL;
    brume_device_info info = { .usable = 0 };
    if (CHECK(brume_device_open("cpu", &options, &d) == BRUME_OK)) brume_device_get_info(d, &info);
    brume_device_close(d);
    return info;
}

/* Changes, cuts or empties every file that is there. */
static void damage(const brume_device_info *info, int how)
{
    char command[1200];
    brume_probe p;
    static const char *const ways[] = { "for f in '%s'/probe/*; do sed -i 's/ 200 / 900 /' \"$f\"; done",
                                        "for f in '%s'/probe/*; do truncate -s -3 \"$f\"; done",
                                        "for f in '%s'/probe/*; do : > \"$f\"; done" };
    snprintf(command, sizeof command, ways[how], folder);
    CHECK(system(command) == 0);
    CHECK(!brume_probe_find(info, &p) && p.step_ms == 0);
}

static void test_file(void)
{
    brume_device_info info = { .name = "a device\nof two lines", .platform = "P", .driver = "D", .version = "V",
                               .compute_units = 3, .is_opencl = 1 }, other;
    const brume_probe p = { .matmul_gflops = 100, .conv_gflops = 200, .launch_us = 5 };
    brume_probe q;
    CHECK(!brume_probe_find(&info, &q));
    for (int how = 0; how < 3; how++) {
        brume_probe_store(&info, &p);
        if (CHECK(brume_probe_find(&info, &q))) {
            CHECK(q.cached && q.matmul_gflops == 100 && q.conv_gflops == 200 && q.launch_us == 5);
            CHECK_NEAR(q.step_ms, 20 * (2e-6 * 134217728 / 100 + 2e-6 * 301989888 / 200) + 0.5, 1e-9);
        }
        other = info;
        other.driver[0] = 'E';
        CHECK(!brume_probe_find(&other, &q));
        other = info;
        other.compute_units = 4;
        CHECK(!brume_probe_find(&other, &q));
        damage(&info, how);
    }
}

/* Figures are sensible, and found again. */
static void test_measure(void)
{
    const brume_device_info info = cpu_info();
    brume_probe p, q;
    CHECK_OK(brume_probe_run("cpu", &options, &p));
    CHECK(p.matmul_gflops > 0.01 && p.conv_gflops > 0.01 && p.launch_us > 0 && p.step_ms > 0 && !p.cached);
    CHECK(brume_probe_find(&info, &q) && fabs(q.step_ms / p.step_ms - 1) < 1e-4);
    CHECK_FAILS(brume_probe_run("auto", &options, &p), BRUME_E_ARG, "expected cpu");
}

/* A device of type `type` by figures `speed` times those of the cpu: what does auto open? */
static void test_auto(const char *type, const brume_device_info *cpu, double speed, const char *want, const char *says)
{
    brume_device_info *list = NULL, info = { .spec = "" };
    brume_device *d = NULL;
    int n = 0;
    setenv("BRUME_OPENCL_TYPE", type, 1);
    warned[0] = 0;
    if (!CHECK(brume_device_list(&list, &n, NULL) == BRUME_OK)) return;
    brume_probe_store(cpu, &(brume_probe){ .matmul_gflops = 50, .conv_gflops = 50, .launch_us = 1e-3 });
    for (int i = 1; i < n; i++)
        if (list[i].usable)
            brume_probe_store(&list[i],
                              &(brume_probe){ .matmul_gflops = 50 * speed, .conv_gflops = 50 * speed, .launch_us = 1e-3 });
    if (CHECK_OK(brume_device_open("auto", &options, &d))) {
        brume_device_get_info(d, &info);
        CHECK(!strncmp(info.spec, want, strlen(want)));
        if (!CHECK(*says ? strstr(brume_device_choice(d), says) != NULL : !*brume_device_choice(d)))
            fprintf(stderr, "    '%s'\n", brume_device_choice(d));
    }
    CHECK_STR(warned, "");
    brume_device_close(d);
    free(list);
}

int main(int argc, char **argv)
{
    brume_device_info *list = NULL;
    int n = 0, usable = 0;
    if (argc != 2) return 2;
    snprintf(folder, sizeof folder, "%s/probe-cache-XXXXXX", argv[1]);
    if (!mkdtemp(folder)) return 2;
    setenv("BRUME_CACHE", folder, 1);
    unsetenv("BRUME_OPENCL_TYPE");
    test_file();
    test_measure();
    const brume_device_info cpu = cpu_info();
    if (CHECK(brume_device_list(&list, &n, NULL) == BRUME_OK))
        for (int i = 1; i < n; i++) usable += list[i].usable;
    free(list);
    if (usable) {
        test_auto("gpu", &cpu, 3, "opencl:", "3.0x the speed of the cpu in a probe (cached)");
        test_auto("gpu", &cpu, 0.5, "cpu", "2.0x the speed of opencl:");
        test_auto("other", &cpu, 3, "opencl:", "3.0x the speed of ");
        test_auto("cpu", &cpu, 3, "cpu", "");
    } else {
        check_skipped++;
    }
    char command[600];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    CHECK(system(command) == 0);
    return check_report();
}
