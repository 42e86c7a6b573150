/* SPDX-License-Identifier: MIT
 * Records in PNGs: texts of any bytes come back, damaged records are refused. */
#include "cli/record.h"

#include "check.h"

static char *round_trip(const char *text)
{
    brume_json *j = NULL;
    brume_json_writer *w = brume_json_writer_new();
    brume_json_begin_object(w, NULL);
    record_put_text(w, "prompt", text);
    brume_json_end(w);
    const char *json = brume_json_writer_text(w);
    char *back = CHECK_OK(brume_json_parse(json, strlen(json), "test", &j)) ? record_text(brume_json_find(j, "prompt")) : NULL;
    brume_json_free(j);
    brume_json_writer_free(w);
    return back;
}

static void texts(void)
{
    static const char *const plain[] = { "", "a red fox", "\"quoted\" \\ back\\slash", "two\nlines\r\nand a tab\t",
                                         "\xd0\xbb\xd0\xb8\xd1\x81\xd0\xb0 \xf0\x9f\xa6\x8a", "Latin-1: \xe9\xff", "\x01NaN",
                                         "\x01\x02\x1f\x7f", "cut \xf0\x9f\xa6", "{\"hex\": \"00\"}",
                                         "\xed\xa0\x80", "\xc0\x80" };
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++) {
        char *back = round_trip(plain[i]);
        CHECK_STR(back, plain[i]);
        free(back);
    }
    char all[256]; /* every byte that an argument can hold */
    for (int i = 1; i < 256; i++) all[i - 1] = (char)i;
    all[255] = 0;
    char *back = round_trip(all);
    CHECK_STR(back, all);
    free(back);
}

/* Reads a record from an image that went through a PNG. */
static int read_text(const char *text, struct record *r)
{
    brume_image *im = NULL, *again = NULL;
    void *bytes = NULL;
    size_t n = 0;
    int status = CLI_FAILED;
    *r = (struct record){ 0 };
    CHECK_OK(brume_image_new(1, 1, 1, &im));
    if (text) CHECK_OK(brume_image_set_text(im, "brume", text));
    CHECK_OK(brume_png_write_memory(im, "test", &bytes, &n));
    if (CHECK_OK(brume_png_read_memory(bytes, n, "test.png", &again))) status = record_read(again, "test.png", r);
    free(bytes);
    brume_image_free(im);
    brume_image_free(again);
    return status;
}

#define GOOD(format_, picture_, model_, device_, options_, files_) \
    "{\"format\": " format_ ", \"brume\": \"0.1\", \"picture\": " picture_ ", \"model\": " model_ ", \"device\": " device_ \
    ", \"options\": " options_ ", \"files\": " files_ "}"
#define MODEL "{\"path\": \"run\", \"weights\": \"12\", \"scheduler\": \"34\"}"
#define DEVICE "{\"spec\": \"cpu\", \"name\": \"x\", \"platform\": \"y\"}"

static void records(void)
{
    struct record r;
    CHECK_INT(read_text(NULL, &r), CLI_GO_ON);
    CHECK(!r.json);
    if (CHECK_INT(read_text(GOOD("1", "\"strip\"", MODEL, DEVICE, "{\"n\": 4, \"prompt\": {\"hex\": \"e9\"}}",
                                 "{\"mask\": \"56\"}"),
                            &r),
                  CLI_GO_ON)) {
        CHECK_STR(r.picture, "strip");
        CHECK_STR(r.weights, "12");
        CHECK_STR(r.device, "cpu");
        CHECK_INT(brume_json_count(r.options), 2);
        CHECK_INT(brume_json_count(r.files), 1);
        CHECK_INT(r.keeps_x0, 0);
    }
    record_free(&r);
    static const char *const damaged[] = {
        "", "{", "[]", "{}", "null", "7", GOOD("2", "\"out\"", MODEL, DEVICE, "{}", "{}"),
        GOOD("\"1\"", "\"out\"", MODEL, DEVICE, "{}", "{}"), GOOD("1", "\"save-tensors\"", MODEL, DEVICE, "{}", "{}"),
        GOOD("1", "7", MODEL, DEVICE, "{}", "{}"), GOOD("1", "\"out\"", "\"run\"", DEVICE, "{}", "{}"),
        GOOD("1", "\"out\"", "{\"path\": 5, \"weights\": \"\", \"scheduler\": \"\"}", DEVICE, "{}", "{}"),
        GOOD("1", "\"out\"", "{\"weights\": \"\", \"scheduler\": \"\"}", DEVICE, "{}", "{}"),
        GOOD("1", "\"out\"", "{\"path\": {\"hex\": \"0\"}, \"weights\": \"\", \"scheduler\": \"\"}", DEVICE, "{}", "{}"),
        GOOD("1", "\"out\"", "{\"path\": {\"hex\": \"6100\"}, \"weights\": \"\", \"scheduler\": \"\"}", DEVICE, "{}", "{}"),
        GOOD("1", "\"out\"", "{\"path\": {\"hex\": \"zz\"}, \"weights\": \"\", \"scheduler\": \"\"}", DEVICE, "{}", "{}"),
        GOOD("1", "\"out\"", MODEL, "[]", "{}", "{}"), GOOD("1", "\"out\"", MODEL, DEVICE, "[]", "{}"),
        GOOD("1", "\"out\"", MODEL, DEVICE, "{\"n\\n\": 1}", "{}"), GOOD("1", "\"out\"", MODEL, DEVICE, "{}", "{\"mask\": 5}"),
        GOOD("1", "\"out\"", MODEL, DEVICE, "{\"n\": [[[[1]]]]}", "{}"), GOOD("1", "\"out\"", MODEL, DEVICE,
                                                                              "{\"n\": 1, \"n\": 2}", "{}"),
    };
    for (size_t i = 0; i < sizeof damaged / sizeof *damaged; i++) {
        if (!CHECK_INT(read_text(damaged[i], &r), CLI_FAILED)) fprintf(stderr, "    record %zu: %s\n", i, damaged[i]);
        CHECK(!r.json);
        record_free(&r);
    }
    const char *const good = GOOD("1", "\"out\"", MODEL, DEVICE, "{}", "{}");
    for (size_t n = 0; n < strlen(good); n += 11) { /* cut anywhere */
        char cut[512];
        snprintf(cut, sizeof cut, "%.*s", (int)n, good);
        if (!CHECK_INT(read_text(cut, &r), CLI_FAILED)) fprintf(stderr, "    cut after %zu bytes\n", n);
        record_free(&r);
    }
    enum { DEEP = 100000, HUGE_TEXT = (1 << 20) + 1 };
    char *text = malloc(HUGE_TEXT + 1);
    if (!CHECK(text)) return;
    memset(text, '[', DEEP);
    text[DEEP] = 0;
    CHECK_INT(read_text(text, &r), CLI_FAILED);
    memset(text, ' ', HUGE_TEXT); /* longer than any record, though good JSON */
    memcpy(text, good, strlen(good));
    text[HUGE_TEXT] = 0;
    CHECK_INT(read_text(text, &r), CLI_FAILED);
    text[HUGE_TEXT - 1] = 0;
    CHECK_INT(read_text(text, &r), CLI_GO_ON);
    record_free(&r);
    free(text);
}

int main(void)
{
    texts();
    records();
    return check_report();
}
