/* SPDX-License-Identifier: MIT
 * Options of data sets that commands share. */
#ifndef BRUME_CLI_DATA_OPTIONS_H
#define BRUME_CLI_DATA_OPTIONS_H

#include "brume/data.h"
#include "options.h"

/* orders of the enumerations in brume/data.h */
extern const char *const cli_crops[], *const cli_bad_files[], *const cli_data_caches[], *const cli_ranges[];

struct cli_data { int64_t width, threads, cache_mib; int crop, flip, bad_files, cache, range, coarse; };

/* Defaults; then rows of an option table: OPT_DATA(&d) of what a set holds, OPT_DATA_TRAINING(&d) of how it is used. */
#define CLI_DATA_DEFAULT { .cache_mib = 256 }
#define OPT_DATA(d) \
    OPT_INT("width", &(d)->width, 0, 1024, "N", "width of images, where --size is their height alone; 0: as --size"), \
        OPT_CHOICE("bad-files", &(d)->bad_files, cli_bad_files, \
            "a picture that cannot be read ends the work, or is named and skipped"), \
        OPT_CHOICE("data-range", &(d)->range, cli_ranges, \
            "black and white in arrays of floats; auto: as the first images suggest"), \
        OPT_FLAG("coarse", &(d)->coarse, "the 20 coarse classes of CIFAR-100 instead of the 100 fine ones")
#define OPT_DATA_TRAINING(d) \
    OPT_CHOICE("crop", &(d)->crop, cli_crops, "see the middle of a picture, or at random a part of 0.8 to 1 of it"), \
        OPT_FLAG("flip", &(d)->flip, "mirror every other picture from left to right, by chance"), \
        OPT_CHOICE("data-cache", &(d)->cache, cli_data_caches, \
            "keep pictures of a folder once they are read and brought to size; disk: for later runs, too"), \
        OPT_INT("data-cache-mib", &(d)->cache_mib, 1, 1 << 24, "N", "memory for that, in MiB"), \
        OPT_INT("data-threads", &(d)->threads, -1, 64, "N", \
            "threads that prepare batches while the device works; 0: one; -1: none")

/* Sets in o what these options say. size and channels are those of the command line, 0 where they were not given: then sets keep
 * their own. */
void cli_data_apply(const struct cli_data *d, int64_t size, int64_t channels, brume_dataset_options *o);
/* Says on stderr which files were skipped when the set was opened; the first few by name. */
void cli_data_tell(const brume_dataset *ds);

#endif
