/* SPDX-License-Identifier: MIT
 * Names of the library's rows. */
#include "names.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "brume/data.h"
#include "brume/objective.h"
#include "brume/sampler.h"
#include "brume/schedule.h"
#include "brume/train.h"

enum { MOST = 96 };

/* The body of a function that lists what expression says of row(i), for every i. */
#define ROWS(row, expression)                                                             \
    static const char *names[MOST + 1];                                                   \
    for (int i = 0; i < MOST && row(i); i++) names[i] = (expression);                     \
    return names

const char *const *cli_samplers(void) { ROWS(brume_sampler_row, brume_sampler_row(i)->name); }
const char *const *cli_objectives(void) { ROWS(brume_objective_row, brume_objective_row(i)->name); }
const char *const *cli_weightings(void) { ROWS(brume_weighting_row, brume_weighting_row(i)->name); }
const char *const *cli_time_samplings(void) { ROWS(brume_time_sampling_row, brume_time_sampling_row(i)->name); }
const char *const *cli_lr_schedules(void) { ROWS(brume_lr_schedule_row, brume_lr_schedule_row(i)->name); }
const char *const *cli_all_presets(void) { ROWS(brume_preset_row, brume_preset_row(i)->name); }

const char *const *cli_schedules(void)
{
    static const char *names[MOST + 1];
    int n = 0;
    for (int i = 0; brume_schedule_row(i) && n < MOST; i++)
        names[n++] = brume_schedule_row(i)->alias ? brume_schedule_row(i)->alias : brume_schedule_row(i)->name;
    for (int i = 0; brume_process_preset_row(i) && n < MOST; i++) names[n++] = brume_process_preset_row(i)->name;
    return names;
}

const char *const *cli_presets(void)
{
    static const char *names[MOST + 1];
    int n = 0;
    for (int i = 0; brume_preset_row(i) && n < MOST; i++)
        if (!brume_preset_row(i)->fill_parts) names[n++] = brume_preset_row(i)->name;
    return names;
}

const char *cli_presets_help(void)
{
    static char text[1024];
    snprintf(text, sizeof text, "model and settings; default: by the data. On two cores a whole run takes, and gives:");
    for (int i = 0; brume_preset_row(i); i++) {
        const brume_preset *p = brume_preset_row(i);
        const size_t used = strlen(text);
        if (p->expect) snprintf(text + used, sizeof text - used, "%s %s (%s)", i ? ";" : "", p->name, p->expect);
    }
    return text;
}

const char *const *cli_data_sets(void)
{
    static const char *names[MOST + 1] = { "shapes", "shapes-text" };
    for (int i = 0; i + 2 < MOST && brume_planar_name(i); i++) names[i + 2] = brume_planar_name(i);
    return names;
}
