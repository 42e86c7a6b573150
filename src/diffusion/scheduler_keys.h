/* SPDX-License-Identifier: MIT
 * The keys of scheduler_config.json: where each belongs in brume_scheduler_config, which values it may have, and of which models
 * it tells. */
#ifndef BRUME_DIFFUSION_SCHEDULER_KEYS_H
#define BRUME_DIFFUSION_SCHEDULER_KEYS_H

#include "brume/schedule.h"

enum brume_key_type {
    KEY_INTEGER,
    KEY_REAL,
    KEY_NULLABLE,  /* real; null is NaN */
    KEY_FLAG,
    KEY_WORD,
    KEY_WORD_FLAG, /* a word for a bool */
    KEY_SIGMAS,    /* a flag for one of brume_sigmas */
    KEY_BETAS, KEY_SCHEDULE, KEY_STEPS, /* each the one key of its kind */
    KEY_FIXED,     /* only the default can be followed */
    KEY_WITHOUT    /* changes nothing here; any value */
};

struct brume_key_word { const char *text; int value; }; /* the first text of a value is the one written */

struct brume_scheduler_key {
    const char *name;
    enum brume_key_type type;
    size_t at;                /* offset of the field */
    double lo, hi;
    const struct brume_key_word *words; /* ended by a row of zeros */
    int sigmas;
    const char *only;         /* for classes whose name begins like this; NULL: all */
    unsigned model;           /* 1 << process of the models that this describes, whatever the class */
};

/* The i-th row, NULL past the end. A name may have several, for different classes. */
const struct brume_scheduler_key *brume_scheduler_key_row(int i);
/* The row for a class, or NULL. */
const struct brume_scheduler_key *brume_scheduler_key_find(const char *name, const char *class_name);
/* Bytes of the key's field. */
size_t brume_scheduler_key_size(const struct brume_scheduler_key *k);

/* What a class does not know has these values. */
extern const brume_scheduler_config brume_scheduler_unset;

#endif
