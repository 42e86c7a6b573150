/* SPDX-License-Identifier: MIT
 * A vocabulary: a hash table with open addressing over an array by id. */
#include "text/vocab.h"

#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "base/hash.h"

static uint32_t probe(const struct brume_vocab *v, const char *text, size_t n)
{
    /* Of short symbols FNV leaves few bits that differ: a multiplication spreads them (Knuth, volume 3, section 6.4). */
    uint32_t i = (uint32_t)(brume_fnv1a(text, n) * 0x9e3779b97f4a7c15u >> 40) & v->mask;
    for (; v->slot[i] >= 0; i = (i + 1) & v->mask) {
        const char *have = v->text[v->slot[i]];
        if (!strncmp(have, text, n) && !have[n]) break;
    }
    return i;
}

int32_t brume_vocab_find(const struct brume_vocab *v, const char *text, size_t n)
{
    return v->slot ? v->slot[probe(v, text, n)] : -1;
}

static int grow_slots(struct brume_vocab *v)
{
    const uint32_t slots = v->mask ? 2 * (v->mask + 1) : 1024;
    int32_t *slot = malloc(slots * sizeof *slot);
    if (!slot) return 0;
    memset(slot, 0xff, slots * sizeof *slot);
    free(v->slot);
    v->slot = slot;
    v->mask = slots - 1;
    for (int32_t id = 0; id < v->size; id++)
        if (v->text[id]) slot[probe(v, v->text[id], strlen(v->text[id]))] = id;
    return 1;
}

static int grow_ids(struct brume_vocab *v, int32_t id)
{
    const int32_t cap = id < 512 ? 1024 : 2 * id;
    char **text = realloc(v->text, (size_t)cap * sizeof *text);
    if (!text) return 0;
    memset(text + v->cap, 0, (size_t)(cap - v->cap) * sizeof *text);
    v->text = text;
    v->cap = cap;
    return 1;
}

brume_status brume_vocab_add(struct brume_vocab *v, const char *text, int64_t id)
{
    const size_t n = strlen(text);
    if (id < 0 || id > BRUME_VOCAB_MAX_ID)
        return brume_fail(BRUME_E_FORMAT, "symbol \"%.60s\" has id %lld, expected 0 to %d", text, (long long)id,
                          BRUME_VOCAB_MAX_ID);
    const int32_t have = brume_vocab_find(v, text, n);
    if (have == id) return BRUME_OK;
    if (have >= 0) return brume_fail(BRUME_E_FORMAT, "symbol \"%.60s\" has two ids, %d and %lld", text, have, (long long)id);
    if (id < v->size && v->text[id])
        return brume_fail(BRUME_E_FORMAT, "id %lld belongs to two symbols, \"%.60s\" and \"%.60s\"", (long long)id, v->text[id],
                          text);
    /* Half of the slots stay empty. */
    if ((2 * (v->n + 1) > v->mask && !grow_slots(v)) || (id >= v->cap && !grow_ids(v, (int32_t)id)) ||
        !(v->text[id] = strdup(text)))
        return brume_fail(BRUME_E_MEMORY, "no memory for a vocabulary of %u symbols", v->n);
    if (id >= v->size) v->size = (int32_t)id + 1;
    v->slot[probe(v, text, n)] = (int32_t)id;
    v->n++;
    return BRUME_OK;
}

void brume_vocab_clear(struct brume_vocab *v)
{
    for (int32_t i = 0; i < v->size; i++) free(v->text[i]);
    free(v->text);
    free(v->slot);
    *v = (struct brume_vocab){ 0 };
}
