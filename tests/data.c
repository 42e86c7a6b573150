/* SPDX-License-Identifier: MIT
 * Data sets: the built-in shapes, IDX, CIFAR, PNG and JPEG files (good, damaged, cut short), and the order of the loader. */
#include "brume/data.h"

#include <dirent.h>
#include <unistd.h>
#include <zlib.h>

#include "base/byte_order.h"
#include "base/file.h"
#include "base/folder.h"
#include "brume/image.h"
#include "brume/rng.h"
#include "check.h"

static char dir[] = "/tmp/brume-test-XXXXXX";

static const char *in_dir(const char *name)
{
    static char path[4][600];
    static int next;
    char *p = path[next++ % 4];
    snprintf(p, sizeof path[0], "%s/%s", dir, name);
    return p;
}

/* Without brume_file_write(), which waits for the disk: hundreds of damaged files need no safety. */
static void put(const char *path, const void *bytes, size_t n)
{
    FILE *f = fopen(path, "wb");
    CHECK(f && fwrite(bytes, 1, n, f) == n && !fclose(f));
}

static void test_shapes(void)
{
    for (int k = 0; k < 6; k++) {
        const int32_t sizes[] = { 8, 9, 28, 32, 65, 16 };
        const brume_dataset_options o = { .size = sizes[k], .channels = k % 2 ? 1 : 3, .count = 120, .seed = 5 };
        brume_dataset *ds, *other;
        const brume_dataset_options held_out = { .size = o.size, .channels = o.channels, .count = 120, .seed = 5, .test = 1 };
        if (!CHECK_OK(brume_dataset_open("shapes", &o, &ds)) || !CHECK_OK(brume_dataset_open("shapes", &held_out, &other)))
            return;
        CHECK_INT(brume_dataset_height(ds), o.size);
        CHECK_INT(brume_dataset_channels(ds), o.channels);
        const size_t n = (size_t)o.size * (size_t)o.size * (size_t)o.channels;
        float *x = malloc(n * 4), *y = malloc(n * 4);
        int of_class[6] = { 0 }, outside = 0, flat = 0, differs = 0, same_as_test = 0;
        for (int64_t i = 0; x && y && i < 120; i++) {
            int32_t label, again;
            brume_dataset_get(ds, i, x, &label);
            brume_dataset_get(ds, i, y, &again);
            of_class[label]++;
            differs += label != again || memcmp(x, y, n * 4) != 0;
            brume_dataset_get(other, i, y, NULL);
            same_as_test += !memcmp(x, y, n * 4);
            float lo = 2, hi = -2;
            for (size_t e = 0; e < n; e++) {
                outside += !(x[e] >= -1 && x[e] <= 1);
                lo = fminf(lo, x[e]);
                hi = fmaxf(hi, x[e]);
            }
            flat += !(hi - lo > 0.4f);
            char text[100];
            CHECK_OK(brume_dataset_caption(ds, i, text, sizeof text));
            CHECK(strstr(text, brume_dataset_class_name(ds, label)) != NULL);
        }
        for (int c = 0; c < 6; c++) CHECK_INT(of_class[c], 20);
        CHECK_INT(outside, 0);
        CHECK_INT(flat, 0);
        CHECK_INT(differs, 0);
        CHECK_INT(same_as_test, 0);
        free(x);
        free(y);
        brume_dataset_free(ds);
        brume_dataset_free(other);
    }
    brume_dataset *ds;
    const brume_dataset_options small = { .size = 7 }, two = { .channels = 2 }, negative = { .count = -1 };
    CHECK_FAILS(brume_dataset_open("shapes", &small, &ds), BRUME_E_ARG, "8 to 1024");
    CHECK_FAILS(brume_dataset_open("shapes", &two, &ds), BRUME_E_ARG, "1 or 3");
    CHECK_FAILS(brume_dataset_open("shapes", &negative, &ds), BRUME_E_ARG, "-1");
    CHECK_FAILS(brume_dataset_open("/nonexistent", NULL, &ds), BRUME_E_IO, "nonexistent");
    CHECK_FAILS(brume_dataset_open(dir, NULL, &ds), BRUME_E_FORMAT, "train-images-idx3-ubyte");
    if (CHECK_OK(brume_dataset_open("shapes", NULL, &ds))) {
        float x[32 * 32 * 3];
        CHECK_INT(brume_dataset_count(ds), 8192);
        CHECK_FAILS(brume_dataset_get(ds, 8192, x, NULL), BRUME_E_ARG, "8191");
        CHECK_FAILS(brume_dataset_get(ds, -1, x, NULL), BRUME_E_ARG, "-1");
        /* Known answer: pixels and words must never change, or old runs could not be repeated. */
        char text[100];
        CHECK_OK(brume_dataset_caption(ds, 0, text, sizeof text));
        CHECK_STR(text, "a large pink circle at the bottom");
        CHECK_OK(brume_dataset_get(ds, 1, x, NULL));
        uint32_t hash = 2166136261u; /* FNV-1a over the bits */
        brume_little_endian(x, sizeof x / sizeof *x, sizeof *x);
        for (size_t e = 0; e < sizeof x; e++) hash = (hash ^ ((unsigned char *)x)[e]) * 16777619u;
        CHECK_INT(hash, 489529681u);
    }
    brume_dataset_free(ds);
}

static size_t idx_images(unsigned char *p, uint32_t n, uint32_t h, uint32_t w)
{
    const uint32_t head[4] = { 0x803, n, h, w };
    for (int i = 0; i < 16; i++) p[i] = (unsigned char)(head[i / 4] >> (24 - i % 4 * 8));
    for (uint32_t i = 0; i < n * h * w; i++) p[16 + i] = (unsigned char)(i * 7);
    return 16 + n * h * w;
}

static size_t idx_labels(unsigned char *p, uint32_t n)
{
    const uint32_t head[2] = { 0x801, n };
    for (int i = 0; i < 8; i++) p[i] = (unsigned char)(head[i / 4] >> (24 - i % 4 * 8));
    for (uint32_t i = 0; i < n; i++) p[8 + i] = (unsigned char)(i % 3);
    return 8 + n;
}

static void put_gz(const char *path, const void *bytes, size_t n)
{
    gzFile f = gzopen(path, "wb");
    CHECK(f && gzwrite(f, bytes, (unsigned)n) == (int)n && gzclose(f) == Z_OK);
}

static void test_idx(void)
{
    unsigned char images[200], labels[32];
    const size_t ni = idx_images(images, 4, 5, 6), nl = idx_labels(labels, 4);
    brume_dataset *ds;
    const char *pi = in_dir("idx/train-images-idx3-ubyte"), *pl = in_dir("idx/train-labels.idx1-ubyte.gz");
    char path_i[600], path_l[600];
    strcpy(path_i, pi);
    strcpy(path_l, pl);
    CHECK_OK(brume_make_folders(in_dir("idx")));
    CHECK_OK(brume_file_write(path_i, images, ni));
    CHECK_FAILS(brume_dataset_open(in_dir("idx"), NULL, &ds), BRUME_E_IO, "labels");
    put_gz(path_l, labels, nl);
    if (CHECK_OK(brume_dataset_open(in_dir("idx"), NULL, &ds))) {
        float x[30];
        int32_t label;
        CHECK(brume_dataset_count(ds) == 4 && brume_dataset_height(ds) == 5 && brume_dataset_width(ds) == 6 &&
              brume_dataset_channels(ds) == 1);
        CHECK_INT(brume_dataset_classes(ds), 3);
        CHECK_OK(brume_dataset_get(ds, 2, x, &label));
        CHECK_INT(label, 2);
        CHECK_NEAR(x[1], (float)(61 * 7 & 255) / 127.5f - 1, 1e-6);
        CHECK_STR(brume_dataset_class_name(ds, 2), "2");
        CHECK_STR(brume_dataset_class_name(ds, 3), "");
    }
    brume_dataset_free(ds);
    /* Every length but the right one is refused with the numbers; nothing reads past the end. */
    int opened = 0;
    for (size_t cut = 0; cut < ni; cut++) {
        put(path_i, images, cut);
        opened += brume_dataset_open(in_dir("idx"), NULL, &ds) == BRUME_OK;
        brume_dataset_free(ds);
    }
    CHECK_INT(opened, 0);
    CHECK(strstr(brume_error(), "119 bytes of pixels, expected 120") != NULL);
    brume_rng r = { .seed = 3 };
    for (int round = 0; round < 300; round++) {
        unsigned char copy[200];
        memcpy(copy, images, ni);
        copy[brume_rng_below(&r, 16)] ^= (unsigned char)(1u << brume_rng_below(&r, 8));
        put(path_i, copy, ni);
        opened += brume_dataset_open(in_dir("idx"), NULL, &ds) == BRUME_OK;
        brume_dataset_free(ds);
    }
    CHECK_INT(opened, 0); /* every bit of the header matters */
    CHECK_OK(brume_file_write(path_i, images, ni));
    /* A gzip file cut anywhere. */
    void *packed;
    size_t np;
    if (CHECK_OK(brume_file_read(path_l, 1000, &packed, &np))) {
        for (size_t cut = 0; cut < np; cut++) {
            put(path_l, packed, cut);
            opened += brume_dataset_open(in_dir("idx"), NULL, &ds) == BRUME_OK;
            brume_dataset_free(ds);
        }
        CHECK_INT(opened, 0);
        free(packed);
    }
    put_gz(path_l, labels, nl - 1);
    CHECK_FAILS(brume_dataset_open(in_dir("idx"), NULL, &ds), BRUME_E_FORMAT, "3 bytes of labels, expected 4");
    labels[7] = 3;
    put_gz(path_l, labels, nl - 1);
    CHECK_FAILS(brume_dataset_open(in_dir("idx"), NULL, &ds), BRUME_E_FORMAT, "3 labels, expected 4");
}

static void test_cifar(void)
{
    unsigned char *r = calloc(2, 3073);
    brume_dataset *ds;
    if (!CHECK(r != NULL)) return;
    CHECK_OK(brume_make_folders(in_dir("cifar")));
    r[0] = 8;
    r[1 + 1024] = 255; /* green of the first pixel */
    r[3073] = 6;
    put_gz(in_dir("cifar/data_batch_1.bin.gz"), r, 2 * 3073);
    CHECK_OK(brume_file_write(in_dir("cifar/data_batch_2.bin"), r, 3073));
    if (CHECK_OK(brume_dataset_open(in_dir("cifar"), NULL, &ds))) {
        float x[3072];
        int32_t label;
        char text[20];
        CHECK_INT(brume_dataset_count(ds), 3);
        CHECK_OK(brume_dataset_get(ds, 2, x, &label));
        CHECK(label == 8 && x[0] == -1 && x[1] == 1 && x[2] == -1);
        CHECK_OK(brume_dataset_caption(ds, 2, text, sizeof text));
        CHECK_STR(text, "a ship");
        CHECK_OK(brume_dataset_caption(ds, 1, text, 3));
        CHECK_STR(text, "a ");
    }
    brume_dataset_free(ds);
    CHECK_OK(brume_file_write(in_dir("cifar/data_batch_2.bin"), r, 3072));
    CHECK_FAILS(brume_dataset_open(in_dir("cifar"), NULL, &ds), BRUME_E_FORMAT, "3072 bytes");
    r[0] = 10;
    CHECK_OK(brume_file_write(in_dir("cifar/data_batch_2.bin"), r, 3073));
    CHECK_FAILS(brume_dataset_open(in_dir("cifar"), NULL, &ds), BRUME_E_FORMAT, "label 10");
    free(r);
}

static void test_folder(void)
{
    brume_image *im;
    brume_dataset *ds;
    CHECK_OK(brume_make_folders(in_dir("pics/cat")));
    CHECK_OK(brume_make_folders(in_dir("pics/ant")));
    CHECK_OK(brume_make_folders(in_dir("pics/empty")));
    if (!CHECK_OK(brume_image_new(16, 24, 4, &im))) return;
    for (int i = 0; i < 16 * 24; i++) { /* left third black, the middle red, the right transparent */
        const int x = i % 24;
        im->pixels[4 * i] = x >= 8 && x < 16 ? 255 : 0;
        im->pixels[4 * i + 3] = x < 16 ? 255 : 0;
    }
    CHECK_OK(brume_png_write(in_dir("pics/cat/b.png"), im));
    CHECK_OK(brume_png_write(in_dir("pics/cat/a.PNG"), im));
    CHECK_OK(brume_png_write(in_dir("pics/ant/z.png"), im));
    brume_image_free(im);
    put(in_dir("pics/cat/b.txt"), "a red bar\n", 10);
    put(in_dir("pics/cat/notes.md"), "x", 1);
    if (CHECK_OK(brume_dataset_open(in_dir("pics"), NULL, &ds))) {
        float x[16 * 24 * 3];
        char text[32];
        int32_t label;
        CHECK(brume_dataset_count(ds) == 3 && brume_dataset_classes(ds) == 2 && brume_dataset_height(ds) == 16 &&
              brume_dataset_width(ds) == 24);
        CHECK_STR(brume_dataset_class_name(ds, 0), "ant");
        CHECK_OK(brume_dataset_get(ds, 2, x, &label));
        CHECK_INT(label, 1);
        CHECK(x[0] == -1 && x[3 * 10] == 1 && x[3 * 10 + 1] == -1 && x[3 * 20] == 1 && x[3 * 20 + 1] == 1);
        CHECK_OK(brume_dataset_caption(ds, 2, text, sizeof text));
        CHECK_STR(text, "a red bar");
        CHECK_OK(brume_dataset_caption(ds, 1, text, sizeof text));
        CHECK_STR(text, "cat");
    }
    brume_dataset_free(ds);
    const brume_dataset_options small = { .size = 8, .channels = 1 }, bad = { .size = 5000 };
    if (CHECK_OK(brume_dataset_open(in_dir("pics"), &small, &ds))) {
        float x[64];
        CHECK_OK(brume_dataset_get(ds, 0, x, NULL)); /* the middle 16 x 16: columns 4 .. 19 */
        CHECK_NEAR(x[0], -1, 1e-6);
        CHECK_NEAR(x[3], 2 * 0.299 - 1, 1e-5);
        CHECK_NEAR(x[7], 1, 1e-6);
    }
    brume_dataset_free(ds);
    CHECK_FAILS(brume_dataset_open(in_dir("pics"), &bad, &ds), BRUME_E_ARG, "5000");
    put(in_dir("pics/ant/a.jpg"), "\xff\xd8\xff\xe0", 4);
    const brume_status s = brume_dataset_open(in_dir("pics"), NULL, &ds);
    CHECK(s == BRUME_E_FORMAT || s == BRUME_E_UNSUPPORTED);
    put(in_dir("pics/ant/a.jpg"), "BM6789", 6);
    CHECK_FAILS(brume_dataset_open(in_dir("pics"), NULL, &ds), BRUME_E_FORMAT, "neither");
    CHECK_OK(brume_make_folders(in_dir("pics/train/k")));
    CHECK_OK(brume_make_folders(in_dir("pics/test/k")));
    CHECK_FAILS(brume_dataset_open(in_dir("pics"), NULL, &ds), BRUME_E_FORMAT, "looked for");
}

/* Real JPEG files: right content, and every truncation and many flips refused or read, never worse. */
static void test_jpeg(void)
{
    const brume_dataset_options o = { .size = 32 };
    brume_dataset *ds;
    float x[32 * 32 * 3];
    if (!CHECK_OK(brume_dataset_open(check_shared("data/folder"), &o, &ds))) return;
    CHECK(brume_dataset_count(ds) == 100 && brume_dataset_classes(ds) == 4);
    CHECK_STR(brume_dataset_class_name(ds, 3), "ship");
    const brume_status s = brume_dataset_get(ds, 99, x, NULL);
    brume_dataset_free(ds);
    if (s == BRUME_E_UNSUPPORTED) {
        check_skip("no JPEG in this build");
        return;
    }
    CHECK_OK(s);
    void *bytes;
    size_t n;
    DIR *d = opendir(check_shared("data/folder/cat"));
    struct dirent *e;
    while (d && (e = readdir(d)) && !strstr(e->d_name, ".jp")) continue;
    char path[700];
    snprintf(path, sizeof path, "data/folder/cat/%s", d && e ? e->d_name : "");
    const brume_status read = brume_file_read(check_shared(path), 1 << 20, &bytes, &n);
    if (d) closedir(d);
    if (!CHECK_OK(read)) return;
    brume_rng r = { .seed = 4 };
    int whole = 0;
    const char *broken = in_dir("x.jpg");
    for (int round = 0; round < 600; round++) {
        unsigned char *copy = malloc(n);
        if (!copy) break;
        memcpy(copy, bytes, n);
        const size_t cut = round < 300 ? n * (size_t)round / 300 : n;
        if (round >= 300) copy[brume_rng_below(&r, (uint32_t)n)] ^= (unsigned char)(1u << brume_rng_below(&r, 8));
        put(broken, copy, cut);
        brume_image *im;
        whole += brume_image_read(broken, &im) == BRUME_OK && round < 300;
        brume_image_free(im);
        free(copy);
    }
    CHECK_INT(whole, 0);
    free(bytes);
}

static void test_loader(void)
{
    const brume_dataset_options o = { .size = 8, .channels = 1, .count = 50 };
    brume_dataset *ds;
    brume_loader *l, *fresh;
    if (!CHECK_OK(brume_dataset_open("shapes", &o, &ds)) || !CHECK_OK(brume_loader_new(ds, 9, &l))) return;
    int64_t order[200], again[16], labels[16];
    float images[16 * 64], one[64];
    CHECK_OK(brume_loader_read(l, 0, 200, NULL, NULL, order));
    int moved = 0;
    for (int e = 0; e < 4; e++) {
        int seen[50] = { 0 }, twice = 0;
        for (int i = 0; i < 50; i++) {
            twice += seen[order[50 * e + i]]++ > 0;
            moved += order[50 * e + i] != order[i];
        }
        CHECK_INT(twice, 0);
    }
    CHECK(moved > 100);
    /* A batch in the middle, over the end of an epoch, from a fresh loader and in another order of calls. */
    if (CHECK_OK(brume_loader_new(ds, 9, &fresh))) {
        CHECK_OK(brume_loader_read(fresh, 144, 16, images, labels, again));
        CHECK(!memcmp(again, order + 144, sizeof again));
        CHECK_OK(brume_loader_read(fresh, 40, 16, images, labels, again));
        CHECK(!memcmp(again, order + 40, sizeof again));
        int32_t label;
        CHECK_OK(brume_dataset_get(ds, again[13], one, &label));
        CHECK(label == labels[13] && !memcmp(one, images + 13 * 64, sizeof one));
        CHECK_FAILS(brume_loader_read(fresh, -1, 1, NULL, NULL, again), BRUME_E_ARG, "-1");
    }
    brume_loader_free(fresh);
    if (CHECK_OK(brume_loader_new(ds, 10, &fresh))) {
        CHECK_OK(brume_loader_read(fresh, 0, 16, NULL, NULL, again));
        CHECK(memcmp(again, order, sizeof again) != 0);
    }
    brume_loader_free(fresh);
    brume_loader_free(l);
    brume_dataset_free(ds);
}

static void test_shared(void)
{
    static const int32_t train[5] = { 5, 0, 4, 1, 9 }, test[5] = { 7, 2, 1, 0, 4 };
    if (!brume_is_folder(check_shared("data/mnist"))) {
        check_skip("no MNIST (BRUME_SHARED, ../shared)");
        return;
    }
    for (int t = 0; t < 2; t++) {
        const brume_dataset_options o = { .test = t };
        brume_dataset *ds;
        if (!CHECK_OK(brume_dataset_open(check_shared("data/mnist"), &o, &ds))) continue;
        CHECK_INT(brume_dataset_count(ds), t ? 10000 : 60000);
        CHECK(brume_dataset_height(ds) == 28 && brume_dataset_width(ds) == 28 && brume_dataset_classes(ds) == 10);
        for (int i = 0; i < 5; i++) {
            int32_t label = -1;
            float x[28 * 28];
            CHECK_OK(brume_dataset_get(ds, i, x, &label));
            CHECK_INT(label, t ? test[i] : train[i]);
            CHECK_NEAR(x[0], -1, 0);
        }
        brume_dataset_free(ds);
    }
    for (int t = 0; t < 2; t++) {
        const brume_dataset_options o = { .test = t };
        brume_dataset *ds;
        if (!CHECK_OK(brume_dataset_open(check_shared("data/cifar10"), &o, &ds))) continue;
        CHECK_INT(brume_dataset_count(ds), t ? 2000 : 10000);
        brume_dataset_free(ds);
    }
    test_jpeg();
}

int main(void)
{
    if (!mkdtemp(dir)) return 1;
    test_shapes();
    test_idx();
    test_cifar();
    test_folder();
    test_loader();
    test_shared();
    CHECK_OK(brume_folder_remove(dir));
    return check_report();
}
