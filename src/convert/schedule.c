/* SPDX-License-Identifier: MIT
 * Finds the schedule behind a list of betas. */
#include "convert/schedule.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/fail.h"

/* Seven digits: how a number was written that is f32 now. */
static double round7(double x)
{
    char text[32];
    snprintf(text, sizeof text, "%.7g", x);
    return strtod(text, NULL);
}

bool brume_convert_value(const brume_weights *w, const char *name, int64_t i, double *value)
{
    const brume_st_tensor *t = brume_weights_find(w, name);
    float x;
    if (!t || i < 0 || i >= t->count || brume_st_read_f32(t, i, 1, &x) != BRUME_OK || !isfinite(x)) return false;
    *value = round7((double)x);
    return true;
}

/* Whether the schedule gives these betas between these ends, which c keeps; want has room for them. */
static bool gives(const brume_schedule_kind *kind, const float *betas, double *want, double first, double last,
                  brume_scheduler_config *c)
{
    c->beta_start = first;
    c->beta_end = last;
    kind->fill(c, want);
    bool same = true;
    /* other programs compute some in f32 */
    for (int32_t i = 0; same && i < c->num_train_timesteps; i++)
        same = fabs((double)betas[i] - want[i]) <= 1e-4 * fabs(want[i]) + 1e-9;
    return same;
}

brume_status brume_convert_betas(const brume_weights *w, const char *name, int32_t timesteps, bool keep,
                                 brume_scheduler_config *c)
{
    const brume_st_tensor *t = brume_weights_find(w, name);
    const char *file = brume_weights_file(w, 0);
    double first, last;
    c->num_train_timesteps = timesteps                                                  ? timesteps
                             : t && t->ndim == 1 && t->count >= 1 && t->count < 1000000 ? (int32_t)t->count
                                                                                        : 1000;
    if (keep || !t) return BRUME_OK;
    if (t->ndim != 1 || t->count != c->num_train_timesteps || !brume_convert_value(w, name, 0, &first) ||
        !brume_convert_value(w, name, t->count - 1, &last))
        return brume_fail(BRUME_E_FORMAT, "%s: tensor '%s' is no list of %d numbers", file, name, c->num_train_timesteps);
    const double start = c->beta_start, end = c->beta_end;
    float *betas = malloc((size_t)t->count * sizeof *betas);
    double *want = malloc((size_t)t->count * sizeof *want);
    const brume_schedule_kind *found = NULL;
    brume_status s = betas && want ? brume_st_read_f32(t, 0, t->count, betas)
                                   : brume_fail(BRUME_E_MEMORY, "%s: out of memory for a schedule", file);
    for (int i = 0; s == BRUME_OK && !found && brume_schedule_row(i); i++) {
        /* Where the ends do not matter they stay as they were. */
        if (gives(brume_schedule_row(i), betas, want, start, end, c) || gives(brume_schedule_row(i), betas, want, first, last, c))
            found = brume_schedule_row(i);
    }
    if (found) snprintf(c->beta_schedule, sizeof c->beta_schedule, "%s", found->name);
    else if (s == BRUME_OK)
        s = brume_fail(BRUME_E_UNSUPPORTED,
                       "%s: tensor '%s' is no schedule that brume knows; give --schedule NAME to go without it", file, name);
    free(betas);
    free(want);
    return s;
}
