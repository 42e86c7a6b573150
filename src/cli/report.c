/* SPDX-License-Identifier: MIT
 * Results as lines or as JSON. */
#include "report.h"

#include <inttypes.h>
#include <stdio.h>

int cli_report_begin(struct cli_report *r, int json)
{
    r->w = json ? brume_json_writer_new() : NULL;
    if (r->w) brume_json_begin_object(r->w, NULL);
    return !json || r->w;
}

void cli_report_int(struct cli_report *r, const char *key, const char *what, int64_t value)
{
    if (r->w) brume_json_put_int(r->w, key, value);
    else printf("%-34s%14" PRId64 "\n", what, value);
}

void cli_report_float(struct cli_report *r, const char *key, const char *what, double value, const char *unit)
{
    if (r->w) brume_json_put_double(r->w, key, value);
    else printf("%-34s%14.3f %s\n", what, value, unit);
}

void cli_report_text(struct cli_report *r, const char *key, const char *what, const char *value)
{
    if (r->w) brume_json_put_string(r->w, key, value);
    else printf("%-34s%s\n", what, value);
}

void cli_report_device(struct cli_report *r, const brume_device *d)
{
    brume_device_info info;
    brume_device_get_info(d, &info);
    cli_report_text(r, "device", "device", info.name);
    cli_report_text(r, "platform", "platform", info.platform);
    cli_report_int(r, "compute_units", info.is_opencl ? "compute units" : "threads", info.compute_units);
}

void cli_report_end(struct cli_report *r)
{
    if (!r->w) return;
    brume_json_end(r->w);
    const char *text = brume_json_writer_text(r->w);
    if (text) puts(text);
    brume_json_writer_free(r->w);
    r->w = NULL;
}
