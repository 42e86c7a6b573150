/* SPDX-License-Identifier: MIT
 * The width of a console on Windows. */
#ifndef BRUME_WINDOWS_SYS_IOCTL_H
#define BRUME_WINDOWS_SYS_IOCTL_H

#define TIOCGWINSZ 1
struct winsize { unsigned short ws_row, ws_col; };
/** As ioctl(2), for TIOCGWINSZ of standard error. */
int brume_windows_ioctl(int fd, int what, struct winsize *size);
#define ioctl brume_windows_ioctl

#endif
