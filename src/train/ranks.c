/* SPDX-License-Identifier: MIT
 * What the ranks of a run tell each other in a step: gradients, losses, counts. Everything else each of them computes for itself,
 * from equal numbers. */
#include "train/ranks.h"

#include <math.h>
#include <stdlib.h>
#include <time.h>

#include "base/fail.h"
#include "train/trainer.h"

/*
 * Values of a bucket: at most what makes latency small against the time on the way, at least what is worth a message; in between
 * a sixteenth of the gradient, as what is still to be sent when the backward pass ends is the last bucket and those that had to
 * wait for their turn.
 */
enum { LARGEST = 1 << 20, SMALLEST = 1 << 15, PARTS = 16 };

int brume_ranks_cut(int64_t n, struct brume_bucket *buckets, int most)
{
    int64_t size = (n + PARTS - 1) / PARTS;
    if (size > LARGEST) size = LARGEST;
    if (size < SMALLEST) size = SMALLEST;
    const int64_t count = (n + size - 1) / size;
    for (int64_t i = 0; i < count && i < most; i++) {
        const int64_t first = (count - 1 - i) * size;
        buckets[i] = (struct brume_bucket){ .first = first, .n = n - first < size ? n - first : size };
    }
    return (int)count;
}

brume_status brume_ranks_open(struct brume_ranks *r, brume_parallel *parallel, brume_plan *plan, brume_tensor grad, int64_t n)
{
    *r = (struct brume_ranks){ .parallel = parallel };
    if (!parallel) return BRUME_OK;
    r->plan = plan;
    r->n = n;
    r->n_buckets = brume_ranks_cut(n, NULL, 0);
    r->buffer = brume_plan_buffer(plan, grad);
    r->values = brume_buffer_host(r->buffer);
    r->buckets = malloc((size_t)r->n_buckets * sizeof *r->buckets);
    if (!r->values) r->values = r->own = malloc((size_t)n * sizeof *r->own);
    if (!r->buckets || !r->values) return brume_fail(BRUME_E_MEMORY, "training: out of memory");
    brume_ranks_cut(n, r->buckets, r->n_buckets);
    for (int i = 0; i < r->n_buckets; i++) {
        struct brume_bucket *b = &r->buckets[i];
        b->ready = brume_plan_steps_until(plan, grad, b->first, b->n);
        /* one order for all ranks, whatever their devices made of the plan */
        if (i && b->ready < b[-1].ready) b->ready = b[-1].ready;
    }
    return brume_parallel_sums_new(parallel, r->n_buckets, &r->sums);
}

void brume_ranks_close(struct brume_ranks *r)
{
    brume_parallel_sums_free(r->sums);
    free(r->buckets);
    free(r->own);
    *r = (struct brume_ranks){ 0 };
}

static brume_status copy(struct brume_ranks *r, const struct brume_bucket *b, bool back)
{
    const size_t at = (size_t)b->first * sizeof *r->values, bytes = (size_t)b->n * sizeof *r->values;
    if (!r->own) return BRUME_OK;
    return back ? brume_buffer_write(r->buffer, at, r->values + b->first, bytes)
                : brume_buffer_read(r->buffer, at, r->values + b->first, bytes);
}

brume_status brume_ranks_run(struct brume_ranks *r)
{
    int done = 0;
    brume_status s = BRUME_OK;
    for (int i = 0; s == BRUME_OK && i < r->n_buckets; i++) {
        const struct brume_bucket *b = &r->buckets[i];
        s = brume_plan_run_steps(r->plan, done, b->ready - done);
        done = b->ready;
        if (s == BRUME_OK) s = copy(r, b, false);
        if (s == BRUME_OK) s = brume_parallel_sums_start(r->sums, r->values + b->first, b->n);
    }
    return s == BRUME_OK ? brume_plan_run_steps(r->plan, done, brume_plan_step_count(r->plan) - done) : s;
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

brume_status brume_trainer_time_buckets(brume_trainer *t, brume_train_bucket *buckets, int n, int *count, double *gradient)
{
    if (t->grad == BRUME_NONE) return brume_fail(BRUME_E_ARG, "training: without micro-batches the gradient is no sum of shares");
    struct brume_bucket *cut = malloc((size_t)n * sizeof *cut);
    if (!cut) return brume_fail(BRUME_E_MEMORY, "training: out of memory");
    *count = brume_ranks_cut(t->n_params, cut, n);
    brume_status s = brume_device_finish(t->device);
    const double begun = now();
    int done = 0;
    for (int i = 0; s == BRUME_OK && i < n && i < *count; i++) {
        const int ready = brume_plan_steps_until(t->plan, t->grad, cut[i].first, cut[i].n);
        if (ready > done) {
            s = brume_plan_run_steps(t->plan, done, ready - done);
            if (s == BRUME_OK) s = brume_device_finish(t->device);
            done = ready;
        }
        buckets[i] = (brume_train_bucket){ cut[i].n * (int64_t)sizeof(float), now() - begun };
    }
    if (s == BRUME_OK) s = brume_plan_run_steps(t->plan, done, brume_plan_step_count(t->plan) - done);
    if (s == BRUME_OK) s = brume_device_finish(t->device);
    *gradient = now() - begun;
    free(cut);
    return s;
}

brume_status brume_ranks_wait(struct brume_ranks *r, double *seconds)
{
    brume_status s = BRUME_OK;
    const double begun = now();
    for (int i = 0; s == BRUME_OK && i < r->n_buckets; i++) {
        s = brume_parallel_sums_wait(r->sums);
        if (s == BRUME_OK) s = copy(r, &r->buckets[i], true);
    }
    *seconds = r->parallel ? now() - begun : 0;
    return s;
}

float brume_ranks_norm(const struct brume_ranks *r)
{
    double square = 0;
    for (int64_t i = 0; i < r->n; i++) square += (double)r->values[i] * r->values[i];
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
    return s == BRUME_OK ? brume_parallel_sum(t->config.parallel, t->losses, batch) : s;
}

brume_status brume_ranks_sum(struct brume_trainer *t, double *loss)
{
    if (!t->config.parallel) return BRUME_OK;
    brume_status s = brume_parallel_sum_f64(t->config.parallel, loss, 1);
    if (s == BRUME_OK && brume_trainer_classifies(&t->config)) s = sum_tally(t);
    return s == BRUME_OK && brume_time_sampler_learns(t->time_sampler) ? sum_examples(t) : s;
}

brume_status brume_ranks_same_step(brume_parallel *p, int64_t done)
{
    int64_t first = done;
    const brume_status s = brume_parallel_broadcast(p, 0, &first, sizeof first);
    if (s != BRUME_OK || first == done) return s;
    return brume_fail(BRUME_E_IO,
                      "rank %d resumes from step %lld, rank 0 from step %lld: all ranks must see the same folder of the run",
                      brume_parallel_rank(p), (long long)done, (long long)first);
}
