/* SPDX-License-Identifier: MIT
 * What this build of the library is and can do. */
#ifndef BRUME_VERSION_H
#define BRUME_VERSION_H

#include <stdint.h>

#include "brume/api.h"

BRUME_API_BEGIN

/** The version of the library that runs (a program may have been compiled with another one): "0.1.0". */
const char *brume_version(void);
/**
 * A hash of the sources of the OpenCL kernels; 0 without OpenCL. Compiled programs and tuned choices that are kept on the disk
 * belong to one of them.
 */
uint64_t brume_kernels_version(void);

/** An optional part of the library. */
typedef struct brume_feature {
    const char *name;   /**< as the option of meson that switches it: "opencl", "clblast", ... */
    const char *what;   /**< what it is for */
    int present;        /**< 1: this build has it */
} brume_feature;
/** Part i = 0, 1, ...; NULL past the end. */
const brume_feature *brume_feature_row(int i);

BRUME_API_END

#endif
