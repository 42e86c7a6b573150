/* SPDX-License-Identifier: MIT
 * Learning rates as functions of the step. */
#include <math.h>
#include <string.h>

#include "brume/train.h"

static const double pi = 3.14159265358979323846;

/* u: part of the steps after the warm-up that are done, 0 .. 1. */
static double constant(double u) { return (void)u, 1; }
static double linear(double u) { return 1 - u; }
static double cosine(double u) { return 0.5 * (1 + cos(pi * u)); }

static const brume_lr_schedule rows[] = {
    { "constant", "as --lr says", constant },
    { "linear", "a line down to --lr-end at the last step", linear },
    { "cosine", "half a cosine down to --lr-end at the last step (Loshchilov & Hutter 2017, eq. 5, without restarts)", cosine },
    { "inverse-sqrt", "lr sqrt(W / k) at step k, W the steps of warm-up or 1 (Vaswani et al. 2017, sec. 5.3)", NULL },
};
enum { N_ROWS = sizeof rows / sizeof *rows };

const brume_lr_schedule *brume_lr_schedule_row(int i) { return i >= 0 && i < N_ROWS ? &rows[i] : NULL; }

const brume_lr_schedule *brume_lr_schedule_find(const char *name)
{
    for (int i = 0; name && i < N_ROWS; i++)
        if (name && !strcmp(rows[i].name, name)) return &rows[i];
    return NULL;
}

double brume_learning_rate(const brume_train_config *c, int64_t step)
{
    const double w = (double)c->warmup, k = (double)step + 1;
    const brume_lr_schedule *s = c->lr_schedule ? c->lr_schedule : &rows[0];
    if (k <= w) return c->lr * k / w;
    if (!s->shape) return fmax(c->lr * sqrt(fmax(w, 1) / k), c->lr_end);
    const double last = (double)c->steps - w; /* the last step takes lr_end exactly */
    const double u = last > 1 ? fmin((k - w - 1) / (last - 1), 1) : 0;
    return s->shape == constant ? c->lr : c->lr_end + (c->lr - c->lr_end) * s->shape(u);
}
