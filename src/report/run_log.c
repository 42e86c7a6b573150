/* SPDX-License-Identifier: MIT
 * The log of a run as columns of numbers. */
#include "report/run_log.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "base/file.h"
#include "brume/json.h"

#define LARGEST_FILE ((size_t)1 << 30)

static brume_status no_memory(const char *path) { return brume_fail(BRUME_E_MEMORY, "%s: out of memory", path); }

static brume_status put(struct column *c, double step, double value, const char *path)
{
    if ((c->n & (c->n - 1)) == 0) { /* room doubles when a power of two is full */
        const size_t room = (size_t)(c->n ? 2 * c->n : 1) * sizeof(double);
        double *a = realloc(c->step, room), *b = a ? realloc(c->value, room) : NULL;
        if (a) c->step = a;
        if (!b) return no_memory(path);
        c->value = b;
    }
    c->step[c->n] = step;
    c->value[c->n++] = value;
    return BRUME_OK;
}

static brume_status read_line(const char *line, size_t length, const char *where, const char *const *keys, int n_keys,
                              struct column *columns)
{
    brume_json *root = NULL;
    brume_status s = brume_json_parse(line, length, where, &root);
    const double step = brume_json_number(brume_json_find(root, "step"), NAN);
    for (int k = 0; k < n_keys && s == BRUME_OK; k++) {
        const double x = brume_json_number(brume_json_find(root, keys[k]), NAN);
        if (isfinite(x) && isfinite(step)) s = put(&columns[k], step, x, where);
    }
    brume_json_free(root);
    return s;
}

brume_status columns_read(const char *path, const char *const *keys, int n_keys, struct column *columns)
{
    void *bytes = NULL;
    size_t n = 0;
    int line = 0;
    memset(columns, 0, (size_t)n_keys * sizeof *columns);
    if (!brume_is_file(path)) return BRUME_OK;
    brume_status s = brume_file_read(path, LARGEST_FILE, &bytes, &n);
    const char *at = bytes, *end = at ? at + n : NULL;
    while (s == BRUME_OK && at < end) {
        char where[4200];
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        if (!stop) break; /* being written, or torn */
        snprintf(where, sizeof where, "%s, line %d", path, ++line);
        if (stop > at) s = read_line(at, (size_t)(stop - at), where, keys, n_keys, columns);
        at = stop + 1;
    }
    free(bytes);
    if (s != BRUME_OK) columns_free(columns, n_keys);
    return s;
}

void columns_free(struct column *columns, int n)
{
    for (int i = 0; i < n; i++) {
        free(columns[i].step);
        free(columns[i].value);
        columns[i] = (struct column){ 0 };
    }
}
