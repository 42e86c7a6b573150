/* SPDX-License-Identifier: MIT
 * Timing one candidate: a plan of a single node whose inputs are shared with all other candidates. */
#include <stdlib.h>
#include <time.h>

#include "brume/rng.h"
#include "plan/tuner.h"

#define FILL ((size_t)1 << 18)   /* numbers that are repeated */
#define OTHERS ((size_t)64 << 20) /* bytes: more than caches hold */

double brume_tuner_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static size_t bytes_of(const struct brume_value *v)
{
    return (size_t)(brume_shape_numel(v->shape) * brume_dtype_bytes(v->dtype) + 3) / 4 * 4;
}

/* Indices stay the plan's own zeros, which are in range whatever they count. */
static bool shared(const struct brume_value *v) { return v && v->dtype == BRUME_F32; }

brume_status brume_tuner_inputs(struct brume_tuner *t)
{
    if (!t->numbers) {
        if (!(t->numbers = malloc(FILL * sizeof *t->numbers))) return brume_fail(BRUME_E_MEMORY, "tuning: out of memory");
        brume_fill_normal(1, 0, 0, 0, FILL, t->numbers);
    }
    brume_status s = t->others ? BRUME_OK : brume_buffer_new(t->device, OTHERS, &t->others);
    for (int j = 0; s == BRUME_OK && j < BRUME_TUNER_IN; j++) {
        size_t need = 0;
        for (int i = 0; i < t->n; i++) {
            const struct brume_node *n = t->noted[i].node;
            if (j < n->n_in && shared(n->in_v[j]) && bytes_of(n->in_v[j]) > need) need = bytes_of(n->in_v[j]);
        }
        if (!need || (t->input[j] && brume_buffer_bytes(t->input[j]) >= need)) continue;
        brume_buffer_free(t->input[j]);
        t->input[j] = NULL;
        s = brume_buffer_new(t->device, need, &t->input[j]);
        for (size_t at = 0; s == BRUME_OK && at < need; at += FILL * sizeof *t->numbers)
            s = brume_buffer_write(t->input[j], at, t->numbers,
                                   need - at < FILL * sizeof *t->numbers ? need - at : FILL * sizeof *t->numbers);
    }
    return s;
}

brume_status brume_tuner_plan(struct brume_tuner *t, const struct brume_noted *n, struct brume_choice k, const brume_plan *arena,
                              brume_plan **out)
{
    char name[BRUME_CHOICE_NAME];
    brume_tensor elsewhere[BRUME_TUNER_IN + 1];
    int count = 0;
    for (int j = 0; j < n->node->n_in; j++)
        if (shared(n->node->in_v[j])) elsewhere[count++] = n->in[j];
    elsewhere[count] = BRUME_NONE;
    const brume_plan_options options = { .variant = brume_choice_name(k, name), .elsewhere = elsewhere, .arena = arena };
    brume_status s = brume_plan_new(t->device, n->graph, &options, out);
    for (int j = 0; s == BRUME_OK && j < n->node->n_in; j++)
        if (shared(n->node->in_v[j])) s = brume_plan_bind(*out, n->in[j], t->input[j]);
    if (s == BRUME_OK) return s;
    brume_plan_free(*out);
    *out = NULL;
    return s;
}

brume_status brume_tuner_time(struct brume_tuner *t, const struct brume_noted *n, brume_plan *p, double *ms)
{
    brume_status s = t->device->backend->fill(t->others, 0, brume_buffer_bytes(t->others), 0);
    for (int j = 0; s == BRUME_OK && j < n->node->n_in; j++) {
        const struct brume_value *v = n->node->in_v[j];
        if (!shared(v) || v->kind != BRUME_VALUE_INPUT) continue;
        const size_t bytes = bytes_of(v) < FILL * sizeof *t->numbers ? bytes_of(v) : FILL * sizeof *t->numbers;
        s = brume_buffer_write(t->input[j], 0, t->numbers, bytes);
    }
    if (s == BRUME_OK) s = brume_device_finish(t->device);
    const double begin = brume_tuner_now();
    if (s == BRUME_OK) s = brume_plan_run(p);
    if (s == BRUME_OK) s = brume_device_finish(t->device);
    *ms = 1e3 * (brume_tuner_now() - begin);
    return s;
}
