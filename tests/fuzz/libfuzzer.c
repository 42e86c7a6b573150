/* SPDX-License-Identifier: MIT
 * The harness that BRUME_FUZZ names, for libFuzzer. (Not an argument: libFuzzer starts itself again with those it knows.) */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "fuzz.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static const struct fuzz_harness *harness;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    const char *name = getenv("BRUME_FUZZ");
    (void)argc;
    (void)argv;
    setenv("BRUME_CACHE", "off", 1);
    if (name && (harness = fuzz_find(name))) return 0;
    fprintf(stderr, "BRUME_FUZZ must name a harness:\n");
    for (int i = 0; fuzz_row(i); i++) fprintf(stderr, "  %-21s%s\n", fuzz_row(i)->name, fuzz_row(i)->what);
    _exit(2);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    fuzz_run(harness, data, n);
    return 0;
}
