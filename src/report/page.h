/* SPDX-License-Identifier: MIT
 * What every page of brume begins and ends with: style for light and dark and for small screens, and the script of charts. */
#ifndef BRUME_REPORT_PAGE_H
#define BRUME_REPORT_PAGE_H

#include "report/html.h"

/* refresh: seconds after which a browser loads the page again; 0: never. */
void page_begin(struct html *h, const char *title, int refresh);
void page_end(struct html *h);

#endif
