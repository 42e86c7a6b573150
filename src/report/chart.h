/* SPDX-License-Identifier: MIT
 * Curves over steps as SVG inside a page: a mean line, and behind it the range that it stands for. */
#ifndef BRUME_REPORT_CHART_H
#define BRUME_REPORT_CHART_H

#include "report/html.h"
#include "report/run_log.h"

struct chart_line {
    const char *name;          /* for the legend of a chart with several lines, and for pointers that rest on it */
    const struct column *data; /* steps in rising order */
};

enum chart_scale { CHART_LINEAR, CHART_LOG };

/* At most 4 lines, in the page's colours 1 to 4. A chart of no data says so. */
void chart_add(struct html *h, const char *title, const char *unit, enum chart_scale scale, const struct chart_line *lines,
               int n);

#endif
