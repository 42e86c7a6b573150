/* SPDX-License-Identifier: MIT
 * safetensors, JSON, model weights and atomic files: round trips, every rule of the format broken once, damaged bytes, golden
 * files. */
#include "brume/safetensors.h"

#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "brume/json.h"
#include "brume/rng.h"
#include "brume/weights.h"
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

static void put_text(const char *name, const char *text) { CHECK_OK(brume_file_write(in_dir(name), text, strlen(text))); }

/* A file of a header and n zero bytes, in memory. */
static brume_status open_header(const char *header, size_t n, brume_safetensors **f)
{
    static unsigned char bytes[8192];
    const size_t h = strlen(header);
    memset(bytes, 0, sizeof bytes);
    bytes[0] = (unsigned char)h;
    bytes[1] = (unsigned char)(h >> 8);
    memcpy(bytes + 8, header, h);
    return brume_safetensors_open_memory(bytes, 8 + h + n, "mem", f);
}

static void test_half(void)
{
    int wrong = 0;
    for (uint32_t h = 0; h < 65536; h++) {
        const float a = brume_f16_to_f32((uint16_t)h), b = brume_bf16_to_f32((uint16_t)h);
        wrong += !(isnan(a) ? isnan(brume_f16_to_f32(brume_f32_to_f16(a))) : brume_f32_to_f16(a) == h);
        wrong += !(isnan(b) ? isnan(brume_bf16_to_f32(brume_f32_to_bf16(b))) : brume_f32_to_bf16(b) == h);
        /* Between two neighbours, the nearer wins, and the even one at the middle. */
        const float next = brume_f16_to_f32((uint16_t)(h + 1));
        if ((h & 0x7fff) < 0x7bff) {
            const float mid = (float)(((double)a + next) / 2);
            wrong += brume_f32_to_f16(mid) != (h & 1 ? h + 1 : h);
            wrong += brume_f32_to_f16(nextafterf(mid, a)) != h || brume_f32_to_f16(nextafterf(mid, next)) != h + 1;
        }
        const float nb = brume_bf16_to_f32((uint16_t)(h + 1));
        if ((h & 0x7fff) < 0x7f7f) {
            const float mid = (float)(((double)b + nb) / 2);
            wrong += brume_f32_to_bf16(mid) != (h & 1 ? h + 1 : h);
            wrong += brume_f32_to_bf16(nextafterf(mid, b)) != h || brume_f32_to_bf16(nextafterf(mid, nb)) != h + 1;
        }
    }
    CHECK_INT(wrong, 0);
    CHECK_INT(brume_f32_to_f16(65519.0f), 0x7bff);
    CHECK_INT(brume_f32_to_f16(65520.0f), 0x7c00);
    CHECK_INT(brume_f32_to_f16(-INFINITY), 0xfc00);
    CHECK_INT(brume_f32_to_bf16(3.4e38f), 0x7f80);
    CHECK_NEAR(brume_f16_to_f32(0x0001), 0x1p-24, 0);
}

static void test_round_trip(void)
{
    const float x[6] = { 1.0f, -2.5f, 3.14159274f, 1e-30f, 65504.0f, -0.0f };
    const int32_t i32[2] = { -7, 2147483647 };
    const int64_t i64[1] = { -9007199254740993 };
    const int64_t s23[2] = { 2, 3 }, s2[1] = { 2 }, s0[2] = { 0, 5 };
    const brume_st_item items[] = {
        { "half", BRUME_ST_F16, 2, s23, x },  { "full", BRUME_ST_F32, 2, s23, x },
        { "brain \"q\" \xc3\xa9", BRUME_ST_BF16, 2, s23, x }, { "int", BRUME_ST_I32, 1, s2, i32 },
        { "long", BRUME_ST_I64, 0, NULL, i64 }, { "none", BRUME_ST_F32, 2, s0, NULL },
    };
    const char *const meta[] = { "step", "12", "note", "a\nb", NULL };
    const char *path = in_dir("a.safetensors");
    if (!CHECK_OK(brume_safetensors_write(path, items, 6, meta))) return;
    brume_safetensors *f;
    if (!CHECK_OK(brume_safetensors_open(path, &f))) return;
    CHECK_INT(brume_safetensors_count(f), 6);
    CHECK_STR(brume_safetensors_metadata(f, "format"), "pt");
    CHECK_STR(brume_safetensors_metadata(f, "note"), "a\nb");
    CHECK_INT(brume_safetensors_metadata_count(f), 3);
    float y[6];
    int64_t k[2];
    const brume_st_tensor *t = brume_safetensors_find(f, "full");
    CHECK(t && t->ndim == 2 && t->shape[1] == 3 && t->offset % 8 == 0);
    if (t && CHECK_OK(brume_st_read_f32(t, 0, 6, y))) CHECK(!memcmp(x, y, sizeof x));
    if (t && CHECK_OK(brume_st_read_f32(t, 4, 2, y))) CHECK(!memcmp(x + 4, y, 8));
    if (t) CHECK_FAILS(brume_st_read_f32(t, 4, 3, y), BRUME_E_ARG, "6 elements");
    if (t) CHECK_FAILS(brume_st_read_i64(t, 0, 1, k), BRUME_E_FORMAT, "integers");
    t = brume_safetensors_find(f, "half");
    if (CHECK(t != NULL) && CHECK_OK(brume_st_read_f32(t, 0, 6, y)))
        CHECK(y[1] == -2.5f && y[4] == 65504.0f && y[3] == 0 && signbit(y[5]));
    t = brume_safetensors_find(f, "brain \"q\" \xc3\xa9");
    if (CHECK(t != NULL) && CHECK_OK(brume_st_read_f32(t, 0, 6, y))) CHECK_NEAR(y[2], 3.140625, 0);
    t = brume_safetensors_find(f, "long");
    if (CHECK(t != NULL) && CHECK_OK(brume_st_read_i64(t, 0, 1, k))) CHECK_INT(k[0], i64[0]);
    t = brume_safetensors_find(f, "int");
    if (CHECK(t != NULL) && CHECK_OK(brume_st_read_i64(t, 0, 2, k))) CHECK_INT(k[1], 2147483647);
    t = brume_safetensors_find(f, "none");
    CHECK(t && t->count == 0 && t->ndim == 2);
    CHECK(!brume_safetensors_find(f, "nothing"));
    brume_safetensors_close(f);

    const brume_st_item twice[] = { { "a", BRUME_ST_F32, 1, s2, x }, { "a", BRUME_ST_F16, 1, s2, x } };
    CHECK_FAILS(brume_safetensors_write(path, twice, 2, NULL), BRUME_E_ARG, "two tensors");
    CHECK_FAILS(brume_safetensors_write(in_dir("no/such.safetensors"), items, 6, NULL), BRUME_E_IO, "folder");
    if (CHECK_OK(brume_safetensors_open(path, &f))) CHECK_INT(brume_safetensors_count(f), 6); /* the old file is whole */
    brume_safetensors_close(f);
    CHECK_OK(brume_safetensors_write(path, NULL, 0, NULL));
    if (CHECK_OK(brume_safetensors_open(path, &f))) CHECK_INT(brume_safetensors_count(f), 0);
    brume_safetensors_close(f);
}

static void test_dtypes(void)
{
    static const struct {
        const char *dtype;
        unsigned char bytes[8];
        size_t n;
        double want;
    } cases[] = {
        { "F64", { 0, 0, 0, 0, 0, 0, 0xf8, 0xbf }, 8, -1.5 }, { "F32", { 0, 0, 0x20, 0x40 }, 4, 2.5 },
        { "F16", { 0, 0x3c }, 2, 1 }, { "BF16", { 0x80, 0x3f }, 2, 1 }, { "I64",
                                                                          { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff }, 8,
                                                                          -1 }, { "I32", { 0xfe, 0xff, 0xff, 0xff }, 4, -2 },
        { "I16", { 0, 0x80 }, 2, -32768 }, { "I8", { 0x80 }, 1, -128 }, { "U64", { 0, 0, 0, 0, 0, 0, 0, 0x80 }, 8, 0x1p63 },
        { "U32", { 0, 0, 0, 0x80 }, 4, 0x1p31 }, { "U16", { 0xff, 0xff }, 2, 65535 }, { "U8", { 0xff }, 1, 255 },
        { "BOOL", { 1 }, 1, 1 }, { "F8_E4M3", { 0x7e }, 1, 448 }, { "F8_E4M3", { 0x81 }, 1, -0x1p-9 },
        { "F8_E5M2", { 0x7b }, 1, 57344 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        unsigned char file[200] = { 0 };
        const int h = snprintf((char *)file + 8, 180, "{\"x\":{\"dtype\":\"%s\",\"shape\":[1],\"data_offsets\":[0,%zu]}}",
                               cases[i].dtype, cases[i].n);
        file[0] = (unsigned char)h;
        memcpy(file + 8 + h, cases[i].bytes, cases[i].n);
        brume_safetensors *f;
        float x = 0;
        if (CHECK_OK(brume_safetensors_open_memory(file, 8 + (size_t)h + cases[i].n, cases[i].dtype, &f)) &&
            CHECK_OK(brume_st_read_f32(brume_safetensors_at(f, 0), 0, 1, &x)))
            CHECK_NEAR(x, cases[i].want, 0);
        int64_t k;
        if (!strcmp(cases[i].dtype, "U64"))
            CHECK_FAILS(brume_st_read_i64(brume_safetensors_at(f, 0), 0, 1, &k), BRUME_E_FORMAT, "U64");
        brume_safetensors_close(f);
    }
}

static void test_rules(void)
{
    static const struct {
        const char *header;
        size_t data;
        const char *says; /* NULL: must open */
    } cases[] = {
        { "{}", 0, NULL },
        { "{}   ", 0, NULL },
        { " {}", 0, "begin with" },
        { "[]", 0, "begin with" },
        { "{} x", 0, "JSON" },
        { "{\"__metadata__\":{\"a\":\"b\"}}", 0, NULL },
        { "{\"__metadata__\":{\"a\":1}}", 0, "strings" },
        { "{\"__metadata__\":[]}", 0, "strings" },
        { "{\"a\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0,4]}}", 4, NULL },
        { "{\"a\":{\"dtype\":\"F32\",\"shape\":[0,9],\"data_offsets\":[0,0]}}", 0, NULL },
        { "{\"a\":{\"dtype\":\"F32\",\"shape\":[0,9223372036854775807,9223372036854775807],\"data_offsets\":[0,0]}}", 0, NULL },
        { "{\"a\":{\"dtype\":\"F32\",\"shape\":[9223372036854775807,9223372036854775807,0],\"data_offsets\":[0,0]}}", 0,
          "counted" },
        { "{\"a\":{\"dtype\":\"F31\",\"shape\":[1],\"data_offsets\":[0,4]}}", 4, "dtype" },
        { "{\"a\":{\"dtype\":7,\"shape\":[1],\"data_offsets\":[0,4]}}", 4, "needs" },
        { "{\"a\":{\"shape\":[1],\"data_offsets\":[0,4]}}", 4, "needs" },
        { "{\"a\":{\"dtype\":\"F32\",\"data_offsets\":[0,4]}}", 4, "needs" },
        { "{\"a\":{\"dtype\":\"F32\",\"shape\":[1]}}", 4, "needs" },
        { "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0]}}", 4, "needs" },
        { "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4,8]}}", 4, "needs" },
        { "{\"a\":5}", 0, "needs" },
        { "{\"a\":{\"dtype\":\"F32\",\"shape\":[-1],\"data_offsets\":[0,4]}}", 4, "shape[0]" },
        { "{\"a\":{\"dtype\":\"F32\",\"shape\":[1.0],\"data_offsets\":[0,4]}}", 4, "shape[0]" },
        { "{\"a\":{\"dtype\":\"F32\",\"shape\":[NaN],\"data_offsets\":[0,4]}}", 4, "shape[0]" },
        { "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,0]}}", 4, "data_offsets" },
        { "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[-4,0]}}", 4, "data_offsets" },
        { "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 4, "cut short" },
        { "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,4]}}", 4, "need 8" },
        { "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", 5, "last 1 bytes" },
        { "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}", 8, "belong to no tensor" },
        { "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},\"b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_"
          "offsets\":[4,8]}}",
          8, "overlap" },
        { "{\"a\":{\"dtype\":\"U8\",\"shape\":[3],\"data_offsets\":[2,5]},\"b\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":"
          "[0,2]}}",
          5, NULL },
        { "{\"a\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[1,1]},\"b\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":"
          "[0,2]}}",
          2, "overlap" },
        { "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_"
          "offsets\":[4,8]}}",
          8, "uplicate" },
        { "{\"a\":{\"dtype\":\"F32\",\"shape\":[4611686018427387904,4],\"data_offsets\":[0,0]}}", 0, "counted" },
        { "{\"a\":{\"dtype\":\"F32\",\"shape\":[4611686018427387904],\"data_offsets\":[0,0]}}", 0, "counted" },
        { "{\"a\":{\"dtype\":\"F32\",\"shape\":[99999999999999999999],\"data_offsets\":[0,0]}}", 0, "no size" },
        { "{\"a\xff\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", 4, "JSON" },
        { "{\"a\\u0000b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", 4, "JSON" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        brume_safetensors *f;
        const brume_status s = open_header(cases[i].header, cases[i].data, &f);
        const int ok = cases[i].says ? CHECK_FAILS(s, BRUME_E_FORMAT, cases[i].says) : CHECK_OK(s);
        if (!ok) fprintf(stderr, "    header %s\n", cases[i].header);
        brume_safetensors_close(f);
    }
    brume_safetensors *f;
    const unsigned char huge[16] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, '{', '}' },
    limit[16] = { 1, 0xe1, 0xf5, 5, 0, 0, 0, 0, '{', '}' };
    CHECK_FAILS(brume_safetensors_open_memory(huge, 16, "huge", &f), BRUME_E_FORMAT, "18446744073709551615");
    CHECK_FAILS(brume_safetensors_open_memory(limit, 16, "limit", &f), BRUME_E_FORMAT, "100000001");
    CHECK_FAILS(brume_safetensors_open(dir, &f), BRUME_E_IO, "regular");
    CHECK_FAILS(brume_safetensors_open(in_dir("absent"), &f), BRUME_E_IO, "absent");
}

/* Reads whatever can be read: the sanitizers say whether it was legal. */
static void use_all(brume_safetensors *f)
{
    float x[64];
    for (int64_t i = 0; i < brume_safetensors_count(f); i++) {
        const brume_st_tensor *t = brume_safetensors_at(f, i);
        brume_st_read_f32(t, 0, t->count < 64 ? t->count : 64, x);
    }
}

static void test_damage(void)
{
    const float x[6] = { 1, 2, 3, 4, 5, 6 };
    const int64_t s23[2] = { 2, 3 }, s6[1] = { 6 };
    const brume_st_item items[] = { { "a.weight", BRUME_ST_F32, 2, s23, x }, { "a.bias", BRUME_ST_F16, 1, s6, x } };
    void *bytes;
    size_t n;
    if (!CHECK_OK(brume_safetensors_write(in_dir("d.safetensors"), items, 2, NULL)) ||
        !CHECK_OK(brume_file_read(in_dir("d.safetensors"), 1 << 20, &bytes, &n)))
        return;
    int opened = 0;
    for (size_t cut = 0; cut < n; cut++) {
        unsigned char *part = malloc(cut + !cut); /* exactly that long: reading past it is seen */
        if (!part) break;
        memcpy(part, bytes, cut);
        brume_safetensors *f;
        opened += brume_safetensors_open_memory(part, cut, "cut", &f) == BRUME_OK;
        brume_safetensors_close(f);
        free(part);
    }
    CHECK_INT(opened, 0);
    brume_rng r = { .seed = 1 };
    unsigned char *copy = malloc(n);
    for (int round = 0; copy && round < 20000; round++) {
        memcpy(copy, bytes, n);
        for (uint32_t k = 0, flips = 1 + brume_rng_below(&r, 4); k < flips; k++)
            copy[brume_rng_below(&r, (uint32_t)n)] ^= (unsigned char)(1u << brume_rng_below(&r, 8));
        brume_safetensors *f;
        if (brume_safetensors_open_memory(copy, n, "flip", &f) == BRUME_OK) use_all(f);
        brume_safetensors_close(f);
    }
    CHECK(copy != NULL);
    free(copy);
    free(bytes);
}

static void test_json(void)
{
    const char text[] = "{\"a\": -Infinity, \"b\": [NaN, Infinity, 1, 2.0], \"s\": \"NaN \\\" -Infinity\", \"t\": true, \"z\": "
                        "null, \"o\": {\"k\": [1, {\"d\": 5}]}}";
    brume_json *j;
    if (CHECK_OK(brume_json_parse(text, sizeof text - 1, "c.json", &j))) {
        const brume_json *b = brume_json_find(j, "b");
        CHECK(brume_json_number(brume_json_find(j, "a"), 0) == -INFINITY);
        CHECK(isnan(brume_json_number(brume_json_at(b, 0), 0)));
        CHECK(brume_json_number(brume_json_at(b, 1), 0) == INFINITY);
        CHECK_INT(brume_json_integer(brume_json_at(b, 3), 0), 2);
        CHECK_STR(brume_json_string(brume_json_find(j, "s"), NULL), "NaN \" -Infinity");
        CHECK_STR(brume_json_where(brume_json_find(brume_json_at(brume_json_find(brume_json_find(j, "o"), "k"), 1), "d")),
                  "c.json: o.k[1].d");
        CHECK_INT(brume_json_depth(j), 5); /* the document, o, k, k[1], d */
        CHECK_INT(brume_json_depth(b), 2);
        CHECK_INT(brume_json_depth(brume_json_at(b, 0)), 1);
        CHECK_INT(brume_json_depth(NULL), 0);
        int64_t k, list[4];
        double d;
        int n, flag;
        const char *str;
        CHECK_OK(brume_json_get_int(j, "missing", 7, 0, 9, &k));
        CHECK_INT(k, 7);
        CHECK_OK(brume_json_get_int(j, "z", 8, 0, 9, &k));
        CHECK_INT(k, 8);
        CHECK_FAILS(brume_json_get_int(j, "s", 7, 0, 9, &k), BRUME_E_FORMAT, "c.json: s is \"NaN");
        CHECK_FAILS(brume_json_get_double(j, "a", 0, -1, 1, &d), BRUME_E_FORMAT, "c.json: a is -inf");
        CHECK_OK(brume_json_get_bool(j, "t", 0, &flag));
        CHECK_INT(flag, 1);
        CHECK_FAILS(brume_json_get_string(j, "t", "", &str), BRUME_E_FORMAT, "string");
        CHECK_FAILS(brume_json_get_ints(j, "b", 4, 0, 9, list, &n), BRUME_E_FORMAT, "b[0]");
        CHECK_FAILS(brume_json_get_ints(j, "b", 3, 0, 9, list, &n), BRUME_E_FORMAT, "at most 3");
    }
    brume_json_free(j);
    static const char *const bad[] = { "", "{", "{\"a\":1,\"a\":2}", "{\"a\":1,}", "[1] 2", "{NaN:1}", "{\"a\":NaNN}",
                                       "[--Infinity]", "[1Infinity]", "[1e999]", "nul", "\"\\ud800\"", "[\"\xff\"]" };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (!CHECK_FAILS(brume_json_parse(bad[i], strlen(bad[i]), "bad", &j), BRUME_E_FORMAT, "bad"))
            fprintf(stderr, "    text %s\n", bad[i]);
    char deep[100001];
    memset(deep, '[', 100000);
    CHECK_FAILS(brume_json_parse(deep, 100000, "deep", &j), BRUME_E_FORMAT, "deep");

    brume_json_writer *w = brume_json_writer_new();
    brume_json_begin_object(w, NULL);
    brume_json_put_string(w, "name", "q\"\\\n\xc3\xa9\xff");
    brume_json_put_double(w, "x", 0.1);
    brume_json_put_double(w, "one", 1);
    brume_json_put_double(w, "inf", -INFINITY);
    brume_json_begin_array(w, "list", 1);
    for (int i = 0; i < 3; i++) brume_json_put_int(w, NULL, i - 1);
    brume_json_end(w);
    brume_json_begin_object(w, "empty");
    brume_json_end(w);
    brume_json_put_null(w, "none");
    brume_json_put_bool(w, "yes", 1);
    brume_json_end(w);
    CHECK_STR(brume_json_writer_text(w),
              "{\n  \"name\": \"q\\\"\\\\\\u000a\xc3\xa9\xef\xbf\xbd\",\n  \"x\": 0.1,\n  \"one\": 1.0,\n  \"inf\": -Infinity,\n"
                                         "  \"list\": [-1, 0, 1],\n  \"empty\": {},\n  \"none\": null,\n  \"yes\": true\n}");
    CHECK_OK(brume_json_writer_save(w, in_dir("w.json")));
    if (CHECK_OK(brume_json_load(in_dir("w.json"), &j))) CHECK_NEAR(brume_json_number(brume_json_find(j, "x"), 0), 0.1, 0);
    brume_json_free(j);
    brume_json_writer_free(w);
}

static void test_atomic(void)
{
    const char *path = in_dir("deep/er/file");
    CHECK_OK(brume_make_folders(in_dir("deep/er/")));
    CHECK_OK(brume_file_write(path, "old", 3));
    brume_atomic *a;
    void *bytes;
    size_t n;
    if (CHECK_OK(brume_atomic_open(path, &a))) {
        char *block = calloc(3, 1 << 20);
        CHECK_OK(brume_atomic_write(a, "xy", 2));
        CHECK_OK(brume_atomic_write(a, block, 3 << 20));
        if (CHECK_OK(brume_file_read(path, 10, &bytes, &n))) CHECK_STR(bytes, "old");
        free(bytes);
        CHECK_OK(brume_atomic_commit(a));
        CHECK_FAILS(brume_file_read(path, 10, &bytes, &n), BRUME_E_FORMAT, "at most 10");
        if (CHECK_OK(brume_file_read(path, 4 << 20, &bytes, &n))) CHECK_INT(n, 2 + (3 << 20));
        free(bytes);
        free(block);
    }
    if (CHECK_OK(brume_atomic_open(path, &a))) brume_atomic_abort(a);
    int entries = 0;
    DIR *d = opendir(in_dir("deep/er"));
    while (d && readdir(d)) entries++;
    if (d) closedir(d);
    CHECK_INT(entries, 3); /* ".", ".." and the file: no leftovers */
    CHECK_FAILS(brume_make_folders(in_dir("deep/er/file/more")), BRUME_E_IO, "file");
    CHECK_FAILS(brume_file_write(dir, "x", 1), BRUME_E_IO, "folder");
#ifndef _WIN32
    CHECK_OK(brume_file_write("/dev/null", "x", 1));
    struct stat st;
    CHECK(!stat("/dev/null", &st) && S_ISCHR(st.st_mode));
    if (!access("/dev/full", W_OK)) CHECK_FAILS(brume_file_write("/dev/full", "x", 1), BRUME_E_IO, "space");
    CHECK(!symlink("file", in_dir("deep/er/link")));
    CHECK_OK(brume_file_write(in_dir("deep/er/link"), "new", 3));
    CHECK(!lstat(in_dir("deep/er/link"), &st) && S_ISLNK(st.st_mode));
#endif
    if (CHECK_OK(brume_file_read(path, 10, &bytes, &n))) CHECK_STR(bytes, "new");
    free(bytes);
    static const char *const bad[] = { "", ".", "..", "a/b", "/a", "../a", "a\\b", "a\nb" };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) CHECK_FAILS(brume_name_check(bad[i], "here"), BRUME_E_FORMAT, "here");
    CHECK_OK(brume_name_check("model-00001-of-00002.safetensors", "here"));
}

static void test_weights(void)
{
    const float x[2] = { 1, 2 }, y[2] = { 3, 4 };
    const int64_t s2[1] = { 2 };
    const brume_st_item a = { "a", BRUME_ST_F32, 1, s2, x }, b = { "b", BRUME_ST_F16, 1, s2, y };
    brume_weights *w;
    CHECK_OK(brume_make_folders(in_dir("m")));
    CHECK_FAILS(brume_weights_open(in_dir("m"), "model", NULL, &w), BRUME_E_IO, "looked for");
    CHECK_FAILS(brume_weights_open(in_dir("none"), "model", NULL, &w), BRUME_E_IO, "no such folder");
    put_text("m/pytorch_model.bin", "x");
    CHECK_FAILS(brume_weights_open(in_dir("m"), "model", NULL, &w), BRUME_E_UNSUPPORTED, "pickled");
    CHECK_OK(brume_safetensors_write(in_dir("m/model.fp16.safetensors"), &b, 1, NULL));
    if (CHECK_OK(brume_weights_open(in_dir("m"), "model", NULL, &w))) CHECK(brume_weights_find(w, "b") != NULL);
    brume_weights_close(w);
    CHECK_OK(brume_safetensors_write(in_dir("m/model.ema.safetensors"), &a, 1, NULL));
    CHECK_FAILS(brume_weights_open(in_dir("m"), "model", NULL, &w), BRUME_E_IO, "name one");
    CHECK_FAILS(brume_weights_open(in_dir("m"), "model", "x", &w), BRUME_E_IO, "ema");
    CHECK_FAILS(brume_weights_open(in_dir("m"), "model", "../x", &w), BRUME_E_ARG, "variant");
    if (CHECK_OK(brume_weights_open(in_dir("m"), "model", "ema", &w))) CHECK(brume_weights_find(w, "a") != NULL);
    brume_weights_close(w);
    CHECK_OK(brume_safetensors_write(in_dir("m/s-1.safetensors"), &a, 1, NULL));
    CHECK_OK(brume_safetensors_write(in_dir("m/s-2.safetensors"), &b, 1, NULL));
    put_text("m/model.safetensors.index.json", "{\"weight_map\":{\"a\":\"s-1.safetensors\",\"b\":\"s-2.safetensors\"}}");
    if (CHECK_OK(brume_weights_open(in_dir("m"), "model", NULL, &w))) {
        float v[2] = { 0, 0 };
        CHECK_INT(brume_weights_count(w), 2);
        CHECK_INT(brume_weights_files(w), 2);
        CHECK_OK(brume_st_read_f32(brume_weights_find(w, "b"), 0, 2, v));
        CHECK(v[0] == 3 && v[1] == 4);
    }
    brume_weights_close(w);
    static const struct {
        const char *text, *says;
    } bad[] = {
        { "{\"weight_map\":{\"a\":\"../m/s-1.safetensors\"}}", "plain file name" },
        { "{\"weight_map\":{\"a\":\"s-2.safetensors\"}}", "none of that name" },
        { "{\"weight_map\":{\"a\":\"s-3.safetensors\"}}", "s-3" }, { "{\"weight_map\":{\"a\":1}}", "name of a file" },
        { "{\"weight_map\":3}", "weight_map" }, { "{", "JSON" },
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        put_text("m/model.safetensors.index.json", bad[i].text);
        const brume_status s = brume_weights_open(in_dir("m"), "model", NULL, &w);
        CHECK(s == BRUME_E_FORMAT || s == BRUME_E_IO);
        CHECK(strstr(brume_error(), bad[i].says) != NULL);
    }
}

static void test_golden(void)
{
    static const struct {
        const char *folder, *stem;
        int files, tensors;
    } cases[] = {
        { "golden/models/unet2d-cifar-tiny/unet", "diffusion_pytorch_model", 1, 182 },
        { "golden/models/unet2d-cifar-tiny-bf16", "diffusion_pytorch_model", 1, 182 },
        { "golden/models/unet2d-cifar-tiny-fp16", "diffusion_pytorch_model", 1, 182 },
        { "golden/models/unet2d-cifar-tiny-sharded", "diffusion_pytorch_model", 3, 182 },
        { "golden/models/clip-text-tiny/text_encoder", "model", 1, 0 },
    };
    if (!brume_is_folder(check_shared("golden/models"))) {
        check_skip("no golden models (BRUME_SHARED, ../shared)");
        return;
    }
    brume_weights *first = NULL, *w;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (!CHECK_OK(brume_weights_open(check_shared(cases[i].folder), cases[i].stem, NULL, &w))) continue;
        CHECK_INT(brume_weights_files(w), cases[i].files);
        if (cases[i].tensors) CHECK_INT(brume_weights_count(w), cases[i].tensors);
        if (!first) {
            first = w;
            continue;
        }
        /* Narrowing the f32 weights ourselves must give the very bits that the library stored. */
        int64_t wrong = 0;
        for (int64_t k = 0; cases[i].tensors && k < brume_weights_count(w); k++) {
            const brume_st_tensor *t = brume_weights_at(w, k), *ref = brume_weights_find(first, t->name);
            float *x = malloc((size_t)t->count * 4 + 4), *y = malloc((size_t)t->count * 4 + 4);
            if (!x || !y || !ref || ref->count != t->count) wrong++;
            else if (brume_st_read_f32(t, 0, t->count, x) != BRUME_OK || brume_st_read_f32(ref, 0, t->count, y) != BRUME_OK)
                wrong++;
            else
                for (int64_t e = 0; e < t->count; e++)
                    wrong += x[e] != (t->dtype == BRUME_ST_BF16 ? brume_bf16_to_f32(brume_f32_to_bf16(y[e]))
                                                                : brume_f16_to_f32(brume_f32_to_f16(y[e])));
            free(x);
            free(y);
        }
        CHECK_INT(wrong, 0);
        brume_weights_close(w);
    }
    brume_weights_close(first);
    brume_json *j;
    if (CHECK_OK(
            brume_json_load(check_shared("golden/models/pipeline-sd-tiny/schedulers/dpmpp2m_karras/scheduler_config.json"), &j)))
        CHECK(brume_json_number(brume_json_find(j, "lambda_min_clipped"), 0) == -INFINITY);
    brume_json_free(j);
}

int main(void)
{
    if (!mkdtemp(dir)) return 1;
    test_half();
    test_round_trip();
    test_dtypes();
    test_rules();
    test_damage();
    test_json();
    test_atomic();
    test_weights();
    test_golden();
    char command[100];
    snprintf(command, sizeof command, "rm -rf %s", dir);
    CHECK_INT(system(command), 0);
    return check_report();
}
