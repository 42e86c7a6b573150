/* SPDX-License-Identifier: MIT
 * brume --version. */
#include "version.h"

#include <inttypes.h>
#include <stdio.h>

#include "brume/version.h"
#include "options.h"
#include "revision.h"

static void put_features(const char *title, int present)
{
    printf("%s", title);
    int n = 0;
    for (int i = 0; brume_feature_row(i); i++)
        if (brume_feature_row(i)->present == present) printf(" %s", brume_feature_row(i)->name), n++;
    printf("%s\n", n ? "" : " nothing");
}

int version_print(void)
{
    printf("brume %s\n", brume_version());
    if (*BRUME_REVISION) printf("revision %s\n", BRUME_REVISION);
    if (brume_kernels_version()) printf("kernels  %016" PRIx64 "\n", brume_kernels_version());
    put_features("with    ", 1);
    put_features("without ", 0);
    return CLI_DONE;
}
