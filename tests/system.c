/* SPDX-License-Identifier: MIT
 * What brume takes from the system, on every system: locks, replaced and removed files that are open, reads at a place, mapped
 * files. On Windows these are src/windows. */
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/file.h"
#include "base/folder.h"
#include "base/lock.h"
#include "base/system.h"
#include "check.h"

static char folder[64] = "brume-system-XXXXXX", path[128];

static const char *in(const char *name)
{
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static void files(void)
{
    void *data = NULL;
    size_t bytes = 0;
    char part[4] = "";
    CHECK_OK(brume_make_folders(in("a/b")));
    CHECK(brume_is_folder(in("a/b")));
    CHECK_OK(brume_make_folders(in("a/c/"))); /* as people complete names */
    CHECK(brume_is_folder(in("a/c/")));
    CHECK_OK(brume_file_write(in("a/c/file"), "", 0));
    CHECK_OK(brume_folder_remove(in("a/c")));
    CHECK(!brume_is_folder(in("a/c")));
    CHECK_OK(brume_file_write(in("a/file"), "hello\n", 6));
    CHECK_OK(brume_file_write(in("a/file"), "world\n", 6)); /* in place of another */
    CHECK_OK(brume_file_read(in("a/file"), 100, &data, &bytes));
    CHECK(data && bytes == 6 && !memcmp(data, "world\n", 6)); /* line ends are bytes */
    free(data);
    const int fd = open(in("a/file"), O_RDONLY | O_CLOEXEC);
    CHECK(pread(fd, part, 3, 2) == 3 && !memcmp(part, "rld", 3));
    CHECK(pread(fd, part, 3, 6) == 0);
    void *map = mmap(NULL, 6, PROT_READ, MAP_PRIVATE, fd, 0);
    if (CHECK(map != MAP_FAILED)) {
        CHECK(!memcmp(map, "world\n", 6));
        munmap(map, 6);
    }
    CHECK(!unlink(in("a/file"))); /* while it is open */
    close(fd);
    CHECK(!brume_is_file(in("a/file")));
    CHECK_FAILS(brume_file_read(in("a/file"), 100, &data, &bytes), BRUME_E_IO, "cannot open");
}

static void replaced(void)
{
    char fresh[128], keep[128];
    snprintf(fresh, sizeof fresh, "%s/fresh", folder);
    snprintf(keep, sizeof keep, "%s/keep", folder);
    CHECK_OK(brume_file_write(in("file"), "old", 3));
    CHECK_OK(brume_file_write(fresh, "new", 3));
    CHECK_OK(brume_file_replace(fresh, in("file"), keep));
    CHECK(brume_is_file(keep) && brume_is_file(in("file")) && !brume_is_file(fresh));
    unlink(keep);
    unlink(in("file"));
}

static void locked(void)
{
    int lock = -1, other = -1;
    CHECK_OK(brume_lock_take(in("lock"), "the folder", &lock));
    CHECK_FAILS(brume_lock_take(in("lock"), "the folder", &other), BRUME_E_IO, "the folder is in use by process");
    brume_lock_drop(lock);
    CHECK_OK(brume_lock_take(in("lock"), "the folder", &lock));
    brume_lock_drop(lock);
    unlink(in("lock"));
}

int main(void)
{
    if (!CHECK(mkdtemp(folder) != NULL)) return check_report();
    files();
    replaced();
    locked();
    FILE *f = tmpfile();
    CHECK(f && fputs("a\n", f) >= 0 && ftell(f) == 2);
    if (f) fclose(f);
    CHECK(brume_system_memory() > 1 << 20);
    char *whole = realpath(folder, NULL), *slash = whole ? brume_path_slash(whole) : NULL;
    CHECK(slash && !strcmp(slash + 1, folder));
    free(whole);
    rmdir(in("a/b"));
    rmdir(in("a"));
    CHECK(!rmdir(folder));
    return check_report();
}
