/* SPDX-License-Identifier: MIT
 * Captions: of the built-in pictures, whose parts must not share a pair of colour and shape, and of folders, good and bad. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "brume/data.h"
#include "brume/image.h"
#include "check.h"

static char dir[400];

static const char *in_dir(const char *name)
{
    static char path[600];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    return path;
}

static void put(const char *name, const char *text) { CHECK_OK(brume_file_write(in_dir(name), text, strlen(text))); }

static const char *const colours[] = { "red", "orange", "yellow", "green", "cyan", "blue", "purple", "pink" };
static const char *const shapes[] = { "circle", "square", "triangle", "cross", "ring" };
/* As the header says. */
static const char *const held_out[] = { "red circle", "blue circle", "blue square", "yellow square", "yellow triangle",
                                        "pink triangle", "pink cross", "cyan cross", "cyan ring", "orange ring" };

static int is_held_out(const char *pair)
{
    for (size_t i = 0; i < sizeof held_out / sizeof *held_out; i++)
        if (!strcmp(held_out[i], pair)) return 1;
    return 0;
}

/* How often each pair of colour and shape is in the captions of a part. */
static void count_pairs(const brume_dataset *ds, int64_t n, int seen[8][5], int *two)
{
    for (int64_t i = 0; i < n; i++) {
        char text[200];
        if (!CHECK_OK(brume_dataset_caption(ds, i, text, sizeof text))) return;
        int figures = 0;
        for (int c = 0; c < 8; c++)
            for (int k = 0; k < 5; k++) {
                char pair[40];
                snprintf(pair, sizeof pair, "%s %s", colours[c], shapes[k]);
                for (const char *at = text; (at = strstr(at, pair)); at++) seen[c][k]++, figures++;
            }
        CHECK(figures == 1 || figures == 2);
        *two += figures == 2;
        CHECK((figures == 2) ==
              (strstr(text, " left of ") || strstr(text, " right of ") || strstr(text, " above ") || strstr(text, " below ")));
        CHECK(!strstr(text, "a orange") && !strstr(text, "  "));
    }
}

static void test_scenes(void)
{
    brume_dataset *train = NULL, *test = NULL, *ds;
    const brume_dataset_options part = { .test = 1 }, small = { .size = 8 }, grey = { .channels = 1 };
    int in_train[8][5] = { 0 }, in_test[8][5] = { 0 }, two[2] = { 0 };
    if (CHECK_OK(brume_dataset_open("shapes-text", NULL, &train)) && CHECK_OK(brume_dataset_open("shapes-text", &part, &test))) {
        CHECK_OK(brume_dataset_check_captions(train));
        count_pairs(train, 4000, in_train, &two[0]);
        count_pairs(test, 4000, in_test, &two[1]);
        for (int k = 0; k < 2; k++) CHECK(two[k] > 1800 && two[k] < 2200); /* half of them, within 6 deviations */
        for (int c = 0; c < 8; c++)
            for (int k = 0; k < 5; k++) {
                char pair[40];
                snprintf(pair, sizeof pair, "%s %s", colours[c], shapes[k]);
                CHECK((in_train[c][k] > 0) == !is_held_out(pair));
                CHECK((in_test[c][k] > 0) == is_held_out(pair));
            }
        /* Known answer: pixels and words must never change, or old runs could not be repeated. */
        char text[100];
        float x[32 * 32 * 3];
        CHECK_OK(brume_dataset_caption(train, 0, text, sizeof text));
        CHECK_STR(text, "a pink ring right of a small green cross");
        CHECK_OK(brume_dataset_get(train, 0, x, NULL));
        uint32_t hash = 2166136261u; /* FNV-1a over the bits */
        for (size_t e = 0; e < sizeof x; e++) hash = (hash ^ ((unsigned char *)x)[e]) * 16777619u;
        CHECK_INT(hash, 4251808088u);
    }
    brume_dataset_free(train);
    brume_dataset_free(test);
    CHECK_FAILS(brume_dataset_open("shapes-text", &small, &ds), BRUME_E_ARG, "16 to 1024");
    CHECK_FAILS(brume_dataset_open("shapes-text", &grey, &ds), BRUME_E_ARG, "expected 3");
}

static void check_caption(const brume_dataset *ds, int64_t i, const char *want)
{
    char text[100];
    CHECK_OK(brume_dataset_caption(ds, i, text, sizeof text));
    CHECK_STR(text, want);
}

static void test_text_files(void)
{
    brume_dataset *ds;
    put("a.txt", "\xef\xbb\xbf" "a red bar\r\nmore of it\n");
    if (CHECK_OK(brume_dataset_open(dir, NULL, &ds))) {
        CHECK_INT(brume_dataset_count(ds), 2);
        check_caption(ds, 0, "a red bar");
        check_caption(ds, 1, "picture");
        CHECK_FAILS(brume_dataset_check_captions(ds), BRUME_E_FORMAT, "1 of 2 pictures have no caption, the first is ");
        CHECK_FAILS(brume_dataset_check_captions(ds), BRUME_E_FORMAT, "b.png");
        put("b.txt", " \n");
        CHECK_FAILS(brume_dataset_check_captions(ds), BRUME_E_FORMAT, "b.png");
        put("b.txt", "a bar");
        CHECK_OK(brume_dataset_check_captions(ds));
    }
    brume_dataset_free(ds);
}

static void test_metadata(void)
{
    static const struct { const char *lines, *says; } bad[] = {
        { "{\"file_name\": \"a.png\", \"text\": \"x\"}\n\nnonsense\n", "metadata.jsonl:3: not valid JSON" },
        { "[1]\n", "metadata.jsonl:1: expected an object" },
        { "{\"text\": \"x\"}\n", "metadata.jsonl:1: \"file_name\" is missing" },
        { "{\"file_name\": \"a.png\"}\n", "metadata.jsonl:1: \"text\" is missing" },
        { "{\"file_name\": \"a.png\", \"text\": 3}\n", "metadata.jsonl:1: \"text\" must be a text" },
        { "{\"file_name\": \"a.png\", \"text\": \" \"}\n", "metadata.jsonl:1: \"text\" must be a text" },
        { "{\"file_name\": \"c.png\", \"text\": \"x\"}\n", "metadata.jsonl:1: there is no picture 'c.png'" },
        { "{\"file_name\": \"a.txt\", \"text\": \"x\"}\n", "metadata.jsonl:1: 'a.txt' is not among the pictures" },
        { "{\"file_name\": \"a.png\", \"text\": \"x\"}\n{\"file_name\": \"a.png\", \"text\": \"y\"}\n",
          "metadata.jsonl:2: 'a.png' has a caption already" },
        { "{\"file_name\": \"a.png\", \"text\": \"x\\u0000y\"}\n", "metadata.jsonl:1: " },
        { "{\"file_name\": \"a.png\", \"text\": \"x\"", "metadata.jsonl:1: not valid JSON" },
    };
    brume_dataset *ds;
    put("metadata.jsonl", "{\"file_name\": \"./b.png\", \"text\": \"two \\u00e9\\\"\", \"more\": [1]}\r\n\n{\"text\": \"one\", "
                          "\"file_name\": \"a.png\"}");
    if (CHECK_OK(brume_dataset_open(dir, NULL, &ds))) {
        check_caption(ds, 0, "one"); /* not that of a.txt */
        check_caption(ds, 1, "two \xc3\xa9\"");
        CHECK_OK(brume_dataset_check_captions(ds));
    }
    brume_dataset_free(ds);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        put("metadata.jsonl", bad[i].lines);
        CHECK_FAILS(brume_dataset_open(dir, NULL, &ds), BRUME_E_FORMAT, bad[i].says);
    }
    put("metadata.jsonl", "");
    unlink(in_dir("a.txt"));
    unlink(in_dir("b.txt"));
    if (CHECK_OK(brume_dataset_open(dir, NULL, &ds)))
        CHECK_FAILS(brume_dataset_check_captions(ds), BRUME_E_FORMAT, "2 of 2 pictures");
    brume_dataset_free(ds);
    /* Sub-folders: names of classes serve as captions where there are no others; paths of metadata.jsonl begin at its folder. */
    CHECK_OK(brume_make_folders(in_dir("sub")));
    CHECK_OK(brume_make_folders(in_dir("pub")));
    char to[600];
    snprintf(to, sizeof to, "%s", in_dir("sub/a.png"));
    CHECK_INT(rename(in_dir("a.png"), to), 0);
    snprintf(to, sizeof to, "%s", in_dir("pub/b.png"));
    CHECK_INT(rename(in_dir("b.png"), to), 0);
    if (CHECK_OK(brume_dataset_open(dir, NULL, &ds))) {
        CHECK_OK(brume_dataset_check_captions(ds));
        check_caption(ds, 0, "pub");
    }
    brume_dataset_free(ds);
    put("metadata.jsonl", "{\"file_name\": \"pub/b.png\", \"text\": \"x\"}\n");
    if (CHECK_OK(brume_dataset_open(dir, NULL, &ds))) {
        check_caption(ds, 0, "x");
        CHECK_FAILS(brume_dataset_check_captions(ds), BRUME_E_FORMAT, "a.png");
    }
    brume_dataset_free(ds);
}

int main(void)
{
    const char *tmp = getenv("TMPDIR");
    brume_image *im;
    snprintf(dir, sizeof dir, "%s/brume-captions-XXXXXX", tmp && *tmp ? tmp : "/tmp");
    if (!CHECK(mkdtemp(dir) != NULL) || !CHECK_OK(brume_image_new(8, 8, 3, &im))) return check_report();
    CHECK_OK(brume_png_write(in_dir("a.png"), im));
    CHECK_OK(brume_png_write(in_dir("b.png"), im));
    brume_image_free(im);
    test_scenes();
    test_text_files();
    test_metadata();
    char command[500];
    snprintf(command, sizeof command, "rm -rf '%s'", dir);
    CHECK_INT(system(command), 0);
    return check_report();
}
