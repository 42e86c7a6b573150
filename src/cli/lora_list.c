/* SPDX-License-Identifier: MIT
 * Merging of adapters that a command line names. */
#include "lora_list.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* "FILE:0.7" into a path and a scale; a colon that no number follows belongs to the path. */
static double split(const char *text, char *path, size_t size)
{
    const char *colon = strrchr(text, ':');
    char *end = NULL;
    const double scale = colon && colon > text && colon[1] ? strtod(colon + 1, &end) : 1;
    const int number = end && end != colon + 1 && !*end;
    snprintf(path, size, "%.*s", number ? (int)(colon - text) : (int)strlen(text), text);
    return number ? scale : 1;
}

brume_status cli_lora_merge(const struct cli_list *files, brume_model *m, int quiet)
{
    brume_status s = BRUME_OK;
    for (int i = 0; s == BRUME_OK && i < files->n; i++) {
        char path[4096], note[256];
        const double scale = split(files->items[i], path, sizeof path);
        s = brume_lora_merge(m, path, scale, note);
        if (s == BRUME_OK && !quiet) fprintf(stderr, "lora    %s: %s\n", path, note);
    }
    return s;
}
