/* SPDX-License-Identifier: MIT
 * Training of classifiers of noisy images: their loss, and how often they are right at which noise. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "brume/ops.h"
#include "train/trainer.h"

static const double sigma_below[BRUME_TALLY_BINS] = { 0.1, 0.2, 0.5, 1, 2, 5, 10, INFINITY };

void brume_classify_build(struct brume_trainer *t, brume_tensor logits)
{
    t->logits = logits;
    t->loss = (brume_loss){ BRUME_NONE, brume_cross_entropy(t->graph, logits, t->labels), BRUME_NONE, BRUME_NONE, BRUME_NONE };
    brume_output(t->graph, logits, "logits");
}

brume_status brume_classify_check(const brume_train_config *c, const brume_dataset *data)
{
    const int32_t classes = data ? brume_dataset_classes(data) : c->unet.out_channels;
    if (classes < 2 || c->unet.out_channels != classes)
        return brume_fail(
            BRUME_E_ARG,
            "training: a classifier needs data of 2 classes or more and out_channels of as many; the data have %d, the model %d",
            classes, c->unet.out_channels);
    if (c->objective.times == BRUME_TIMES_LOSS_SECOND_MOMENT)
        return brume_fail(
            BRUME_E_UNSUPPORTED,
            "training: time sampling 'loss-second-moment' follows the losses of denoisers; use uniform for a classifier");
    return BRUME_OK;
}

brume_status brume_classify_tally(struct brume_trainer *t, struct brume_tally *tally)
{
    const int32_t classes = t->config.unet.out_channels;
    const brume_status s =
        brume_plan_read(t->plan, t->logits, t->logit_values, (size_t)t->part * (size_t)classes * sizeof *t->logit_values);
    for (int32_t i = 0; s == BRUME_OK && i < t->part; i++) {
        const float *x = t->logit_values + (int64_t)i * classes, *level = t->coef_values + i * BRUME_COEF_COUNT;
        const double sigma = (double)level[BRUME_COEF_S] / (double)level[BRUME_COEF_A];
        int32_t best = 0, bin = 0;
        for (int32_t k = 1; k < classes; k++)
            if (x[k] > x[best]) best = k;
        while (bin < BRUME_TALLY_BINS - 1 && !(sigma < sigma_below[bin])) bin++;
        tally->seen[bin]++;
        tally->correct[bin] += best == t->label_values[i];
    }
    return s;
}

void brume_tally_text(const struct brume_tally *tally, char *text, size_t size)
{
    size_t used = (size_t)snprintf(text, size, "accuracy at sigma");
    for (int i = 0; i < BRUME_TALLY_BINS && used < size; i++) {
        if (!tally->seen[i]) continue;
        const double part = 100.0 * (double)tally->correct[i] / (double)tally->seen[i];
        if (i < BRUME_TALLY_BINS - 1) used += (size_t)snprintf(text + used, size - used, " < %g: %.0f %%,", sigma_below[i], part);
        else used += (size_t)snprintf(text + used, size - used, " above: %.0f %%,", part);
    }
    const size_t end = strlen(text);
    if (end && text[end - 1] == ',') text[end - 1] = 0;
}

double brume_tally_accuracy(const struct brume_tally *tally)
{
    int64_t seen = 0, correct = 0;
    for (int i = 0; i < BRUME_TALLY_BINS; i++) seen += tally->seen[i], correct += tally->correct[i];
    return seen ? (double)correct / (double)seen : NAN;
}
