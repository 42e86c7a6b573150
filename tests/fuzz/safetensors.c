/* SPDX-License-Identifier: MIT
 * A safetensors file in memory: all values of all tensors, in both forms, by place and by name; and a .npy file. */
#include "brume/safetensors.h"

#include "fuzz.h"
#include "io/npy.h"

static void read_values(const brume_st_tensor *t)
{
    float f[64];
    int64_t k[64];
    const int64_t n = t->count < 64 ? t->count : 64;
    fuzz_use_text(t->name);
    fuzz_use(t->shape, (size_t)t->ndim * sizeof *t->shape);
    if (brume_st_read_f32(t, t->count - n, n, f) != BRUME_OK) fuzz_broken("values of a checked tensor cannot be read");
    fuzz_use(f, (size_t)n * sizeof *f);
    if (brume_st_read_i64(t, 0, n, k) == BRUME_OK) fuzz_use(k, (size_t)n * sizeof *k);
    if (brume_st_read_f32(t, 1, t->count, f) == BRUME_OK) fuzz_broken("values behind the end were read");
}

void fuzz_safetensors(const uint8_t *data, size_t n)
{
    brume_safetensors *f;
    if (brume_safetensors_open_memory(data, n, "input", &f) != BRUME_OK) return;
    for (int64_t i = 0; i < brume_safetensors_count(f); i++) {
        const brume_st_tensor *t = brume_safetensors_at(f, i);
        if (brume_safetensors_find(f, t->name) != t) fuzz_broken("a tensor is not found by its name");
        read_values(t);
    }
    for (int64_t i = 0; i < brume_safetensors_metadata_count(f); i++) {
        const char *key, *value;
        brume_safetensors_metadata_at(f, i, &key, &value);
        fuzz_use_text(value);
        if (brume_safetensors_metadata(f, key) != value) fuzz_broken("metadata are not found by their key");
    }
    brume_safetensors_close(f);
}

void fuzz_npy(const uint8_t *data, size_t n)
{
    struct brume_npy a;
    if (brume_npy_open(fuzz_put("input.npy", data, n), &a) != BRUME_OK) return;
    float f[16];
    int64_t k[16];
    const int64_t some = a.count < 16 ? a.count : 16;
    if (brume_npy_read_f32(&a, a.count - some, some, f) == BRUME_OK) fuzz_use(f, (size_t)some * sizeof *f);
    if (brume_npy_read_i64(&a, 0, some, k) == BRUME_OK) fuzz_use(k, (size_t)some * sizeof *k);
    if (brume_npy_read_f32(&a, 1, a.count, f) == BRUME_OK) fuzz_broken("values behind the end were read");
    brume_npy_close(&a);
}
