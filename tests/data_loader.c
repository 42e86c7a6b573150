/* SPDX-License-Identifier: MIT
 * Loaders: random crops and flips that depend on nothing but seed, item and epoch; the thread that prepares batches gives the
 * same as none. */
#include <dirent.h>
#include <unistd.h>

#include "base/file.h"
#include "brume/data.h"
#include "brume/image.h"
#include "brume/rng.h"
#include "check.h"

static char dir[] = "/tmp/brume-test-XXXXXX";

enum { ITEMS = 7, SIZE = 8, NUMEL = SIZE * SIZE * 3, BATCH = 5, BATCHES = 6 };

static void put_pictures(void)
{
    for (int i = 0; i < ITEMS; i++) {
        char path[600];
        brume_image *im;
        brume_rng r = { .seed = 3, .step = (uint32_t)i };
        if (!CHECK_OK(brume_image_new(12 + i, 20 - i, 3, &im))) return;
        for (int k = 0; k < im->height * im->width * 3; k++) im->pixels[k] = (uint8_t)brume_rng_below(&r, 256);
        snprintf(path, sizeof path, "%s/%d.png", dir, i);
        CHECK_OK(brume_png_write(path, im));
        brume_image_free(im);
    }
}

static brume_dataset *set(brume_crop crop, int flip, int threads, brume_data_cache cache)
{
    const brume_dataset_options o = { .size = SIZE, .crop = crop, .flip = flip, .threads = threads, .cache = cache };
    brume_dataset *ds = NULL;
    CHECK_OK(brume_dataset_open(dir, &o, &ds));
    return ds;
}

/* Batches in order, all at once, and in another order, with and without threads and cache: always the same. */
static void test_same(brume_crop crop, int flip)
{
    static float want[BATCHES * BATCH * NUMEL], got[BATCHES * BATCH * NUMEL];
    int64_t labels[BATCH], items[BATCH], all[BATCHES * BATCH];
    brume_dataset *ds = set(crop, flip, -1, BRUME_DATA_CACHE_OFF);
    brume_loader *l = NULL;
    if (!ds || !CHECK_OK(brume_loader_new(ds, 5, &l))) return;
    CHECK_OK(brume_loader_read(l, 0, BATCHES * BATCH, want, NULL, all));
    brume_loader_free(l);
    brume_dataset_free(ds);
    for (int threads = -1; threads <= 3; threads++) {
        ds = set(crop, flip, threads, threads % 2 ? BRUME_DATA_CACHE_MEMORY : BRUME_DATA_CACHE_OFF);
        l = NULL;
        if (!ds || !CHECK_OK(brume_loader_new(ds, 5, &l)) || !CHECK_OK(brume_loader_ahead(l))) return;
        static const int order[] = { 0, 1, 2, 3, 4, 5, 2, 3, 0, 5, 4 };
        for (size_t k = 0; k < sizeof order / sizeof *order; k++) {
            CHECK_OK(brume_loader_read(l, order[k] * BATCH, BATCH, got, labels, items));
            CHECK(!memcmp(got, want + order[k] * BATCH * NUMEL, BATCH * NUMEL * sizeof *got) &&
                  !memcmp(items, all + order[k] * BATCH, sizeof items));
        }
        CHECK_OK(brume_loader_read(l, 3, 2, got, NULL, NULL)); /* of another size */
        CHECK(!memcmp(got, want + 3 * NUMEL, 2 * NUMEL * sizeof *got));
        CHECK(brume_loader_waited(l) > 0);
        brume_loader_free(l); /* while the thread is at work */
        brume_dataset_free(ds);
    }
}

static int mirrored(const float *a, const float *b)
{
    for (int y = 0; y < SIZE; y++)
        for (int x = 0; x < SIZE; x++)
            if (memcmp(a + (y * SIZE + x) * 3, b + (y * SIZE + SIZE - 1 - x) * 3, 3 * sizeof *a)) return 0;
    return 1;
}

static void test_flip(void)
{
    enum { EPOCHS = 40 };
    float x[ITEMS * NUMEL], plain[NUMEL];
    int64_t items[ITEMS];
    int flips = 0, others = 0;
    brume_dataset *ds = set(BRUME_CROP_CENTER, 1, -1, BRUME_DATA_CACHE_MEMORY);
    brume_loader *l = NULL;
    if (!ds || !CHECK_OK(brume_loader_new(ds, 1, &l))) return;
    CHECK(brume_dataset_augments(ds));
    for (int e = 0; e < EPOCHS; e++) {
        CHECK_OK(brume_loader_read(l, e * ITEMS, ITEMS, x, NULL, items));
        for (int k = 0; k < ITEMS; k++) {
            CHECK_OK(brume_dataset_get(ds, items[k], plain, NULL)); /* which is never flipped */
            const int flip = mirrored(x + k * NUMEL, plain);
            flips += flip;
            others += !flip && memcmp(x + k * NUMEL, plain, sizeof plain);
        }
    }
    CHECK_INT(others, 0);
    CHECK_NEAR(flips, EPOCHS * ITEMS / 2, 33); /* 4 standard deviations of 280 throws */
    brume_loader_free(l);
    brume_dataset_free(ds);
}

/* A picture whose value is its column: what a random crop sees is linear in x, with a slope of 0.8 to 1 times that of the
 * whole. */
static void test_crop(void)
{
    enum { EPOCHS = 60 };
    char path[600];
    brume_image *im;
    brume_dataset *ds = NULL;
    brume_loader *l = NULL;
    float x[16 * 16];
    double least = 2, most = 0;
    if (!CHECK_OK(brume_image_new(64, 64, 1, &im))) return;
    for (int k = 0; k < 64 * 64; k++) im->pixels[k] = (uint8_t)(4 * (k % 64));
    snprintf(path, sizeof path, "%s/sub", dir);
    CHECK_OK(brume_make_folders(path));
    snprintf(path, sizeof path, "%s/sub/ramp.png", dir);
    CHECK_OK(brume_png_write(path, im));
    brume_image_free(im);
    snprintf(path, sizeof path, "%s/sub", dir);
    const brume_dataset_options o = { .size = 16, .channels = 1, .crop = BRUME_CROP_RANDOM };
    if (!CHECK_OK(brume_dataset_open(path, &o, &ds)) || !CHECK_OK(brume_loader_new(ds, 1, &l))) return;
    for (int e = 0; e < EPOCHS; e++) {
        CHECK_OK(brume_loader_read(l, e, 1, x, NULL, NULL));
        const double step = (double)(x[14] - x[1]) / 13 * 127.5 / 16; /* 16 grey levels a pixel for the whole */
        if (step < least) least = step;
        if (step > most) most = step;
        CHECK_NEAR(x[16 * 15 + 7], x[7], 1e-5);
    }
    CHECK(least > 0.79 && least < 0.83 && most < 1.01 && most > 0.97);
    brume_loader_free(l);
    brume_dataset_free(ds);
    CHECK(!unlink(strcat(path, "/ramp.png")));
}

/* An error reaches the caller with the batch that it belongs to; what comes before and after is read. */
static void test_errors(void)
{
    char path[600];
    float x[ITEMS * NUMEL];
    int64_t items[ITEMS];
    brume_loader *l = NULL;
    brume_dataset *ds = set(BRUME_CROP_CENTER, 0, 0, BRUME_DATA_CACHE_OFF);
    if (!ds || !CHECK_OK(brume_loader_new(ds, 5, &l)) || !CHECK_OK(brume_loader_ahead(l))) return;
    CHECK_OK(brume_loader_read(l, 0, ITEMS, NULL, NULL, items));
    snprintf(path, sizeof path, "%s/%d.png", dir, (int)items[3]);
    CHECK(!truncate(path, 60));
    for (int k = 0; k < ITEMS; k++) {
        if (k == 3) CHECK_FAILS(brume_loader_read(l, k, 1, x, NULL, NULL), BRUME_E_FORMAT, strrchr(path, '/'));
        else CHECK_OK(brume_loader_read(l, k, 1, x, NULL, NULL));
    }
    CHECK_FAILS(brume_loader_read(l, -1, 1, x, NULL, NULL), BRUME_E_ARG, "-1");
    CHECK_OK(brume_loader_read(l, 0, 2, x, NULL, NULL));
    brume_loader_free(l);
    brume_dataset_free(ds);
    brume_dataset *text = NULL;
    const brume_dataset_options flip = { .flip = 1 };
    CHECK_FAILS(brume_dataset_open("shapes-text", &flip, &text), BRUME_E_ARG, "left from right");
}

/* Files in a folder; the name of the first goes to path. */
static int files_in(const char *folder, char path[1024])
{
    DIR *d = opendir(folder);
    int n = 0;
    for (struct dirent *e; d && (e = readdir(d));)
        if (e->d_name[0] != '.' && !n++) snprintf(path, 1024, "%s/%s", folder, e->d_name);
    if (d) closedir(d);
    return n;
}

/* Pictures kept on the disk: the same values, from a file that is made again when it is damaged, and another when a picture
 * changes. */
static void test_disk(void)
{
    float want[ITEMS][NUMEL], got[NUMEL];
    char cache[600], folder[700], path[1024], picture[600];
    snprintf(cache, sizeof cache, "%s/cache", dir);
    snprintf(folder, sizeof folder, "%s/data", cache);
    setenv("BRUME_CACHE", cache, 1);
    brume_dataset *ds = set(BRUME_CROP_CENTER, 0, 0, BRUME_DATA_CACHE_OFF);
    for (int i = 0; i < ITEMS; i++) CHECK_OK(brume_dataset_get(ds, i, want[i], NULL));
    brume_dataset_free(ds);
    long size = 0;
    for (int round = 0; round < 8; round++) { /* 0 makes it, 1 takes it; then one of its bytes is changed, or it is cut short */
        void *bytes = NULL;
        size_t n = 0;
        if (round > 1 && CHECK_INT(files_in(folder, path), 1) && CHECK_OK(brume_file_read(path, 1 << 20, &bytes, &n))) {
            size = (long)n;
            const long place[] = { 0, 20, 45, size / 2, size - 12, size - 1 };
            ((char *)bytes)[place[round - 2]] ^= 1;
            CHECK_OK(brume_file_write(path, bytes, round == 5 ? n / 2 : n));
        }
        free(bytes);
        if (!(ds = set(BRUME_CROP_CENTER, 0, 0, BRUME_DATA_CACHE_DISK))) return;
        for (int i = 0; i < ITEMS; i++) {
            CHECK_OK(brume_dataset_get(ds, i, got, NULL));
            CHECK(!memcmp(got, want[i], sizeof got));
        }
        brume_dataset_free(ds);
    }
    CHECK_INT(files_in(folder, path), 1);
    brume_image *im;
    snprintf(picture, sizeof picture, "%s/3.png", dir);
    if (!CHECK_OK(brume_image_new(9, 9, 3, &im))) return;
    CHECK_OK(brume_png_write(picture, im));
    brume_image_free(im);
    if ((ds = set(BRUME_CROP_CENTER, 0, 0, BRUME_DATA_CACHE_DISK)))
        CHECK(brume_dataset_get(ds, 3, got, NULL) == BRUME_OK && got[0] == -1 && got[NUMEL - 1] == -1);
    brume_dataset_free(ds);
    CHECK_INT(files_in(folder, path), 2);
    /* A bad picture: an error that leaves no file, or kept in mind. */
    CHECK(!truncate(picture, 60));
    const brume_dataset_options fail = { .size = SIZE, .cache = BRUME_DATA_CACHE_DISK },
    skip = { .size = SIZE, .cache = BRUME_DATA_CACHE_DISK, .bad_files = BRUME_BAD_FILES_SKIP };
    CHECK_FAILS(brume_dataset_open(dir, &fail, &ds), BRUME_E_FORMAT, "3.png");
    CHECK_INT(files_in(folder, path), 2);
    for (int round = 0; round < 2; round++)
        if (CHECK_OK(brume_dataset_open(dir, &skip, &ds))) {
            CHECK_OK(brume_dataset_get(ds, 3, got, NULL));
            CHECK(!memcmp(got, want[4], sizeof got));
            CHECK_INT(brume_dataset_bad_count(ds), 1);
            brume_dataset_free(ds);
        }
    const brume_dataset_options random = { .size = SIZE, .cache = BRUME_DATA_CACHE_DISK, .crop = BRUME_CROP_RANDOM };
    CHECK_FAILS(brume_dataset_open(dir, &random, &ds), BRUME_E_ARG, "random crops need whole pictures");
    setenv("BRUME_CACHE", "off", 1);
    CHECK_FAILS(brume_dataset_open(dir, &fail, &ds), BRUME_E_IO, "switched off");
}

int main(void)
{
    if (!mkdtemp(dir)) return 1;
    put_pictures();
    for (int k = 0; k < 4; k++) test_same((brume_crop)(k & 1), k >> 1);
    test_flip();
    test_crop();
    test_disk();
    put_pictures();
    test_errors();
    char command[200];
    snprintf(command, sizeof command, "rm -rf %s", dir);
    CHECK(system(command) == 0);
    return check_report();
}
