/* SPDX-License-Identifier: MIT
 * HTML text under construction. */
#ifndef BRUME_REPORT_HTML_H
#define BRUME_REPORT_HTML_H

#include <stddef.h>

#include "brume/status.h"

struct html {
    char *text;
    size_t used, room;
    int failed; /* out of memory: what is added is lost; html_save() tells */
};

/* Markup as it is. */
void html_add(struct html *h, const char *fmt, ...)
#if defined(__GNUC__)
    __attribute__((format(printf, 2, 3)))
#endif
    ;
/* Text from anywhere: what means something in HTML is escaped; bytes that are no UTF-8 become U+FFFD. */
void html_text(struct html *h, const char *text);
/* A file as a data: address in quotes; the caller knows its type, such as "image/png". An empty one if the file cannot be
 * read. */
void html_data(struct html *h, const char *type, const char *path);
/* A page goes without what cannot be read, but not without what memory was missing for. */
static inline int html_has(struct html *h, brume_status s)
{
    if (s == BRUME_E_MEMORY) h->failed = 1;
    return s == BRUME_OK;
}
/* Writes the file, whole or not at all, and frees. */
brume_status html_save(struct html *h, const char *path);

#endif
