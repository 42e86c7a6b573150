/* SPDX-License-Identifier: MIT
 * The table of tuned choices in memory, and its keys. */
#include "plan/tuning.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "config.h"

void brume_tuning_identify(const struct brume_device *d, struct brume_tuning_id *id)
{
    brume_device_info i;
    d->backend->info(d, &i);
    memcpy(id->device, i.name, sizeof id->device);
    memcpy(id->platform, i.platform, sizeof id->platform);
    memcpy(id->driver, i.driver, sizeof id->driver);
    /* Threads of the cpu are no part of it: they may be as many as the caller likes, and results do not depend on them. */
    if (i.is_opencl)
        snprintf(id->version, sizeof id->version, "%.100s, %d units, %s kernels", i.version, i.compute_units,
                 d->caps.cpu_type ? "cpu" : "gpu");
    else snprintf(id->version, sizeof id->version, "%.100s", i.version);
    snprintf(id->kernels, sizeof id->kernels, d->backend->kernels ? "%s %016llx" : "%s", BRUME_VERSION,
             d->backend->kernels ? (unsigned long long)d->backend->kernels() : 0ull);
}

/* Appends; false once the text does not fit. */
static bool append(char key[BRUME_TUNING_KEY], const char *fmt, ...) BRUME_PRINTF(2, 3);
static bool append(char key[BRUME_TUNING_KEY], const char *fmt, ...)
{
    const size_t used = strlen(key);
    va_list args;
    va_start(args, fmt);
    const int n = vsnprintf(key + used, BRUME_TUNING_KEY - used, fmt, args);
    va_end(args);
    return n >= 0 && (size_t)n < BRUME_TUNING_KEY - used;
}

static bool append_value(char key[BRUME_TUNING_KEY], const struct brume_value *v)
{
    static const char *const dtypes[] = { [BRUME_F32] = "", [BRUME_I32] = "i32 ", [BRUME_I64] = "i64 ", [BRUME_F16] = "f16 " };
    char shape[96];
    return v ? append(key, "%s%s", dtypes[v->dtype], brume_shape_text(v->shape, shape)) : append(key, "-");
}

bool brume_tuning_key(const struct brume_node *n, uint32_t constant, char key[BRUME_TUNING_KEY])
{
    char attrs[128] = "";
    if (!n->op->kernels || n->op->updates || (n->attr_bytes && !n->op->key) || n->n_in > 32) return false;
    if (n->op->key) n->op->key(n, attrs, sizeof attrs);
    *key = 0;
    bool fits = append(key, "%s ", n->op->name);
    for (int j = 0; fits && j < n->n_in; j++)
        fits = append(key, "%s", j ? ", " : "") && append_value(key, n->in_v[j]) &&
               append(key, "%s", constant >> j & 1 ? " constant" : "");
    for (int k = 0; fits && k < n->n_out; k++) fits = append(key, "%s", k ? ", " : " -> ") && append_value(key, n->out_v[k]);
    return fits && (!*attrs || append(key, "; %s", attrs));
}

struct brume_tuning *brume_tuning_new(void) { return calloc(1, sizeof(struct brume_tuning)); }

void brume_tuning_free(struct brume_tuning *t)
{
    if (!t) return;
    for (int i = 0; i < t->n; i++) free(t->entries[i].key);
    free(t->entries);
    free(t->path);
    free(t);
}

/* Where the key is or would be. */
static int place_of(const struct brume_tuning *t, const char *key)
{
    int lo = 0, hi = t->n;
    while (lo < hi) {
        const int mid = lo + (hi - lo) / 2;
        if (strcmp(t->entries[mid].key, key) < 0) lo = mid + 1;
        else hi = mid;
    }
    return lo;
}

const struct brume_tuned *brume_tuning_find(const struct brume_tuning *t, const char *key)
{
    const int i = place_of(t, key);
    return i < t->n && !strcmp(t->entries[i].key, key) ? &t->entries[i] : NULL;
}

brume_status brume_tuning_put(struct brume_tuning *t, const struct brume_tuned *e)
{
    const size_t bytes = strlen(e->key) + 1;
    if (bytes == 1 || bytes > BRUME_TUNING_KEY || !*e->choice || !memchr(e->choice, 0, sizeof e->choice) ||
        !memchr(e->rule, 0, sizeof e->rule))
        return brume_fail(BRUME_E_ARG, "tuning: expected a key of 1 to %d bytes with a choice", BRUME_TUNING_KEY - 1);
    const int i = place_of(t, e->key);
    const bool known = i < t->n && !strcmp(t->entries[i].key, e->key);
    if (!known && t->n == t->cap) {
        const int cap = t->cap ? 2 * t->cap : 64;
        struct brume_tuned *grown = realloc(t->entries, (size_t)cap * sizeof *grown);
        if (!grown) return brume_fail(BRUME_E_MEMORY, "tuning: out of memory");
        t->entries = grown;
        t->cap = cap;
    }
    char *key = known ? t->entries[i].key : malloc(bytes);
    if (!key) return brume_fail(BRUME_E_MEMORY, "tuning: out of memory");
    if (!known) {
        memcpy(key, e->key, bytes);
        memmove(t->entries + i + 1, t->entries + i, (size_t)(t->n - i) * sizeof *t->entries);
        t->n++;
    }
    t->entries[i] = *e;
    t->entries[i].key = key;
    return BRUME_OK;
}

uint64_t brume_tuned_hash(const struct brume_tuned *e)
{
    char text[BRUME_TUNING_KEY + BRUME_CHOICE_NAME + 1];
    const int n = snprintf(text, sizeof text, "%s\n%s", e->key, e->choice);
    return brume_fnv1a(text, (size_t)n) | 1;
}
