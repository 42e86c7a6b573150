/* SPDX-License-Identifier: MIT
 * A lock on a folder. */
#include "base/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/fail.h"

/* Who holds it, for people: host and process. */
static void sign(int file)
{
    char host[128] = "", text[192];
    gethostname(host, sizeof host - 1);
    const int n = snprintf(text, sizeof text, "process %ld on %s\n", (long)getpid(), host);
    if (ftruncate(file, 0) || pwrite(file, text, (size_t)n, 0) != n) errno = 0; /* the lock itself holds without it */
}

brume_status brume_lock_take(const char *path, const char *what, int *lock)
{
    *lock = -1;
    const int file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (file < 0) return brume_fail(BRUME_E_IO, "%s: cannot make the lock: %s", path, strerror(errno));
    if (flock(file, LOCK_EX | LOCK_NB) == 0) {
        sign(file);
        *lock = file;
        return BRUME_OK;
    }
    const int why = errno;
    char owner[192] = "another process";
    const ssize_t n = pread(file, owner, sizeof owner - 1, 0);
    if (n > 0) owner[n] = 0;
    owner[strcspn(owner, "\n")] = 0;
    close(file);
    if (why != EWOULDBLOCK) return brume_fail(BRUME_E_IO, "%s: cannot lock: %s", path, strerror(why));
    return brume_fail(BRUME_E_IO, "%s is in use by %s; wait until it ends, or choose another folder", what, owner);
}

void brume_lock_drop(int lock)
{
    if (lock >= 0) close(lock);
}
