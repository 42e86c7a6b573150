/* SPDX-License-Identifier: MIT
 * The program's command lines, option files and the records of pictures. Its sources are compiled with their main() and what
 * opens devices and data renamed, so that no command computes: they end where work would begin. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../src/cli/record.h"
#include "fuzz.h"
#include "fuzz_cli.h"

brume_status fuzz_device_open(const char *spec, const brume_device_options *options, brume_device **out)
{
    (void)options;
    fuzz_use_text(spec);
    *out = NULL;
    return brume_device_open("no device while fuzzing", NULL, out);
}

brume_status fuzz_device_list(brume_device_info **out, int *n, char note[256])
{
    if (note) note[0] = 0;
    *out = calloc(1, sizeof **out);
    *n = *out != NULL;
    return BRUME_OK;
}

brume_status fuzz_dataset_open(const char *what, const brume_dataset_options *options, brume_dataset **out)
{
    brume_dataset_options few = options ? *options : (brume_dataset_options){ 0 };
    if (few.count <= 0 || few.count > 4) few.count = 4;
    if (few.size > 64 || few.width > 64) few.size = few.width = 64;
    few.threads = -1;
    return brume_dataset_open(what, &few, out);
}

enum { MOST_WORDS = 40 };

/* Runs a command line within the folder; its words are changed. */
static void run(int argc, char **argv)
{
    static int home = -1; /* the fuzzer's own files may have relative names */
    if (home < 0) home = open(".", O_RDONLY | O_CLOEXEC);
    if (home < 0 || chdir(fuzz_path(""))) fuzz_broken("no folder");
    (void)brume_main(argc, argv);
    fflush(stdout);
    if (fchdir(home)) fuzz_broken("no way back");
}

/* Words that name files stay in the folder. */
static void tame(char *word)
{
    for (char *c = word; *c; c++)
        if (*c == '/' || (*c == '.' && c[1] == '.')) *c = '_';
}

/* The first lines up to "@@ " are words; files follow. */
void fuzz_cli(const uint8_t *data, size_t n)
{
    char *argv[MOST_WORDS + 2] = { (char *)"brume" };
    const uint8_t *files = n > 3 && memcmp(data, "@@ ", 3) ? memmem(data, n, "\n@@ ", 4) : NULL;
    const size_t length = files ? (size_t)(files - data) : n;
    char *text = malloc(length + 1), *at = text;
    int argc = 1;
    if (length) memcpy(text, data, length);
    text[length] = 0;
    while (argc <= MOST_WORDS && at < text + length) {
        char *stop = memchr(at, '\n', (size_t)(text + length - at));
        if (stop) *stop = 0;
        tame(at);
        argv[argc++] = at;
        if (!stop) break;
        at = stop + 1;
    }
    if (files) fuzz_unpack(files + 1, n - length - 1);
    run(argc, argv);
    free(text);
}

/* The options of a run in a file. */
void fuzz_options(const uint8_t *data, size_t n)
{
    char words[][16] = { "brume", "train", "--config", "run.json", "--out", "out" }, *argv[7];
    for (int i = 0; i < 6; i++) argv[i] = words[i];
    argv[6] = NULL;
    if (memmem(data, n, "/", 1) || memmem(data, n, "..", 2)) return; /* files elsewhere */
    fuzz_put("run.json", data, n);
    run(6, argv);
}

void fuzz_record(const uint8_t *data, size_t n)
{
    brume_image *im;
    struct record r = { 0 };
    char *text = malloc(n + 1);
    if (n) memcpy(text, data, n);
    text[n] = 0;
    if (brume_image_new(1, 1, 1, &im) != BRUME_OK || brume_image_set_text(im, "brume", text) != BRUME_OK)
        fuzz_broken(brume_error());
    if (record_read(im, "input.png", &r) == CLI_GO_ON) {
        brume_json_writer *w = brume_json_writer_new();
        record_print(&r);
        brume_json_begin_object(w, NULL);
        record_put(&r, w);
        brume_json_end(w);
        fuzz_use_text(brume_json_writer_text(w));
        brume_json_writer_free(w);
        for (int64_t i = 0; i < brume_json_count(r.options); i++) free(record_text(brume_json_at(r.options, i)));
    }
    fflush(stdout);
    record_free(&r);
    brume_image_free(im);
    free(text);
}
