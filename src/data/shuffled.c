/* SPDX-License-Identifier: MIT
 * The shuffled sequence of a data set: one permutation per epoch, made when it is first needed; and what is done to an item at
 * random. */
#include "data/shuffled.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/fail.h"
#include "base/pool.h"
#include "brume/rng.h"

#define STREAM 0x6c6f6164u /* keeps the order apart from other numbers of the same seed, */
#define CROPS 0x63726f70u  /* and what happens to items */

static const double smallest_part = 0.8; /* of random_crop_arr() in guided-diffusion */

brume_status brume_shuffled_open(struct brume_shuffled *l, const brume_dataset *ds, uint64_t seed)
{
    if (ds->count > UINT32_MAX)
        return brume_fail(BRUME_E_UNSUPPORTED, "loader: %lld items, expected less than 2^32", (long long)ds->count);
    *l = (struct brume_shuffled){ .ds = ds, .seed = seed };
    for (int k = 0; k < 2; k++) {
        l->epoch[k] = -1;
        l->order[k] = malloc((size_t)ds->count * sizeof **l->order);
    }
    if (!l->order[0] || !l->order[1]) {
        free(l->order[0]);
        free(l->order[1]);
        return brume_fail(BRUME_E_MEMORY, "loader: no memory for the order of %lld items", (long long)ds->count);
    }
    pthread_mutex_init(&l->mutex, NULL);
    return BRUME_OK;
}

void brume_shuffled_close(struct brume_shuffled *l)
{
    pthread_mutex_destroy(&l->mutex);
    free(l->order[0]);
    free(l->order[1]);
}

brume_status brume_shuffled_index(struct brume_shuffled *l, int64_t position, int64_t *index)
{
    const int64_t epoch = position / l->ds->count, k = epoch & 1;
    if (position < 0 || epoch > UINT32_MAX)
        return brume_fail(BRUME_E_ARG, "loader: position %lld is out of range", (long long)position);
    pthread_mutex_lock(&l->mutex);
    if (l->epoch[k] != epoch) {
        brume_rng r = { .seed = l->seed, .stream = STREAM, .step = (uint32_t)epoch };
        brume_rng_permutation(&r, l->ds->count, l->order[k]);
        l->epoch[k] = epoch;
    }
    *index = l->order[k][position % l->ds->count];
    pthread_mutex_unlock(&l->mutex);
    return BRUME_OK;
}

/* How item i is looked at in an epoch: a function of (seed, item, epoch), so that neither order nor threads matter. */
static struct brume_view draw_view(const struct brume_shuffled *l, int64_t i, int64_t epoch)
{
    struct brume_view v = { BRUME_WINDOW_MIDDLE, 0 };
    brume_rng r = { .seed = brume_seed_mix(l->seed, (uint64_t)i), .stream = CROPS, .step = (uint32_t)epoch };
    const float flip = brume_rng_uniform(&r), part = brume_rng_uniform(&r), y = brume_rng_uniform(&r), x = brume_rng_uniform(&r);
    if (l->ds->crop == BRUME_CROP_RANDOM)
        v.window = (struct brume_window){ smallest_part + (1 - smallest_part) * (double)part, (double)y, (double)x };
    v.flip = l->ds->flip && flip < 0.5f;
    return v;
}

struct batch {
    struct brume_shuffled *l;
    int64_t first, size;
    float *images;
    int64_t *labels, *indices;
    pthread_mutex_t mutex; /* of what follows */
    int64_t failed;        /* the first item that failed, or -1 */
    brume_status status;
    char error[1024];
};

static brume_status read_one(const struct batch *b, int64_t j)
{
    int64_t i;
    int32_t label;
    brume_status s = brume_shuffled_index(b->l, b->first + j, &i);
    if (s != BRUME_OK) return s;
    const struct brume_view v = draw_view(b->l, i, (b->first + j) / b->l->ds->count);
    s = brume_dataset_view(b->l->ds, i, &v, b->images ? b->images + j * b->size : NULL, &label);
    if (s != BRUME_OK) return s;
    if (b->labels) b->labels[j] = label;
    if (b->indices) b->indices[j] = i;
    return BRUME_OK;
}

static void read_task(void *ctx, int64_t j, int thread)
{
    struct batch *b = ctx;
    (void)thread;
    const brume_status s = read_one(b, j);
    if (s == BRUME_OK) return;
    pthread_mutex_lock(&b->mutex); /* of several errors the first in order, whoever is faster */
    if (b->failed < 0 || j < b->failed) {
        b->failed = j;
        b->status = s;
        snprintf(b->error, sizeof b->error, "%s", brume_error());
    }
    pthread_mutex_unlock(&b->mutex);
}

brume_status brume_shuffled_read(struct brume_shuffled *l, struct brume_pool *pool, int64_t first, int64_t n, float *images,
                                 int64_t *labels, int64_t *indices)
{
    struct batch b = { l, first, (int64_t)l->ds->height * l->ds->width * l->ds->channels, images, labels, indices,
                       PTHREAD_MUTEX_INITIALIZER, -1, BRUME_OK, "" };
    if (pool) brume_pool_run(pool, n, read_task, &b);
    for (int64_t j = 0; !pool && j < n && b.failed < 0; j++) read_task(&b, j, 0);
    return b.failed < 0 ? BRUME_OK : brume_fail(b.status, "%s", b.error);
}

int64_t brume_shuffled_after(const struct brume_shuffled *l, int64_t first, int64_t n)
{
    const int64_t after = first + n;
    return l->share && after % l->share == 0 ? after + l->every - l->share : after;
}
