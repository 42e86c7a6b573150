/* SPDX-License-Identifier: MIT
 * Self-tests: kernels are not believed before they gave right results on the very device.
 *
 * Compilers of drivers have errors, and a kernel that is right on nine devices may be wrong on the tenth. When brume_plan_new()
 * meets a kernel for the first time on a device, it computes the step on small shapes, with the same compiled program where that
 * can be, and compares with the plainest kernel of the cpu. One that fails is replaced by the next that passes, and this is told
 * (brume_device_options.warn). What was found is kept in a file for that device, driver and version of brume's kernels, in the
 * folder selftest in $BRUME_CACHE, else in $XDG_CACHE_HOME/brume, else in ~/.cache/brume; BRUME_CACHE=off: none. It may be
 * deleted at any time. brume_device_options.no_self_test or BRUME_SELF_TEST=off goes without. */
#ifndef BRUME_SELF_TEST_H
#define BRUME_SELF_TEST_H

#include "brume/api.h"
#include "brume/device.h"

BRUME_API_BEGIN

/** What the test of one kernel found. */
typedef struct brume_finding {
    const char *op;        /* "conv2d"; of a chain of elementwise functions all of them: "add+silu" */
    char kernel[48];       /* "winograd", "local:64x64x16"; "single" or "chain" for elementwise functions */
    char shapes[256];      /* inputs -> outputs of the test */
    int passed;            /* 1: within the tolerance */
    double excess;         /* the largest error in units of the tolerance: <= 1 passes */
    int of;                /* of how many tests this is one; 0: not known */
    char text[256];        /* where it failed: "result 0, index 17: got 1.5, expected 1.25", or the error of the driver; "" where
                              it passed */
} brume_finding;

/**
 * Tests every kernel of every op that runs on the device, with each set of its parameters, whatever was found before, and tells
 * each. found: called once for every test, some tests at a time. n_failed: how many failed. Fails only where the device or memory
 * does.
 */
brume_status brume_device_check(brume_device *d, void (*found)(void *ctx, const brume_finding *f), void *ctx, int *n_failed);

/** What self-tests know of a device's kernels. */
typedef struct brume_self_test_info {
    int on;                /* 0: the device was opened without */
    int tested, failed;    /* kernels known, in this process or from the file */
    char file[1024];       /* "": nothing is kept; note says why */
    char note[256];        /* why nothing is kept, or "" */
} brume_self_test_info;
void brume_device_get_self_test(const brume_device *d, brume_self_test_info *info);

BRUME_API_END

#endif
