/* SPDX-License-Identifier: MIT
 * The record: what a PNG says of how `brume sample` drew it, as JSON in its text "brume" (docs/record.md lists the keys). */
#ifndef BRUME_CLI_RECORD_H
#define BRUME_CLI_RECORD_H

#include "brume/image.h"
#include "brume/json.h"
#include "options.h"

/* A record that was read; strings belong to it. All zero: there is none. */
struct record {
    brume_json *json;
    const char *version;                    /* of the brume that drew */
    const char *picture;                    /* the option that named the file: "out", "strip", ... */
    const char *weights, *scheduler;        /* fingerprints */
    const char *device, *device_name, *platform;
    int keeps_x0;                           /* estimates of x0 were asked for, which may change the last bits */
    const brume_json *model, *options, *files; /* path; options by name; fingerprints of input files by option */
};

/* Reads the record of an image; path stands for it in messages. CLI_GO_ON (without a record, too), or the exit status after a
 * message. */
int record_read(const brume_image *im, const char *path, struct record *r);
void record_free(struct record *r);

/* A text of any bytes, allocated: a string, or {"hex": "e9.."} where JSON cannot hold the bytes. NULL after a message if v is
 * neither. */
char *record_text(const brume_json *v);
void record_put_text(brume_json_writer *w, const char *key, const char *text);

/* Is the option part of a record? Those that say where results go, or how fast, are not. */
int record_holds(const struct cli_option *o);
/* Does picture name an option whose files have records? */
int record_is_picture(const char *picture);

/* The record as lines for a reader, or as an object of a document; nothing: says so. */
void record_print(const struct record *r);
void record_put(const struct record *r, brume_json_writer *w);

#endif
