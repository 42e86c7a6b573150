/* SPDX-License-Identifier: MIT
 * brume data: what a data set holds, and which of its files are broken. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "brume/data.h"
#include "brume/image.h"
#include "brume/json.h"
#include "commands.h"
#include "data_options.h"
#include "memory.h"
#include "names.h"
#include "options.h"
#include "progress.h"

enum { SHOWN = 20, MEASURED = 2000, CHANNELS = 4, EXAMPLES = 3 };

struct data_args {
    struct cli_data data;
    const char *sheet;
    int64_t size, channels, count, sheet_images;
    int json, test, quiet;
};

/* Pictures of one size, as they are stored. */
struct size { int64_t height, width, n; };

struct summary {
    brume_dataset *ds;
    int64_t good;
    int64_t *by_class;
    uint64_t *sizes;                  /* of good items: height << 32 | width; sorted in the end */
    int64_t by_channels[CHANNELS + 1], deep, floats;
    struct size smallest, largest, common; /* by area */
    char **broken;
    int64_t n_broken, room;
    int64_t measured;
    double mean[CHANNELS], std[CHANNELS];
    int64_t longest;                  /* bytes of a caption */
    char examples[EXAMPLES][200];
};

static int no_memory(void)
{
    fprintf(stderr, "brume data: out of memory\n");
    return 0;
}

static int add_broken(struct summary *m, const char *reason)
{
    if (m->n_broken == m->room) {
        const int64_t room = m->room ? 2 * m->room : 16;
        char **more = realloc(m->broken, (size_t)room * sizeof *more);
        if (!more) return no_memory();
        m->broken = more;
        m->room = room;
    }
    char *copy = strdup(reason);
    if (!copy) return no_memory();
    for (unsigned char *c = (unsigned char *)copy; *c; c++)
        if (*c < 32 || *c == 127) *c = '?'; /* names of files must not steer the terminal */
    m->broken[m->n_broken++] = copy;
    return 1;
}

/* Reads every item. */
static int look(struct summary *m, int quiet)
{
    const int64_t n = brume_dataset_count(m->ds);
    struct cli_progress bar;
    int ok = 1;
    m->by_class = calloc((size_t)brume_dataset_classes(m->ds) + 1, sizeof *m->by_class);
    m->sizes = malloc((size_t)n * sizeof *m->sizes);
    if (!m->by_class || !m->sizes) return no_memory();
    for (int64_t k = 0; ok && k < brume_dataset_bad_count(m->ds); k++) ok = add_broken(m, brume_dataset_bad(m->ds, k));
    cli_progress_begin(&bar, "reading", -1, n, quiet);
    for (int64_t i = 0; ok && i < n; i++) {
        brume_item_info info;
        const brume_status s = brume_dataset_look(m->ds, i, &info);
        if (s == BRUME_OK) {
            m->sizes[m->good++] = (uint64_t)info.height << 32 | (uint64_t)info.width;
            m->by_class[info.label]++;
            m->by_channels[info.channels <= CHANNELS ? info.channels : 0]++;
            m->deep += info.bits == 16;
            m->floats += info.bits == 32;
        } else {
            ok = s == BRUME_E_MEMORY ? no_memory() : add_broken(m, brume_error());
        }
        cli_progress_step(&bar, i + 1, "%s", "");
    }
    cli_progress_end(&bar);
    return ok;
}

static int by_value(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static void find_sizes(struct summary *m)
{
    qsort(m->sizes, (size_t)m->good, sizeof *m->sizes, by_value);
    for (int64_t i = 0, end; i < m->good; i = end) {
        for (end = i; end < m->good && m->sizes[end] == m->sizes[i];) end++;
        const struct size s = { (int64_t)(m->sizes[i] >> 32), (int64_t)(m->sizes[i] & UINT32_MAX), end - i };
        const int64_t area = s.height * s.width;
        if (!i || area < m->smallest.height * m->smallest.width) m->smallest = s;
        if (!i || area > m->largest.height * m->largest.width) m->largest = s;
        if (s.n > m->common.n) m->common = s;
    }
}

/* 0 without memory; what is wrong with items is known. */
static int look_at_captions(struct summary *m)
{
    char text[4096];
    const int64_t n = brume_dataset_count(m->ds);
    for (int64_t i = 0; i < n; i++) {
        const brume_status s = brume_dataset_caption(m->ds, i, text, sizeof text);
        if (s == BRUME_E_MEMORY) return no_memory();
        if (s != BRUME_OK) continue;
        const int64_t length = (int64_t)strlen(text);
        if (length > m->longest) m->longest = length;
    }
    for (int64_t k = 0; k < EXAMPLES; k++) {
        const brume_status s = brume_dataset_caption(m->ds, k * n / EXAMPLES, text, sizeof text);
        if (s == BRUME_E_MEMORY) return no_memory();
        if (s == BRUME_OK) snprintf(m->examples[k], sizeof *m->examples, "%.199s", text);
    }
    return 1;
}

/* Mean and deviation of values in [-1, 1], of images as a model would see them, evenly chosen. */
static int measure(struct summary *m)
{
    const int64_t n = brume_dataset_count(m->ds), c = brume_dataset_channels(m->ds);
    const int64_t numel = (int64_t)brume_dataset_height(m->ds) * brume_dataset_width(m->ds) * c,
                  take = n < MEASURED ? n : MEASURED;
    float *x = cli_array(numel, sizeof *x);
    double sum[CHANNELS] = { 0 }, squares[CHANNELS] = { 0 };
    brume_status s = x ? BRUME_OK : BRUME_E_MEMORY;
    for (int64_t k = 0; m->good && c <= CHANNELS && k < take && s != BRUME_E_MEMORY; k++) {
        s = brume_dataset_get(m->ds, k * n / take, x, NULL);
        if (s != BRUME_OK) continue;
        m->measured++;
        for (int64_t e = 0; e < numel; e++) {
            sum[e % c] += (double)x[e];
            squares[e % c] += (double)x[e] * (double)x[e];
        }
    }
    for (int64_t k = 0; m->measured && k < c; k++) {
        const double pixels = (double)(m->measured * (numel / c));
        m->mean[k] = sum[k] / pixels;
        m->std[k] = sqrt(fmax(squares[k] / pixels - m->mean[k] * m->mean[k], 0));
    }
    free(x);
    return s != BRUME_E_MEMORY || no_memory();
}

static int draw_sheet(const struct summary *m, const struct data_args *a)
{
    const int64_t n = brume_dataset_count(m->ds), take = n < a->sheet_images ? n : a->sheet_images;
    const int32_t h = brume_dataset_height(m->ds), w = brume_dataset_width(m->ds), c = brume_dataset_channels(m->ds);
    const int64_t numel = (int64_t)h * w * c;
    float *x = cli_array(take * numel, sizeof *x);
    brume_image *im = NULL;
    int64_t drawn = 0;
    if (!x) return no_memory();
    brume_status s = BRUME_OK;
    for (int64_t k = 0; k < take && s != BRUME_E_MEMORY; k++) {
        s = brume_dataset_get(m->ds, k * n / take, x + drawn * numel, NULL);
        drawn += s == BRUME_OK;
    }
    if (s != BRUME_E_MEMORY) s = drawn ? brume_image_grid(x, drawn, h, w, c, 0, 0, &im) : BRUME_OK;
    if (im) s = brume_png_write(a->sheet, im);
    brume_image_free(im);
    free(x);
    if (s != BRUME_OK) cli_failed();
    return s == BRUME_OK;
}

static void put_size(brume_json_writer *w, const char *key, const struct size *s)
{
    brume_json_begin_object(w, key);
    brume_json_put_int(w, "height", s->height);
    brume_json_put_int(w, "width", s->width);
    brume_json_put_int(w, "count", s->n);
    brume_json_end(w);
}

static int print_json(const struct summary *m)
{
    brume_json_writer *w = brume_json_writer_new();
    if (!w) return no_memory();
    brume_json_begin_object(w, NULL);
    brume_json_put_string(w, "kind", brume_dataset_kind(m->ds));
    brume_json_put_int(w, "items", brume_dataset_count(m->ds));
    brume_json_put_int(w, "height", brume_dataset_height(m->ds));
    brume_json_put_int(w, "width", brume_dataset_width(m->ds));
    brume_json_put_int(w, "channels", brume_dataset_channels(m->ds));
    put_size(w, "smallest", &m->smallest);
    put_size(w, "largest", &m->largest);
    put_size(w, "most_common", &m->common);
    brume_json_begin_object(w, "stored_channels");
    for (int k = 1; k <= CHANNELS; k++) {
        const char key[2] = { (char)('0' + k), 0 };
        if (m->by_channels[k]) brume_json_put_int(w, key, m->by_channels[k]);
    }
    brume_json_end(w);
    brume_json_put_int(w, "of_16_bits", m->deep);
    brume_json_put_int(w, "of_floats", m->floats);
    brume_json_begin_array(w, "classes", 0);
    for (int32_t k = 0; k < brume_dataset_classes(m->ds); k++) {
        brume_json_begin_object(w, NULL);
        brume_json_put_string(w, "name", brume_dataset_class_name(m->ds, k));
        brume_json_put_int(w, "count", m->by_class[k]);
        brume_json_end(w);
    }
    brume_json_end(w);
    brume_json_put_bool(w, "captions", brume_dataset_check_captions(m->ds) == BRUME_OK);
    brume_json_put_int(w, "longest_caption", m->longest);
    brume_json_begin_array(w, "captions_examples", 0);
    for (int k = 0; k < EXAMPLES; k++) brume_json_put_string(w, NULL, m->examples[k]);
    brume_json_end(w);
    for (int which = 0; which < 2; which++) {
        brume_json_begin_array(w, which ? "std" : "mean", 1);
        for (int k = 0; m->measured && k < brume_dataset_channels(m->ds) && k < CHANNELS; k++)
            brume_json_put_double(w, NULL, which ? m->std[k] : m->mean[k]);
        brume_json_end(w);
    }
    brume_json_begin_array(w, "broken", 0);
    for (int64_t k = 0; k < m->n_broken; k++) brume_json_put_string(w, NULL, m->broken[k]);
    brume_json_end(w);
    brume_json_end(w);
    const char *text = brume_json_writer_text(w);
    if (text) printf("%s\n", text);
    brume_json_writer_free(w);
    return text ? 1 : no_memory();
}

static void print_text(const struct summary *m)
{
    const brume_dataset *ds = m->ds;
    const int32_t classes = brume_dataset_classes(ds);
    printf("%-12s%s\n%-12s%lld%s\n", "kind", brume_dataset_kind(ds), "items", (long long)brume_dataset_count(ds),
           m->n_broken ? ", of which some are broken, see below" : "");
    if (m->good)
        printf("%-12s%lldx%lld (%lld) to %lldx%lld (%lld), most often %lldx%lld (%lld); width x height\n", "sizes",
               (long long)m->smallest.width, (long long)m->smallest.height, (long long)m->smallest.n, (long long)m->largest.width,
               (long long)m->largest.height, (long long)m->largest.n, (long long)m->common.width, (long long)m->common.height,
               (long long)m->common.n);
    printf("%-12s", "pixels");
    const char *between = "";
    for (int k = 1; k <= CHANNELS; k++)
        if (m->by_channels[k]) {
            printf("%s%d channel%s (%lld)", between, k, k > 1 ? "s" : "", (long long)m->by_channels[k]);
            between = ", ";
        }
    if (m->deep) printf("; 16 bits (%lld)", (long long)m->deep);
    if (m->floats) printf("; floats (%lld)", (long long)m->floats);
    printf("\n%-12s%dx%dx%d\n", "as trained", brume_dataset_width(ds), brume_dataset_height(ds), brume_dataset_channels(ds));
    for (int k = 0; m->measured && k < brume_dataset_channels(ds) && k < CHANNELS; k++)
        printf("%-12smean %.4f, deviation %.4f, of %lld images in [-1, 1]\n", k ? "" : "values", m->mean[k], m->std[k],
               (long long)m->measured);
    for (int32_t k = 0; k < classes && k < SHOWN; k++)
        printf("%-12s%-24s %lld\n", k ? "" : "classes", brume_dataset_class_name(ds, k), (long long)m->by_class[k]);
    if (classes > SHOWN) printf("%-12s... and %d more\n", "", classes - SHOWN);
    if (brume_dataset_check_captions(ds) == BRUME_OK)
        printf("%-12sall, the longest of %lld bytes\n", "captions", (long long)m->longest);
    else printf("%-12s%s\n", "captions", brume_error());
    for (int k = 0; k < EXAMPLES; k++) printf("%-12s%s\n", k ? "" : "such as", m->examples[k]);
    for (int64_t k = 0; k < m->n_broken; k++) printf("%-12s%s\n", k ? "" : "broken", m->broken[k]);
}

/* Files that could be read at first and not later: there are more bad ones than those that are listed. */
static int look_again(struct summary *m)
{
    int ok = 1;
    for (int64_t k = 0; ok && k < brume_dataset_bad_count(m->ds) && brume_dataset_bad_count(m->ds) > m->n_broken; k++) {
        int64_t i = 0;
        while (i < m->n_broken && strcmp(m->broken[i], brume_dataset_bad(m->ds, k))) i++;
        if (i == m->n_broken) ok = add_broken(m, brume_dataset_bad(m->ds, k));
    }
    return ok;
}

static int summarise(struct summary *m, const struct data_args *a)
{
    if (!look(m, a->quiet || a->json)) return CLI_FAILED;
    find_sizes(m);
    if (!look_at_captions(m) || !measure(m) || (a->sheet && !draw_sheet(m, a)) || !look_again(m)) return CLI_FAILED;
    if (a->json && !print_json(m)) return CLI_FAILED;
    if (!a->json) print_text(m);
    return m->n_broken && a->data.bad_files == BRUME_BAD_FILES_FAIL ? CLI_FAILED : CLI_DONE;
}

int cmd_data(int argc, char **argv)
{
    static const char *const examples[] = { "brume data pictures --contact-sheet sheet.png",
                                            "brume data mnist-folder --test --json", NULL };
    const struct cli_usage usage = {
        "data",
        "WHAT",
        "Reads a whole data set: a folder of IDX files, CIFAR batches, pictures (PNG, JPEG, GIF, PGM, PPM; with captions and "
        "labels) or arrays (.npy, .safetensors), one array, or what brume draws itself. Fails where a file is broken, after "
        "naming all of them.",
        examples,
        1,
        1,
        cli_data_sets()
    };
    struct data_args a = { .data = CLI_DATA_DEFAULT, .sheet_images = 64 };
    struct cli_option options[] = {
        OPT_STRING("contact-sheet", &a.sheet, "FILE.png", "draw images from all over the set, as a model would see them"),
        OPT_INT("sheet-images", &a.sheet_images, 1, 4096, "N", "how many of them"),
        OPT_FLAG("json", &a.json, "print JSON"),
        OPT_FLAG("test", &a.test, "the part for tests"),
        OPT_INT("size", &a.size, 0, 1024, "N",
                "height and width as a model would see them; 0: those of the data, or of a folder's first picture"),
        OPT_INT("channels", &a.channels, 0, 4, "N", "1, 3, or 4 with opacity; 0: those of the data, 3 of pictures"),
        OPT_INT("count", &a.count, 0, 1e9, "N", "look at that many items; 0: all"),
        OPT_DATA(&a.data),
        OPT_FLAG("quiet", &a.quiet, "show no progress"),
        { 0 } };
    const char *what;
    struct summary m = { 0 };
    int status = cli_parse(&usage, options, argc, argv, &what, NULL);
    if (status != CLI_GO_ON) return status;
    brume_dataset_options o = { .test = a.test, .size = (int32_t)a.size, .channels = (int32_t)a.channels, .count = a.count };
    cli_data_apply(&a.data, a.size, a.channels, &o);
    o.bad_files = BRUME_BAD_FILES_SKIP; /* all of them are to be named */
    o.cache = BRUME_DATA_CACHE_OFF;
    if (brume_dataset_open(what, &o, &m.ds) != BRUME_OK) return cli_failed();
    status = summarise(&m, &a);
    for (int64_t k = 0; k < m.n_broken; k++) free(m.broken[k]);
    free(m.broken);
    free(m.by_class);
    free(m.sizes);
    brume_dataset_free(m.ds);
    return status;
}
