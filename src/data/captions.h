/* SPDX-License-Identifier: MIT
 * Captions and labels of pictures in files. */
#ifndef BRUME_DATA_CAPTIONS_H
#define BRUME_DATA_CAPTIONS_H

#include <stddef.h>
#include <stdint.h>

#include "brume/status.h"

struct brume_caption {
    char *file;         /* as it is written, without a leading "./" */
    char *text, *label; /* one of them may be NULL */
    int64_t line;       /* from 1 on */
};

struct brume_captions {
    struct brume_caption *at;
    int64_t n, cap;
};

/* Reads a metadata.jsonl; empty lines are skipped. A bad line is named with its number. */
brume_status brume_captions_read(const char *path, struct brume_captions *c);
/* Reads lines of a file's name and its label, parted by the last comma, or with ' ' by the last blanks. A first line
 * "file_name,label" is a heading. */
brume_status brume_labels_read(const char *path, char between, struct brume_captions *c);
void brume_captions_free(struct brume_captions *c);

/* The first line of the text file beside a picture (cat1.txt beside cat1.png), cut to size - 1 bytes. Returns 0 where there is
 * none, or an empty one. */
int brume_caption_beside(const char *picture, char *text, size_t size);

#endif
