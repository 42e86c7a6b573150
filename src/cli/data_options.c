/* SPDX-License-Identifier: MIT
 * Options of data sets that commands share. */
#include "data_options.h"

#include <stdio.h>

const char *const cli_crops[] = { "center", "random", NULL };
const char *const cli_bad_files[] = { "fail", "skip", NULL };
const char *const cli_data_caches[] = { "memory", "off", "disk", NULL };
const char *const cli_ranges[] = { "auto", "0..1", "-1..1", "0..255", NULL };

void cli_data_apply(const struct cli_data *d, int64_t size, int64_t channels, brume_dataset_options *o)
{
    o->width = (int32_t)d->width;
    o->insist = (size ? BRUME_INSIST_SIZE : 0) | (channels ? BRUME_INSIST_CHANNELS : 0);
    o->coarse = d->coarse;
    o->range = (brume_value_range)d->range;
    o->crop = (brume_crop)d->crop;
    o->flip = d->flip;
    o->bad_files = (brume_bad_files_policy)d->bad_files;
    o->cache = (brume_data_cache)d->cache;
    o->cache_bytes = (uint64_t)d->cache_mib << 20;
    o->threads = (int)d->threads;
}

void cli_data_tell(const brume_dataset *ds)
{
    enum { NAMED = 5 };
    const long long n = (long long)brume_dataset_bad_count(ds);
    for (int64_t k = 0; k < n && k < NAMED; k++) fprintf(stderr, "skipped %s\n", brume_dataset_bad(ds, k));
    if (n > NAMED) fprintf(stderr, "skipped %lld files in all; brume data lists them\n", n);
}
