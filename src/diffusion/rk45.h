/* SPDX-License-Identifier: MIT
 * Adaptive Runge-Kutta 5(4) for the state of a run, and a few numbers on the host that go with it. */
#ifndef BRUME_DIFFUSION_RK45_H
#define BRUME_DIFFUSION_RK45_H

#include "diffusion/sampling.h"

struct brume_rk45 {
    struct brume_sampling *s;  /* its state s->x is integrated; registers 0 .. BRUME_RK45_REGISTERS - 1 are taken */
    /* slope = d state / du and dy[0 .. n_y-1] = d y / du at u; must leave state and registers as they are */
    brume_status (*slope)(void *self, double u, brume_buffer *state, brume_buffer *slope, double *dy);
    void *self;
    int64_t n_y;               /* numbers that are integrated with the state, but never asked for: 0 or more */
    double *y;                 /* n_y values, in and out */
    double rtol, atol;
    /* called after each accepted step; may be NULL */
    brume_status (*accepted)(void *self, double u);
};
enum { BRUME_RK45_REGISTERS = 9 };

/* Integrates from one u to another, in either direction; counts s->accepted and s->rejected. BRUME_E_NUMERIC if the step size
 * dies. */
brume_status brume_rk45_run(const struct brume_rk45 *r, double from, double to);

#endif
