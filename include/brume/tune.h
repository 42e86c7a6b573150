/* SPDX-License-Identifier: MIT
 * Tuning: finding by measurement which kernel is fastest for each step of a plan, and keeping it for plans made later.
 *
 * Rules choose kernels by what is known of kinds of devices. A tuner times all that could compute a step on the very device, with
 * exactly the step's shapes; what it found is kept in a file for that device, driver and version of brume, and brume_plan_new()
 * takes it from there (unless brume_device_options.no_tuning). Kernels differ in the order of their sums: the last bits of
 * results may change with the table, but with one table they are reproducible. */
#ifndef BRUME_TUNE_H
#define BRUME_TUNE_H

#include "brume/api.h"
#include "brume/device.h"

BRUME_API_BEGIN

/** Notes the steps of plans, and finds the fastest kernel for each. */
typedef struct brume_tuner brume_tuner;

/**
 * From now on until it is freed, the tuner notes the steps of every plan that is made on d, dry ones included, for which there
 * are several kernels. One tuner at a time for a device, else BRUME_E_ARG; plans must not be made in several threads meanwhile.
 */
brume_status brume_tuner_new(brume_device *d, brume_tuner **out);
/** Free it before its device; NULL is fine. */
void brume_tuner_free(brume_tuner *t);

/** Steps that are alike: one op with the same shapes and attributes. */
typedef struct brume_tuner_step {
    const char *op;       /* "conv2d" */
    const char *shapes;   /* inputs -> outputs; attributes: "64x28x28x32, 3x3x32x32 constant, -, - -> 64x28x28x32; stride 1 pad
                             1,1,1,1" */
    int count;            /* of such steps in the plans noted */
    int candidates, tried; /* kernels and rows of parameters that could compute it; those that were timed */
    int reached;          /* 1: compared; 0: time was over before, the rule's choice stays */
    char rule[48], best[48]; /**< kernels: the rule's choice, and the fastest */
    double rule_ms, best_ms; /* of one step; 0: not measured */
} brume_tuner_step;

/** Steps noted so far; after brume_tuner_run() those that take most of the time first. Texts are owned by the tuner. */
int brume_tuner_count(const brume_tuner *t);
void brume_tuner_get(const brume_tuner *t, int i, brume_tuner_step *out);

/** How far a tuner is. */
typedef struct brume_tuner_progress {
    int done, total;      /* steps compared, and to compare */
    double seconds;       /* since the beginning */
    const char *op, *kernel; /* at hand; "" at the end */
} brume_tuner_progress;

/** How long a tuner works, and whom it tells. */
typedef struct brume_tuner_options {
    double seconds;       /* for measuring, compilation included; > 0. A kernel that runs is not interrupted */
    /** Told before each kernel that is tried, and at the end; NULL: nobody is. Not 0: stop, and take what is known. */
    int (*progress)(void *ctx, const brume_tuner_progress *p);
    void *ctx; /**< handed to progress */
} brume_tuner_options;

/**
 * Times, one step after the other, those that take most of the time first: all candidates in turn, round by round, the rule's
 * choice among them. What counts is the time that a fifth of the rounds keeps below (other work on the machine disturbs the
 * rest), with weights that have left the caches. Another choice must be better by more than 5 %, and its median must be better,
 * too, and once more against the rule's choice alone. What is found is used by plans that are made on the device from now on.
 * Fails only where the rule's choice does; a kernel that cannot be compiled or does not fit into memory is left out.
 */
brume_status brume_tuner_run(brume_tuner *t, const brume_tuner_options *o);
/** Writes what the device has, newly tuned or from before, to its file: whole or not at all. */
brume_status brume_tuner_save(brume_tuner *t);

/** What is tuned on a device. */
typedef struct brume_tuning_info {
    char file[1024];      /* where tuned choices of this device are kept, whether it exists or not; "": nowhere */
    int entries;          /* in use; 0 with no_tuning */
    int refused;          /* 1: the file is there but was not taken: it is damaged, or of another version; note says why */
    char note[256];       /**< why it was refused, or "" */
} brume_tuning_info;
/**
 * The file lies in the folder tuning in $BRUME_CACHE, else in $XDG_CACHE_HOME/brume, else in ~/.cache/brume; BRUME_CACHE=off:
 * none. It may be deleted at any time.
 */
void brume_device_get_tuning(const brume_device *d, brume_tuning_info *info);

BRUME_API_END

#endif
