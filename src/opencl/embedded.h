/* SPDX-License-Identifier: MIT
 * The kernel sources of cl/, embedded at build time by tools/embed.c. */
#ifndef BRUME_OPENCL_EMBEDDED_H
#define BRUME_OPENCL_EMBEDDED_H

#include <stddef.h>

struct brume_cl_file { const char *name; const char *text; size_t length; };
extern const struct brume_cl_file brume_cl_files[];

#endif
