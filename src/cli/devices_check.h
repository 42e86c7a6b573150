/* SPDX-License-Identifier: MIT
 * brume devices --check: every kernel of every op on each device. */
#ifndef BRUME_CLI_DEVICES_CHECK_H
#define BRUME_CLI_DEVICES_CHECK_H

#include "brume/device.h"

/* The device that a spec means to every command. */
brume_status cli_device_describe(const char *spec, brume_device_info *info);
/* Tests n devices and prints a table, or JSON. spec: only that device; NULL: all that are usable. Returns the exit status: 1 if a
 * kernel failed. */
int cli_devices_check(const brume_device_info *list, int n, const char *spec, int json);

#endif
