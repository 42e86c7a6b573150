/* SPDX-License-Identifier: MIT
 * PNG files and grids: round trips, text, every colour type, damaged bytes. */
#include <png.h>
#include <unistd.h>

#include "base/file.h"
#include "brume/image.h"
#include "brume/rng.h"
#include "check.h"

static char path[] = "/tmp/brume-test-XXXXXX";

static void test_round_trip(void)
{
    for (int c = 1; c <= 4; c++) {
        brume_image *im, *back;
        if (c == 2) {
            CHECK_FAILS(brume_image_new(1, 1, c, &im), BRUME_E_ARG, "channels");
            continue;
        }
        if (!CHECK_OK(brume_image_new(5, 7, c, &im))) continue;
        for (int i = 0; i < 5 * 7 * c; i++) im->pixels[i] = (uint8_t)(i * 37);
        CHECK_OK(brume_image_set_text(im, "prompt", "a red circle"));
        CHECK_OK(brume_image_set_text(im, "prompt", "a \xc3\xa9toile \xe2\x98\x85"));
        CHECK_OK(brume_image_set_text(im, "seed", "42"));
        CHECK_FAILS(brume_image_set_text(im, "", "x"), BRUME_E_ARG, "key");
        CHECK_FAILS(brume_image_set_text(im, "k\n", "x"), BRUME_E_ARG, "key");
        CHECK_FAILS(brume_image_set_text(im, " ", "x"), BRUME_E_ARG, "key");
        CHECK_FAILS(brume_image_set_text(im, "k ", "x"), BRUME_E_ARG, "key");
        CHECK_FAILS(brume_image_set_text(im, "two  words", "x"), BRUME_E_ARG, "key");
        CHECK_OK(brume_png_write(path, im));
        if (CHECK_OK(brume_png_read(path, &back))) {
            CHECK(back->height == 5 && back->width == 7 && back->channels == c &&
                  !memcmp(back->pixels, im->pixels, (size_t)(35 * c)));
            CHECK_INT(back->n_text, 2);
            CHECK_STR(brume_image_text(back, "prompt"), "a \xc3\xa9toile \xe2\x98\x85");
            CHECK_STR(brume_image_text(back, "seed"), "42");
        }
        brume_image_free(back);
        brume_image_free(im);
    }
    brume_image *im;
    CHECK_FAILS(brume_image_new(0, 1, 1, &im), BRUME_E_ARG, "65535");
    CHECK_FAILS(brume_image_new(1, 70000, 1, &im), BRUME_E_ARG, "65535");
    CHECK_FAILS(brume_png_read("/nonexistent.png", &im), BRUME_E_IO, "nonexistent");
    CHECK_FAILS(brume_png_read_memory("hello world", 11, "text", &im), BRUME_E_FORMAT, "no PNG");
}

static void test_bytes(void)
{
    int wrong = 0;
    for (int b = 0; b < 256; b++) wrong += brume_to_byte(brume_from_byte((uint8_t)b)) != b;
    CHECK_INT(wrong, 0);
    CHECK_INT(brume_to_byte(-1e30f), 0);
    CHECK_INT(brume_to_byte(INFINITY), 255);
    CHECK_INT(brume_to_byte(NAN), 0);
    CHECK_INT(brume_to_byte(0.0f), 128);
}

struct sink {
    unsigned char *data;
    size_t n;
};

static void sink_write(png_structp png, png_bytep src, size_t n)
{
    struct sink *s = png_get_io_ptr(png);
    unsigned char *more = realloc(s->data, s->n + n);
    if (!more) png_error(png, "no memory");
    memcpy(more + s->n, src, n);
    s->data = more;
    s->n += n;
}

static void sink_flush(png_structp png) { (void)png; }

/* A 4 x 3 picture of any type, made by libpng itself; rows are 64 bytes of a running number. */
static struct sink make(int type, int depth, int interlace, int trns)
{
    struct sink s = { NULL, 0 };
    png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
    png_infop info = png_create_info_struct(png);
    png_set_write_fn(png, &s, sink_write, sink_flush);
    png_set_IHDR(png, info, 4, 3, depth, type, interlace, PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    png_color palette[2] = { { 10, 20, 30 }, { 40, 50, 60 } };
    png_byte alpha[1] = { 128 };
    png_color_16 key = { .gray = 1, .red = 1, .green = 1, .blue = 1 };
    if (type == PNG_COLOR_TYPE_PALETTE) png_set_PLTE(png, info, palette, 2);
    if (trns) png_set_tRNS(png, info, alpha, 1, &key);
    png_write_info(png, info);
    png_byte row[64];
    for (int i = 0; i < 64; i++)
        row[i] = type == PNG_COLOR_TYPE_PALETTE ? (png_byte)(depth == 8 ? i & 1 : 0x55) : (png_byte)(i * 5);
    png_bytep rows[3] = { row, row, row };
    png_write_image(png, rows);
    png_write_end(png, info);
    png_destroy_write_struct(&png, &info);
    return s;
}

static void test_types(void)
{
    static const struct {
        int type, depth, trns, channels;
    } cases[] = {
        { PNG_COLOR_TYPE_GRAY, 1, 0, 1 }, { PNG_COLOR_TYPE_GRAY, 2, 0, 1 }, { PNG_COLOR_TYPE_GRAY, 4, 0, 1 },
        { PNG_COLOR_TYPE_GRAY, 8, 0, 1 }, { PNG_COLOR_TYPE_GRAY, 16, 0, 1 }, { PNG_COLOR_TYPE_GRAY, 8, 1, 4 },
        { PNG_COLOR_TYPE_GRAY, 16, 1, 4 }, { PNG_COLOR_TYPE_GRAY_ALPHA, 8, 0, 4 }, { PNG_COLOR_TYPE_GRAY_ALPHA, 16, 0, 4 },
        { PNG_COLOR_TYPE_RGB, 8, 0, 3 }, { PNG_COLOR_TYPE_RGB, 16, 0, 3 }, { PNG_COLOR_TYPE_RGB, 8, 1, 4 },
        { PNG_COLOR_TYPE_RGB_ALPHA, 8, 0, 4 }, { PNG_COLOR_TYPE_RGB_ALPHA, 16, 0, 4 }, { PNG_COLOR_TYPE_PALETTE, 1, 0, 3 },
        { PNG_COLOR_TYPE_PALETTE, 8, 0, 3 }, { PNG_COLOR_TYPE_PALETTE, 8, 1, 4 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int interlace = 0; interlace < 2; interlace++) {
            struct sink s = make(cases[i].type, cases[i].depth, interlace, cases[i].trns);
            brume_image *im;
            if (CHECK_OK(brume_png_read_memory(s.data, s.n, "made", &im))) {
                CHECK(im->height == 3 && im->width == 4);
                CHECK_INT(im->channels, cases[i].channels);
                if (cases[i].type == PNG_COLOR_TYPE_PALETTE)
                    CHECK(im->pixels[0] == 10 && im->pixels[im->channels] == 40 && im->pixels[im->channels + 2] == 60);
                if (cases[i].type == PNG_COLOR_TYPE_RGB && cases[i].depth == 8 && !cases[i].trns)
                    CHECK(im->pixels[1] == 5 && im->pixels[11] == 55);
            }
            brume_image_free(im);
            free(s.data);
        }
}

static void test_damage(void)
{
    brume_image *im;
    struct sink s = make(PNG_COLOR_TYPE_RGB, 8, 0, 0);
    int opened = 0;
    for (size_t cut = 0; cut < s.n; cut++) {
        unsigned char *part = malloc(cut + !cut);
        if (!part) break;
        memcpy(part, s.data, cut);
        opened += brume_png_read_memory(part, cut, "cut", &im) == BRUME_OK;
        brume_image_free(im);
        free(part);
    }
    CHECK_INT(opened, 0);
    brume_rng r = { .seed = 2 };
    unsigned char *copy = malloc(s.n);
    for (int round = 0; copy && round < 4000; round++) {
        memcpy(copy, s.data, s.n);
        const uint32_t at = brume_rng_below(&r, (uint32_t)s.n);
        copy[at] ^= (unsigned char)(1u << brume_rng_below(&r, 8));
        brume_png_read_memory(copy, s.n, "flip", &im);
        brume_image_free(im);
    }
    CHECK(copy != NULL);
    free(copy);
    free(s.data);
}

static void test_grid(void)
{
    float x[3 * 2 * 2];
    for (int i = 0; i < 12; i++) x[i] = i < 4 ? -1.0f : i < 8 ? 0.0f : 1.0f;
    brume_image *im;
    if (CHECK_OK(brume_image_grid(x, 3, 2, 2, 1, 2, 3, &im))) {
        CHECK_INT(im->width, 2 + 2 * 8);
        CHECK_INT(im->height, 2 + 2 * 8);
        CHECK_INT(im->pixels[0], 255);
        CHECK_INT(im->pixels[2 * 18 + 2], 0);
        CHECK_INT(im->pixels[7 * 18 + 7], 0);
        CHECK_INT(im->pixels[8 * 18 + 8], 255);
        CHECK_INT(im->pixels[2 * 18 + 10], 128);
        CHECK_INT(im->pixels[17 * 18 + 17], 255);
    }
    brume_image_free(im);
    float *many = calloc(16 * 28 * 28, sizeof *many);
    if (many && CHECK_OK(brume_image_grid(many, 16, 28, 28, 1, 0, 0, &im)))
        CHECK(im->width == im->height && im->width >= 500 && im->width <= 900);
    brume_image_free(im);
    free(many);
    CHECK_FAILS(brume_image_grid(x, 0, 2, 2, 1, 0, 0, &im), BRUME_E_ARG, "grid");
    CHECK_FAILS(brume_image_grid(x, 1, 2, 2, 1, 0, 65000, &im), BRUME_E_ARG, "65535");
}

/* The middle square of a picture of 2 x 4, as it is, as one grey value, with transparent parts white, and from 16 bits. */
static void test_fit(void)
{
    static const uint8_t rgba[2][4][4] = {
        { { 9, 9, 9, 255 }, { 255, 0, 0, 255 }, { 0, 255, 0, 255 }, { 9, 9, 9, 255 } },
        { { 9, 9, 9, 255 }, { 0, 0, 255, 255 }, { 77, 77, 77, 0 }, { 9, 9, 9, 255 } },
    };
    brume_image *im = NULL;
    float rgb[2][2][3], grey, four[2][2][4];
    if (!CHECK_OK(brume_image_new(2, 4, 4, &im))) return;
    memcpy(im->pixels, rgba, sizeof rgba);
    brume_image_fit(im, 2, 2, 3, &rgb[0][0][0]);
    for (int k = 0; k < 3; k++) {
        CHECK_NEAR(rgb[0][0][k], k == 0 ? 1 : -1, 1e-6);
        CHECK_NEAR(rgb[0][1][k], k == 1 ? 1 : -1, 1e-6);
        CHECK_NEAR(rgb[1][0][k], k == 2 ? 1 : -1, 1e-6);
        CHECK_NEAR(rgb[1][1][k], 1, 1e-6); /* transparent */
    }
    brume_image_fit(im, 1, 1, 1, &grey); /* red, green and blue together are one white pixel, the fourth is another */
    CHECK_NEAR(grey, 2 * (1 + 1) / 4.0 - 1, 1e-6);
    brume_image_fit(im, 2, 2, 4, &four[0][0][0]);
    CHECK_NEAR(four[0][0][3], 1, 1e-6);
    CHECK_NEAR(four[1][1][3], -1, 1e-6);
    brume_image_free(im);

    if (!CHECK_OK(brume_image_new(1, 1, 1, &im))) return;
    im->deep = malloc(sizeof *im->deep);
    if (CHECK(im->deep != NULL)) {
        im->deep[0] = 1; /* nothing in 8 bits */
        brume_image_fit(im, 1, 1, 1, &grey);
        CHECK_NEAR(grey, 2 / 65535.0 - 1, 1e-7);
    }
    brume_image_free(im);
}

int main(void)
{
    const int fd = mkstemp(path);
    if (fd < 0) return 1;
    close(fd);
    test_round_trip();
    test_bytes();
    test_types();
    test_damage();
    test_grid();
    test_fit();
    unlink(path);
    return check_report();
}
