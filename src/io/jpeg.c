/* SPDX-License-Identifier: MIT
 * JPEG files through libjpeg, whose errors come back by longjmp: everything a jump may leave behind lives in struct job. */
#include "io/picture_files.h"

#include "base/fail.h"
#include "config.h"

#if BRUME_HAVE_JPEG

#include <setjmp.h>
#include <stdio.h>

#include <jpeglib.h>
#include <jerror.h>

#define MAX_BYTES ((size_t)1 << 28)
#define MAX_SCANS 200 /* a small progressive file may ask for thousands of passes over a large picture */
#define MAX_SCANNED ((uint64_t)1 << 32) /* pixels of all passes */
/* pixels of a byte: a bit at least for each block of 64 in the finest plane; and what a picture without one may have, by 4 */
#define HUFFMAN_MOST 2048

struct job {
    struct jpeg_decompress_struct jpeg;
    struct jpeg_error_mgr errors;
    struct jpeg_progress_mgr progress;
    jmp_buf jump;
    const char *name;
    brume_image *image;
    char message[JMSG_LENGTH_MAX];
};

static void on_error(j_common_ptr jpeg)
{
    struct job *j = jpeg->client_data;
    jpeg->err->format_message(jpeg, j->message);
    longjmp(j->jump, 1);
}

/* A warning means damaged data: half a picture must not pass for a whole one. */
static void on_message(j_common_ptr jpeg, int level)
{
    if (level < 0) on_error(jpeg);
}

static void on_progress(j_common_ptr jpeg)
{
    struct job *j = jpeg->client_data;
    if (!jpeg->is_decompressor) return;
    const size_t scans = (size_t)((j_decompress_ptr)jpeg)->input_scan_number,
    pixels = (size_t)j->jpeg.image_width * j->jpeg.image_height;
    if (scans <= MAX_SCANS && (scans <= 16 || pixels <= MAX_SCANNED / scans)) return;
    snprintf(j->message, sizeof j->message, "%zu scans are too many", scans);
    longjmp(j->jump, 1);
}

static brume_status read_jpeg(struct job *j, const void *bytes, size_t n)
{
    if (setjmp(j->jump))
        return j->errors.msg_code == JERR_OUT_OF_MEMORY
                   ? brume_fail(BRUME_E_MEMORY, "%s: no memory to read it", j->name)
                   : brume_fail(BRUME_E_FORMAT, "%s: not a good JPEG: %s", j->name, j->message);
    jpeg_create_decompress(&j->jpeg);
    j->jpeg.client_data = j;
    j->jpeg.progress = &j->progress;
    j->progress.progress_monitor = on_progress;
    jpeg_mem_src(&j->jpeg, bytes, (unsigned long)n);
    jpeg_read_header(&j->jpeg, TRUE);
    if (j->jpeg.jpeg_color_space == JCS_CMYK || j->jpeg.jpeg_color_space == JCS_YCCK)
        return brume_fail(BRUME_E_UNSUPPORTED, "%s: a JPEG in CMYK; save it as RGB", j->name);
    j->jpeg.out_color_space = j->jpeg.jpeg_color_space == JCS_GRAYSCALE ? JCS_GRAYSCALE : JCS_RGB;
    j->jpeg.dct_method = JDCT_ISLOW;
    const size_t w = j->jpeg.image_width, h = j->jpeg.image_height, c = j->jpeg.out_color_space == JCS_GRAYSCALE ? 1 : 3;
    if (w * h > MAX_BYTES / c) return brume_fail(BRUME_E_UNSUPPORTED, "%s: more than 256 MiB of pixels", j->name);
    if (!j->jpeg.arith_code && w * h / HUFFMAN_MOST > n)
        return brume_fail(BRUME_E_FORMAT, "%s: not a good JPEG: %zu x %zu pixels, more than %zu bytes can hold", j->name, w, h,
                          n);
    const brume_status s = brume_image_new((int32_t)h, (int32_t)w, (int32_t)c, &j->image);
    if (s != BRUME_OK) return s;
    jpeg_start_decompress(&j->jpeg);
    while (j->jpeg.output_scanline < j->jpeg.output_height) {
        JSAMPROW row = j->image->pixels + (size_t)j->jpeg.output_scanline * w * c;
        jpeg_read_scanlines(&j->jpeg, &row, 1);
    }
    jpeg_finish_decompress(&j->jpeg);
    return BRUME_OK;
}

brume_status brume_jpeg_read_memory(const void *bytes, size_t n, const char *name, brume_image **out)
{
    struct job j = { .name = name };
    *out = NULL;
    j.jpeg.err = jpeg_std_error(&j.errors);
    j.jpeg.client_data = &j; /* an error inside jpeg_create_decompress() needs it already */
    j.errors.error_exit = on_error;
    j.errors.emit_message = on_message;
    const brume_status s = read_jpeg(&j, bytes, n);
    jpeg_destroy_decompress(&j.jpeg);
    if (s != BRUME_OK) brume_image_free(j.image);
    else *out = j.image;
    return s;
}

#else

brume_status brume_jpeg_read_memory(const void *bytes, size_t n, const char *name, brume_image **out)
{
    (void)bytes;
    (void)n;
    *out = NULL;
    return brume_fail(BRUME_E_UNSUPPORTED, "%s: this build reads no JPEG; install libjpeg and build again, or convert it to PNG",
                      name);
}

#endif
