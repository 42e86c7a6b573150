/* SPDX-License-Identifier: MIT
 * A thread that prepares the next two batches while the caller works with the last one. */
#include "data/ahead.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "base/pool.h"

enum { SLOTS = 2 };
enum slot_state { EMPTY, BUSY, READY }; /* BUSY: the thread's, without the mutex; READY: the caller's */

struct slot {
    enum slot_state state;
    float *images;
    int64_t *labels, *indices;
    brume_status status;
    char error[1024];
};

struct brume_ahead {
    struct brume_shuffled *items;
    brume_pool *pool;         /* NULL: the thread works alone */
    pthread_t thread;
    pthread_mutex_t mutex;    /* of all below */
    pthread_cond_t work, done; /* a slot has become empty, the thread shall end; a slot has become ready or empty */
    int quit;
    int64_t n;                /* of a batch; 0: nothing to do yet */
    int64_t next, expected;   /* first position of the batch that the thread prepares next, that the caller is to ask for */
    int fill, take;           /* the slots for these */
    struct slot slots[SLOTS];
};

static void *prepare(void *ctx)
{
    struct brume_ahead *a = ctx;
    pthread_mutex_lock(&a->mutex);
    for (;;) {
        while (!a->quit && (!a->n || a->slots[a->fill].state != EMPTY)) pthread_cond_wait(&a->work, &a->mutex);
        if (a->quit) break;
        struct slot *s = &a->slots[a->fill];
        const int64_t first = a->next, n = a->n;
        s->state = BUSY;
        a->fill = (a->fill + 1) % SLOTS;
        a->next = brume_shuffled_after(a->items, first, n);
        pthread_mutex_unlock(&a->mutex);
        s->status = brume_shuffled_read(a->items, a->pool, first, n, s->images, s->labels, s->indices);
        if (s->status != BRUME_OK) snprintf(s->error, sizeof s->error, "%s", brume_error()); /* the text belongs to this thread */
        pthread_mutex_lock(&a->mutex);
        s->state = READY;
        pthread_cond_broadcast(&a->done);
    }
    pthread_mutex_unlock(&a->mutex);
    return NULL;
}

brume_status brume_ahead_new(struct brume_shuffled *l, int threads, struct brume_ahead **out)
{
    *out = NULL;
    struct brume_ahead *a = calloc(1, sizeof *a);
    if (!a) return brume_fail(BRUME_E_MEMORY, "loader: no memory");
    a->items = l;
    brume_status s = threads > 1 ? brume_pool_new(threads, &a->pool) : BRUME_OK;
    pthread_mutex_init(&a->mutex, NULL);
    pthread_cond_init(&a->work, NULL);
    pthread_cond_init(&a->done, NULL);
    if (s == BRUME_OK && pthread_create(&a->thread, NULL, prepare, a))
        s = brume_fail(BRUME_E_MEMORY, "loader: the system refused a thread; go without (--data-threads -1)");
    if (s == BRUME_OK) {
        *out = a;
        return s;
    }
    pthread_mutex_destroy(&a->mutex);
    pthread_cond_destroy(&a->work);
    pthread_cond_destroy(&a->done);
    brume_pool_free(a->pool);
    free(a);
    return s;
}

static void free_slots(struct brume_ahead *a)
{
    for (int k = 0; k < SLOTS; k++) {
        free(a->slots[k].images);
        free(a->slots[k].labels);
        free(a->slots[k].indices);
        a->slots[k] = (struct slot){ 0 };
    }
}

void brume_ahead_free(struct brume_ahead *a)
{
    if (!a) return;
    pthread_mutex_lock(&a->mutex);
    a->quit = 1;
    pthread_cond_signal(&a->work);
    pthread_mutex_unlock(&a->mutex);
    pthread_join(a->thread, NULL);
    pthread_mutex_destroy(&a->mutex);
    pthread_cond_destroy(&a->work);
    pthread_cond_destroy(&a->done);
    free_slots(a);
    brume_pool_free(a->pool);
    free(a);
}

/* Begins anew at another position or with another size of batch; called and left with the mutex. */
static brume_status restart(struct brume_ahead *a, int64_t first, int64_t n)
{
    const brume_dataset *ds = a->items->ds;
    const size_t numel = (size_t)ds->height * (size_t)ds->width * (size_t)ds->channels;
    const int same = a->n == n;
    a->n = 0; /* nothing new begins */
    for (int k = 0; k < SLOTS; k++) {
        while (a->slots[k].state == BUSY) pthread_cond_wait(&a->done, &a->mutex);
        a->slots[k].state = EMPTY;
    }
    a->fill = a->take = 0;
    a->next = a->expected = first;
    if (!same) {
        free_slots(a);
        for (int k = 0; k < SLOTS; k++) {
            struct slot *s = &a->slots[k];
            s->images = malloc((size_t)n * numel * sizeof *s->images);
            s->labels = malloc((size_t)n * sizeof *s->labels);
            s->indices = malloc((size_t)n * sizeof *s->indices);
            if (!s->images || !s->labels || !s->indices)
                return brume_fail(BRUME_E_MEMORY, "loader: no memory for %d batches of %lld images", SLOTS, (long long)n);
        }
    }
    a->n = n;
    pthread_cond_signal(&a->work);
    return BRUME_OK;
}

brume_status brume_ahead_read(struct brume_ahead *a, int64_t first, int64_t n, float *images, int64_t *labels, int64_t *indices)
{
    const brume_dataset *ds = a->items->ds;
    const size_t numel = (size_t)ds->height * (size_t)ds->width * (size_t)ds->channels;
    if (n < 1) return BRUME_OK;
    pthread_mutex_lock(&a->mutex);
    brume_status status = first == a->expected && n == a->n ? BRUME_OK : restart(a, first, n);
    struct slot *s = &a->slots[a->take];
    while (status == BRUME_OK && s->state != READY) pthread_cond_wait(&a->done, &a->mutex);
    pthread_mutex_unlock(&a->mutex);
    if (status != BRUME_OK) return status;
    status = s->status == BRUME_OK ? BRUME_OK : brume_fail(s->status, "%s", s->error);
    if (status == BRUME_OK) {
        memcpy(images, s->images, (size_t)n * numel * sizeof *images);
        if (labels) memcpy(labels, s->labels, (size_t)n * sizeof *labels);
        if (indices) memcpy(indices, s->indices, (size_t)n * sizeof *indices);
    }
    pthread_mutex_lock(&a->mutex);
    s->state = EMPTY;
    a->take = (a->take + 1) % SLOTS;
    a->expected = brume_shuffled_after(a->items, first, n);
    pthread_cond_signal(&a->work);
    pthread_mutex_unlock(&a->mutex);
    return status;
}
