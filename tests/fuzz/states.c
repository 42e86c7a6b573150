/* SPDX-License-Identifier: MIT
 * What brume itself wrote and reads again: training states and their averages, logs, features of a reference. */
#include <stdlib.h>
#include <string.h>

#include "brume/evaluate.h"
#include "brume/report.h"
#include "brume/train.h"
#include "fuzz.h"

brume_device *fuzz_cpu(void)
{
    static brume_device *device;
    if (!device && brume_device_open("cpu", &(brume_device_options){ .threads = 1 }, &device) != BRUME_OK)
        fuzz_broken(brume_error());
    return device;
}

/* The smallest network that trains. */
void fuzz_state(const uint8_t *data, size_t n)
{
    static brume_trainer *trainer;
    static brume_model *model; /* of the same network, for averages */
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
        if (brume_trainer_new(fuzz_cpu(), &c, NULL, &trainer) != BRUME_OK ||
            brume_model_new(&c.unet, NULL, 1, &model) != BRUME_OK)
            fuzz_broken(brume_error());
    }
    fuzz_unpack(data, n);
    for (int i = 0; i < 2; i++)
        if (brume_train_read_average(fuzz_folder(), i ? 0.99 : 0.999, model) == BRUME_OK)
            fuzz_use(model->params, (size_t)model->n_params * sizeof *model->params);
    if (brume_trainer_resume(trainer, fuzz_folder(), &note) != BRUME_OK) return;
    fuzz_use_text(brume_trainer_resume_warning(trainer));
    if (brume_trainer_steps_done(trainer) < 0) fuzz_broken("a run of less than no steps");
}

void fuzz_report(const uint8_t *data, size_t n)
{
    fuzz_unpack(data, n);
    (void)brume_report_write(fuzz_folder(), NULL, 0);
}

/* A file of features, for four drawn pictures and the pixels as features. */
void fuzz_reference(const uint8_t *data, size_t n)
{
    static brume_dataset *ds;
    static brume_feature_network *f;
    brume_reference *r;
    if (!ds && (brume_dataset_open("shapes", &(brume_dataset_options){ .size = 8, .count = 2, .channels = 1, .threads = -1 },
                                   &ds) != BRUME_OK ||
                brume_feature_network_open(fuzz_cpu(), "pixels", NULL, BRUME_SHAPE(2, 8, 8, 1), &f) != BRUME_OK))
        fuzz_broken(brume_error());
    if (brume_reference_new(f, ds, 0, fuzz_put("features.safetensors", data, n), NULL, NULL, &r) != BRUME_OK) return;
    fuzz_use(r->features, (size_t)(r->n * r->dims) * sizeof *r->features);
    brume_reference_free(r);
}
