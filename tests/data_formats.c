/* SPDX-License-Identifier: MIT
 * Formats of data sets: arrays, PGM, PPM, GIF, 16 bits, opacity, CIFAR-100, lists of labels; damaged files of each; bad files
 * among good ones. */
#include <math.h>
#include <unistd.h>
#include <zlib.h>

#include "base/byte_order.h"
#include "base/file.h"
#include "base/folder.h"
#include "brume/data.h"
#include "brume/image.h"
#include "brume/rng.h"
#include "brume/safetensors.h"
#include "check.h"

static char dir[] = "/tmp/brume-test-XXXXXX";

static const char *in_dir(const char *name)
{
    static char path[8][600];
    static int next;
    char *p = path[next++ % 8];
    snprintf(p, sizeof path[0], "%s/%s", dir, name);
    return p;
}

static void put(const char *path, const void *bytes, size_t n)
{
    FILE *f = fopen(path, "wb");
    CHECK(f && fwrite(bytes, 1, n, f) == n && !fclose(f));
}

static void put_text(const char *path, const char *text) { put(path, text, strlen(text)); }

/* A .npy file in out, and how long it is. */
static size_t npy(uint8_t *out, int version, const char *descr, int fortran, const char *shape, const void *values, size_t bytes)
{
    char head[200];
    const size_t start = version == 1 ? 10 : 12;
    int n = snprintf(head, sizeof head, "{'descr': '%s', 'fortran_order': %s, 'shape': %s, }", descr, fortran ? "True" : "False",
                     shape);
    while ((start + (size_t)n + 1) % 64) head[n++] = ' ';
    head[n++] = '\n';
    memcpy(out, "\x93NUMPY", 6);
    out[6] = (uint8_t)version;
    out[7] = 0;
    out[8] = (uint8_t)n;
    out[9] = (uint8_t)(n >> 8);
    if (version > 1) out[10] = out[11] = 0;
    memcpy(out + start, head, (size_t)n);
    memcpy(out + start + n, values, bytes);
    return start + (size_t)n + bytes;
}

enum { N = 3, H = 4, W = 5, C = 3, ALL = N * H * W * C };

/* The value of a picture element, 0 .. 255, different for all places of an image. */
static int at(int n, int y, int x, int c) { return (n * 37 + y * 61 + x * 11 + c * 3) % 256; }

/* Values of arrays [i0][i1][i2][i3] in the order that the layout wants. */
static void fill(const char *type, int planes, int fortran, uint8_t *out)
{
    const int d[4] = { N, planes ? C : H, planes ? H : W, planes ? W : C };
    for (int i0 = 0; i0 < d[0]; i0++)
        for (int i1 = 0; i1 < d[1]; i1++)
            for (int i2 = 0; i2 < d[2]; i2++)
                for (int i3 = 0; i3 < d[3]; i3++) {
                    const int k =
                        fortran ? ((i3 * d[2] + i2) * d[1] + i1) * d[0] + i0 : ((i0 * d[1] + i1) * d[2] + i2) * d[3] + i3;
                    const int v = planes ? at(i0, i2, i3, i1) : at(i0, i1, i2, i3), bytes = type[2] - '0';
                    uint8_t word[8];
                    const double x = v / 255.0;
                    const float f = (float)x;
                    if (type[1] == 'u') {
                        const uint16_t wide = (uint16_t)(v * 257);
                        if (bytes == 1) word[0] = (uint8_t)v;
                        else memcpy(word, &wide, 2);
                    } else if (bytes == 4) {
                        memcpy(word, &f, 4);
                    } else {
                        memcpy(word, &x, 8);
                    }
                    brume_little_endian(word, 1, (size_t)bytes);
                    for (int b = 0; b < bytes; b++) out[k * bytes + b] = word[type[0] == '>' ? bytes - 1 - b : b];
                }
}

static void check_items(const char *path, const char *what)
{
    brume_dataset *ds;
    float x[H * W * C];
    int32_t label = -1;
    if (!CHECK_OK(brume_dataset_open(path, NULL, &ds))) {
        printf("  with %s\n", what);
        return;
    }
    CHECK(brume_dataset_count(ds) == N && brume_dataset_height(ds) == H && brume_dataset_width(ds) == W &&
          brume_dataset_channels(ds) == C);
    int wrong = 0;
    for (int n = N - 1; n >= 0; n--) {
        CHECK_OK(brume_dataset_get(ds, n, x, &label));
        /* roundings of f32 */
        for (int k = 0; k < H * W * C; k++)
            wrong += !(fabs((double)x[k] - (at(n, k / C / W, k / C % W, k % C) / 127.5 - 1)) < 1e-6);
    }
    if (!CHECK_INT(wrong, 0)) printf("  with %s\n", what);
    brume_dataset_free(ds);
}

static void test_npy(void)
{
    static const char *const types[] = { "|u1", "<u2", ">u2", "<f4", ">f4", "<f8", ">f8" };
    uint8_t values[ALL * 8], file[ALL * 8 + 256];
    for (size_t t = 0; t < sizeof types / sizeof *types; t++)
        for (int variant = 0; variant < 4; variant++) {
            char what[64], shape[64];
            const int planes = variant & 1, fortran = variant >> 1;
            fill(types[t], planes, fortran, values);
            snprintf(shape, sizeof shape, planes ? "(%d, 3, %d, %d)" : "(%d, %d, %d, 3)", N, H, W);
            const size_t n =
                npy(file, 1 + (int)t % 3, types[t], fortran, shape, values, (size_t)ALL * (size_t)(types[t][2] - '0'));
            put(in_dir("images.npy"), file, n);
            snprintf(what, sizeof what, "%s, %s, %s", types[t], planes ? "planes" : "interleaved", fortran ? "Fortran" : "C");
            check_items(in_dir("images.npy"), what);
        }
    const int64_t labels[N] = { 2, 0, 5 };
    int64_t stored[N];
    memcpy(stored, labels, sizeof stored);
    brume_little_endian(stored, N, sizeof *stored);
    size_t n = npy(file, 1, "<i8", 0, "(3,)", stored, sizeof stored);
    put(in_dir("labels.npy"), file, n);
    brume_dataset *ds;
    if (CHECK_OK(brume_dataset_open(dir, NULL, &ds))) { /* the folder holds images.npy */
        int32_t label;
        CHECK_INT(brume_dataset_classes(ds), 6);
        CHECK_OK(brume_dataset_get(ds, 2, NULL, &label));
        CHECK_INT(label, 5);
    }
    brume_dataset_free(ds);
    n = npy(file, 1, "<i8", 0, "(2,)", labels, 16);
    put(in_dir("labels.npy"), file, n);
    CHECK_FAILS(brume_dataset_open(dir, NULL, &ds), BRUME_E_FORMAT, "2 labels, expected 3");
    unlink(in_dir("labels.npy"));
    static const struct { const char *descr, *shape; size_t bytes; brume_status status; const char *says; } bad[] = {
        { "<i4", "(3, 2, 2)", 48, BRUME_E_UNSUPPORTED, "without a sign" },
        { "<c8", "(3, 2, 2)", 96, BRUME_E_UNSUPPORTED, "<c8" },
        { "<u4", "(3, 2, 2)", 48, BRUME_E_UNSUPPORTED, "8 or 16 bits" },
        { "|u1", "(3, 2, 2)", 11, BRUME_E_FORMAT, "11 bytes of values, expected 12" },
        { "|u1", "(4611686018427387904, 4611686018427387904, 16)", 0, BRUME_E_FORMAT, "0 bytes of values" },
        { "|u1", "(99999999999999999999, 2, 2)", 0, BRUME_E_FORMAT, "its header must be" },
        { "|u1", "(3, -2, 2)", 12, BRUME_E_FORMAT, "its header must be" },
        { "|u1", "(3, 2, 2, 2)", 24, BRUME_E_SHAPE, "none of them such a C" },
        { "|u1", "(12,)", 12, BRUME_E_SHAPE, "got 1 sizes" },
        { "|u1", "()", 1, BRUME_E_SHAPE, "got 0 sizes" },
        { "|u1", "(0, 2, 2)", 0, BRUME_E_SHAPE, "0 images" },
    };
    memset(values, 0, sizeof values);
    for (size_t k = 0; k < sizeof bad / sizeof *bad; k++) {
        n = npy(file, 1, bad[k].descr, 0, bad[k].shape, values, bad[k].bytes);
        put(in_dir("images.npy"), file, n);
        CHECK_FAILS(brume_dataset_open(in_dir("images.npy"), NULL, &ds), bad[k].status, bad[k].says);
    }
    /* The range of floats: as the values suggest, as asked for, and never guessed wrong in silence. */
    static const struct { float value; brume_value_range range; float want; const char *says; } ranges[] = {
        { 1, BRUME_RANGE_AUTO, 1, NULL }, { -1, BRUME_RANGE_AUTO, -1, NULL }, { 255, BRUME_RANGE_AUTO, 1, NULL },
        { 1, BRUME_RANGE_SIGNED, 1, NULL }, { 0, BRUME_RANGE_SIGNED, 0, NULL }, { 0, BRUME_RANGE_UNIT, -1, NULL },
        { 51, BRUME_RANGE_BYTE, -0.6f, NULL }, { 2, BRUME_RANGE_UNIT, 0, "expected 0 to 1" },
        { -3, BRUME_RANGE_AUTO, 0, "value of -3" }, { NAN, BRUME_RANGE_AUTO, 0, "nan" },
    };
    for (size_t k = 0; k < sizeof ranges / sizeof *ranges; k++) {
        const brume_dataset_options o = { .range = ranges[k].range };
        float x = 0, value = ranges[k].value;
        brume_little_endian(&value, 1, sizeof value);
        n = npy(file, 1, "<f4", 0, "(1, 1, 1)", &value, sizeof value);
        put(in_dir("images.npy"), file, n);
        if (!CHECK_OK(brume_dataset_open(in_dir("images.npy"), &o, &ds))) continue;
        if (ranges[k].says) CHECK_FAILS(brume_dataset_get(ds, 0, &x, NULL), BRUME_E_FORMAT, ranges[k].says);
        else CHECK(brume_dataset_get(ds, 0, &x, NULL) == BRUME_OK && fabsf(x - ranges[k].want) < 1e-6f);
        brume_dataset_free(ds);
    }
    unlink(in_dir("images.npy"));
}

static void test_safetensors(void)
{
    float values[ALL];
    const int64_t shape[4] = { N, C, H, W }, label_shape[1] = { N }, labels[N] = { 1, 0, 1 };
    for (int n = 0; n < N; n++)
        for (int c = 0; c < C; c++)
            for (int p = 0; p < H * W; p++) values[(n * C + c) * H * W + p] = (float)(at(n, p / W, p % W, c) / 127.5 - 1);
    const brume_st_item items[] = { { "images", BRUME_ST_F32, 4, shape, values },
                                    { "labels", BRUME_ST_I64, 1, label_shape, labels } };
    const char *path = in_dir("train.safetensors");
    CHECK_OK(brume_safetensors_write(path, items, 2, NULL));
    check_items(path, "safetensors");
    brume_dataset *ds;
    const brume_dataset_options grey = { .size = 8, .width = 10, .channels = 1,
                                         .insist = BRUME_INSIST_SIZE | BRUME_INSIST_CHANNELS };
    if (CHECK_OK(brume_dataset_open(dir, &grey, &ds))) {
        float x[80];
        CHECK(brume_dataset_classes(ds) == 2 && brume_dataset_height(ds) == 8 && brume_dataset_width(ds) == 10 &&
              brume_dataset_channels(ds) == 1);
        CHECK_OK(brume_dataset_get(ds, 0, x, NULL)); /* each value becomes 2 x 2 */
        const double luma = (0.299 * at(0, 1, 2, 0) + 0.587 * at(0, 1, 2, 1) + 0.114 * at(0, 1, 2, 2)) / 127.5 - 1;
        CHECK_NEAR(x[2 * 10 + 4], luma, 1e-5);
        CHECK_NEAR(x[3 * 10 + 5], luma, 1e-5);
    }
    brume_dataset_free(ds);
    CHECK_OK(brume_safetensors_write(path, items + 1, 1, NULL));
    CHECK_FAILS(brume_dataset_open(dir, NULL, &ds), BRUME_E_FORMAT, "no tensor 'images'");
    unlink(path);
}

static void test_pnm(void)
{
    static const struct { const char *name, *file; size_t n; int32_t channels; int deep; uint16_t first, last; } good[] = {
        { "P2", "P2\n# a comment\n2 2\n255\n0 10\n20 255\n", 0, 1, 0, 0, 255 },
        { "P2 deep", "P2 2 2 65535 1 2 3 65534", 0, 1, 1, 1, 65534 },
        { "P3", "P3 2 1 # sizes\n15 15 0 0 0 0 15", 0, 3, 1, 65535, 65535 },
        { "P5", "P5 2 2 255 \x01\x02\x03\xff", 15, 1, 0, 1, 255 },
        { "P5 deep", "P5 1 2 65535\n\x01\x02\xff\xfe", 17, 1, 1, 0x0102, 0xfffe },
        { "P6", "P6\n1 1\n255\nabc", 0, 3, 0, 'a', 'c' },
        { "1 bit", "P5 2 1 1\n\x00\x01", 11, 1, 1, 0, 65535 },
    };
    brume_image *im;
    for (size_t k = 0; k < sizeof good / sizeof *good; k++) {
        const size_t n = good[k].n ? good[k].n : strlen(good[k].file);
        put(in_dir("x.pgm"), good[k].file, n);
        if (!CHECK_OK(brume_image_read(in_dir("x.pgm"), &im))) {
            printf("  with %s\n", good[k].name);
            continue;
        }
        const int last = im->height * im->width * im->channels - 1;
        CHECK_INT(im->channels, good[k].channels);
        if (CHECK(!im->deep == !good[k].deep)) {
            CHECK_INT(im->deep ? im->deep[0] : im->pixels[0], good[k].first);
            CHECK_INT(im->deep ? im->deep[last] : im->pixels[last], good[k].last);
        }
        brume_image_free(im);
    }
    static const char *const bad[] = { "P5 0 2 255 ab", "P5 2 2 0 abcd", "P5 2 2 65536 abcd", "P5 70000 1 255 a",
                                       "P5 60000 60000 255 a", "P2 2 2 10 1 2 3", "P2 2 2 10 1 2 3 11", "P5 2 2 255",
                                       "P6 1 1 255 ab", "P2 2 x", "P2 99999999999999999999 1 1 1", "P4 1 1 a", "P" };
    for (size_t k = 0; k < sizeof bad / sizeof *bad; k++) {
        put_text(in_dir("x.pgm"), bad[k]);
        CHECK_FAILS(brume_image_read(in_dir("x.pgm"), &im), k == 4 ? BRUME_E_UNSUPPORTED : BRUME_E_FORMAT, "x.pgm");
    }
    unlink(in_dir("x.pgm"));
}

/* 2 x 2 pixels: red, the transparent colour, green, blue. */
static const uint8_t gif[] = {
    'G', 'I', 'F', '8', '9', 'a', 2, 0, 2, 0, 0x81, 0, 0, 255, 0, 0, 0, 255, 0, 0, 0, 255, 9, 9, 9, /* screen and four colours */
    0x21, 0xf9, 4, 1, 0, 0, 3, 0, 0x2c, 0, 0, 0, 0, 2, 0, 2, 0, 0, 2, 3, 0xc4, 0x22, 0x05, 0, 0x3b };

static void test_gif(void)
{
    brume_image *im;
    put(in_dir("x.gif"), gif, sizeof gif);
    const brume_status s = brume_image_read(in_dir("x.gif"), &im);
    unlink(in_dir("x.gif"));
    if (s == BRUME_E_UNSUPPORTED) {
        check_skip("no GIF in this build");
        return;
    }
    if (!CHECK_OK(s)) return;
    static const uint8_t want[16] = { 255, 0, 0, 255, 0, 0, 0, 0, 0, 255, 0, 255, 0, 0, 255, 255 };
    CHECK(im->height == 2 && im->width == 2 && im->channels == 4 && !memcmp(im->pixels, want, sizeof want));
    brume_image_free(im);
}

/* A 16-bit grey PNG of one row, 65535 / 3 apart; made by hand, as brume writes 8 bits. */
static size_t deep_png(uint8_t *out)
{
    static const uint8_t raw[9] = { 0, 0, 0, 0x55, 0x56, 0xaa, 0xaa, 0xff, 0xff };
    uint8_t packed[64];
    uLongf size = sizeof packed;
    size_t n = 8;
    compress(packed, &size, raw, sizeof raw);
    memcpy(out, "\x89PNG\r\n\x1a\n", 8);
    const struct { const char *name; const uint8_t *data; size_t bytes; } chunks[] = {
        { "IHDR", (const uint8_t *)"\0\0\0\x04\0\0\0\x01\x10\0\0\0\0", 13 }, { "IDAT", packed, size }, { "IEND", NULL, 0 } };
    for (int k = 0; k < 3; k++) {
        const size_t bytes = chunks[k].bytes;
        uint8_t *p = out + n;
        for (int b = 0; b < 4; b++) p[b] = (uint8_t)(bytes >> (24 - 8 * b));
        memcpy(p + 4, chunks[k].name, 4);
        if (bytes) memcpy(p + 8, chunks[k].data, bytes);
        const uLong sum = crc32(crc32(0, NULL, 0), p + 4, (uInt)bytes + 4);
        for (int b = 0; b < 4; b++) p[8 + bytes + (size_t)b] = (uint8_t)(sum >> (24 - 8 * b));
        n += bytes + 12;
    }
    return n;
}

static void test_deep(void)
{
    uint8_t file[256];
    brume_dataset *ds;
    CHECK_OK(brume_make_folders(in_dir("deep")));
    put(in_dir("deep/a.png"), file, deep_png(file));
    const brume_dataset_options o = { .channels = 1 };
    if (CHECK_OK(brume_dataset_open(in_dir("deep"), &o, &ds))) {
        float x[4] = { 0 };
        brume_item_info info;
        CHECK_OK(brume_dataset_look(ds, 0, &info));
        CHECK(info.bits == 16 && info.channels == 1 && info.width == 4 && info.height == 1);
        CHECK_OK(brume_dataset_get(ds, 0, x, NULL));
        CHECK_NEAR(x[1], 0x5556 / 32767.5 - 1, 1e-7); /* 8 bits would be off by 1e-5 */
        CHECK_NEAR(x[3], 1, 0);
    }
    brume_dataset_free(ds);
    unlink(in_dir("deep/a.png"));
    /* Opacity: kept with 4 channels, white shows through with 3. */
    brume_image *im;
    if (!CHECK_OK(brume_image_new(1, 2, 4, &im))) return;
    memcpy(im->pixels, "\xff\x00\x00\xff\x00\xff\x00\x00", 8);
    CHECK_OK(brume_png_write(in_dir("deep/b.png"), im));
    brume_image_free(im);
    for (int c = 3; c <= 4; c++) {
        const brume_dataset_options with = { .channels = c };
        static const float want[2][8] = { { 1, -1, -1, 1, 1, 1 }, { 1, -1, -1, 1, -1, 1, -1, -1 } };
        float x[8] = { 0 };
        if (CHECK_OK(brume_dataset_open(in_dir("deep"), &with, &ds)) && CHECK_OK(brume_dataset_get(ds, 0, x, NULL)))
            CHECK(!memcmp(x, want[c - 3], 2 * 4 * (size_t)c));
        brume_dataset_free(ds);
    }
}

static void test_cifar100(void)
{
    uint8_t *records = malloc(2 * 3074);
    brume_dataset *ds;
    if (!CHECK(records != NULL)) return;
    for (int k = 0; k < 2 * 3074; k++) records[k] = (uint8_t)k;
    records[0] = 4, records[1] = 0, records[3074] = 19, records[3075] = 99;
    CHECK_OK(brume_make_folders(in_dir("cifar100")));
    gzFile f = gzopen(in_dir("cifar100/train.bin.gz"), "wb");
    CHECK(f && gzwrite(f, records, 2 * 3074) == 2 * 3074 && gzclose(f) == Z_OK);
    for (int coarse = 0; coarse < 2; coarse++) {
        const brume_dataset_options o = { .coarse = coarse };
        float x[3072];
        int32_t label;
        if (!CHECK_OK(brume_dataset_open(in_dir("cifar100"), &o, &ds))) continue;
        CHECK(brume_dataset_count(ds) == 2 && brume_dataset_classes(ds) == (coarse ? 20 : 100));
        CHECK_STR(brume_dataset_kind(ds), "cifar100");
        CHECK_OK(brume_dataset_get(ds, 1, x, &label));
        CHECK_INT(label, coarse ? 19 : 99);
        CHECK_STR(brume_dataset_class_name(ds, label), coarse ? "vehicles 2" : "worm");
        CHECK_NEAR(x[1], brume_from_byte((uint8_t)(3074 + 2 + 1024)), 0);
        brume_dataset_free(ds);
    }
    records[1] = 100;
    unlink(in_dir("cifar100/train.bin.gz"));
    put(in_dir("cifar100/train.bin"), records, 2 * 3074);
    CHECK_FAILS(brume_dataset_open(in_dir("cifar100"), NULL, &ds), BRUME_E_FORMAT, "label 100, expected 0 to 99");
    free(records);
}

static void put_grey(const char *path, uint8_t value)
{
    char file[] = "P5 1 1 255 x";
    file[11] = (char)value;
    put(path, file, 12);
}

static void test_labels(void)
{
    static const struct { const char *name, *text, *classes[3]; int labels[3]; const char *says; } lists[] = {
        { "labels.csv", "file_name,label\na.pgm,dog\nb.pgm,cat\n\"c.pgm\", dog \r\n", { "cat", "dog", "" }, { 1, 0, 1 }, NULL },
        { "labels.csv", "a.pgm,2\nb.pgm,0\nc.pgm,0\n", { "0", "1", "2" }, { 2, 0, 0 }, NULL },
        { "labels.txt", "a.pgm zebra\nb.pgm\tant\n./c.pgm  ant\n", { "ant", "zebra", "" }, { 1, 0, 0 }, NULL },
        { "metadata.jsonl",
          "{\"file_name\": \"a.pgm\", \"label\": 1}\n{\"file_name\": \"b.pgm\", \"label\": 0, \"text\": "
          "\"bee\"}\n{\"file_name\": \"c.pgm\", \"label\": 1}\n",
          { "0", "1", "" },
          { 1, 0, 1 },
          NULL },
        { "labels.csv", "a.pgm,1\nb.pgm,0\n", { "" }, { 0 }, "1 of 3 pictures have no label, the first is" },
        { "labels.csv", "a.pgm,1\na.pgm,0\n", { "" }, { 0 }, "labels.csv:2: 'a.pgm' has a label already" },
        { "labels.csv", "a.pgm,1\nx.pgm,0\n", { "" }, { 0 }, "labels.csv:2: there is no picture 'x.pgm'" },
        { "labels.csv", "a.pgm\n", { "" }, { 0 }, "labels.csv:1: expected a picture and its label" },
        { "labels.txt", "a.pgm \n", { "" }, { 0 }, "labels.txt:1: expected" },
    };
    CHECK_OK(brume_make_folders(in_dir("list")));
    put_grey(in_dir("list/a.pgm"), 1);
    put_grey(in_dir("list/b.pgm"), 2);
    put_grey(in_dir("list/c.pgm"), 3);
    for (size_t k = 0; k < sizeof lists / sizeof *lists; k++) {
        char path[64];
        brume_dataset *ds;
        snprintf(path, sizeof path, "list/%s", lists[k].name);
        put_text(in_dir(path), lists[k].text);
        if (lists[k].says) {
            CHECK_FAILS(brume_dataset_open(in_dir("list"), NULL, &ds), BRUME_E_FORMAT, lists[k].says);
        } else if (CHECK_OK(brume_dataset_open(in_dir("list"), NULL, &ds))) {
            for (int c = 0; c < 3; c++) CHECK_STR(brume_dataset_class_name(ds, c), lists[k].classes[c]);
            for (int i = 0; i < 3; i++) {
                int32_t label = -1;
                CHECK_OK(brume_dataset_get(ds, i, NULL, &label));
                CHECK_INT(label, lists[k].labels[i]);
            }
            brume_dataset_free(ds);
        }
        unlink(in_dir(path));
    }
}

static void test_bad_files(void)
{
    const brume_dataset_options skip = { .bad_files = BRUME_BAD_FILES_SKIP };
    brume_dataset *ds;
    CHECK_OK(brume_make_folders(in_dir("bad/x")));
    CHECK_OK(brume_make_folders(in_dir("bad/y")));
    put_grey(in_dir("bad/x/a.pgm"), 0);
    put_text(in_dir("bad/x/b.pgm"), "P5 2 2 255 "); /* begins well */
    put_text(in_dir("bad/x/c.pgm"), "");
    put_grey(in_dir("bad/y/d.pgm"), 255);
    put_text(in_dir("bad/y/e.pgm"), "P5 2 2 255 ");
    CHECK_FAILS(brume_dataset_open(in_dir("bad"), NULL, &ds), BRUME_E_FORMAT, "1 of 5 files are no pictures; the first: ");
    CHECK_FAILS(brume_dataset_open(in_dir("bad"), NULL, &ds), BRUME_E_FORMAT, "c.pgm: is empty");
    if (CHECK_OK(brume_dataset_open(in_dir("bad"), &skip, &ds))) {
        float x[3] = { 0 };
        char text[32];
        int32_t label = -1;
        CHECK_INT(brume_dataset_count(ds), 4);
        CHECK_INT(brume_dataset_bad_count(ds), 1);
        CHECK(strstr(brume_dataset_bad(ds, 0), "c.pgm: is empty") != NULL);
        CHECK_OK(brume_dataset_caption(ds, 1, text, sizeof text)); /* of the item that takes its place, before that is read */
        CHECK_STR(text, "y");
        CHECK_OK(brume_dataset_get(ds, 1, x, &label));
        CHECK(x[0] == 1 && label == 1);
        CHECK_OK(brume_dataset_get(ds, 3, x, &label)); /* goes on at the beginning */
        CHECK(x[0] == -1 && label == 0);
        CHECK_INT(brume_dataset_bad_count(ds), 3);
        CHECK(strstr(brume_dataset_bad(ds, 2), "e.pgm") && !brume_dataset_bad(ds, 3));
        brume_dataset_free(ds);
    }
    unlink(in_dir("bad/x/a.pgm"));
    unlink(in_dir("bad/y/d.pgm"));
    const brume_dataset_options sized = { .bad_files = BRUME_BAD_FILES_SKIP, .size = 8 };
    if (CHECK_OK(brume_dataset_open(in_dir("bad"), &sized, &ds))) {
        float x[8 * 8 * 3];
        CHECK_FAILS(brume_dataset_get(ds, 0, x, NULL), BRUME_E_FORMAT, "none of its 2 items can be read");
        brume_dataset_free(ds);
    }
    unlink(in_dir("bad/x/c.pgm"));
    const brume_dataset_options fail = { .size = 8 };
    if (CHECK_OK(brume_dataset_open(in_dir("bad"), &fail, &ds))) { /* which looks at first bytes alone */
        float x[8 * 8 * 3];
        CHECK_FAILS(brume_dataset_get(ds, 0, x, NULL), BRUME_E_FORMAT, "b.pgm");
        brume_dataset_free(ds);
    }
}

/* Every truncation and many damaged bits of a file: read or refused with its name, never worse (under the sanitizers). */
static void damage(const char *name, const uint8_t *bytes, size_t n, int image)
{
    brume_rng r = { .seed = 7 };
    const char *path = in_dir(name);
    int whole = 0;
    for (size_t round = 0; round < n + 600; round++) {
        uint8_t *copy = malloc(n);
        if (!copy) break;
        memcpy(copy, bytes, n);
        for (uint32_t k = 0; round >= n && k <= brume_rng_below(&r, 3); k++)
            copy[brume_rng_below(&r, (uint32_t)n)] ^= (uint8_t)(1u << brume_rng_below(&r, 8));
        put(path, copy, round < n ? round : n);
        brume_image *im = NULL;
        brume_dataset *ds = NULL;
        brume_status s;
        if (image) {
            s = brume_image_read(path, &im);
        } else if ((s = brume_dataset_open(path, NULL, &ds)) == BRUME_OK) {
            const size_t numel =
                (size_t)brume_dataset_height(ds) * (size_t)brume_dataset_width(ds) * (size_t)brume_dataset_channels(ds);
            float *x = malloc(numel * sizeof *x);
            for (int64_t i = 0; x && i < brume_dataset_count(ds) && i < 3; i++) s = brume_dataset_get(ds, i, x, NULL);
            free(x);
        }
        if (s != BRUME_OK && !strstr(brume_error(), name)) CHECK_STR(brume_error(), name);
        whole += s == BRUME_OK && round < n;
        brume_image_free(im);
        brume_dataset_free(ds);
        free(copy);
    }
    /* a GIF without its last byte has its picture */
    if (!CHECK(whole <= 1)) printf("  %d truncations of %s were read\n", whole, name);
    unlink(path);
}

static void test_damage(void)
{
    uint8_t file[512], values[48];
    for (int k = 0; k < 48; k++) values[k] = (uint8_t)(k * 5);
    damage("x.npy", file, npy(file, 1, "|u1", 0, "(3, 4, 4)", values, 48), 0);
    damage("y.npy", file, npy(file, 2, "<u2", 1, "(2, 3, 2, 2)", values, 48), 0);
    damage("x.png", file, deep_png(file), 1);
    damage("x.pgm", (const uint8_t *)"P5 3 2 65535\n0123456789ab", 25, 1);
    damage("x.ppm", (const uint8_t *)"P3 1 2 31\n10 20 30 1 2 31", 25, 1);
    damage("x.gif", gif, sizeof gif, 1);
}

int main(void)
{
    if (!mkdtemp(dir)) return 1;
    test_npy();
    test_safetensors();
    test_pnm();
    test_gif();
    test_deep();
    test_cifar100();
    test_labels();
    test_bad_files();
    test_damage();
    CHECK_OK(brume_folder_remove(dir));
    return check_report();
}
