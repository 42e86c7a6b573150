/* SPDX-License-Identifier: MIT
 * Feature networks against PyTorch (scripts/export_features.py), classifiers as such, and the files that keep features of data
 * sets. */
#include <sys/stat.h>
#include <unistd.h>

#include "brume/classifier.h"
#include "brume/evaluate.h"
#include "brume/safetensors.h"
#include "brume/train.h"
#include "check.h"
#include "devices.h"

static char folder[256];
static const char *const exported = "tests/data/features";

static const char *in_folder(const char *leaf)
{
    static char path[512];
    snprintf(path, sizeof path, "%s/%s", folder, leaf);
    return path;
}

static void put_text(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    if (CHECK(f != NULL)) {
        fputs(text, f);
        fclose(f);
    }
}

/* The images (2, 3, 8, 8) of the script as (2, 8, 8, 3), and their features (2, 5). */
static void read_want(float *images, float *features)
{
    brume_safetensors *f = NULL;
    float nchw[2 * 3 * 64];
    if (!CHECK_OK(brume_safetensors_open("tests/data/features/want.safetensors", &f))) exit(1);
    CHECK_OK(brume_st_read_f32(brume_safetensors_find(f, "samples"), 0, 2 * 3 * 64, nchw));
    CHECK_OK(brume_st_read_f32(brume_safetensors_find(f, "features"), 0, 10, features));
    for (int i = 0; i < 2 * 3 * 64; i++) images[(i / 192 * 64 + i % 64) * 3 + i / 64 % 3] = nchw[i];
    brume_safetensors_close(f);
}

static void test_exported(const struct test_device *d)
{
    float images[2 * 3 * 64], want[10], got[10];
    for (int batch = 1; batch <= 3; batch++) { /* one by one, both, and with room to spare */
        brume_feature_network *f = NULL;
        if (!CHECK_OK(brume_feature_network_open(d->device, exported, NULL, BRUME_SHAPE(batch, 8, 8, 3), &f))) return;
        read_want(images, want);
        CHECK_INT(brume_feature_network_width(f), 5);
        CHECK_STR(brume_feature_network_note(f), "");
        CHECK_OK(brume_feature_network_run(f, images, 2, got));
        for (int i = 0; i < 10; i++)
            /* f32, sums of 64 terms about 1 */
            if (!CHECK_NEAR(got[i], want[i], 2e-5)) fprintf(stderr, "    %s, batch %d\n", d->where, batch);
        for (int i = 0; i < 64 * 3; i++) images[i] = NAN;
        CHECK_FAILS(brume_feature_network_run(f, images, 2, got), BRUME_E_NUMERIC, "image 0");
        brume_feature_network_free(f);
    }
}

/* Resizing, range and grey images: a network that is only a mean, of an image that rises from left to right. */
static void test_input(const struct test_device *d)
{
    brume_feature_network *f = NULL;
    float image[4 * 2], got[16];
    mkdir(in_folder("mean"), 0777);
    put_text(in_folder("mean/config.json"), "{\"_class_name\": \"BrumeFeatureNetwork\", \"input\": {\"channels\": 2, \"size\": "
                                            "[1, 8], \"range\": [0, 255], \"mean\": [5, 0], \"std\": [1, 2]}, \"layers\": "
                                            "[{\"type\": \"avg_pool\", \"kernel\": 1}]}");
    for (int i = 0; i < 8; i++) image[i] = (float)(i % 4) / 2 - 0.75f; /* 2 x 4; -0.75, -0.25, 0.25, 0.75 */
    if (!CHECK_OK(brume_feature_network_open(d->device, in_folder("mean"), NULL, BRUME_SHAPE(1, 2, 4, 1), &f))) return;
    CHECK_OK(brume_feature_network_run(f, image, 1, got));
    for (int i = 0; i < 8; i++) { /* twice as many: pixel i lies at (i + 0.5) / 2 - 0.5, the first and last beyond the ends */
        const double at = fmin(fmax((i + 0.5) / 2 - 0.5, 0), 3), value = 255 * (at / 2 - 0.75 + 1) / 2;
        CHECK_NEAR(got[2 * i], value - 5, 1e-4);
        CHECK_NEAR(got[2 * i + 1], value / 2, 1e-4);
    }
    brume_feature_network_free(f);
    CHECK_OK(brume_feature_network_open(d->device, "pixels", NULL, BRUME_SHAPE(3, 2, 4, 1), &f));
    CHECK_OK(brume_feature_network_run(f, image, 1, got));
    CHECK(brume_feature_network_width(f) == 8 && !memcmp(got, image, sizeof image));
    brume_feature_network_free(f);
}

static void refuse(const struct test_device *d, const char *layers, brume_status status, const char *says)
{
    brume_feature_network *f = NULL;
    char text[1024];
    mkdir(in_folder("bad"), 0777);
    snprintf(text, sizeof text, "{\"_class_name\": \"BrumeFeatureNetwork\", %s}", layers);
    put_text(in_folder("bad/config.json"), text);
    if (!CHECK_FAILS(brume_feature_network_open(d->device, in_folder("bad"), NULL, BRUME_SHAPE(1, 8, 8, 3), &f), status, says))
        fprintf(stderr, "    %s\n", layers);
    CHECK(f == NULL);
}

static void test_refusals(const struct test_device *d)
{
    brume_feature_network *f = NULL;
    refuse(d, "\"layers\": []", BRUME_E_FORMAT, "1 to");
    refuse(d, "\"layers\": [{\"type\": \"conf\"}]", BRUME_E_UNSUPPORTED, "layers[0]: there is no layer of type 'conf'");
    refuse(d, "\"layers\": [{\"type\": \"relu\", \"inputs\": \"a\"}]", BRUME_E_FORMAT, "no layer 'a' before");
    refuse(d, "\"layers\": [{\"type\": \"conv\", \"name\": \"c\", \"out\": 4}]", BRUME_E_FORMAT, "\"kernel\"");
    refuse(d, "\"layers\": [{\"type\": \"conv\", \"name\": \"c\", \"out\": -4, \"kernel\": 3}]", BRUME_E_FORMAT, "out");
    refuse(d, "\"layers\": [{\"type\": \"conv\", \"name\": \"c\", \"out\": 4, \"kernel\": 9}]", BRUME_E_SHAPE, "conv2d");
    refuse(d, "\"layers\": [{\"type\": \"linear\", \"name\": \"c\", \"out\": 4}]", BRUME_E_FORMAT, "one pixel");
    refuse(d, "\"layers\": [{\"type\": \"relu\", \"inputs\": [\"input\", \"input\"]}]", BRUME_E_FORMAT, "list of 1 to 1");
    refuse(d, "\"layers\": [{\"type\": \"max_pool\", \"kernel\": 3, \"padding\": 3}]", BRUME_E_ARG, "below the kernel");
    refuse(d, "\"input\": {\"channels\": 4}, \"layers\": [{\"type\": \"relu\"}]", BRUME_E_SHAPE, "sees 4 channels");
    refuse(d, "\"input\": {\"std\": [1, 0, 1]}, \"layers\": [{\"type\": \"relu\"}]", BRUME_E_FORMAT, "above 0");
    refuse(d, "\"layers\": [{\"type\": \"batch_norm\", \"name\": \"b\"}]", BRUME_E_IO, "model.safetensors");
    CHECK_FAILS(brume_feature_network_open(d->device, in_folder("none"), NULL, BRUME_SHAPE(1, 8, 8, 3), &f), BRUME_E_ARG,
                "expected a folder, or pixels");
}

static void test_classifier(const struct test_device *d)
{
    brume_train_config c;
    brume_model *m = NULL;
    brume_classifier *judge = NULL;
    brume_feature_network *f = NULL;
    brume_buffer *x = NULL;
    float images[3 * 64], features[3 * 16], log_p[3 * 5], direct[3 * 16];
    brume_train_config_default(&c);
    c.unet.levels = 2;
    c.unet.block_out_channels[0] = 8;
    c.unet.block_out_channels[1] = 16;
    c.unet.layers_per_block = 1;
    c.unet.norm_num_groups = 4;
    c.unet.in_channels = c.unet.out_channels = 1;
    c.unet.sample_size[0] = c.unet.sample_size[1] = 8;
    CHECK_OK(brume_model_new(&c.unet, &c.scheduler, 7, &m));
    if (m) CHECK_OK(brume_model_save(m, in_folder("unet")));
    brume_model_free(m);
    m = NULL;
    CHECK_FAILS(brume_feature_network_open(d->device, in_folder("unet"), NULL, BRUME_SHAPE(2, 8, 8, 1), &f), BRUME_E_ARG,
                "neither a classifier");
    c.unet.out_channels = 5;
    brume_train_config_classifier(&c);
    CHECK_OK(brume_model_new(&c.unet, &c.scheduler, 7, &m));
    if (!m || !CHECK_OK(brume_model_save(m, in_folder("judge")))) return;
    for (int i = 0; i < 3 * 64; i++) images[i] = (float)sin(0.3 * i);
    CHECK_OK(brume_feature_network_open(d->device, in_folder("judge"), NULL, BRUME_SHAPE(2, 8, 8, 1), &f));
    CHECK_OK(brume_classifier_new(d->device, m, BRUME_SHAPE(3, 8, 8, 1), NULL, &judge));
    CHECK_OK(brume_buffer_new(d->device, sizeof images, &x));
    if (f && judge && x) {
        CHECK_INT(brume_feature_network_width(f), 16);
        CHECK(strstr(brume_feature_network_name(f), "judge") != NULL);
        CHECK_OK(brume_feature_network_run(f, images, 3, features));
        CHECK_OK(brume_buffer_write(x, 0, images, sizeof images));
        CHECK_OK(brume_classifier_features(judge, x, &(brume_level){ .a = 1 }, direct));
        CHECK_OK(brume_classifier_log_p(judge, x, &(brume_level){ .a = 1 }, log_p));
        for (int i = 0; i < 48; i++) CHECK_NEAR(features[i], direct[i], 1e-5);
        /* The last layer over them is what the classifier says: its parameters are the last of the slab, (16, 5) and (5). */
        const float *b = m->params + m->n_params - 5, *w = b - 80;
        for (int i = 0; i < 3; i++)
            for (int k = 1; k < 5; k++) {
                double logits[2] = { (double)b[0], (double)b[k] };
                for (int j = 0; j < 16; j++)
                    logits[0] += (double)features[i * 16 + j] * (double)w[j * 5],
                        logits[1] += (double)features[i * 16 + j] * (double)w[j * 5 + k];
                CHECK_NEAR(log_p[i * 5 + k] - log_p[i * 5], logits[1] - logits[0], 2e-5);
            }
    }
    brume_feature_network_free(f);
    f = NULL;
    m->params[m->n_params - 86] = NAN; /* before the last layer: told, and what the images are not to blame for */
    CHECK_OK(brume_model_save(m, in_folder("damaged")));
    if (CHECK_OK(brume_feature_network_open(d->device, in_folder("damaged"), NULL, BRUME_SHAPE(2, 8, 8, 1), &f))) {
        CHECK(strstr(brume_feature_network_note(f), "1 tensors of the weights hold values that are NaN") != NULL);
        CHECK_FAILS(brume_feature_network_run(f, images, 1, features), BRUME_E_NUMERIC,
                    "1 tensors of the weights hold values that are NaN");
    }
    brume_buffer_free(x);
    brume_feature_network_free(f);
    brume_classifier_free(judge);
    brume_model_free(m);
}

static void steps(void *ctx, int64_t done, int64_t n) { *(int64_t *)ctx = done == n ? n : 0; }

static void flip(const char *path, long at)
{
    FILE *f = fopen(path, "r+b");
    if (!CHECK(f != NULL)) return;
    fseek(f, at, at < 0 ? SEEK_END : SEEK_SET);
    const int c = fgetc(f);
    fseek(f, -1, SEEK_CUR);
    fputc(c ^ 0x55, f);
    fclose(f);
}

static brume_reference *reference(brume_feature_network *f, const brume_dataset *ds, int64_t n, const char *file, int from)
{
    brume_reference *r = NULL;
    int64_t seen = -1;
    if (!CHECK_OK(brume_reference_new(f, ds, n, file, steps, &seen, &r))) exit(1);
    CHECK_INT(r->from, from);
    CHECK_INT(seen, from == BRUME_REFERENCE_READ ? -1 : r->n);
    return r;
}

static void test_reference(const struct test_device *d)
{
    const brume_dataset_options options = { .size = 8, .channels = 3, .count = 70 },
                                other_options = { .size = 8, .channels = 3, .count = 70, .seed = 1 };
    brume_dataset *ds = NULL, *others = NULL;
    brume_feature_network *f = NULL, *pixels = NULL;
    brume_reference *bad = NULL;
    float image[192], features[5];
    char path[512];
    CHECK_OK(brume_dataset_open("shapes", &options, &ds));
    CHECK_OK(brume_dataset_open("shapes", &other_options, &others));
    CHECK_OK(brume_feature_network_open(d->device, exported, NULL, BRUME_SHAPE(16, 8, 8, 3), &f));
    CHECK_OK(brume_feature_network_open(d->device, "pixels", NULL, BRUME_SHAPE(16, 8, 8, 3), &pixels));
    if (!ds || !others || !f || !pixels) return;
    setenv("BRUME_CACHE", folder, 1);
    brume_reference *r = reference(f, ds, 0, NULL, BRUME_REFERENCE_MADE);
    for (int64_t i = 0; i < r->n; i += 23) { /* rows are the items they say */
        CHECK_OK(brume_dataset_get(ds, r->items[i], image, NULL));
        CHECK_OK(brume_feature_network_run(f, image, 1, features));
        for (int k = 0; k < 5; k++) CHECK_NEAR(r->features[i * 5 + k], features[k], 2e-5);
    }
    brume_reference *again = reference(f, ds, 0, NULL, BRUME_REFERENCE_READ);
    CHECK(!memcmp(r->features, again->features, (size_t)(r->n * 5) * sizeof(float)));
    brume_reference_free(again);
    brume_reference_free(reference(f, ds, 30, NULL, BRUME_REFERENCE_MADE));
    brume_reference_free(reference(f, others, 0, NULL, BRUME_REFERENCE_MADE));
    brume_reference_free(reference(pixels, ds, 0, NULL, BRUME_REFERENCE_MADE));
    if (!CHECK(r->path != NULL)) return;
    snprintf(path, sizeof path, "%s", r->path);
    const long places[] = { -1, -400, 3 }; /* values, and the header */
    for (int i = 0; i < 3; i++) {
        flip(path, places[i]);
        again = reference(f, ds, 0, NULL, BRUME_REFERENCE_MENDED);
        CHECK(!memcmp(r->features, again->features, (size_t)(r->n * 5) * sizeof(float)));
        brume_reference_free(again);
        brume_reference_free(reference(f, ds, 0, NULL, BRUME_REFERENCE_READ));
    }
    CHECK_INT(truncate(path, 200), 0);
    brume_reference_free(reference(f, ds, 0, NULL, BRUME_REFERENCE_MENDED));
    brume_reference_free(r);
    /* A file with a name */
    snprintf(path, sizeof path, "%s", in_folder("mine.safetensors"));
    brume_reference_free(reference(f, ds, 0, path, BRUME_REFERENCE_MADE));
    brume_reference_free(reference(f, ds, 0, path, BRUME_REFERENCE_READ));
    CHECK_FAILS(brume_reference_new(f, others, 0, path, NULL, NULL, &bad), BRUME_E_ARG, "other images");
    CHECK_FAILS(brume_reference_new(pixels, ds, 0, path, NULL, NULL, &bad), BRUME_E_ARG, "another network");
    CHECK_FAILS(brume_reference_new(f, ds, 0, "tests/data/features/want.safetensors", NULL, NULL, &bad), BRUME_E_ARG,
                "no file of features");
    flip(path, -1);
    brume_reference_free(reference(f, ds, 0, path, BRUME_REFERENCE_MENDED));
    CHECK_FAILS(brume_reference_new(f, ds, 71, NULL, NULL, NULL, &bad), BRUME_E_ARG, "to 70 images");
    setenv("BRUME_CACHE", "off", 1);
    r = reference(f, ds, 0, NULL, BRUME_REFERENCE_MADE);
    CHECK(r->path == NULL);
    brume_reference_free(r);
    brume_feature_network_free(f);
    brume_feature_network_free(pixels);
    brume_dataset_free(ds);
    brume_dataset_free(others);
}

int main(int argc, char **argv)
{
    struct test_devices devices;
    test_devices_open(&devices, &argc, argv, 0);
    snprintf(folder, sizeof folder, "%s/brume-features-XXXXXX", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
    if (!mkdtemp(folder)) return 1;
    for (int i = 0; i < devices.n; i++) {
        test_exported(&devices.at[i]);
        test_input(&devices.at[i]);
        test_classifier(&devices.at[i]);
    }
    test_refusals(&devices.at[0]);
    test_reference(&devices.at[0]);
    test_devices_close(&devices);
    char command[300];
    snprintf(command, sizeof command, "rm -r '%s'", folder);
    CHECK_INT(system(command), 0);
    return check_report();
}
