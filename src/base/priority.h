/* SPDX-License-Identifier: MIT
 * How much of the processor this program asks for. */
#ifndef BRUME_BASE_PRIORITY_H
#define BRUME_BASE_PRIORITY_H

/** From now on the calling thread and those that it makes (where a system knows only whole programs: this one) let other programs
 * go first. */
void brume_priority_lower(void);
/** Lets other programs use the processor for so many seconds. */
void brume_pause(double seconds);

#endif
