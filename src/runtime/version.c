/* SPDX-License-Identifier: MIT
 * What this build is and can do. */
#include "brume/version.h"

#include <stddef.h>

#include "config.h"
#include "runtime/backends.h"

const char *brume_version(void) { return BRUME_VERSION; }
uint64_t brume_kernels_version(void) { return brume_backends_kernels(); }

const brume_feature *brume_feature_row(int i)
{
    static const brume_feature rows[] = {
        { "opencl", "OpenCL devices", BRUME_HAVE_OPENCL },
        { "clblast", "CLBlast for matrix products on OpenCL devices", BRUME_HAVE_CLBLAST },
        { "jpeg", "JPEG pictures", BRUME_HAVE_JPEG },
        { "gif", "films and pictures as GIF", BRUME_HAVE_GIF },
        { "text", "tokenizers of prompts", BRUME_HAVE_UTF8PROC },
        { "lapack", "Frechet distances", BRUME_HAVE_LAPACK },
        { "mpi", "several processes", BRUME_HAVE_MPI },
    };
    return i >= 0 && (size_t)i < sizeof rows / sizeof *rows ? &rows[i] : NULL;
}
