/* SPDX-License-Identifier: MIT
 * What the ranks of a run tell each other in a step: gradients, losses, counts. Everything else each of them computes for itself, from equal numbers. */
#include <math.h>

#include "base/fail.h"
#include "train/learner.h"
#include "train/trainer.h"

static brume_status copy_gradient(void *ctx, int64_t first, int64_t n, float *values, int back)
{
    brume_buffer *grad = ctx;
    const size_t at = (size_t)first * sizeof *values, bytes = (size_t)n * sizeof *values;
    return back ? brume_buffer_write(grad, at, values, bytes) : brume_buffer_read(grad, at, values, bytes);
}

static brume_status sum_gradient(struct brume_trainer *t)
{
    const brume_parallel_place place = { copy_gradient, brume_plan_buffer(t->update.plan, t->update.grad) };
    return brume_parallel_sum(t->config.parallel, t->gradient, t->n_params, &place);
}

/* Of the sum; a NaN or an infinity anywhere shows. */
float brume_ranks_gradient_norm(const struct brume_trainer *t)
{
    double square = 0;
    for (int64_t i = 0; i < t->n_params; i++) square += (double)t->gradient[i] * t->gradient[i];
    return (float)sqrt(square);
}

static brume_status sum_tally(struct brume_trainer *t)
{
    double counts[2 * BRUME_TALLY_BINS]; /* exact: far below 2^53 */
    for (int i = 0; i < BRUME_TALLY_BINS; i++) {
        counts[2 * i] = (double)t->last.seen[i];
        counts[2 * i + 1] = (double)t->last.correct[i];
    }
    const brume_status s = brume_parallel_sum_f64(t->config.parallel, counts, 2 * BRUME_TALLY_BINS);
    for (int i = 0; i < BRUME_TALLY_BINS; i++) {
        t->last.seen[i] = (int64_t)counts[2 * i];
        t->last.correct[i] = (int64_t)counts[2 * i + 1];
    }
    return s;
}

/* The others' examples are zeros here, so that the sums are exact. */
static brume_status sum_examples(struct brume_trainer *t)
{
    const int32_t batch = t->config.batch, share = brume_trainer_share(t), own = share * brume_parallel_rank(t->config.parallel);
    for (int32_t i = 0; i < batch; i++)
        if (i < own || i >= own + share) t->own_times[i] = t->importance[i] = t->losses[i] = 0;
    brume_status s = brume_parallel_sum_f64(t->config.parallel, t->own_times, batch);
    if (s == BRUME_OK) s = brume_parallel_sum_f64(t->config.parallel, t->importance, batch);
    return s == BRUME_OK ? brume_parallel_sum(t->config.parallel, t->losses, batch, NULL) : s;
}

brume_status brume_ranks_sum(struct brume_trainer *t, double *loss)
{
    if (!t->config.parallel) return BRUME_OK;
    brume_status s = brume_parallel_sum_f64(t->config.parallel, loss, 1);
    if (s == BRUME_OK && brume_trainer_classifies(&t->config)) s = sum_tally(t);
    if (s == BRUME_OK && brume_time_sampler_learns(t->time_sampler)) s = sum_examples(t);
    return s == BRUME_OK ? sum_gradient(t) : s;
}

brume_status brume_ranks_same_step(brume_parallel *p, int64_t done)
{
    int64_t first = done;
    const brume_status s = brume_parallel_broadcast(p, 0, &first, sizeof first);
    if (s != BRUME_OK || first == done) return s;
    return brume_fail(BRUME_E_IO, "rank %d resumes from step %lld, rank 0 from step %lld: all ranks must see the same folder of the run", brume_parallel_rank(p),
                      (long long)done, (long long)first);
}
