/* SPDX-License-Identifier: MIT
 * What the kinds of golden models share: a network with inputs of io.safetensors, and the judgement of its output, loss and
 * gradients. */
#ifndef BRUME_TESTS_GOLDEN_MODEL_H
#define BRUME_TESTS_GOLDEN_MODEL_H

#include "brume/ops.h"
#include "brume/plan.h"
#include "brume/safetensors.h"
#include "devices.h"

/* One network on one device. */
struct golden_run {
    const char *name, *device_name;
    brume_safetensors *io;
    brume_graph *g;                /* with slab and y set by the kind; the rest is appended by golden_run_finish() */
    brume_plan *plan;
    brume_tensor slab, y, target, loss, grad;
    int64_t n_params;
    int with_grad;
    const char *strip;             /* NULL, or what begins the parameters' names but not those of the file's gradients */
    float *got, *want, *inside, *again;
    int64_t room;
    int bad;                       /* tensors that differ */
    double worst_out, worst_grad;  /* in units of what is allowed */
    int gradients;
};

/* Opens FOLDER/io.safetensors and an empty graph with a slab. 0: complained. Close it, whatever happened. */
int golden_run_open(struct golden_run *r, const char *folder, const char *name, const char *device_name, int64_t n_params);
/* After the network was built in r->g, with result r->y: adds loss and gradients if the file has them, makes the plan and writes
 * params. */
int golden_run_finish(struct golden_run *r, brume_device *d, const float *params);
/* Shape of a tensor of the file as the network sees it: (N, C, H, W) becomes (N, H, W, C); a scalar of dimension 0 if it is
 * missing. */
brume_shape golden_run_shape(const struct golden_run *r, const char *name);
/* Writes a tensor of the file to an input of f32 or i32; images turn. One value stands for one per sample. Complains if it is
 * missing or of another size. */
int golden_run_set(struct golden_run *r, const char *name, brume_tensor to);
/* Runs twice; compares y with `output`, the loss, every gradient, and both runs' bits. */
void golden_run_check(struct golden_run *r);
/* Reads a result of the plan and compares it with a tensor of the file; rel: of its largest value. */
double golden_run_compare(struct golden_run *r, const char *name, brume_tensor result, double rel);
/* Counts one model on one device as passed or failed, and says which. */
void golden_run_close(struct golden_run *r);
int golden_complain(struct golden_run *r, const char *what, const char *detail);
int golden_ok(struct golden_run *r, const char *what, brume_status s);

/* A kind: tries the folder on every device; the class is that of config.json. */
void golden_unet2d(const char *folder, const char *name, const struct test_devices *devices);
void golden_text_encoder(const char *folder, const char *name, const struct test_devices *devices);
void golden_autoencoder(const char *folder, const char *name, const struct test_devices *devices);
/* A complete text-to-image pipeline with io.json. */
void golden_pipeline(const char *folder, const char *name, const struct test_devices *devices);

#endif
