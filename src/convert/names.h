/* SPDX-License-Identifier: MIT
 * Renaming of weights: modules by tables of rules, and the tensors that come out. */
#ifndef BRUME_CONVERT_NAMES_H
#define BRUME_CONVERT_NAMES_H

#include <stdbool.h>

#include "base/fail.h"
#include "brume/graph.h"
#include "brume/weights.h"

enum {
    RULE_OPTIONAL = 1, /* the module may be missing */
    RULE_NO_BIAS = 2,  /* a weight alone */
    RULE_BARE = 4,     /* their weight has the name of the module, without ".weight" */
    RULE_FLAT = 8      /* theirs are called NAME_weight and NAME_bias */
};

/* A module with a weight and a bias: its name in their files and in diffusers'. Tables end with { 0 }. */
struct brume_rule {
    const char *theirs, *ours[3]; /* three of ours: theirs stacks their rows */
    int ndim;                     /* not 0: their weight is a linear layer written as a convolution of so many dimensions, 1 from
                                     the third on */
    unsigned flags;
};

/*
 * A tensor of the result. A stack's rows are blocks of `block` rows of part 0, 1, .. parts - 1, 0, ...: the result is part `part`
 * of the stack from[0], or (joined) the stack of from[0 .. parts - 1]. Or values of the host, from none.
 */
struct brume_renamed {
    char *name;
    int ndim;
    int64_t shape[4];
    brume_st_dtype dtype;
    const brume_st_tensor *from[3];
    const float *values;
    bool joined;
    int parts, part;
    int64_t block;
};

/* A file on its way. Errors stick to status; calls after one do nothing. */
struct brume_renaming {
    const brume_weights *in;
    const char *layout;     /* "guided-diffusion": for messages */
    const char *their_root; /* in front of all their names */
    bool back;              /* the input has our names, the result theirs */
    bool below_root;        /* tensors outside their_root are for others */
    const char *averages;   /* NULL, or what stands in front of moving averages, to be taken instead: names behind the first dot,
                               without dots */
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
/* Size `axis` of a tensor of theirs that must be there; 1 after an error. */
int64_t brume_renaming_size(struct brume_renaming *r, const char *name, int axis);
/* A tensor of theirs that keeps its name and shape. */
void brume_renaming_take(struct brume_renaming *r, const char *name);
/* A tensor of n values (no dimension if scalar), which must stay. */
void brume_renaming_add(struct brume_renaming *r, const char *name, int64_t n, bool scalar, const float *values);
/* Tensors under the root whose names begin with that are for nobody here. */
void brume_renaming_ignore(struct brume_renaming *r, const char *prefix);
/* Fails unless every parameter of a network, built in g, has its values in its shape. class_name: of the network. g is freed,
 * NULL is a lack of memory. */
void brume_renaming_compare(struct brume_renaming *r, brume_graph *g, brume_tensor slab, const char *class_name);
/* The result of that name, or NULL. */
const struct brume_renamed *brume_renaming_result(const struct brume_renaming *r, const char *name);
/* Writes the results of n renamings to one safetensors file. */
brume_status brume_renaming_write(const struct brume_renaming *r, int n, const char *path);
void brume_renaming_free(struct brume_renaming *r);

#endif
