/* SPDX-License-Identifier: MIT
 * The list of files that cannot be read, and what is known of each item. */
#include "data/bad_files.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"

struct brume_bad_files {
    pthread_mutex_t mutex; /* of the list */
    char **reasons;
    int64_t n, cap;
    _Atomic uint8_t *states; /* of items */
};

static brume_status no_memory(void) { return brume_fail(BRUME_E_MEMORY, "no memory for the list of bad files"); }

brume_status brume_bad_files_new(struct brume_bad_files **out)
{
    *out = calloc(1, sizeof **out);
    if (!*out) return no_memory();
    pthread_mutex_init(&(*out)->mutex, NULL);
    return BRUME_OK;
}

brume_status brume_bad_files_items(struct brume_bad_files *b, int64_t count)
{
    b->states = calloc((size_t)count, sizeof *b->states);
    return b->states ? BRUME_OK : no_memory();
}

void brume_bad_files_free(struct brume_bad_files *b)
{
    if (!b) return;
    for (int64_t k = 0; k < b->n; k++) free(b->reasons[k]);
    free(b->reasons);
    free(b->states);
    pthread_mutex_destroy(&b->mutex);
    free(b);
}

static brume_status append(struct brume_bad_files *b, const char *reason)
{
    if (b->n == b->cap) {
        const int64_t cap = b->cap ? 2 * b->cap : 16;
        char **more = realloc(b->reasons, (size_t)cap * sizeof *more);
        if (!more) return no_memory();
        b->reasons = more;
        b->cap = cap;
    }
    char *copy = strdup(reason);
    if (!copy) return no_memory();
    b->reasons[b->n++] = copy;
    return BRUME_OK;
}

brume_status brume_bad_files_add(struct brume_bad_files *b, const char *reason)
{
    pthread_mutex_lock(&b->mutex);
    const brume_status s = append(b, reason);
    pthread_mutex_unlock(&b->mutex);
    return s;
}

enum brume_item_state brume_bad_files_state(const struct brume_bad_files *b, int64_t item)
{
    return (enum brume_item_state)atomic_load(&b->states[item]);
}

void brume_bad_files_good(struct brume_bad_files *b, int64_t item)
{
    uint8_t unknown = BRUME_ITEM_UNKNOWN; /* what was bad once stays so: a replacement must not change */
    atomic_compare_exchange_strong(&b->states[item], &unknown, BRUME_ITEM_GOOD);
}

brume_status brume_bad_files_bad(struct brume_bad_files *b, int64_t item, const char *reason)
{
    return atomic_exchange(&b->states[item], BRUME_ITEM_BAD) == BRUME_ITEM_BAD ? BRUME_OK : brume_bad_files_add(b, reason);
}

int64_t brume_bad_files_count(struct brume_bad_files *b)
{
    pthread_mutex_lock(&b->mutex);
    const int64_t n = b->n;
    pthread_mutex_unlock(&b->mutex);
    return n;
}

const char *brume_bad_files_at(struct brume_bad_files *b, int64_t k)
{
    pthread_mutex_lock(&b->mutex);
    const char *reason = k >= 0 && k < b->n ? b->reasons[k] : NULL;
    pthread_mutex_unlock(&b->mutex);
    return reason;
}
