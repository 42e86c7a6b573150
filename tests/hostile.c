/* SPDX-License-Identifier: MIT
 * Files made to break their readers: sizes that overflow, deep and double JSON, weights that are no numbers, paths and links that
 * lead out of a folder, indexes that contradict their shards, small files that promise much, configs that nobody means. Each is
 * refused, or told, with a message that names the place; quickly, and without the memory it asks for. What a fuzzer found beside
 * these is in tests/fuzz/corpus. */
#include <dirent.h>
#include <math.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <zlib.h>

#include "brume/autoencoder.h"
#include "brume/data.h"
#include "brume/file.h"
#include "brume/image.h"
#include "brume/json.h"
#include "brume/lora.h"
#include "brume/model.h"
#include "brume/schedule.h"
#include "brume/text_encoder.h"
#include "brume/weights.h"
#include "config.h"
#include "io/picture_files.h"
#include "nn_tiny.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

/* ---- how much a refusal may take ------------------------------------------------------------------------------------------- */

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static double peak_mib(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
#ifdef __APPLE__
    return (double)u.ru_maxrss / 1048576;
#else
    return (double)u.ru_maxrss / 1024;
#endif
}

static double begun, peak_before;

static void begin(void)
{
    begun = seconds();
    peak_before = peak_mib();
}

/* Sanitizers take time and memory of their own. */
static void cheap(const char *what)
{
    const double took = seconds() - begun, grew = peak_mib() - peak_before;
    if (SANITIZED) return;
    if (!CHECK(took < 2 && grew < 64)) fprintf(stderr, "    %s: %.2f s, %.0f MiB\n", what, took, grew);
}

static void put(const char *name, const void *data, size_t n) { CHECK_OK(brume_file_write(in_dir(name), data, n)); }
static void put_text(const char *name, const char *text) { put(name, text, strlen(text)); }

static void put_header(const char *name, const char *json, size_t data)
{
    const size_t n = strlen(json);
    unsigned char *file = calloc(8 + n + data, 1);
    if (!CHECK(file != NULL)) return;
    for (int i = 0; i < 8; i++) file[i] = (unsigned char)((uint64_t)n >> (8 * i));
    memcpy(file + 8, json, n);
    put(name, file, 8 + n + data);
    free(file);
}

/* ---- sizes that overflow --------------------------------------------------------------------------------------------------- */

static void test_overflow_safetensors(void)
{
    static const struct { const char *header, *says; } cases[] = {
        { "{\"a\":{\"dtype\":\"F32\",\"shape\":[4294967296,4294967296],\"data_offsets\":[0,0]}}",
          "more elements than can be counted" },
        { "{\"a\":{\"dtype\":\"F64\",\"shape\":[2305843009213693952],\"data_offsets\":[0,0]}}",
          "more elements than can be counted" },
        { "{\"a\":{\"dtype\":\"F32\",\"shape\":[9223372036854775807,9223372036854775807,0],\"data_offsets\":[0,4]}}", "" },
        { "{\"a\":{\"dtype\":\"U8\",\"shape\":[9223372036854775807],\"data_offsets\":[0,9223372036854775807]}}", "data_offsets" },
        { "{\"a\":{\"dtype\":\"U8\",\"shape\":[18446744073709551616],\"data_offsets\":[0,0]}}", "no size" },
        { "{\"a\":{\"dtype\":\"U8\",\"shape\":[-1],\"data_offsets\":[0,4]}}", "no size" },
        { "{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[4,0]}}", "data_offsets" },
        { "{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[-4,0]}}", "data_offsets" },
        { "{\"a\":{\"dtype\":\"F32\",\"shape\":[1073741825],\"data_offsets\":[0,4]}}", "need" },
        { "{\"a\":{\"dtype\":\"U8\",\"shape\":[3],\"data_offsets\":[0,3]},\"b\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":"
          "[2,4]}}",
          "overlap" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        brume_safetensors *f;
        put_header("a.safetensors", cases[i].header, 4);
        begin();
        CHECK_FAILS(brume_safetensors_open(in_dir("a.safetensors"), &f), BRUME_E_FORMAT, cases[i].says);
        cheap(cases[i].header);
    }
    static const unsigned char headers[][8] = { { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff }, { 0, 0, 0, 0, 0, 0, 0, 0x80 },
                                                { 0xff, 0xe0, 0xf5, 5 } };
    for (size_t i = 0; i < sizeof headers / sizeof *headers; i++) {
        brume_safetensors *f;
        CHECK_FAILS(brume_safetensors_open_memory(headers[i], 8, "a file of eight bytes", &f), BRUME_E_FORMAT, "does not fit");
    }
}

static void test_overflow_data(void)
{
    brume_dataset *ds;
    char npy[128];
    static const char *const shapes[] = { "4294967296, 4294967296, 4", "9223372036854775807, 2, 2",
                                          "99999999999999999999, 8, 8", "3, 8, -8" };
    CHECK_OK(brume_make_folders(in_dir("arrays")));
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        memset(npy, ' ', sizeof npy);
        memcpy(npy, "\x93NUMPY\x01\x00\x76\x00", 10);
        npy[10 + snprintf(npy + 10, 118, "{'descr': '<f4', 'fortran_order': False, 'shape': (%s), }", shapes[i])] = ' ';
        npy[127] = '\n';
        put("arrays/train_images.npy", npy, sizeof npy);
        begin();
        CHECK_FAILS(brume_dataset_open(in_dir("arrays"), NULL, &ds), BRUME_E_FORMAT, "train_images.npy: not a good .npy");
        cheap(shapes[i]);
    }
    static const unsigned char most[16] = { 0, 0, 8, 3, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255 },
                               large[16] = { 0, 0, 8, 3, 128, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1 },
                               labels[12] = { 0, 0, 8, 1, 0, 0, 0, 4 };
    CHECK_OK(brume_make_folders(in_dir("idx")));
    put("idx/train-labels-idx1-ubyte", labels, sizeof labels);
    put("idx/train-images-idx3-ubyte", most, sizeof most);
    begin();
    CHECK_FAILS(brume_dataset_open(in_dir("idx"), NULL, &ds), BRUME_E_UNSUPPORTED, "4294967295 x 4294967295 x 4294967295 pixels");
    put("idx/train-images-idx3-ubyte", large, sizeof large);
    CHECK_FAILS(brume_dataset_open(in_dir("idx"), NULL, &ds), BRUME_E_UNSUPPORTED, "2147483648 x 1 x 1 pixels");
    cheap("IDX");
}

/* ---- JSON ------------------------------------------------------------------------------------------------------------------ */

static void test_json(void)
{
    enum { DEEP = 5 << 18 };
    static const char *const opening[] = { "[", "{\"a\":" };
    brume_json *root;
    char *deep = malloc(DEEP);
    for (int kind = 0; CHECK(deep != NULL) && kind < 2; kind++) {
        const size_t n = strlen(opening[kind]);
        for (size_t i = 0; i < DEEP; i += n) memcpy(deep + i, opening[kind], n);
        begin();
        CHECK_FAILS(brume_json_parse(deep, DEEP, "config.json", &root), BRUME_E_FORMAT, "config.json");
        cheap("a deep document");
        brume_unet2d_config c;
        put("deep.json", deep, DEEP);
        CHECK_FAILS(brume_unet2d_config_read(in_dir("deep.json"), &c, NULL), BRUME_E_FORMAT, "deep.json");
    }
    free(deep);
    CHECK_FAILS(brume_json_parse("{\"a\": 1, \"b\": 2, \"a\": 3}", 24, "config.json", &root), BRUME_E_FORMAT, "config.json");
    brume_safetensors *f;
    put_header("a.safetensors",
               "{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]},\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_"
               "offsets\":[0,4]}}",
               4);
    CHECK_FAILS(brume_safetensors_open(in_dir("a.safetensors"), &f), BRUME_E_FORMAT, "duplicate");
}

/* ---- weights that are no numbers ------------------------------------------------------------------------------------------- */

static void test_nan_weights(void)
{
    const brume_unet2d_config c = tiny();
    brume_model *m;
    if (!CHECK_OK(brume_model_new(&c, NULL, 1, &m))) return;
    CHECK_OK(brume_model_save(m, in_dir("nan")));
    brume_model_free(m);
    if (CHECK_OK(brume_model_load(in_dir("nan"), NULL, &m))) {
        CHECK_STR(m->note, "");
        m->params[m->n_params - 1] = NAN; /* conv_out.bias is the last */
        m->params[m->n_params - 2] = -INFINITY;
        CHECK_OK(brume_model_save(m, in_dir("nan")));
        brume_model_free(m);
    }
    if (CHECK_OK(brume_model_load(in_dir("nan"), NULL, &m))) {
        CHECK(strstr(m->note, "1 tensors of the weights hold values that are NaN or infinite") != NULL);
        CHECK(strstr(m->note, "conv_out.bias (2 of 3)") != NULL);
        brume_model_free(m);
    }
}

/* ---- paths that leave the folder, and hostile indexes ---------------------------------------------------------------------- */

static void test_model_index(void)
{
    const brume_unet2d_config c = tiny();
    brume_model *m;
    static const char *const names[] = { "../x", "..", ".", "/etc", "a/b", "a\\\\b", "" };
    if (!CHECK_OK(brume_model_new(&c, NULL, 1, &m))) return;
    CHECK_OK(brume_model_save(m, in_dir("index")));
    brume_model_free(m);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char text[256];
        snprintf(text, sizeof text,
                 "{\"_class_name\": \"DDPMPipeline\", \"unet\": [\"diffusers\", \"UNet2DModel\"], \"%s\": [\"diffusers\", "
                 "\"AutoencoderKL\"]}",
                 names[i]);
        put_text("index/model_index.json", text);
        CHECK_FAILS(brume_model_load(in_dir("index"), NULL, &m), BRUME_E_FORMAT, "is not a plain file name");
    }
}

#define INDEX "m/model.safetensors.index.json"

static void test_sharded(void)
{
    const float x[2] = { 1, 2 };
    const int64_t shape[1] = { 2 };
    const brume_st_item a = { "a", BRUME_ST_F32, 1, shape, x }, both[2] = { a, { "b", BRUME_ST_F32, 1, shape, x } };
    brume_weights *w;
    static const struct { const char *map, *says; } cases[] = {
        { "\"a\":\"../out.safetensors\"", "not a plain file name" }, { "\"a\":\"/etc/passwd\"", "not a plain file name" },
        { "\"a\":\"..\"", "not a plain file name" }, { "\"a\":\"sub/s1.safetensors\"", "not a plain file name" },
        { "\"a\":\"model.safetensors.index.json\"", "does not fit" }, /* the index as its own shard */
        { "\"a\":\"loop.safetensors\"", "leads nowhere" }, { "\"a\":\"out-link.safetensors\"", "outside of its folder" },
        { "\"a\":\"nowhere.safetensors\"", "leads nowhere" }, { "\"a\":\"none.safetensors\"", "none.safetensors" },
        { "\"c\":\"s1.safetensors\"", "none of that name" },
        { "\"a\":\"s1.safetensors\",\"b\":\"s2.safetensors\"", "is in two shards" },
        { "\"a\":\"s1.safetensors\",\"a\":\"s2.safetensors\"", "duplicate" },
        { "\"a\":[\"s1.safetensors\"]", "not the name of a file" }, { "\"a\":\"overlap.safetensors\"", "overlap" },
    };
    CHECK_OK(brume_make_folders(in_dir("m/sub")));
    CHECK_OK(brume_safetensors_write(in_dir("out.safetensors"), &a, 1, NULL));
    CHECK_OK(brume_safetensors_write(in_dir("m/sub/s1.safetensors"), &a, 1, NULL));
    CHECK_OK(brume_safetensors_write(in_dir("m/s1.safetensors"), &a, 1, NULL));
    CHECK_OK(brume_safetensors_write(in_dir("m/s2.safetensors"), both, 2, NULL));
    put_header("m/overlap.safetensors",
               "{\"a\":{\"dtype\":\"U8\",\"shape\":[3],\"data_offsets\":[0,3]},\"b\":{\"dtype\":\"U8\",\"shape\":[2],\"data_"
               "offsets\":[2,4]}}",
               4);
    CHECK(!symlink("../out.safetensors", in_dir("m/out-link.safetensors")));
    CHECK(!symlink("loop.safetensors", in_dir("m/loop.safetensors")));
    CHECK(!symlink("nothing", in_dir("m/nowhere.safetensors")));
    CHECK(!symlink("s1.safetensors", in_dir("m/link.safetensors")));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[256];
        snprintf(text, sizeof text, "{\"weight_map\":{%s}}", cases[i].map);
        put_text(INDEX, text);
        const brume_status s = brume_weights_open(in_dir("m"), "model", NULL, &w);
        CHECK(s == BRUME_E_FORMAT || s == BRUME_E_IO);
        if (!CHECK(strstr(brume_error(), cases[i].says) && strstr(brume_error(), "model.safetensors.index.json")))
            fprintf(stderr, "    %s: %s\n", cases[i].map, brume_error());
    }
    put_text(INDEX, "{\"weight_map\":{\"a\":\"link.safetensors\"}}"); /* a link within the folder is none of these */
    if (CHECK_OK(brume_weights_open(in_dir("m"), "model", NULL, &w))) CHECK_INT(brume_weights_count(w), 1);
    brume_weights_close(w);
    /* Nor is the layout of Hugging Face's cache. */
    CHECK_OK(brume_make_folders(in_dir("hub/snapshots/0123/unet")));
    CHECK_OK(brume_make_folders(in_dir("hub/blobs")));
    CHECK_OK(brume_safetensors_write(in_dir("hub/blobs/abcd"), &a, 1, NULL));
    CHECK(!symlink("../../../blobs/abcd", in_dir("hub/snapshots/0123/unet/s1.safetensors")));
    put_text("hub/snapshots/0123/unet/model.safetensors.index.json", "{\"weight_map\":{\"a\":\"s1.safetensors\"}}");
    if (CHECK_OK(brume_weights_open(in_dir("hub/snapshots/0123/unet"), "model", NULL, &w))) CHECK_INT(brume_weights_count(w), 1);
    brume_weights_close(w);
}

static void test_pictures_outside(void)
{
    brume_dataset *ds;
    brume_image *im;
    if (!CHECK_OK(brume_image_new(8, 8, 1, &im))) return;
    CHECK_OK(brume_make_folders(in_dir("pictures")));
    CHECK_OK(brume_png_write(in_dir("outside.png"), im));
    CHECK_OK(brume_png_write(in_dir("pictures/a.png"), im));
    brume_image_free(im);
    put_text("pictures/metadata.jsonl", "{\"file_name\": \"../outside.png\", \"text\": \"a cat\"}\n");
    CHECK_FAILS(brume_dataset_open(in_dir("pictures"), NULL, &ds), BRUME_E_FORMAT, "metadata.jsonl:1");
    CHECK(!unlink(in_dir("pictures/metadata.jsonl")));
    put_text("pictures/labels.csv", "a.png,cat\n../outside.png,dog\n");
    CHECK_FAILS(brume_dataset_open(in_dir("pictures"), NULL, &ds), BRUME_E_FORMAT, "labels.csv:2");
}

/* ---- small files that promise much ----------------------------------------------------------------------------------------- */

static unsigned char *chunk(unsigned char *p, const char *type, const void *data, uint32_t n)
{
    for (int i = 0; i < 4; i++) p[i] = (unsigned char)(n >> (24 - 8 * i));
    memcpy(p + 4, type, 4);
    if (n) memcpy(p + 8, data, n);
    const uint32_t crc = (uint32_t)crc32(0, p + 4, n + 4);
    for (int i = 0; i < 4; i++) p[8 + n + (unsigned)i] = (unsigned char)(crc >> (24 - 8 * i));
    return p + 12 + n;
}

static size_t png_bomb(unsigned char *p, uint32_t side)
{
    unsigned char head[13] = { 0, 0, (unsigned char)(side >> 8), (unsigned char)side, 0, 0, (unsigned char)(side >> 8),
                               (unsigned char)side, 8, 2 };
    static const unsigned char data[] = { 0x78, 0x9c, 0x63, 0, 0, 0, 1, 0, 1 };
    memcpy(p, "\x89PNG\r\n\x1a\n", 8);
    return (size_t)(chunk(chunk(chunk(p + 8, "IHDR", head, 13), "IDAT", data, sizeof data), "IEND", NULL, 0) - p);
}

static void test_pictures(void)
{
    unsigned char png[256];
    brume_image *im;
    static const uint32_t sides[] = { 8000, 20000, 65535 };
    for (size_t i = 0; i < sizeof sides / sizeof *sides; i++) {
        const size_t n = png_bomb(png, sides[i]);
        begin();
        CHECK_FAILS(brume_png_read_memory(png, n, "bomb.png", &im), BRUME_E_FORMAT,
                    "bomb.png: not a good PNG: more pixels than a file of its size can hold");
        cheap("PNG");
    }
    /* A chunk that claims to hold 1.6 GiB, which libpng would take before it reads. */
    unsigned char text[13] = "brume\0a text";
    const size_t n = (size_t)(chunk(png + png_bomb(png, 1) - 12, "tEXt", text, sizeof text) - png);
    png[n - 12 - sizeof text] = 0x66;
    begin();
    CHECK_FAILS(brume_png_read_memory(png, n, "bomb.png", &im), BRUME_E_FORMAT, "cut short");
    cheap("a chunk");
    static const char pgm[] = "P5 65535 65535 255\n", ppm[] = "P3 11000 11000 65535\n1 2 3", wide[] = "P5 4294967297 1 255\n";
    begin();
    CHECK_FAILS(brume_pnm_read_memory(pgm, sizeof pgm - 1, "bomb.pgm", &im), BRUME_E_UNSUPPORTED, "bomb.pgm");
    CHECK_FAILS(brume_pnm_read_memory(ppm, sizeof ppm - 1, "bomb.ppm", &im), BRUME_E_UNSUPPORTED, "bomb.ppm");
    CHECK_FAILS(brume_pnm_read_memory(wide, sizeof wide - 1, "bomb.pgm", &im), BRUME_E_FORMAT, "bomb.pgm");
    cheap("PGM");
#if BRUME_HAVE_GIF
    static const unsigned char gif[] = { 'G', 'I', 'F', '8', '9', 'a', 0, 31, 0, 31, 0x80, 0, 0, 0, 0, 0, 255, 255, 255, ',', 0,
                                         0, 0, 0, 0, 31, 0, 31, 0, 2, 1, 0x44, 0, ';' };
    begin();
    CHECK_FAILS(brume_gif_read_memory(gif, sizeof gif, "bomb.gif", &im), BRUME_E_FORMAT,
                "bomb.gif: not a good GIF: a frame of 7936 x 7936, more than");
    cheap("GIF");
#endif
#if BRUME_HAVE_JPEG
    /* Start of image, of a frame of 8000 x 8000 in one plane with table 0, a table of one code, of a scan. */
    static const unsigned char jpeg[] = { 0xff, 0xd8, 0xff, 0xc0, 0, 11, 8, 0x1f, 0x40, 0x1f, 0x40, 1, 1, 0x11, 0, 0xff, 0xc4, 0,
                                          20, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xda, 0, 8, 1, 1, 0, 0,
                                          63, 0, 0, 0xff, 0xd9 };
    begin();
    CHECK_FAILS(brume_jpeg_read_memory(jpeg, sizeof jpeg, "bomb.jpg", &im), BRUME_E_FORMAT,
                "bomb.jpg: not a good JPEG: 8000 x 8000 pixels, more than");
    cheap("JPEG");
#endif
}

static void put_gz(const char *name, const unsigned char *head, size_t n, size_t zeros)
{
    static const unsigned char none[1 << 16];
    gzFile f = gzopen(in_dir(name), "wb9");
    if (!CHECK(f && gzwrite(f, head, (unsigned)n) == (int)n)) return;
    for (size_t i = 0; i < zeros; i += sizeof none) gzwrite(f, none, sizeof none);
    CHECK_INT(gzclose(f), Z_OK);
}

static void test_gz(void)
{
    static const unsigned char small[16] = { 0, 0, 8, 3, 0, 0, 0, 4, 0, 0, 0, 8, 0, 0, 0, 8 },
    labels[12] = { 0, 0, 8, 1, 0, 0, 0, 4 };
    brume_dataset *ds;
    CHECK_OK(brume_make_folders(in_dir("gz")));
    put("gz/train-labels-idx1-ubyte", labels, sizeof labels);
    /* 256 bytes of pixels, and 256 MiB that nobody asked for */
    put_gz("gz/train-images-idx3-ubyte.gz", small, sizeof small, (size_t)256 << 20);
    begin();
    CHECK_FAILS(brume_dataset_open(in_dir("gz"), NULL, &ds), BRUME_E_FORMAT,
                "more bytes of pixels than the 256 that its header tells of");
    cheap("gz");
}

/* ---- configs that nobody means --------------------------------------------------------------------------------------------- */

static void test_absurd_configs(void)
{
    static const char *const unets[] = {
        "\"layers_per_block\": 1000000000", "\"block_out_channels\": [1000000000, 1000000000]", "\"block_out_channels\": [0, 8]",
        "\"attention_head_dim\": 0", "\"norm_num_groups\": 0", "\"norm_num_groups\": 1000000000", "\"in_channels\": 2147483647",
        "\"in_channels\": -1", "\"in_channels\": 1e300", "\"num_class_embeds\": 99999999999999999999", "\"dropout\": NaN",
        "\"norm_eps\": Infinity", "\"sample_size\": 4294967297", "\"freq_shift\": 1e308",
        "\"block_out_channels\": [8,8,8,8,8,8,8,8,8,8,8,8,8,8,8,8,8,8,8,8]",
    };
    char text[512];
    brume_unet2d_config u;
    for (size_t i = 0; i < sizeof unets / sizeof *unets; i++) {
        const int widths = strstr(unets[i], "block_out") != NULL;
        snprintf(text, sizeof text,
                 "{\"_class_name\": \"UNet2DModel\", \"down_block_types\": [\"DownBlock2D\", \"AttnDownBlock2D\"], "
                 "\"up_block_types\": [\"AttnUpBlock2D\", \"UpBlock2D\"], %s%s}",
                 widths ? "" : "\"block_out_channels\": [32, 32], ", unets[i]);
        begin();
        const brume_status s = brume_unet2d_config_parse(text, strlen(text), "config.json", &u, NULL);
        if (!CHECK((s == BRUME_E_FORMAT || s == BRUME_E_ARG) && strstr(brume_error(), "config.json")))
            fprintf(stderr, "    %s: %s\n", unets[i], s ? brume_error() : "taken");
        cheap(unets[i]);
    }
    static const char *const encoders[] = { "\"num_hidden_layers\": 1000000000", "\"num_attention_heads\": 0",
                                            "\"num_attention_heads\": 1000000000", "\"hidden_size\": 0", "\"vocab_size\": -5",
                                            "\"max_position_embeddings\": 1e18" };
    brume_text_encoder_config t;
    for (size_t i = 0; i < sizeof encoders / sizeof *encoders; i++) {
        snprintf(text, sizeof text, "{\"architectures\": [\"CLIPTextModel\"], %s}", encoders[i]);
        put_text("text.json", text);
        begin();
        const brume_status s = brume_text_encoder_config_read(in_dir("text.json"), &t, NULL);
        if (!CHECK((s == BRUME_E_FORMAT || s == BRUME_E_ARG) && strstr(brume_error(), "text.json")))
            fprintf(stderr, "    %s: %s\n", encoders[i], s ? brume_error() : "taken");
        cheap(encoders[i]);
    }
    static const char *const autoencoders[] = { "\"layers_per_block\": 1000000000", "\"block_out_channels\": [1000000000]",
                                                "\"norm_num_groups\": 0", "\"latent_channels\": 0", "\"scaling_factor\": 0",
                                                "\"scaling_factor\": NaN" };
    brume_autoencoder_config a;
    for (size_t i = 0; i < sizeof autoencoders / sizeof *autoencoders; i++) {
        snprintf(text, sizeof text, "{\"_class_name\": \"AutoencoderKL\", %s}", autoencoders[i]);
        const brume_status s = brume_autoencoder_config_parse(text, strlen(text), "config.json", &a, NULL);
        if (!CHECK((s == BRUME_E_FORMAT || s == BRUME_E_ARG) && strstr(brume_error(), "config.json")))
            fprintf(stderr, "    %s: %s\n", autoencoders[i], s ? brume_error() : "taken");
    }
    static const char *const schedulers[] = { "\"num_train_timesteps\": 1000000000000", "\"num_train_timesteps\": 0",
                                              "\"beta_end\": 1e300", "\"beta_start\": NaN", "\"solver_order\": 1000000000",
                                              "\"trained_betas\": [2]" };
    brume_scheduler_config c;
    for (size_t i = 0; i < sizeof schedulers / sizeof *schedulers; i++) {
        snprintf(text, sizeof text, "{\"_class_name\": \"DPMSolverMultistepScheduler\", %s}", schedulers[i]);
        begin();
        const brume_status s = brume_scheduler_config_parse(text, strlen(text), "scheduler_config.json", &c, NULL);
        if (!CHECK((s == BRUME_E_FORMAT || s == BRUME_E_ARG || s == BRUME_E_UNSUPPORTED) &&
                   strstr(brume_error(), "scheduler_config.json")))
            fprintf(stderr, "    %s: %s\n", schedulers[i], s ? brume_error() : "taken");
        cheap(schedulers[i]);
    }
}

/* A config within all ranges, of a network that no machine holds, and a file of a few bytes: the file is looked at first. */
static void test_absurd_model(void)
{
    brume_model *m;
    CHECK_OK(brume_make_folders(in_dir("huge")));
    put_text("huge/config.json",
             "{\"_class_name\": \"UNet2DModel\", \"sample_size\": 8, \"block_out_channels\": [65536, 65536], "
             "\"down_block_types\": [\"DownBlock2D\", \"AttnDownBlock2D\"], \"up_block_types\": [\"AttnUpBlock2D\", "
             "\"UpBlock2D\"], \"layers_per_block\": 4}");
    put_header("huge/diffusion_pytorch_model.safetensors",
               "{\"conv_in.weight\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]}}", 4);
    begin();
    const brume_status s = brume_model_load(in_dir("huge"), NULL, &m);
    CHECK(s == BRUME_E_UNSUPPORTED || s == BRUME_E_SHAPE); /* all parameters, or one alone, cannot be addressed */
    cheap(brume_error());
    /* Within all ranges, too, with a quarter of a million layers. */
    put_text("huge/config.json",
             "{\"_class_name\": \"UNet2DConditionModel\", \"block_out_channels\": [32, 32, 32, 32], \"layers_per_block\": 32, "
             "\"transformer_layers_per_block\": 64, \"attention_head_dim\": 1}");
    begin();
    CHECK_FAILS(brume_model_load(in_dir("huge"), NULL, &m), BRUME_E_UNSUPPORTED, "parameters; are all numbers");
    const double took = seconds() - begun;
    if (!CHECK(SANITIZED || took < 5)) fprintf(stderr, "    %.1f s\n", took);
}

int main(void)
{
    test_overflow_safetensors();
    test_overflow_data();
    test_json();
    test_nan_weights();
    test_model_index();
    test_sharded();
    test_pictures_outside();
    test_pictures();
    test_gz();
    test_absurd_configs();
    test_absurd_model();
    remove_dir();
    return check_report();
}
