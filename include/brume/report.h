/* SPDX-License-Identifier: MIT
 * Pages about runs. */
#ifndef BRUME_REPORT_H
#define BRUME_REPORT_H

#include "brume/api.h"
#include "brume/status.h"

BRUME_API_BEGIN

/**
 * Writes one self-contained HTML page about a run folder of brume_train_run(): curves of its log and of validation.jsonl, samples
 * over time, pictures/, evaluation.jsonl and run.json (all under training/; what is absent is left out). The page needs no
 * network, and is whole or as before.
 * path     NULL: run/report.html
 * refresh  seconds after which a browser loads it again, for a run that goes on; 0: never
 * BRUME_E_IO: the folder is no run's; BRUME_E_FORMAT: a line of the log is no JSON.
 */
brume_status brume_report_write(const char *run, const char *path, int refresh);

BRUME_API_END

#endif
