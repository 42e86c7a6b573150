/* SPDX-License-Identifier: MIT
 * Configs of networks and schedulers: what is taken can be laid out and written, and reads as the same. */
#include <stdlib.h>
#include <string.h>

#include "brume/autoencoder.h"
#include "brume/evaluate.h"
#include "brume/json.h"
#include "brume/schedule.h"
#include "brume/text_encoder.h"
#include "brume/unet2d.h"
#include "fuzz.h"

/* Fields alone: padding may differ. */
#define SAME(a, b, field) (!memcmp(&(a).field, &(b).field, sizeof (a).field))

void fuzz_unet_config(const uint8_t *data, size_t n)
{
    brume_unet2d_config c, again;
    brume_tensor slab;
    char note[512];
    if (brume_unet2d_config_parse((const char *)data, n, "config.json", &c, note) != BRUME_OK) return;
    fuzz_use_text(note);
    brume_graph *g = brume_graph_new();
    if (brume_unet2d_on_paper(g, &c, &slab) == BRUME_OK) (void)brume_graph_status(g);
    brume_graph_free(g);
    const char *path = fuzz_path("config.json");
    if (brume_unet2d_config_write(path, &c) != BRUME_OK) fuzz_broken("a config that was read cannot be written");
    if (brume_unet2d_config_read(path, &again, note) != BRUME_OK) fuzz_broken("a config that was written cannot be read");
    if (!SAME(c, again, block_out_channels) || !SAME(c, again, down_block_types) || !SAME(c, again, in_channels))
        fuzz_broken("a config reads as another");
}

/* Configs that are read from a file and written as one; they are the same where two fields are. */
#define CONFIG_OF_FILE(kind, field, other) \
    void fuzz_##kind(const uint8_t *data, size_t n) \
    { \
        brume_##kind c, again; \
        char note[512]; \
        if (brume_##kind##_read(fuzz_put("config.json", data, n), &c, note) != BRUME_OK) return; \
        fuzz_use_text(note); \
        const char *path = fuzz_path("again.json"); \
        if (brume_##kind##_write(path, &c) != BRUME_OK) fuzz_broken("a config that was read cannot be written"); \
        if (brume_##kind##_read(path, &again, note) != BRUME_OK) fuzz_broken("a config that was written cannot be read"); \
        if (!SAME(c, again, field) || !SAME(c, again, other)) fuzz_broken("a config reads as another"); \
    }
CONFIG_OF_FILE(autoencoder_config, block_out_channels, scaling_factor)
CONFIG_OF_FILE(text_encoder_config, hidden_size, eos_token_id)

void fuzz_scheduler_config(const uint8_t *data, size_t n)
{
    brume_scheduler_config c, again;
    brume_schedule *schedule = NULL;
    char note[512];
    double t[10];
    if (brume_scheduler_config_parse((const char *)data, n, "scheduler_config.json", &c, note) != BRUME_OK) return;
    fuzz_use_text(note);
    if (c.num_train_timesteps <= 4096 && brume_schedule_new(&c, &schedule) == BRUME_OK) {
        fuzz_use(schedule->log_alpha_bar, (size_t)schedule->T * sizeof *schedule->log_alpha_bar);
        if (brume_schedule_timesteps(&c, 10, t) == BRUME_OK) fuzz_use(t, sizeof t);
    }
    brume_schedule_free(schedule);
    brume_json_writer *w = brume_json_writer_new();
    if (brume_scheduler_config_put(w, NULL, &c) != BRUME_OK) fuzz_broken("a config that was read cannot be written");
    const char *text = brume_json_writer_text(w);
    if (!text || brume_scheduler_config_parse(text, strlen(text), "written", &again, NULL) != BRUME_OK)
        fuzz_broken("a config that was written cannot be read");
    if (!SAME(c, again, num_train_timesteps) || !SAME(c, again, beta_start) || !SAME(c, again, prediction_type))
        fuzz_broken("a config reads as another");
    brume_scheduler_config_clear(&again);
    brume_json_writer_free(w);
    brume_scheduler_config_clear(&c);
}

void fuzz_features(const uint8_t *data, size_t n)
{
    brume_feature_network *f;
    float image[8 * 8 * 3] = { 0 };
    fuzz_unpack(data, n);
    if (brume_feature_network_open(fuzz_cpu(), fuzz_folder(), NULL, BRUME_SHAPE(1, 8, 8, 3), &f) != BRUME_OK) return;
    const int64_t width = brume_feature_network_width(f);
    float *features = malloc((size_t)width * sizeof *features);
    fuzz_use_text(brume_feature_network_name(f));
    if (features && brume_feature_network_run(f, image, 1, features) == BRUME_OK)
        fuzz_use(features, (size_t)width * sizeof *features);
    free(features);
    brume_feature_network_free(f);
}
