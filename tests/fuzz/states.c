/* SPDX-License-Identifier: MIT
 * What brume itself wrote and reads again: training states, logs, tuned kernels, caches of pictures, features and compiled programs. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/hash.h"
#include "brume/evaluate.h"
#include "brume/image.h"
#include "brume/report.h"
#include "brume/train.h"
#include "config.h"
#include "fuzz.h"
#include "plan/tuning.h"

static brume_device *cpu(void)
{
    static brume_device *device;
    if (!device && brume_device_open("cpu", &(brume_device_options){ .threads = 1 }, &device) != BRUME_OK) fuzz_broken(brume_error());
    return device;
}

/* The smallest network that trains. */
void fuzz_state(const uint8_t *data, size_t n)
{
    static brume_trainer *trainer;
    int64_t note;
    if (!trainer) {
        brume_train_config c;
        brume_train_config_default(&c);
        brume_unet2d_config_default(&c.unet);
        c.unet.architecture = BRUME_ARCHITECTURE_MLP;
        c.unet.levels = 1;
        c.unet.block_out_channels[0] = 4;
        c.unet.layers_per_block = 1;
        c.unet.in_channels = c.unet.out_channels = 2;
        c.unet.sample_size[0] = c.unet.sample_size[1] = 1;
        c.batch = 2;
        c.seed = 7;
        if (brume_trainer_new(cpu(), &c, NULL, &trainer) != BRUME_OK) fuzz_broken(brume_error());
    }
    fuzz_unpack(data, n);
    if (brume_trainer_resume(trainer, fuzz_folder(), &note) != BRUME_OK) return;
    fuzz_use_text(brume_trainer_resume_warning(trainer));
    if (brume_trainer_steps_done(trainer) < 0) fuzz_broken("a run of less than no steps");
}

void fuzz_report(const uint8_t *data, size_t n)
{
    fuzz_unpack(data, n);
    (void)brume_report_write(fuzz_folder(), NULL, 0);
}

/* A file of tuned kernels less its last line, which is a checksum of the rest; with an 'x' before it, as it is. */
void fuzz_tuning(const uint8_t *data, size_t n)
{
    static const struct brume_tuning_id id = { "device", "platform", "driver", "1", "kernels" };
    struct brume_tuning *t = brume_tuning_new();
    if (n && data[0] == 'x') {
        fuzz_put("tuning.json", data + 1, n - 1);
    } else {
        char *text = malloc(n + 64);
        if (n) memcpy(text, data, n);
        const int tail = snprintf(text + n, 64, "  \"checksum\": \"%016llx\"\n}\n", (unsigned long long)brume_fnv1a(text, n));
        fuzz_put("tuning.json", text, n + (size_t)tail);
        free(text);
    }
    if (brume_tuning_read(t, fuzz_path("tuning.json"), &id) == BRUME_OK) {
        for (int i = 0; i < t->n; i++)
            if (brume_tuning_find(t, t->entries[i].key) != &t->entries[i]) fuzz_broken("an entry is not found by its key");
    } else if (t->n) {
        fuzz_broken("entries of a refused file were taken");
    }
    brume_tuning_free(t);
}

/* A file of the size of two images of 8 x 8 x 1, where brume looks for such a picture folder's. Its first 40 bytes are made right unless the input says x. */
void fuzz_decoded(const uint8_t *data, size_t n)
{
    static char pictures[64], cached[512];
    static uint8_t *right;
    static size_t size;
    const brume_dataset_options o = { .size = 8, .channels = 1, .cache = BRUME_DATA_CACHE_DISK, .bad_files = BRUME_BAD_FILES_SKIP, .threads = -1 };
    brume_dataset *ds;
    float x[64];
    setenv("BRUME_CACHE", fuzz_path("cache"), 1);
    if (!right) { /* picture and cached file as they should be */
        strcpy(pictures, "/tmp/brume-fuzz-XXXXXX");
        brume_image *im;
        char path[96];
        if (!mkdtemp(pictures) || brume_image_new(8, 8, 1, &im) != BRUME_OK) fuzz_broken("no picture");
        snprintf(path, sizeof path, "%s/a.png", pictures);
        if (brume_png_write(path, im) != BRUME_OK) fuzz_broken(brume_error());
        brume_image_free(im);
        if (brume_dataset_open(pictures, &o, &ds) != BRUME_OK) fuzz_broken(brume_error());
        brume_dataset_free(ds);
        snprintf(path, sizeof path, "ls %s/data/*.pixels", fuzz_path("cache"));
        FILE *list = popen(path, "r");
        if (!list || fscanf(list, "%500s", cached) != 1) fuzz_broken("no file of pictures in the cache");
        pclose(list);
        memmove(cached, cached + strlen(fuzz_folder()) + 1, strlen(cached + strlen(fuzz_folder())));
        FILE *f = fopen(fuzz_path(cached), "rb");
        right = malloc(1 << 16);
        size = f ? fread(right, 1, 1 << 16, f) : 0;
        if (f) fclose(f);
    }
    uint8_t *file = malloc(size + n);
    size_t bytes = n;
    if (n && data[0] == 'x') {
        memcpy(file, data + 1, --bytes);
    } else { /* values and marks of the input in a file that is right otherwise */
        enum { HEAD = 40 };
        memcpy(file, right, bytes = size);
        const size_t body = size - HEAD - sizeof(uint64_t);
        if (n) memcpy(file + HEAD, data, n < body ? n : body);
        const uint64_t sum = brume_hash_words(brume_hash_words(0, file + HEAD, body - 1), file + HEAD + body - 1, 1);
        memcpy(file + HEAD + body, &sum, sizeof sum);
    }
    fuzz_put(cached, file, bytes);
    free(file);
    if (brume_dataset_open(pictures, &o, &ds) == BRUME_OK) {
        int32_t label;
        if (brume_dataset_get(ds, 0, x, &label) == BRUME_OK) fuzz_use(x, sizeof x);
        brume_dataset_free(ds);
    }
    setenv("BRUME_CACHE", "off", 1);
}

/* A file of features, for four drawn pictures and the pixels as features. */
void fuzz_reference(const uint8_t *data, size_t n)
{
    static brume_dataset *ds;
    static brume_feature_network *f;
    brume_reference *r;
    if (!ds && (brume_dataset_open("shapes", &(brume_dataset_options){ .size = 8, .count = 2, .channels = 1, .threads = -1 }, &ds) != BRUME_OK ||
                brume_feature_network_open(cpu(), "pixels", NULL, BRUME_SHAPE(2, 8, 8, 1), &f) != BRUME_OK))
        fuzz_broken(brume_error());
    if (brume_reference_new(f, ds, 0, fuzz_put("features.safetensors", data, n), NULL, NULL, &r) != BRUME_OK) return;
    fuzz_use(r->features, (size_t)(r->n * r->dims) * sizeof *r->features);
    brume_reference_free(r);
}

#if BRUME_HAVE_OPENCL
#include <zlib.h>

#include "opencl/cache.h"

/* An entry of the cache of programs, whose checksum is made right unless the input begins with x. */
void fuzz_programs(const uint8_t *data, size_t n)
{
    static const char key[] = "device, options, source";
    struct brume_cl_cache c = { (char *)fuzz_folder(), 1 << 20 };
    const unsigned char *binary;
    size_t bytes;
    unsigned kernels;
    char name[32];
    const int raw = n && data[0] == 'x';
    uint8_t *file = malloc(n + 64);
    if (raw) memcpy(file, data + 1, --n);
    else if (n) memcpy(file, data, n);
    if (!raw && n >= 8) {
        const uint32_t sum = (uint32_t)crc32_z(0, file + 8, n - 8);
        memcpy(file + 4, &sum, sizeof sum);
    }
    snprintf(name, sizeof name, "%016llx.clbin", (unsigned long long)brume_fnv1a(key, sizeof key - 1));
    fuzz_put(name, file, n);
    free(file);
    void *found = brume_cl_cache_load(&c, key, &binary, &bytes, &kernels);
    if (found) fuzz_use(binary, bytes);
    free(found);
    brume_cl_cache_trim(&c);
}
#else
void fuzz_programs(const uint8_t *data, size_t n) { fuzz_use(data, n); }
#endif
