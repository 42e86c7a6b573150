/* SPDX-License-Identifier: MIT
 * The classes of schedulers: which process each is for, which keys it knows, and their defaults. */
#ifndef BRUME_DIFFUSION_SCHEDULER_CLASSES_H
#define BRUME_DIFFUSION_SCHEDULER_CLASSES_H

#include "brume/schedule.h"

struct brume_scheduler_class {
    const char *name;
    brume_process_kind process;
    const char *defaults; /* JSON: every key that the class knows, as diffusers 0.42 has them, and what brume needs to know of the
                             model */
};

/* The i-th class; NULL past the end. */
const struct brume_scheduler_class *brume_scheduler_class_row(int i);
/* By name; NULL if unknown. */
const struct brume_scheduler_class *brume_scheduler_class_find(const char *name);
/* What a class is read as that nobody knows: the keys of DDPMScheduler and DDIMScheduler. */
extern const struct brume_scheduler_class brume_scheduler_class_unknown;
/* By name, or that one. */
const struct brume_scheduler_class *brume_scheduler_class_or_unknown(const char *name);
/* The class' defaults as a document, which the caller frees. */
brume_status brume_scheduler_class_defaults(const struct brume_scheduler_class *class, brume_json **out);

#endif
