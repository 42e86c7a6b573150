/* SPDX-License-Identifier: MIT
 * flock() on Windows. */
#ifndef BRUME_WINDOWS_SYS_FILE_H
#define BRUME_WINDOWS_SYS_FILE_H

#define LOCK_EX 2
#define LOCK_NB 4
#define LOCK_UN 8
/** As flock(2), for LOCK_EX | LOCK_NB and LOCK_UN. */
int brume_windows_flock(int fd, int what);
#define flock brume_windows_flock

#endif
