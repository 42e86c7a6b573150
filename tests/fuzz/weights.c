/* SPDX-License-Identifier: MIT
 * Weights of a folder: one file, or an index with shards. */
#include "brume/weights.h"

#include "fuzz.h"

static void read_all(const char *variant)
{
    brume_weights *w;
    if (brume_weights_open(fuzz_folder(), "model", variant, &w) != BRUME_OK) return;
    for (int64_t i = 0; i < brume_weights_count(w); i++) {
        const brume_st_tensor *t = brume_weights_at(w, i);
        float x[16];
        if (brume_weights_find(w, t->name) != t) fuzz_broken("a tensor is not found by its name");
        if (brume_st_read_f32(t, 0, t->count < 16 ? t->count : 16, x) == BRUME_OK)
            fuzz_use(x, (size_t)(t->count < 16 ? t->count : 16) * sizeof *x);
    }
    for (int i = 0; i < brume_weights_files(w); i++) fuzz_use_text(brume_weights_file(w, i));
    brume_weights_close(w);
}

void fuzz_weights(const uint8_t *data, size_t n)
{
    fuzz_unpack(data, n);
    read_all(NULL);
    read_all("fp16");
}
