/* SPDX-License-Identifier: MIT
 * The optional parts of a pipeline beside its U-Net, each in a folder of its own. */
#ifndef BRUME_NN_MODEL_COMPONENTS_H
#define BRUME_NN_MODEL_COMPONENTS_H

#include "brume/json.h"
#include "brume/model.h"

/* Loads every component that the pipeline's index names; index: its file, where that exists, else every component whose folder is
 * there. */
brume_status brume_components_load(brume_model *m, const char *folder, const char *index, const char *variant);
/* Writes those that are there into folders of their names. */
brume_status brume_components_save(const brume_model *m, const char *folder);
/* Their entries of model_index.json. */
void brume_components_write(const brume_model *m, brume_json_writer *w);
/* The class of a pipeline with components; NULL without any. */
const char *brume_components_pipeline(const brume_model *m);
void brume_components_free(brume_model *m);

/* Appends to m->note. */
void brume_model_add_note(brume_model *m, const char *text);

#endif
