/* SPDX-License-Identifier: MIT
 * Results of a command as lines for a reader or as one JSON object */
#ifndef BRUME_CLI_REPORT_H
#define BRUME_CLI_REPORT_H

#include <stdint.h>

#include "brume/device.h"
#include "brume/json.h"

struct cli_report { brume_json_writer *w; /* NULL: lines */ };

/* json: collect a JSON object instead of printing lines. Returns 0 without memory. */
int cli_report_begin(struct cli_report *r, int json);
void cli_report_int(struct cli_report *r, const char *key, const char *what, int64_t value);
/* unit is printed in lines only; the JSON key should name it. */
void cli_report_float(struct cli_report *r, const char *key, const char *what, double value, const char *unit);
void cli_report_text(struct cli_report *r, const char *key, const char *what, const char *value);
/* Name, platform and units of a device. */
void cli_report_device(struct cli_report *r, const brume_device *d);
/* Prints the JSON object, if that was asked for, and frees. */
void cli_report_end(struct cli_report *r);

#endif
