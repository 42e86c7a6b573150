/* SPDX-License-Identifier: MIT
 * Drawing a picture again: writing the record of a drawing, and taking its place from a picture's record. */
#ifndef BRUME_CLI_REPLAY_H
#define BRUME_CLI_REPLAY_H

#include "drawing.h"

/* Adds the record of a finished drawing to one of its pictures; picture: the option that names the file. */
brume_status replay_record(const struct drawing *d, const char *picture, brume_image *im);
/* The same, and writes the file; frees im (NULL is fine) in any case. */
brume_status replay_write(const struct drawing *d, const char *picture, const char *path, brume_image *im);

/*
 * Of --replay: every option that the command line does not give comes from the record; so does *folder unless it is given. The
 * picture goes to --out, else beside where the command runs. CLI_GO_ON, or the exit status after a message.
 */
int replay_apply(struct sample_args *a, const struct cli_usage *u, const char **folder);
/* Warns of what differs from the time when the picture was drawn: weights, scheduler, files, device. */
void replay_compare(const struct drawing *d);

#endif
