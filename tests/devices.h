/* SPDX-License-Identifier: MIT
 * The devices that tests run on: those named by --device, else the cpu with every instruction set and every usable OpenCL
 * device. */
#ifndef BRUME_TESTS_DEVICES_H
#define BRUME_TESTS_DEVICES_H

#include "brume/device.h"

#define TEST_MAX_DEVICES 16

struct test_device { brume_device *device; char where[160]; };
struct test_devices { struct test_device at[TEST_MAX_DEVICES]; int n; };

/**
 * Opens them. Takes every `--device D` out of argv (argc is changed). all_isas: the cpu once per instruction set, and OpenCL with
 * CLBlast allowed on any device, so that every kernel variant is reachable. Exits with status 2 if a named device cannot be
 * opened.
 */
void test_devices_open(struct test_devices *t, int *argc, char **argv, int all_isas);
void test_devices_close(struct test_devices *t);

#endif
