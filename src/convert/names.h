/* SPDX-License-Identifier: MIT
 * Renaming of weights: modules by tables of rules, and the tensors that come out. */
#ifndef BRUME_CONVERT_NAMES_H
#define BRUME_CONVERT_NAMES_H

#include <stdbool.h>

#include "base/fail.h"
#include "brume/weights.h"

enum {
    RULE_OPTIONAL = 1, /* the module may be missing */
    RULE_NO_BIAS = 2   /* a weight alone */
};

/* A module with a weight and a bias: its name in their files and in diffusers'. Tables end with { 0 }. */
struct brume_rule {
    const char *theirs, *ours[3]; /* three of ours: theirs stacks their rows */
    int ndim;                     /* not 0: their weight is a linear layer written as a convolution, its dimensions from the third on are 1 */
    unsigned flags;
};

/* A tensor of the result. */
struct brume_renamed {
    char *name;
    int ndim;
    int64_t shape[4];
    brume_st_dtype dtype;
    const brume_st_tensor *from; /* whose rows are blocks of `block` rows of part 0, 1, .. parts - 1, 0, ...: this is part `part` */
    int parts, part;
    int64_t block;
};

/* A file on its way. Errors stick to status; calls after one do nothing. */
struct brume_renaming {
    const brume_weights *in;
    const char *layout;     /* "guided-diffusion": for messages */
    const char *their_root; /* in front of all their names */
    int64_t stack_block;    /* rows of a stack that belong together; 0: a whole part */
    bool keep_dtype;
    brume_st_dtype dtype;   /* unless keep_dtype */
    bool *used;             /* per tensor of in */
    struct brume_renamed *out;
    int64_t n, capacity;
    brume_status status;
};

/* Begins; keep_dtype and dtype are set, all else is 0. */
brume_status brume_renaming_begin(struct brume_renaming *r, const brume_weights *in, const char *layout, const char *their_root);
/* Sticky error with file and layout in front. */
void brume_renaming_fail(struct brume_renaming *r, brume_status s, const char *fmt, ...) BRUME_PRINTF(3, 4);
/* The tensor of the input behind its root, or NULL. */
const brume_st_tensor *brume_renaming_find(const struct brume_renaming *r, const char *fmt, ...) BRUME_PRINTF(2, 3);
/* Renames the modules of a table below two prefixes ("" for the root). A missing one is an error that names it. */
void brume_rename(struct brume_renaming *r, const struct brume_rule *rules, const char *theirs, const char *ours);
/* Fails if a tensor of the input was not renamed. class_name: what has no counterpart for it. */
void brume_renaming_complete(struct brume_renaming *r, const char *class_name);
/* The result of that name, or NULL. */
const struct brume_renamed *brume_renaming_result(const struct brume_renaming *r, const char *name);
/* Writes the results to a safetensors file. */
brume_status brume_renaming_write(const struct brume_renaming *r, const char *path);
void brume_renaming_free(struct brume_renaming *r);

#endif
