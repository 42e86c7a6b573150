/* SPDX-License-Identifier: MIT
 * What --version prints. */
#ifndef BRUME_CLI_VERSION_H
#define BRUME_CLI_VERSION_H

/* Returns the exit status. */
int version_print(void);

#endif
