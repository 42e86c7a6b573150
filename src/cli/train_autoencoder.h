/* SPDX-License-Identifier: MIT
 * brume train --task autoencoder. */
#ifndef BRUME_CLI_TRAIN_AUTOENCODER_H
#define BRUME_CLI_TRAIN_AUTOENCODER_H

#include <signal.h>

#include "train_args.h"

/* Trains as the options say and writes the folder. stop: set by a signal; the steps so far are written then. Returns the exit
 * status. */
int train_autoencoder(const struct train_args *a, const volatile sig_atomic_t *stop);

#endif
