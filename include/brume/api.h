/* SPDX-License-Identifier: MIT
 * What stands around the declarations of every public header: C linkage in C++, and export from the shared library, which hides
 * everything else. */
#ifndef BRUME_API_H
#define BRUME_API_H

#include <stddef.h>

#ifdef __cplusplus
#define BRUME_API_LINKAGE_BEGIN extern "C" {
#define BRUME_API_LINKAGE_END }
#else
/** C linkage begins, in C++; else nothing. */
#define BRUME_API_LINKAGE_BEGIN
/** and ends. */
#define BRUME_API_LINKAGE_END
#endif

#if defined(__GNUC__) && !defined(_WIN32) /* a DLL without declarations of its own exports everything */
#define BRUME_API_BEGIN BRUME_API_LINKAGE_BEGIN _Pragma("GCC visibility push(default)")
#define BRUME_API_END _Pragma("GCC visibility pop") BRUME_API_LINKAGE_END
#else
/** Stands before the declarations of a public header: what follows is exported, with C linkage. */
#define BRUME_API_BEGIN BRUME_API_LINKAGE_BEGIN
/** Stands behind them. */
#define BRUME_API_END BRUME_API_LINKAGE_END
#endif

#endif
