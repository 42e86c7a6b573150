/* SPDX-License-Identifier: MIT
 * A lock on a folder, held by one process; the system drops it when that ends, however it ends. */
#ifndef BRUME_BASE_LOCK_H
#define BRUME_BASE_LOCK_H

#include "brume/status.h"

/** Takes the lock by the file `path`, which is made and stays. what: named in the message. BRUME_E_IO: another process has it
 * (named), or the file cannot be made. */
brume_status brume_lock_take(const char *path, const char *what, int *lock);
/** Gives it back; -1 is fine. */
void brume_lock_drop(int lock);

#endif
