/* SPDX-License-Identifier: MIT
 * Assertions for unit tests: they count, print what differed and where, and go on. A test's main() ends with return
 * check_report().
 *
 * Exit status: 0 all passed, 1 something failed, 77 nothing failed but everything that could run was skipped (meson's "skip"). */
#ifndef BRUME_TESTS_CHECK_H
#define BRUME_TESTS_CHECK_H

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "brume/status.h"

/* Weak, so that all sources of one test count together. */
__attribute__((weak)) int check_passed, check_failed, check_skipped;

static inline int check_result(int ok, const char *file, int line, const char *what)
{
    if (ok) {
        check_passed++;
    } else {
        check_failed++;
        fprintf(stderr, "%s:%d: failed: %s\n", file, line, what);
    }
    return ok;
}

static inline int check_int(int64_t got, int64_t want, const char *file, int line, const char *what)
{
    const int ok = check_result(got == want, file, line, what);
    if (!ok) fprintf(stderr, "    got %lld, expected %lld\n", (long long)got, (long long)want);
    return ok;
}

/* NaN fails: the comparison is written so that it must hold. */
static inline int check_near(double got, double want, double tol, const char *file, int line, const char *what)
{
    const int ok = check_result(fabs(got - want) <= tol, file, line, what);
    if (!ok) fprintf(stderr, "    got %.9g, expected %.9g within %.3g\n", got, want, tol);
    return ok;
}

static inline int check_str(const char *got, const char *want, const char *file, int line, const char *what)
{
    const int ok = check_result(got && want && !strcmp(got, want), file, line, what);
    if (!ok) fprintf(stderr, "    got '%s', expected '%s'\n", got ? got : "(null)", want ? want : "(null)");
    return ok;
}

static inline int check_status(brume_status got, brume_status want, const char *says, const char *file, int line,
                               const char *what)
{
    const int ok = check_result(got == want && (!says || strstr(brume_error(), says)), file, line, what);
    if (!ok)
        fprintf(stderr, "    got %s \"%s\", expected %s%s%s\n", brume_status_name(got), got ? brume_error() : "",
                brume_status_name(want), says ? " saying " : "", says ? says : "");
    return ok;
}

/* Each is an expression that is 1 if the check held, so that a test may stop where going on makes no sense. */
#define CHECK(cond) check_result(!!(cond), __FILE__, __LINE__, #cond)
#define CHECK_INT(got, want) check_int((int64_t)(got), (int64_t)(want), __FILE__, __LINE__, #got " == " #want)
#define CHECK_NEAR(got, want, tol) check_near((got), (want), (tol), __FILE__, __LINE__, #got " ~ " #want)
#define CHECK_STR(got, want) check_str((got), (want), __FILE__, __LINE__, #got)
#define CHECK_OK(call) check_status((call), BRUME_OK, NULL, __FILE__, __LINE__, #call)
/* The call must fail with this status and a text that contains says (NULL: any). */
#define CHECK_FAILS(call, status, says) check_status((call), (status), (says), __FILE__, __LINE__, #call)

static inline void check_skip(const char *why)
{
    check_skipped++;
    printf("skipped: %s\n", why);
}

/* The folder of shared test data ($BRUME_SHARED, else ../shared), joined with a name; valid until the next call. */
static inline const char *check_shared(const char *name)
{
    static char path[4096];
    const char *root = getenv("BRUME_SHARED");
    snprintf(path, sizeof path, "%s/%s", root && *root ? root : "../shared", name);
    return path;
}

static inline int check_report(void)
{
    printf("%d passed, %d failed, %d skipped\n", check_passed, check_failed, check_skipped);
    if (check_failed) return 1;
    return !check_passed && check_skipped ? 77 : 0;
}

#endif
