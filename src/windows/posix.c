/* SPDX-License-Identifier: MIT
 * POSIX functions over those of Windows: files. See posix.h. */
#include <windows.h>

#include <stdarg.h>
#include <stdint.h>
#include <sys/file.h>
#include <sys/mman.h>

#undef fopen

#define SHARE (FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE)

static int fail(void)
{
    switch (GetLastError()) {
    case ERROR_FILE_NOT_FOUND:
    case ERROR_PATH_NOT_FOUND:
    case ERROR_INVALID_NAME:
    case ERROR_BAD_PATHNAME: errno = ENOENT; break;
    case ERROR_ACCESS_DENIED:
    case ERROR_SHARING_VIOLATION: errno = EACCES; break;
    case ERROR_FILE_EXISTS:
    case ERROR_ALREADY_EXISTS: errno = EEXIST; break;
    case ERROR_LOCK_VIOLATION:
    case ERROR_IO_PENDING: errno = EWOULDBLOCK; break;
    case ERROR_DISK_FULL:
    case ERROR_HANDLE_DISK_FULL: errno = ENOSPC; break;
    case ERROR_NOT_ENOUGH_MEMORY:
    case ERROR_OUTOFMEMORY: errno = ENOMEM; break;
    case ERROR_TOO_MANY_OPEN_FILES: errno = EMFILE; break;
    case ERROR_INVALID_HANDLE: errno = EBADF; break;
    default: errno = EIO;
    }
    return -1;
}

static HANDLE handle_of(int fd) { return (HANDLE)_get_osfhandle(fd); }

int brume_windows_open(const char *path, int flags, ...)
{
    const int writes = flags & (O_WRONLY | O_RDWR);
    const DWORD access = writes == O_RDWR ? GENERIC_READ | GENERIC_WRITE : writes == O_WRONLY ? GENERIC_WRITE : GENERIC_READ;
    const DWORD how = flags & O_CREAT ? (flags & O_EXCL ? CREATE_NEW : OPEN_ALWAYS) : OPEN_EXISTING;
    const HANDLE h = CreateFileA(path, access, SHARE, NULL, how, FILE_ATTRIBUTE_NORMAL, NULL);
    if (h == INVALID_HANDLE_VALUE) return fail();
    const int fd = _open_osfhandle((intptr_t)h, (flags & (O_WRONLY | O_RDWR | O_APPEND)) | O_BINARY | O_NOINHERIT);
    if (fd < 0) CloseHandle(h);
    return fd;
}

FILE *brume_windows_fopen(const char *path, const char *mode)
{
    char binary[16];
    snprintf(binary, sizeof binary, "%.12s%s", mode, strchr(mode, 'b') ? "" : "b");
    return fopen(path, binary);
}

/* The system's own would lie in the root of the drive, where few may write. */
FILE *brume_windows_tmpfile(void)
{
    char folder[MAX_PATH - 14], name[MAX_PATH];
    const DWORD n = GetTempPathA(sizeof folder, folder);
    if (!n || n > sizeof folder || !GetTempFileNameA(folder, "bru", 0, name)) {
        fail();
        return NULL;
    }
    return fopen(name, "w+bTD"); /* which is removed when it is closed */
}

static OVERLAPPED at(off_t offset)
{
    return (OVERLAPPED){ .Offset = (DWORD)((uint64_t)offset & 0xffffffff), .OffsetHigh = (DWORD)((uint64_t)offset >> 32) };
}

ssize_t brume_windows_pread(int fd, void *to, size_t bytes, off_t offset)
{
    OVERLAPPED place = at(offset);
    DWORD got = 0;
    if (ReadFile(handle_of(fd), to, bytes < ((size_t)1 << 30) ? (DWORD)bytes : (DWORD)1 << 30, &got, &place)) return (ssize_t)got;
    return GetLastError() == ERROR_HANDLE_EOF ? 0 : fail();
}

ssize_t brume_windows_pwrite(int fd, const void *from, size_t bytes, off_t offset)
{
    OVERLAPPED place = at(offset);
    DWORD put = 0;
    if (WriteFile(handle_of(fd), from, bytes < ((size_t)1 << 30) ? (DWORD)bytes : (DWORD)1 << 30, &put, &place))
        return (ssize_t)put;
    return fail();
}

int brume_windows_rename(const char *from, const char *to)
{
    return MoveFileExA(from, to, MOVEFILE_REPLACE_EXISTING | MOVEFILE_WRITE_THROUGH) ? 0 : fail();
}

#undef _stat64
int brume_windows_stat(const char *path, struct _stat64 *st)
{
    size_t n = strlen(path);
    while (n > 1 && (path[n - 1] == '/' || path[n - 1] == '\\') && path[n - 2] != ':') n--;
    char *plain = brume_windows_strndup(path, n);
    if (!plain) return -1;
    const int result = _stat64(plain, st);
    free(plain);
    return result;
}

int brume_windows_unlink(const char *path) { return DeleteFileA(path) ? 0 : fail(); }

int brume_windows_link(const char *from, const char *to) { return CreateHardLinkA(to, from, NULL) ? 0 : fail(); }

/* With '/' between folders, as all of brume cuts paths. */
char *brume_windows_realpath(const char *path, char *resolved)
{
    if (GetFileAttributesA(path) == INVALID_FILE_ATTRIBUTES) {
        fail();
        return NULL;
    }
    char *whole = _fullpath(resolved, path, resolved ? _MAX_PATH : 0);
    for (char *c = whole; c && *c; c++)
        if (*c == '\\') *c = '/';
    return whole;
}

/* A byte far behind the end is locked: others may read what the file says. */
int brume_windows_flock(int fd, int what)
{
    OVERLAPPED place = { .Offset = 0, .OffsetHigh = 0x7fffffff };
    const HANDLE h = handle_of(fd);
    if (what & LOCK_UN) return UnlockFileEx(h, 0, 1, 0, &place) ? 0 : fail();
    return LockFileEx(h, LOCKFILE_EXCLUSIVE_LOCK | LOCKFILE_FAIL_IMMEDIATELY, 0, 1, 0, &place) ? 0 : fail();
}

void *brume_windows_mmap(void *where, size_t bytes, int protection, int flags, int fd, off_t offset)
{
    (void)where;
    (void)protection;
    (void)flags;
    const HANDLE map = CreateFileMappingA(handle_of(fd), NULL, PAGE_READONLY, 0, 0, NULL);
    void *view =
        map ? MapViewOfFile(map, FILE_MAP_READ, (DWORD)((uint64_t)offset >> 32), (DWORD)((uint64_t)offset & 0xffffffff), bytes)
            : NULL;
    if (!view) fail();
    if (map) CloseHandle(map); /* the view keeps it */
    return view ? view : MAP_FAILED;
}

int brume_windows_munmap(void *map, size_t bytes)
{
    (void)bytes;
    return UnmapViewOfFile(map) ? 0 : fail();
}
