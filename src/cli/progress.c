/* SPDX-License-Identifier: MIT
 * How far long work has come. */
#include "progress.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#define REDRAW 0.1   /* seconds between two pictures of the bar */
#define LINE 5.0     /* seconds between two lines where there is no terminal */
#define BAR 24       /* columns */

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void duration(double seconds, char text[32])
{
    const long s = seconds < 0 ? 0 : seconds < 3e8 ? (long)(seconds + 0.5) : 300000000L;
    if (s < 60) snprintf(text, 32, "%lds", s);
    else if (s < 3600) snprintf(text, 32, "%ldm%02lds", s / 60, s % 60);
    else snprintf(text, 32, "%ldh%02ldm", s / 3600, s % 3600 / 60);
}

void cli_progress_begin(struct cli_progress *p, const char *what, int64_t first, int64_t total, int quiet)
{
    *p = (struct cli_progress){
        .what = what, .first = first, .total = total, .quiet = quiet, .terminal = isatty(STDERR_FILENO), .start = now()
    };
}

void cli_progress_step(struct cli_progress *p, int64_t done, const char *fmt, ...)
{
    const double t = now();
    if (p->first < 0) p->first = done - 1;
    /* The first step is told at once, so that one sees it runs; the last one always. */
    if (p->quiet || (p->shown && done < p->total && t - p->last < (p->terminal ? REDRAW : LINE))) return;
    p->last = t;
    char extra[256], left[32], line[512], bar[BAR + 1];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(extra, sizeof extra, fmt, ap);
    va_end(ap);
    const int64_t run = done - p->first;
    const double elapsed = t - p->start;
    double rest = run > 0 ? elapsed / (double)run * (double)(p->total - done) : 0,
           part = p->total > 0 ? (double)done / (double)p->total : 1;
    if (p->limit > 0 && rest > p->limit - elapsed) { /* time runs out before the steps do */
        rest = p->limit - elapsed;
        part = elapsed < p->limit ? elapsed / p->limit : 1;
    }
    duration(done < p->total ? rest : elapsed, left);
    const char *suffix = done < p->total ? "left" : "in all";
    if (!p->terminal) {
        p->shown = 1;
        fprintf(stderr, "%s %lld/%lld  %s%s%s %s\n", p->what, (long long)done, (long long)p->total, extra, *extra ? "  " : "",
                left, suffix);
        return;
    }
    const int filled = (int)(BAR * part);
    for (int i = 0; i < BAR; i++) bar[i] = i < filled ? '#' : '.';
    bar[BAR] = 0;
    struct winsize size;
    const int columns = !ioctl(STDERR_FILENO, TIOCGWINSZ, &size) && size.ws_col > 20 ? size.ws_col : 80;
    snprintf(line, sizeof line, "%s [%s] %lld/%lld  %s%s%s %s", p->what, bar, (long long)done, (long long)p->total, extra,
             *extra ? "  " : "", left, suffix);
    fprintf(stderr, "\r%.*s\033[K", columns - 1, line); /* one line: a longer one could not be drawn over */
    fflush(stderr);
    p->shown = 1;
}

void cli_progress_note(struct cli_progress *p, const char *text)
{
    if (p->quiet) return;
    fprintf(stderr, "%s%s\n", p->terminal && p->shown ? "\r\033[K" : "", text);
    p->last = 0; /* the bar comes back with the next step */
}

void cli_progress_end(struct cli_progress *p)
{
    if (!p->quiet && p->terminal && p->shown) fprintf(stderr, "\n");
    p->shown = 0;
}
