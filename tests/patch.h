/* SPDX-License-Identifier: MIT
 * Copies of safetensors files, malformed in their header alone: one name changed, or two dimensions exchanged. */
#ifndef BRUME_TESTS_PATCH_H
#define BRUME_TESTS_PATCH_H

#include "base/file.h"
#include "brume/safetensors.h"
#include "check.h"

struct patch { char *text; size_t head; const char *path; };

static inline void patch_write(const struct patch *p, const char *mode, size_t n)
{
    FILE *f = fopen(p->path, mode);
    if (CHECK(f != NULL) && CHECK(fwrite(p->text, 1, n, f) == n)) CHECK(fclose(f) == 0);
}

/* Copies source to path, which must stay; false after a failure. */
static inline int patch_begin(struct patch *p, const char *source, const char *path)
{
    void *data = NULL;
    size_t n = 0;
    *p = (struct patch){ .head = 8, .path = path }; /* the header has its length in front */
    if (!CHECK_OK(brume_file_read(source, 1 << 26, &data, &n))) return 0;
    p->text = data;
    for (int i = 0; i < 4; i++) p->head += (size_t)(unsigned char)p->text[i] << 8 * i;
    patch_write(p, "wb", n);
    return 1;
}
static inline void patch_end(struct patch *p) { free(p->text); }

static inline char *patch_find(const struct patch *p, const brume_st_tensor *t)
{
    char name[200];
    snprintf(name, sizeof name, "\"%s\"", t->name);
    char *found = strstr(p->text + 8, name);
    CHECK(found != NULL);
    return found;
}

/* The copy has that tensor under another name: the last letter is '~'. */
static inline void patch_name(struct patch *p, const brume_st_tensor *t)
{
    char *found = patch_find(p, t);
    if (!found) return;
    char *last = found + strlen(t->name);
    const char old = *last;
    *last = '~';
    patch_write(p, "r+b", p->head);
    *last = old;
}

/* The copy has the first two dimensions of that tensor exchanged; false if they are equal or not there. */
static inline int patch_turn(struct patch *p, const brume_st_tensor *t)
{
    char *found = patch_find(p, t), turned[64], now[64];
    if (!found || t->ndim < 2 || t->shape[0] == t->shape[1]) return 0;
    const char *space = strstr(found, "\"shape\": ") && strstr(found, "\"shape\": ") < strchr(found, ']') ? " " : "";
    snprintf(now, sizeof now, "\"shape\":%s[%lld,%s%lld", space, (long long)t->shape[0], space, (long long)t->shape[1]);
    char *at = strstr(found, now);
    if (!CHECK(at != NULL)) return 0;
    snprintf(turned, sizeof turned, "\"shape\":%s[%lld,%s%lld", space, (long long)t->shape[1], space, (long long)t->shape[0]);
    memcpy(at, turned, strlen(turned));
    patch_write(p, "r+b", p->head);
    memcpy(at, now, strlen(now));
    return 1;
}

#endif
