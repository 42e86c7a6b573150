/* SPDX-License-Identifier: MIT
 * Figures of probes on disk, and the choice that they lead to. */
#ifndef BRUME_RUNTIME_PROBE_H
#define BRUME_RUNTIME_PROBE_H

#include "brume/probe.h"

/** Fills step_ms from the other figures. */
void brume_probe_rate(brume_probe *p);
/** Keeps figures for a device; what cannot be kept is measured again. */
void brume_probe_store(const brume_device_info *info, const brume_probe *p);

/**
 * What "auto" opens: the cpu where no usable OpenCL device is other than a processor; else the fastest of these and the cpu by
 * their probes. why: of a device that was chosen among several, in words; else "".
 */
brume_status brume_auto_choose(const brume_device_options *options, char spec[32], char why[256]);

#endif
