/* SPDX-License-Identifier: MIT
 * Drawing images from a model: what `brume sample` does, once for a picture or many times for a table of samplers. */
#ifndef BRUME_CLI_DRAWING_H
#define BRUME_CLI_DRAWING_H

#include "brume/classifier.h"
#include "brume/pipeline.h"
#include "brume/safetensors.h"
#include "sample_args.h"
#include "view.h"

struct drawing {
    const struct sample_args *a;
    const char *folder;                /* of the model */
    brume_model *model;
    uint64_t fingerprint;              /* of its weights */
    brume_device *device;
    brume_unet2d_denoiser *denoiser;
    brume_model *judge;                /* of --classifier, or NULL */
    uint64_t judge_fingerprint;
    brume_classifier *classifier;
    brume_classifier_gradient gradient;
    brume_sampler *sampler;
    const char *sampler_name;
    brume_scheduler_config scheduler;  /* as the sampler follows it */
    brume_buffer *x, *known, *mask;
    int64_t n, batch, h, w, c;         /* states (n, h, w, c): images, or latents */
    struct view view;                  /* and what they look like */
    int32_t *labels;                   /* n, or NULL */
    brume_prompt_context *prompts;     /* [prompt, negative], or NULL */
    int conditional;                   /* the model itself knows the labels; else the classifier alone */
    int64_t *seeds;                    /* n rounded up to whole batches */
    float *noise;                      /* given start noise (n, h, w, c), or NULL */
    float *known_picture;              /* of --init-image, or NULL */
    float *known_states;               /* n rounded up to whole batches, or NULL */
    float *images;                     /* result, states: n rounded up to whole batches */
    float *pictures;                   /* the same as pictures: n at least; images itself where states are pictures */
    int n_classes;                     /* of --class: columns of the grid */
    int observe_x0;                    /* 1: the observer wants the estimates of x0 */
    void (*step)(void *ctx, int64_t done);             /* progress: network calls so far; may be NULL */
    brume_sampler_observer *observe;   /* of the first batch; may be NULL */
    void *ctx;
    int64_t calls_done, calls_seen, batches_done;
};

/* Loads the model and everything that the options name. CLI_GO_ON, or the exit status after a message. */
int drawing_open(struct drawing *d, const struct sample_args *a, const struct cli_usage *u, const char *folder);
void drawing_close(struct drawing *d);
/* (Re)makes the sampler: name NULL: as the model's scheduler asks; steps 0: its default. */
brume_status drawing_sampler(struct drawing *d, const char *name, int64_t steps);
/* Network calls of drawing everything; 0 if that is not known before. */
int64_t drawing_calls(const struct drawing *d);
/* Draws all images into d->images, of a latent diffusion model their latents. */
brume_status drawing_draw(struct drawing *d);
/* Makes d->pictures of d->images. */
brume_status drawing_decode(struct drawing *d);
/* (N, plane, C) <-> the (N, C, plane) of files, plane = H W: back = 1 for the way to the file. */
void drawing_reorder(const float *from, float *to, int64_t n, int64_t plane, int64_t c, int back);

#endif
