/* SPDX-License-Identifier: MIT
 * NumPy's files of one array (numpy.org/doc/stable/reference/generated/numpy.lib.format.html), versions 1 to 3. */
#ifndef BRUME_IO_NPY_H
#define BRUME_IO_NPY_H

#include <stddef.h>
#include <stdint.h>

#include "brume/status.h"

enum { BRUME_NPY_DIMS = 8 };

struct brume_npy {
    char kind;           /* 'b', 'i', 'u' or 'f' */
    int bytes;           /* of a value: 1, 2, 4 or 8 */
    int swap;            /* its bytes are in the other order than this machine's */
    int fortran;         /* the first index runs fastest */
    int ndim;
    int64_t shape[BRUME_NPY_DIMS];
    int64_t count;
    uint64_t offset;     /* of the first value in the file */
    int fd;
    char *name;
};

/** Opens a file and checks header and length. The message of BRUME_E_FORMAT names file and rule. */
brume_status brume_npy_open(const char *path, struct brume_npy *out);
void brume_npy_close(struct brume_npy *a);
/** Values first .. first + n - 1 as they lie in the file, as f32 (integers as their numbers) or i64 (from integers alone). From
 * several threads at once. */
brume_status brume_npy_read_f32(const struct brume_npy *a, int64_t first, int64_t n, float *out);
brume_status brume_npy_read_i64(const struct brume_npy *a, int64_t first, int64_t n, int64_t *out);

#endif
