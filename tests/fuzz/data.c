/* SPDX-License-Identifier: MIT
 * Data sets as archives of their files: arrays, IDX, CIFAR, folders of pictures; and lists of captions and labels. */
#include <stdlib.h>

#include "brume/data.h"
#include "data/captions.h"
#include "fuzz.h"

static void use_item(const brume_dataset *ds, int64_t i)
{
    const size_t values = (size_t)brume_dataset_height(ds) * (size_t)brume_dataset_width(ds) * (size_t)brume_dataset_channels(ds);
    float *x = values <= 1 << 18 ? malloc(values * sizeof *x) : NULL;
    char text[64];
    int32_t label = 0;
    brume_item_info info;
    if (x && brume_dataset_get(ds, i, x, &label) == BRUME_OK) {
        fuzz_use(x, values * sizeof *x);
        if (label < 0 || label >= brume_dataset_classes(ds)) fuzz_broken("a label that is no class");
        fuzz_use_text(brume_dataset_class_name(ds, label));
    }
    if (brume_dataset_caption(ds, i, text, sizeof text) == BRUME_OK) fuzz_use_text(text);
    if (brume_dataset_look(ds, i, &info) == BRUME_OK) fuzz_use_text(info.path);
    free(x);
}

static void use_dataset(const char *what, const brume_dataset_options *o)
{
    brume_dataset *ds;
    if (brume_dataset_open(what, o, &ds) != BRUME_OK) return;
    const int64_t n = brume_dataset_count(ds);
    (void)brume_dataset_check_captions(ds);
    use_item(ds, 0);
    if (n > 1) use_item(ds, n - 1);
    for (int64_t k = 0; brume_dataset_bad(ds, k); k++) fuzz_use_text(brume_dataset_bad(ds, k));
    brume_dataset_free(ds);
}

static void use_folder(const uint8_t *data, size_t n)
{
    const brume_dataset_options o = { .size = 8, .bad_files = BRUME_BAD_FILES_SKIP, .cache = BRUME_DATA_CACHE_OFF },
                                test = { .test = 1, .coarse = 1 };
    fuzz_unpack(data, n);
    use_dataset(fuzz_folder(), &o);
    use_dataset(fuzz_folder(), &test);
}

void fuzz_arrays(const uint8_t *data, size_t n) { use_folder(data, n); }
void fuzz_idx(const uint8_t *data, size_t n) { use_folder(data, n); }
void fuzz_cifar(const uint8_t *data, size_t n) { use_folder(data, n); }
void fuzz_folder_data(const uint8_t *data, size_t n) { use_folder(data, n); }

static void use_captions(struct brume_captions *c)
{
    for (int64_t i = 0; i < c->n; i++) {
        fuzz_use_text(c->at[i].file);
        fuzz_use_text(c->at[i].text);
        fuzz_use_text(c->at[i].label);
    }
    brume_captions_free(c);
}

/* The same text as a metadata.jsonl, a labels.csv and a labels.txt. */
void fuzz_captions(const uint8_t *data, size_t n)
{
    struct brume_captions c;
    const char *path = fuzz_put("lines", data, n);
    if (brume_captions_read(path, &c) == BRUME_OK) use_captions(&c);
    if (brume_labels_read(path, ',', &c) == BRUME_OK) use_captions(&c);
    if (brume_labels_read(path, ' ', &c) == BRUME_OK) use_captions(&c);
}
