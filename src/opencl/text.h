/* SPDX-License-Identifier: MIT
 * Text that grows: sources of generated kernels. */
#ifndef BRUME_OPENCL_TEXT_H
#define BRUME_OPENCL_TEXT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/fail.h"

struct brume_cl_text { char *at; size_t n, cap; bool failed; };

/** Appends, printf-like; without memory sets `failed` and does nothing from then on. at is to be freed. */
void brume_cl_put(struct brume_cl_text *t, const char *fmt, ...) BRUME_PRINTF(2, 3);

#endif
