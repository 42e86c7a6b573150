/* SPDX-License-Identifier: MIT
 * Preloaded into a program (LD_PRELOAD), makes the n-th request to the C library fail that brume or a library of file formats
 * makes.
 *
 *   HOST_FAULTS=KIND:N       KIND: memory (allocations), files (open, write, flush, rename, ...), threads; KIND+: all from the
 *                            N-th on
 *   HOST_FAULTS_LOG=FILE     gets "calls N failed NAME" when the program ends
 *   HOST_FAULTS_SERVE=IN:OUT the program waits before its main(): for each N that it reads there (an int), a copy of it runs in
 *   the folder
 *                            HOST_FAULTS_FOLDER, which says all in that name with ".out"; answers are the copy's process and what
 *                            waitpid() told
 *
 * Those of the C library itself, of drivers and of compilers are left alone. Works in front of AddressSanitizer's own allocator,
 * too. */
#undef _FILE_OFFSET_BITS /* both names of each function are defined here */
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

enum kind { MEMORY, FILES, THREADS, NONE };

static struct { uintptr_t from, to; } modules[64];
static int n_modules;
static enum kind kind = NONE;
static int fail_at, from_then_on, calls;
static const char *failed = "", *log_path;

static int add_module(struct dl_phdr_info *info, size_t bytes, void *ctx)
{
    static const char *const ours[] = { "libbrume", "libpng", "libjansson", "libz.", "libjpeg", "libgif", "libutf8proc" };
    const char *name = strrchr(info->dlpi_name, '/');
    int take = !*info->dlpi_name; /* the program itself */
    (void)bytes;
    (void)ctx;
    for (size_t i = 0; i < sizeof ours / sizeof *ours && !take; i++) take = name && !strncmp(name + 1, ours[i], strlen(ours[i]));
    for (int i = 0; take && i < info->dlpi_phnum && n_modules < 64; i++) {
        if (info->dlpi_phdr[i].p_type != PT_LOAD) continue;
        modules[n_modules].from = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr;
        modules[n_modules].to = modules[n_modules].from + info->dlpi_phdr[i].p_memsz;
        n_modules++;
    }
    return 0;
}

static void tell(void)
{
    char text[96];
    const int n = snprintf(text, sizeof text, "calls %d failed %s\n", calls, failed);
    kind = NONE;
    const int fd = open(log_path, O_WRONLY | O_CREAT | O_TRUNC, 0666);
    if (fd >= 0 && write(fd, text, (size_t)n) != n) abort();
}

/* To load and link a program takes longer than most of these runs. */
static void serve(int in, int out)
{
    const char *folder = getenv("HOST_FAULTS_FOLDER");
    char says[4096];
    int status;
    snprintf(says, sizeof says, "%s.out", folder);
    while (read(in, &fail_at, sizeof fail_at) == sizeof fail_at) {
        const pid_t pid = fork();
        if (!pid) {
            const int fd = open(says, O_WRONLY | O_CREAT | O_TRUNC, 0666);
            if (fd < 0 || chdir(folder) || dup2(fd, 1) < 0 || dup2(fd, 2) < 0) _exit(126);
            close(fd);
            close(in);
            close(out);
            return;
        }
        if (write(out, &pid, sizeof pid) != sizeof pid || waitpid(pid, &status, 0) != pid ||
            write(out, &status, sizeof status) != sizeof status)
            break;
    }
    _exit(0);
}

__attribute__((constructor)) static void begin(void)
{
    const char *text = getenv("HOST_FAULTS");
    char name[16] = "";
    dl_iterate_phdr(add_module, NULL);
    log_path = getenv("HOST_FAULTS_LOG");
    if (log_path) atexit(tell);
    if (!text || sscanf(text, "%15[a-z+]:%d", name, &fail_at) != 2) return;
    const char *pipes = getenv("HOST_FAULTS_SERVE");
    int in, out;
    if (pipes && sscanf(pipes, "%d:%d", &in, &out) == 2) serve(in, out);
    from_then_on = strchr(name, '+') != NULL;
    kind = !strncmp(name, "memory", 6) ? MEMORY : !strncmp(name, "files", 5) ? FILES : !strncmp(name,
                                                                                                "threads", 7) ? THREADS : NONE;
}

static int fault(enum kind k, const void *caller, const char *name, int error)
{
    int ours = 0;
    if (k != kind) return 0;
    for (int i = 0; i < n_modules && !ours; i++) ours = (uintptr_t)caller >= modules[i].from && (uintptr_t)caller < modules[i].to;
    if (!ours) return 0;
    const int n = __atomic_add_fetch(&calls, 1, __ATOMIC_RELAXED);
    if (fail_at <= 0 || (from_then_on ? n < fail_at : n != fail_at)) return 0;
    failed = name;
    errno = error;
    return 1;
}

/* The next library's function of that name. */
#define NEXT(name)                                                          \
    static __typeof__(name) *next;                                          \
    if (!next) {                                                            \
        void *found_ = dlsym(RTLD_NEXT, #name);                             \
        memcpy(&next, &found_, sizeof next);                                \
    }
#define WRAP(k, error, type, fails, name, params, ...)                      \
    type name params                                                        \
    {                                                                       \
        if (fault(k, __builtin_return_address(0), #name, error)) return fails; \
        NEXT(name)                                                          \
        return next(__VA_ARGS__);                                           \
    }

WRAP(MEMORY, ENOMEM, void *, NULL, malloc, (size_t n), n)
WRAP(MEMORY, ENOMEM, void *, NULL, realloc, (void *p, size_t n), p, n)
WRAP(MEMORY, ENOMEM, void *, NULL, aligned_alloc, (size_t a, size_t n), a, n)
WRAP(MEMORY, ENOMEM, int, ENOMEM, posix_memalign, (void **p, size_t a, size_t n), p, a, n)
WRAP(MEMORY, ENOMEM, char *, NULL, strdup, (const char *s), s)
WRAP(MEMORY, ENOMEM, char *, NULL, strndup, (const char *s, size_t n), s, n)
WRAP(MEMORY, ENOMEM, char *, NULL, realpath, (const char *restrict p, char *restrict to), p, to)
WRAP(MEMORY, ENOMEM, FILE *, NULL, open_memstream, (char **p, size_t *n), p, n)
WRAP(FILES, EIO, FILE *, NULL, fopen, (const char *restrict p, const char *restrict mode), p, mode)
WRAP(FILES, EIO, FILE *, NULL, fopen64, (const char *restrict p, const char *restrict mode), p, mode)
WRAP(FILES, EIO, DIR *, NULL, opendir, (const char *p), p)
WRAP(FILES, ENOSPC, ssize_t, -1, write, (int fd, const void *p, size_t n), fd, p, n)
WRAP(FILES, EIO, ssize_t, -1, read, (int fd, void *p, size_t n), fd, p, n)
WRAP(FILES, EIO, ssize_t, -1, pread, (int fd, void *p, size_t n, off_t at), fd, p, n, at)
WRAP(FILES, EIO, ssize_t, -1, pread64, (int fd, void *p, size_t n, off64_t at), fd, p, n, at)
WRAP(FILES, EIO, int, -1, fsync, (int fd), fd)
WRAP(FILES, ENOSPC, int, -1, rename, (const char *a, const char *b), a, b)
WRAP(FILES, EMLINK, int, -1, link, (const char *a, const char *b), a, b)
WRAP(FILES, EIO, int, -1, ftruncate, (int fd, off_t n), fd, n)
WRAP(FILES, EIO, int, -1, ftruncate64, (int fd, off64_t n), fd, n)
WRAP(FILES, EACCES, int, -1, mkdir, (const char *p, mode_t mode), p, mode)
WRAP(FILES, ENODEV, void *, (void *)-1, mmap, (void *a, size_t n, int prot, int flags, int fd, off_t at), a, n, prot, flags, fd,
     at)
WRAP(FILES, ENODEV, void *, (void *)-1, mmap64, (void *a, size_t n, int prot, int flags, int fd, off64_t at), a, n, prot, flags,
     fd, at)
/* 0x20: where glibc keeps what ferror() tells */
WRAP(FILES, ENOSPC, size_t, (f->_flags |= 0x20, 0u), fwrite, (const void *restrict p, size_t size, size_t n, FILE *restrict f), p,
     size, n, f)
WRAP(FILES, EIO, size_t, (f->_flags |= 0x20, 0u), fread, (void *restrict p, size_t size, size_t n, FILE *restrict f), p, size, n,
     f)
WRAP(THREADS, EAGAIN, int, EAGAIN, pthread_create,
     (pthread_t *restrict t, const pthread_attr_t *restrict a, void *(*f)(void *), void *restrict ctx), t, a, f, ctx)

/* dlsym() itself may ask for zeroed memory before the next calloc is known. */
void *calloc(size_t n, size_t size)
{
    static char first[4096];
    static size_t used;
    static int looking;
    if (fault(MEMORY, __builtin_return_address(0), "calloc", ENOMEM)) return NULL;
    static void *(*next)(size_t, size_t);
    if (!next && looking) {
        void *p = first + used;
        used += (n * size + 15) / 16 * 16;
        return used <= sizeof first ? p : NULL;
    }
    if (!next) {
        looking = 1;
        void *found = dlsym(RTLD_NEXT, "calloc");
        memcpy(&next, &found, sizeof next);
    }
    return next(n, size);
}

#define OPEN(name)                                                          \
    int name(const char *path, int flags, ...)                              \
    {                                                                       \
        va_list ap;                                                         \
        va_start(ap, flags);                                                \
        const mode_t mode = flags & O_CREAT ? va_arg(ap, mode_t) : 0;       \
        va_end(ap);                                                         \
        if (fault(FILES, __builtin_return_address(0), #name, EACCES)) return -1; \
        NEXT(name)                                                          \
        return next(path, flags, mode);                                     \
    }
OPEN(open)
OPEN(open64)
