/* SPDX-License-Identifier: MIT
 * Names of the library's rows, for tables of options: each list is ended by NULL and stays where it is. */
#ifndef BRUME_CLI_NAMES_H
#define BRUME_CLI_NAMES_H

const char *const *cli_samplers(void);
const char *const *cli_schedules(void); /* and processes; of a schedule with two names the one that people use */
const char *const *cli_objectives(void);
const char *const *cli_weightings(void);
const char *const *cli_time_samplings(void);
const char *const *cli_lr_schedules(void);
const char *const *cli_presets(void);   /* those that can be trained */
const char *cli_presets_help(void);     /* for their option: how long they take, and what comes out */
const char *const *cli_all_presets(void);
const char *const *cli_data_sets(void); /* built in */

/* Row of an option table for what stands in place of a model. */
#define OPT_PRESET(to) OPT_NAME("preset", to, cli_all_presets(), "NAME", "a preset instead of a model")

#endif
