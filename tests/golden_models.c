/* SPDX-License-Identifier: MIT
 * Model folders with expected outputs, loss and gradients (io.safetensors), on any device.
 *
 * usage: golden_models [--device D]... [DIR...]
 * Default devices: the cpu and every usable OpenCL device. Default folders: tests/data/models and, where present, golden/models
 * of the shared data. Folders of other model classes are skipped, and say so. Exit 0: nothing failed. */
#include <dirent.h>

#include "base/file.h"
#include "brume/json.h"
#include "check.h"
#include "golden_model.h"

/* How a folder is tried: by the class in its config.json, or in model_index.json, or the folder that must be in it. */
struct kind {
    const char *file, *class_name; /* class_name NULL: any */
    void (*run)(const char *folder, const char *name, const struct test_devices *devices);
};
static const struct kind kinds[] = {
    { "model_index.json", "StableDiffusionPipeline", golden_pipeline },
    { "unet/config.json", NULL, golden_unet2d },
    { "config.json", "CLIPTextModel", golden_text_encoder },
    { "config.json", "CLIPTextModelWithProjection", golden_text_encoder },
    { "config.json", "AutoencoderKL", golden_autoencoder },
    { "config.json", NULL, golden_unet2d },
    { "model_index.json", NULL, golden_unet2d },
    { "text_encoder/config.json", NULL, golden_text_encoder },
};

static int is_of(const char *folder, const struct kind *k)
{
    char *path = brume_path_join(folder, k->file);
    int fits = path && brume_is_file(path);
    if (fits && k->class_name) {
        brume_json *root = NULL;
        fits = brume_json_load(path, &root) == BRUME_OK;
        const char *name = brume_json_string(brume_json_find(root, "_class_name"), NULL);
        if (!name) name = brume_json_string(brume_json_at(brume_json_find(root, "architectures"), 0), "");
        fits = fits && !strcmp(name, k->class_name);
        brume_json_free(root);
    }
    free(path);
    return fits;
}

static void run_folder(const char *dir, const struct test_devices *devices)
{
    char plain[1024];
    snprintf(plain, sizeof plain, "%s", dir);
    while (strlen(plain) > 1 && plain[strlen(plain) - 1] == '/') plain[strlen(plain) - 1] = 0;
    const char *slash = strrchr(plain, '/'), *name = slash && slash[1] ? slash + 1 : plain;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (is_of(plain, &kinds[i])) {
            kinds[i].run(plain, name, devices);
            return;
        }
    if (brume_is_folder(plain)) {
        printf("skipped %s: holds neither config.json, unet/config.json nor model_index.json\n", name);
        check_skipped++;
    } else {
        printf("FAILED  %s: no such folder\n", name);
        check_failed++;
    }
}

static int by_name(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

/* Every folder in a folder, sorted. */
static void run_all_in(const char *parent, const struct test_devices *devices)
{
    char *names[256];
    int count = 0;
    DIR *d = opendir(parent);
    if (!d) {
        printf("skipped %s: no such folder\n", parent);
        check_skipped++;
        return;
    }
    for (struct dirent *e; count < 256 && (e = readdir(d));) {
        char *path = e->d_name[0] == '.' ? NULL : brume_path_join(parent, e->d_name);
        if (path && brume_is_folder(path)) names[count++] = path;
        else free(path);
    }
    closedir(d);
    qsort(names, (size_t)count, sizeof *names, by_name);
    for (int i = 0; i < count; i++) {
        run_folder(names[i], devices);
        free(names[i]);
    }
}

int main(int argc, char **argv)
{
    struct test_devices devices;
    test_devices_open(&devices, &argc, argv, 0);
    if (argc > 1 && argv[1][0] == '-') {
        fprintf(stderr, "usage: golden_models [--device D]... [DIR...]\n");
        test_devices_close(&devices);
        return 2;
    }
    if (argc == 1) {
        run_all_in("tests/data/models", &devices);
        run_all_in(check_shared("golden/models"), &devices);
    }
    for (int i = 1; i < argc; i++) run_folder(argv[i], &devices);
    test_devices_close(&devices);
    check_report();
    return check_failed != 0;
}
