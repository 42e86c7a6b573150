/* SPDX-License-Identifier: MIT
 * Names that meson.build gives to parts of the program for the harness of command lines. */
#ifndef BRUME_TESTS_FUZZ_CLI_H
#define BRUME_TESTS_FUZZ_CLI_H

#include "brume/data.h"
#include "brume/device.h"

int brume_main(int argc, char **argv);
/* None opens. */
brume_status fuzz_device_open(const char *spec, const brume_device_options *options, brume_device **out);
/* One without a name. */
brume_status fuzz_device_list(brume_device_info **out, int *n, char note[256]);
/* The same with few and small items. */
brume_status fuzz_dataset_open(const char *what, const brume_dataset_options *options, brume_dataset **out);

#endif
