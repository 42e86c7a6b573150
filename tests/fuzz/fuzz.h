/* SPDX-License-Identifier: MIT
 * What harnesses are given: their declarations, and a folder in memory whose files come from the input. */
#ifndef BRUME_TESTS_FUZZ_H
#define BRUME_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>

#include "brume/device.h"

#define HARNESS(name, what) void fuzz_##name(const uint8_t *data, size_t n);
#include "harnesses.def"
#undef HARNESS

struct fuzz_harness {
    const char *name, *what;
    void (*run)(const uint8_t *data, size_t n);
};
/* Row i of the table, or NULL behind the last. */
const struct fuzz_harness *fuzz_row(int i);
const struct fuzz_harness *fuzz_find(const char *name);
/* Calls the harness; its folder is empty before and afterwards. */
void fuzz_run(const struct fuzz_harness *h, const uint8_t *data, size_t n);

/* The folder of this process, on a file system in memory where there is one. */
const char *fuzz_folder(void);
/* Path of a name in it; one of four texts in turn. */
const char *fuzz_path(const char *name);
/* Writes a file there, whose folders are made; returns its path, or NULL where the name cannot be a file's. */
const char *fuzz_put(const char *name, const void *data, size_t n);

/*
 * Archives: a folder of small files as one input that can be read, and changed anywhere without breaking the rest. A line "@@
 * NAME" begins a file, which goes on to the newline before the next such line, or to the end. What comes before the first is no
 * file. Names that would leave the folder are passed over.
 */
void fuzz_unpack(const uint8_t *data, size_t n);
/* A file of an archive, by its name; NULL: there is none. */
const uint8_t *fuzz_entry(const uint8_t *data, size_t n, const char *name, size_t *bytes);

/* The path of a name that stays until the process ends; one of four texts in turn, with those of fuzz_path(). */
const char *fuzz_kept(const char *name);

/* The cpu with one thread; open from the first call on. */
brume_device *fuzz_cpu(void);

/* Uses a result, so that reading it is not left out: a sanitizer sees each byte. */
void fuzz_use(const void *data, size_t n);
void fuzz_use_text(const char *text);

/* A property that holds for all inputs does not: ends the process with the text. */
_Noreturn void fuzz_broken(const char *what);

#endif
