/* SPDX-License-Identifier: MIT
 * mmap() of whole files for reading, on Windows. */
#ifndef BRUME_WINDOWS_SYS_MMAN_H
#define BRUME_WINDOWS_SYS_MMAN_H

#include <stddef.h>
#include <sys/types.h>

#define PROT_READ 1
#define MAP_PRIVATE 2
#define MAP_FAILED ((void *)-1)
/** As mmap(2), from the beginning of a file, for PROT_READ and MAP_PRIVATE. */
void *brume_windows_mmap(void *where, size_t bytes, int protection, int flags, int fd, off_t offset);
int brume_windows_munmap(void *map, size_t bytes);
#define mmap brume_windows_mmap
#define munmap brume_windows_munmap

#endif
