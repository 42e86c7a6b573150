/* SPDX-License-Identifier: MIT
 * The checker of pictures, and its own test.
 *   test_shapes_seen                                the test: the checker sees what the generator drew, noise or not, and sees
 *   when it is something else
 *   test_shapes_seen prompts N SEED [one]           N different held-out captions of shapes-text; one: of one figure
 *   test_shapes_seen check FILE.safetensors PROMPT  judges images (N, 3, H, W) of `brume sample --save-tensors`; prints
 *                                                   "figures places of N PROMPT": how many show the wanted figures, and where the
 *                                                   prompt says */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "brume/data.h"
#include "brume/rng.h"
#include "brume/safetensors.h"
#include "check.h"
#include "shape_check.h"

/* Right answers of n items; wrong: the prompt of another item. */
static int right(int size, int test, double noise, int n, int wrong)
{
    const brume_dataset_options o = { .size = size, .test = test, .seed = 11 };
    brume_dataset *ds;
    float x[64 * 64 * 3];
    int good = 0;
    if (!CHECK_OK(brume_dataset_open("shapes-text", &o, &ds))) return 0;
    for (int i = 0; i < n; i++) {
        brume_rng r = { .seed = (uint64_t)i };
        struct seen_figure seen[SHAPE_CHECK_MOST];
        struct wanted w;
        char text[200];
        CHECK_OK(brume_dataset_get(ds, i, x, NULL));
        CHECK_OK(brume_dataset_caption(ds, i + wrong, text, sizeof text));
        CHECK(shape_check_parse(text, &w));
        for (int e = 0; e < size * size * 3; e++) x[e] += (float)noise * brume_rng_normal(&r);
        const int count = shape_check_see(x, size, seen),
                  ok = shape_check_judge(&w, seen, count) == (SHAPE_CHECK_FIGURES | SHAPE_CHECK_PLACES);
        good += ok;
        if (!ok && !wrong && getenv("SHAPES_SEEN")) {
            printf("%d of size %d: %s:", i, size, text);
            for (int k = 0; k < count; k++) printf(" %s %s (%.2f, %.2f)", seen[k].colour, seen[k].shape, seen[k].x, seen[k].y);
            printf("\n");
        }
    }
    brume_dataset_free(ds);
    return good;
}

static int test(void)
{
    enum { N = 200 };
    for (int part = 0; part < 2; part++) {
        CHECK(right(16, part, 0, N, 0) >= N * 99 / 100);
        CHECK(right(16, part, 0.05, N, 0) >= N * 98 / 100);
        CHECK(right(32, part, 0, N, 0) >= N * 99 / 100);
        CHECK(right(32, part, 0.05, N, 0) >= N * 99 / 100);
        CHECK(right(16, part, 0, N, 1) <= N * 6 / 100); /* single figures agree by chance: 1 of 4 times 10 pairs */
    }
    return check_report();
}

static int prompts(int n, uint64_t seed, int one)
{
    const brume_dataset_options o = { .test = 1, .seed = seed };
    char (*told)[200] = calloc((size_t)n, sizeof *told);
    brume_dataset *ds;
    if (!told || brume_dataset_open("shapes-text", &o, &ds) != BRUME_OK) return 1;
    int count = 0;
    for (int64_t i = 0; count < n && i < brume_dataset_count(ds); i++) {
        int known = 0;
        struct wanted w;
        if (brume_dataset_caption(ds, i, told[count], sizeof *told) != BRUME_OK || !shape_check_parse(told[count], &w) ||
            (one && w.figures != 1))
            continue;
        for (int k = 0; k < count; k++) known |= !strcmp(told[k], told[count]);
        if (!known) puts(told[count++]);
    }
    brume_dataset_free(ds);
    free(told);
    return count < n;
}

static int judge(const char *path, const char *prompt)
{
    brume_safetensors *f;
    struct wanted w;
    if (!shape_check_parse(prompt, &w)) return fprintf(stderr, "%s: expected colours and shapes of shapes-text\n", prompt), 2;
    if (brume_safetensors_open(path, &f) != BRUME_OK) return fprintf(stderr, "%s\n", brume_error()), 1;
    const brume_st_tensor *t = brume_safetensors_at(f, 0);
    if (!t || t->ndim != 4 || t->shape[1] != 3 || t->shape[2] != t->shape[3] || t->shape[2] > 64)
        return fprintf(stderr, "%s: expected one tensor (N, 3, H, H)\n", path), 1;
    const int size = (int)t->shape[2], pixels = size * size;
    static float chw[64 * 64 * 3], hwc[64 * 64 * 3];
    int figures = 0, places = 0;
    for (int64_t i = 0; i < t->shape[0]; i++) {
        struct seen_figure seen[SHAPE_CHECK_MOST];
        if (brume_st_read_f32(t, i * 3 * pixels, 3 * pixels, chw) != BRUME_OK) return fprintf(stderr, "%s\n", brume_error()), 1;
        for (int p = 0; p < pixels; p++)
            for (int c = 0; c < 3; c++) hwc[3 * p + c] = chw[c * pixels + p];
        const int answer = shape_check_judge(&w, seen, shape_check_see(hwc, size, seen));
        figures += (answer & SHAPE_CHECK_FIGURES) != 0;
        places += (answer & SHAPE_CHECK_PLACES) != 0;
    }
    printf("%d %d of %lld %s\n", figures, places, (long long)t->shape[0], prompt);
    brume_safetensors_close(f);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 1) return test();
    if ((argc == 4 || argc == 5) && !strcmp(argv[1], "prompts"))
        return prompts(atoi(argv[2]), (uint64_t)atoll(argv[3]), argc == 5);
    if (argc == 4 && !strcmp(argv[1], "check")) return judge(argv[2], argv[3]);
    fprintf(stderr, "usage: test_shapes_seen [prompts N SEED [one] | check FILE.safetensors PROMPT]\n");
    return 2;
}
