/* SPDX-License-Identifier: MIT
 * The parts of POSIX that brume uses and MinGW-w64 lacks. meson puts this header in front of every file where the host is
 * Windows, so that no other file has to know of it. Names of files are UTF-8: programs get a manifest (utf8.manifest) that makes
 * it the code page of the narrow functions. */
#ifndef BRUME_WINDOWS_POSIX_H
#define BRUME_WINDOWS_POSIX_H

#define tell brume_windows_tell /* io.h has a function of this name, which no other system has and nobody here calls */
#include <direct.h>
#include <errno.h>
#include <fcntl.h>
#include <io.h>
#include <process.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>
#undef tell

/* Files are bytes. As on other systems they may be renamed and removed while they are open. */
#define O_CLOEXEC O_NOINHERIT
#define O_NONBLOCK 0 /* there are no pipes among files */
int brume_windows_open(const char *path, int flags, ...);
FILE *brume_windows_fopen(const char *path, const char *mode);
FILE *brume_windows_tmpfile(void);
#define open brume_windows_open
#define tmpfile brume_windows_tmpfile
#define fopen brume_windows_fopen

ssize_t brume_windows_pread(int fd, void *to, size_t bytes, off_t offset);
ssize_t brume_windows_pwrite(int fd, const void *from, size_t bytes, off_t offset);
int brume_windows_rename(const char *from, const char *to);
int brume_windows_unlink(const char *path);
int brume_windows_link(const char *from, const char *to);
char *brume_windows_realpath(const char *path, char *resolved);
#define pread brume_windows_pread
#define pwrite brume_windows_pwrite
#define rename brume_windows_rename
#define unlink brume_windows_unlink
#define link brume_windows_link
#define realpath brume_windows_realpath
#define mkdir(path, mode) _mkdir(path)
#define fsync _commit
#define lstat stat
/* What stat() is called in the end: a folder's name may end in a slash, as elsewhere. */
int brume_windows_stat(const char *path, struct _stat64 *st);
#define _stat64(path, st) brume_windows_stat(path, st)
#define S_ISLNK(mode) 0

char *brume_windows_strndup(const char *text, size_t bytes);
#define strndup brume_windows_strndup

/* The number of processors and the memory, for sysconf(). */
enum { _SC_NPROCESSORS_ONLN, _SC_PHYS_PAGES, _SC_PAGESIZE };
long brume_windows_sysconf(int what);
#define sysconf brume_windows_sysconf

int brume_windows_gethostname(char *name, size_t bytes);
#define gethostname brume_windows_gethostname

/* Nobody sends it here. */
#define SIGUSR1 SIGBREAK

/* For tests. */
char *brume_windows_mkdtemp(char *name);
int brume_windows_setenv(const char *name, const char *value, int replace);
#define mkdtemp brume_windows_mkdtemp
#define setenv brume_windows_setenv
#define unsetenv(name) _putenv_s(name, "")

#endif
