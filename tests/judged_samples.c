/* SPDX-License-Identifier: MIT
 * Writes images of "shapes" with the labels that a classifier gives them, plus a shift: usage: judged_samples CLASSIFIER SHIFT
 * OUT.safetensors Of these, brume eval must find all judged rightly with shift 0, and none with another. */
#include <stdio.h>
#include <stdlib.h>

#include "brume/classifier.h"
#include "brume/data.h"
#include "brume/safetensors.h"

enum { N = 45, SIDE = 8, PLANE = SIDE * SIDE, VALUES = 3 * PLANE, CLASSES = 6 };

static brume_status judge(const char *folder, const float *image, int64_t *label)
{
    brume_device *d = NULL;
    brume_model *m = NULL;
    brume_classifier *c = NULL;
    brume_buffer *x = NULL;
    float log_p[CLASSES];
    brume_status s = brume_device_open("cpu", NULL, &d);
    if (s == BRUME_OK) s = brume_model_load(folder, NULL, &m);
    if (s == BRUME_OK) s = brume_classifier_new(d, m, BRUME_SHAPE(1, SIDE, SIDE, 3), NULL, &c);
    if (s == BRUME_OK) s = brume_buffer_new(d, VALUES * sizeof *image, &x);
    if (s == BRUME_OK) s = brume_buffer_write(x, 0, image, VALUES * sizeof *image);
    if (s == BRUME_OK) s = brume_classifier_log_p(c, x, &(brume_level){ .a = 1 }, log_p);
    *label = 0;
    for (int k = 1; s == BRUME_OK && k < CLASSES; k++)
        if (log_p[k] > log_p[*label]) *label = k;
    brume_buffer_free(x);
    brume_classifier_free(c);
    brume_model_free(m);
    brume_device_close(d);
    return s;
}

int main(int argc, char **argv)
{
    static float hwc[VALUES], nchw[N * VALUES];
    int64_t labels[N];
    brume_dataset *ds = NULL;
    const brume_dataset_options o = { .test = 1, .size = SIDE };
    if (argc != 4) return 2;
    brume_status s = brume_dataset_open("shapes", &o, &ds);
    for (int i = 0; i < N && s == BRUME_OK; i++) {
        s = brume_dataset_get(ds, i, hwc, NULL);
        if (s == BRUME_OK) s = judge(argv[1], hwc, &labels[i]);
        labels[i] = (labels[i] + atoi(argv[2])) % CLASSES;
        for (int k = 0; k < VALUES; k++) nchw[i * VALUES + k % 3 * PLANE + k / 3] = hwc[k];
    }
    const int64_t shape[4] = { N, 3, SIDE, SIDE }, rows[1] = { N };
    const brume_st_item items[] = { { "samples", BRUME_ST_F32, 4, shape, nchw }, { "labels", BRUME_ST_I64, 1, rows, labels } };
    if (s == BRUME_OK) s = brume_safetensors_write(argv[3], items, 2, NULL);
    if (s != BRUME_OK) fprintf(stderr, "%s\n", brume_error());
    brume_dataset_free(ds);
    return s != BRUME_OK;
}
