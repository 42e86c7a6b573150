/* SPDX-License-Identifier: MIT
 * The folder of compiled programs: entries damaged at every place, foreign ones, the limit, folders that cannot be used; and
 * whole devices over it. Usage: opencl_cache FOLDER, in which it makes one of its own. Devices are skipped where there is
 * none. */
#include "check.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "brume/device.h"
#include "opencl/cache.h"
#include "plan/backend.h"

static const char key[] = "brume 1\ndevice x\n-DA=1\n__kernel void f() {}",
                  other_key[] = "brume 1\ndevice y\n-DA=1\n__kernel void f() {}";
static const unsigned char binary[] = "\0binary of a driver\377\0", other_binary[] = "another";

/* Path of the n-th entry in the folder's order; NULL past the end. Valid until the next call. */
static const char *entry(const char *folder, int n)
{
    static char path[4400];
    DIR *dir = opendir(folder);
    *path = 0;
    for (struct dirent *e; dir && (e = readdir(dir));)
        if (strstr(e->d_name, ".clbin") && e->d_name[0] != '.' && n-- == 0)
            snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
    if (dir) closedir(dir);
    return *path ? path : NULL;
}

static int entries(const char *folder)
{
    int n = 0;
    while (entry(folder, n)) n++;
    return n;
}

/* 1 if the entry of the key is this binary; 0 if there is none that is sound. Anything else is a failure. */
static int holds(const struct brume_cl_cache *c, const char *k, const unsigned char *want, size_t want_bytes)
{
    const unsigned char *got = NULL;
    size_t bytes = 0;
    unsigned kernels = 0;
    void *memory = brume_cl_cache_load(c, k, &got, &bytes, &kernels);
    if (memory) CHECK(bytes == want_bytes && !memcmp(got, want, bytes) && kernels == 3);
    free(memory);
    return memory != NULL;
}

static void damage(const struct brume_cl_cache *c)
{
    unsigned char *whole;
    size_t bytes;
    CHECK(!holds(c, key, binary, sizeof binary));
    brume_cl_cache_store(c, key, binary, sizeof binary, 3);
    CHECK(holds(c, key, binary, sizeof binary));
    CHECK(!holds(c, other_key, other_binary, sizeof other_binary));
    char path[4400];
    snprintf(path, sizeof path, "%s", entry(c->folder, 0));
    if (!CHECK_INT(entries(c->folder), 1) || !CHECK_OK(brume_file_read(path, 1 << 20, (void **)&whole, &bytes))) return;
    /* Every byte changed; the file cut off anywhere; bytes after its end. */
    for (size_t i = 0; i < bytes; i++) {
        whole[i] ^= (unsigned char)(1 << i % 8);
        CHECK_OK(brume_file_write(path, whole, bytes));
        CHECK(!holds(c, key, binary, sizeof binary));
        whole[i] ^= (unsigned char)(1 << i % 8);
        CHECK_OK(brume_file_write(path, whole, i));
        CHECK(!holds(c, key, binary, sizeof binary));
    }
    unsigned char *longer = calloc(1, bytes + 1);
    if (CHECK(longer != NULL)) {
        memcpy(longer, whole, bytes);
        CHECK_OK(brume_file_write(path, longer, bytes + 1));
        CHECK(!holds(c, key, binary, sizeof binary));
    }
    free(longer);
    brume_cl_cache_store(c, key, binary, sizeof binary, 3); /* is replaced */
    CHECK(holds(c, key, binary, sizeof binary));
    /* The entry of another key under this one's name. */
    brume_cl_cache_store(c, other_key, other_binary, sizeof other_binary, 3);
    char other[4400];
    snprintf(other, sizeof other, "%s", strcmp(entry(c->folder, 0), path) ? entry(c->folder, 0) : entry(c->folder, 1));
    CHECK(holds(c, other_key, other_binary, sizeof other_binary));
    CHECK(!rename(other, path));
    CHECK(!holds(c, key, binary, sizeof binary) && !holds(c, other_key, other_binary, sizeof other_binary));
    /* No regular file at all. */
    CHECK(!unlink(path) && !mkdir(path, 0700));
    CHECK(!holds(c, key, binary, sizeof binary));
    brume_cl_cache_store(c, key, binary, sizeof binary, 3);
    CHECK(!rmdir(path));
    free(whole);
}

/* Entries of 1 MiB with a limit of 4: the three that were used last and fit stay. */
static void limit(const struct brume_cl_cache *c)
{
    enum { N = 8, BYTES = 1 << 20 };
    unsigned char *big = calloc(1, 5 * BYTES);
    if (!CHECK(big != NULL)) return;
    CHECK(c->limit == 4 * BYTES);
    brume_cl_cache_store(c, "too big", big, 4 * BYTES, 3);
    CHECK(!holds(c, "too big", big, 4 * BYTES));
    for (int i = 0; i < N; i++) {
        char k[] = "key 0", path[4400];
        k[4] = (char)('0' + i);
        const int before = entries(c->folder);
        brume_cl_cache_store(c, k, big, BYTES, 3);
        CHECK_INT(entries(c->folder), before + 1);
        /* The clock of a file system may be coarse: tell the order. */
        const struct timespec times[2] = { { 1000 + i, 0 }, { 1000 + i, 0 } };
        for (int j = 0; entry(c->folder, j); j++) {
            struct stat st;
            snprintf(path, sizeof path, "%s", entry(c->folder, j));
            if (!stat(path, &st) && st.st_mtime > 1000000) CHECK(!utimensat(AT_FDCWD, path, times, 0));
        }
    }
    CHECK(holds(c, "key 1", big, BYTES)); /* use makes it the newest */
    char unrelated[4400], unfinished[4400];
    snprintf(unrelated, sizeof unrelated, "%s/notes.txt", c->folder);
    snprintf(unfinished, sizeof unfinished, "%s/.0123456789abcdef.clbin.12-3.tmp", c->folder);
    CHECK_OK(brume_file_write(unrelated, "x", 1));
    CHECK_OK(brume_file_write(unfinished, "x", 1));
    brume_cl_cache_trim(c);
    CHECK(brume_is_file(unfinished)); /* its writer may be at work */
    const struct timespec long_ago[2] = { { 1, 0 }, { 1, 0 } };
    CHECK(!utimensat(AT_FDCWD, unfinished, long_ago, 0));
    brume_cl_cache_trim(c);
    CHECK(!brume_is_file(unfinished) && brume_is_file(unrelated));
    for (int i = 0; i < N; i++) {
        char k[] = "key 0";
        k[4] = (char)('0' + i);
        CHECK_INT(holds(c, k, big, BYTES), i == 1 || i >= N - 2);
    }
    free(big);
}

static void folders(const char *root)
{
    brume_cache_info info;
    char path[4200], file[4300];
    setenv("BRUME_CACHE", "off", 1);
    brume_cache_get_info(&info);
    CHECK(!info.usable && strstr(info.note, "BRUME_CACHE"));
    unsetenv("BRUME_CACHE");
    setenv("XDG_CACHE_HOME", root, 1);
    brume_cache_get_info(&info);
    snprintf(path, sizeof path, "%s/brume/programs", root);
    CHECK(info.usable && info.entries == 0 && brume_is_folder(path));
    CHECK_STR(info.folder, path);
    setenv("XDG_CACHE_HOME", "relative", 1); /* its standard says that such a path is ignored */
    snprintf(path, sizeof path, "%s/someone", root);
    setenv("HOME", path, 1);
    brume_cache_get_info(&info);
    snprintf(path, sizeof path, "%s/someone/.cache/brume/programs", root);
    CHECK(info.usable);
    CHECK_STR(info.folder, path);
    unsetenv("HOME");
    brume_cache_get_info(&info);
    CHECK(!info.usable && strstr(info.note, "HOME"));
    snprintf(file, sizeof file, "%s/file", root);
    CHECK_OK(brume_file_write(file, "x", 1));
    setenv("BRUME_CACHE", file, 1); /* a file where a folder should be */
    brume_cache_get_info(&info);
    CHECK(!info.usable && strstr(info.note, file));
}

/* y = x + 1 on a device; how many programs it compiled and how many it took from the folder. */
static void job(int no_cache, int want_compiled, int want_cached)
{
    static const struct brume_ew plus_one = { 1, 0, "a + 1.0f", 905 };
    static const struct brume_fused chain = { .ndim = 1, .dims = { 100 }, .n_in = 1, .stride = { { 1 } }, .n_ops = 1,
                                              .op = { { .ew = &plus_one } } };
    const struct brume_node node = { .name = "here" };
    const struct brume_place in = { 0, 0 };
    const struct brume_step step = { .node = &node, .fused = &chain, .n_in = 1, .n_out = 1, .in = &in,
                                     .out = { { 0, 0 } }, .work = { -1, 0 }, .packed = { -1, 0 } };
    brume_device *d = NULL;
    brume_buffer *b = NULL;
    struct brume_exec *e = NULL;
    float y[100] = { 2.0f };
    int compiled = -1, cached = -1;
    CHECK_OK(brume_device_open("opencl", &(brume_device_options){ .no_cache = no_cache }, &d));
    if (!d) return;
    CHECK_OK(brume_buffer_new(d, sizeof y, &b));
    CHECK_OK(brume_buffer_write(b, 0, y, sizeof y));
    CHECK_OK(d->backend->prepare(d, &step, 1, 1, &e));
    if (e) {
        CHECK_OK(d->backend->run(e, &b, 0, 1));
        CHECK_OK(brume_buffer_read(b, 0, y, sizeof y));
        CHECK(y[0] == 3.0f && y[1] == 1.0f && y[99] == 1.0f);
        d->backend->exec_free(e);
    }
    brume_device_get_programs(d, &compiled, &cached);
    CHECK_INT(compiled, want_compiled);
    CHECK_INT(cached, want_cached);
    brume_buffer_free(b);
    brume_device_close(d);
}

static void devices(const char *root)
{
    char folder[4300], path[4400];
    snprintf(folder, sizeof folder, "%s/devices", root);
    setenv("BRUME_CACHE", folder, 1);
    snprintf(folder, sizeof folder, "%s/devices/programs", root);
    job(1, 1, 0);
    CHECK_INT(entries(folder), 0);
    job(0, 1, 0);
    if (!CHECK_INT(entries(folder), 1)) return;
    job(0, 0, 1);
    unsigned char *whole;
    size_t bytes;
    snprintf(path, sizeof path, "%s", entry(folder, 0));
    if (!CHECK_OK(brume_file_read(path, 1 << 26, (void **)&whole, &bytes))) return;
    for (int i = 0; i < 8; i++) { /* damaged here and there: compiled, replaced, taken again */
        whole[bytes * (size_t)i / 8] ^= 0x40;
        CHECK_OK(brume_file_write(path, whole, bytes));
        whole[bytes * (size_t)i / 8] ^= 0x40;
        job(0, 1, 0);
        job(0, 0, 1);
    }
    free(whole);
    CHECK_INT(entries(folder), 1);
    snprintf(path, sizeof path, "%s/file", root);
    setenv("BRUME_CACHE", path, 1); /* cannot be used: works without */
    job(0, 1, 0);
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: opencl_cache FOLDER\n");
        return 2;
    }
    char root[4096];
    snprintf(root, sizeof root, "%s/cache-XXXXXX", argv[1]);
    if (!CHECK(mkdtemp(root) != NULL)) return check_report();
    struct brume_cl_cache c;
    char why[256], path[4200];
    for (int i = 0; i < 2; i++) {
        snprintf(path, sizeof path, "%s/%d", root, i);
        setenv("BRUME_CACHE", path, 1);
        setenv("BRUME_CACHE_MIB", "4", 1);
        brume_cl_cache_open(&c, why);
        if (!CHECK(c.folder != NULL)) return check_report();
        if (i) limit(&c);
        else damage(&c);
        brume_cl_cache_close(&c);
    }
    folders(root);
    brume_device *d = NULL;
    setenv("BRUME_CACHE", "off", 1);
    if (brume_device_open("opencl", NULL, &d)) {
        check_skip(brume_error());
    } else {
        brume_device_close(d);
        devices(root);
    }
    return check_report();
}
