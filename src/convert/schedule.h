/* SPDX-License-Identifier: MIT
 * Schedules that files of other programs hold as lists of betas. */
#ifndef BRUME_CONVERT_SCHEDULE_H
#define BRUME_CONVERT_SCHEDULE_H

#include <stdbool.h>

#include "brume/schedule.h"
#include "brume/weights.h"

/* Value i of a tensor; false: there is none. */
bool brume_convert_value(const brume_weights *w, const char *name, int64_t i, double *value);
/*
 * Without a tensor of that name c keeps its schedule, of `timesteps` (0: 1000) steps. With one, and unless `keep`, c gets the
 * schedule among those that brume knows which gives these betas, within 1e-4 of each. BRUME_E_UNSUPPORTED: none does.
 */
brume_status brume_convert_betas(const brume_weights *w, const char *name, int32_t timesteps, bool keep,
                                 brume_scheduler_config *c);

#endif
