/* SPDX-License-Identifier: MIT
 * Setting the thread's error text. */
#ifndef BRUME_BASE_FAIL_H
#define BRUME_BASE_FAIL_H

#include "brume/status.h"

#if defined(__GNUC__)
#define BRUME_PRINTF(f, a) __attribute__((format(printf, f, a)))
#else
#define BRUME_PRINTF(f, a)
#endif

/** Stores the text (what, where, expected, got, next step) for brume_error() and returns s. */
brume_status brume_fail(brume_status s, const char *fmt, ...) BRUME_PRINTF(2, 3);

/** Puts "context: " in front of the stored text (the file or the tensor that a callee did not know) and returns s. */
brume_status brume_fail_in(brume_status s, const char *fmt, ...) BRUME_PRINTF(2, 3);

#ifdef __clang_analyzer__ /* it sees one file at a time, and would take a failure for BRUME_OK */
#define brume_fail(s, ...) ((brume_fail)(s, __VA_ARGS__), (s))
#define brume_fail_in(s, ...) ((brume_fail_in)(s, __VA_ARGS__), (s))
#endif

#endif
