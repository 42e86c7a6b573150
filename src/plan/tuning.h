/* SPDX-License-Identifier: MIT
 * Tuned choices of kernels: a table from what a node is (op, shapes, attributes) to the variant and row that was fastest on a
 * device. */
#ifndef BRUME_PLAN_TUNING_H
#define BRUME_PLAN_TUNING_H

#include "plan/backend.h"
#include "plan/variants.h"

#define BRUME_TUNING_KEY 512

struct brume_tuned {
    char *key;
    char choice[BRUME_CHOICE_NAME], rule[BRUME_CHOICE_NAME]; /* "NAME" or "NAME:ROW" */
    double ms, rule_ms;                                      /* as measured when it was tuned; for readers of the file */
};

/* Sorted by key. */
struct brume_tuning {
    struct brume_tuned *entries;
    int n, cap;
    char *path;     /* the device's file; NULL: there is none */
    char note[256]; /* why there is no file, or why it was not taken */
    bool refused;   /* the file is there, but damaged or another's */
};

/** What the table belongs to. Texts of other devices, drivers and kernels differ in one of them. */
struct brume_tuning_id { char device[128], platform[128], driver[128], version[160], kernels[64]; };
void brume_tuning_identify(const struct brume_device *d, struct brume_tuning_id *id);

/**
 * The key of a node: "conv2d 64x28x28x32, 3x3x32x32 constant, -, - -> 64x28x28x32; stride 1 pad 1,1,1,1". constant: bit i: input
 * i is a weight that is packed once, which decides what a run costs. false if nodes of this kind are not tuned.
 */
bool brume_tuning_key(const struct brume_node *n, uint32_t constant, char key[BRUME_TUNING_KEY]);

struct brume_tuning *brume_tuning_new(void);
void brume_tuning_free(struct brume_tuning *t);
/** The entry of a key; NULL: none. */
const struct brume_tuned *brume_tuning_find(const struct brume_tuning *t, const char *key);
/** Adds an entry or replaces that of the same key; everything is copied. BRUME_E_ARG: an empty or too long text. */
brume_status brume_tuning_put(struct brume_tuning *t, const struct brume_tuned *e);
/** Never 0. */
uint64_t brume_tuned_hash(const struct brume_tuned *e);

/* ---- tuning_file.c --------------------------------------------------------------------------------------------------------- */

/**
 * Adds the entries of a file. BRUME_E_FORMAT: it is damaged in whatever way; BRUME_E_UNSUPPORTED: it is whole, but belongs to
 * another device, driver or version. Then t is as before.
 */
brume_status brume_tuning_read(struct brume_tuning *t, const char *path, const struct brume_tuning_id *id);
/** Writes all entries, whole or not at all. */
brume_status brume_tuning_write(const struct brume_tuning *t, const char *path, const struct brume_tuning_id *id);
/** Gives the device its table, from its file if there is one. A file that cannot be taken leaves a note in the table, and no
 * entries. */
brume_status brume_tuning_open(struct brume_device *d);
/** Writes the device's table to its file, over what another process may have added since it was read. */
brume_status brume_tuning_save(struct brume_device *d);

/* ---- tuner.c --------------------------------------------------------------------------------------------------------------- */

/** Notes a node of a plan that is being made, with what the rule chooses for it. */
brume_status brume_tuner_note(struct brume_tuner *t, const struct brume_node *n, uint32_t constant, const char *key,
                              struct brume_choice rule);

#endif
