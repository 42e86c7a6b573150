/* SPDX-License-Identifier: MIT
 * The exact denoiser of data drawn from a mixture of 2-D normals with diagonal covariances, in double. Arrays are (B, 2, P): the
 * two channels at one pixel are the coordinates of one point. */
#ifndef BRUME_TESTS_MIXTURE_H
#define BRUME_TESTS_MIXTURE_H

#include <math.h>
#include <stdint.h>

#include "brume/schedule.h"

#define MIXTURE_MAX 8

struct mixture { int n; double w[MIXTURE_MAX], mu[MIXTURE_MAX][2], var[MIXTURE_MAX][2]; };

/* Score d log q(x) / d x, and E[x0 | x], of one point at x = a x0 + s eps. component -1: the whole mixture. */
static inline void mixture_score(const struct mixture *m, int component, double a, double s, const double x[2], double score[2],
                                 double x0[2])
{
    double l[MIXTURE_MAX], top = -INFINITY, sum = 0;
    for (int k = 0; k < m->n; k++) {
        l[k] = log(m->w[k]);
        for (int d = 0; d < 2; d++) {
            const double v = a * a * m->var[k][d] + s * s, e = x[d] - a * m->mu[k][d];
            l[k] -= 0.5 * (e * e / v + log(2 * 3.14159265358979323846 * v));
        }
        if (l[k] > top) top = l[k];
    }
    for (int k = 0; k < m->n; k++) sum += exp(l[k] - top);
    score[0] = score[1] = x0[0] = x0[1] = 0;
    for (int k = 0; k < m->n; k++) {
        const double r = component < 0 ? exp(l[k] - top) / sum : k == component;
        for (int d = 0; d < 2; d++) {
            const double e = (x[d] - a * m->mu[k][d]) / (a * a * m->var[k][d] + s * s);
            score[d] -= r * e;
            x0[d] += r * (m->mu[k][d] + a * m->var[k][d] * e);
        }
    }
}

/* Of one point: the score, its derivative H, and mean and covariance of x0 given x. */
static inline void mixture_posterior(const struct mixture *m, double a, double s, const double x[2], double score[2],
                                     double H[2][2], double x0[2], double cov[2][2])
{
    double r[MIXTURE_MAX], top = -INFINITY, sum = 0, g[2], mean[2];
    for (int k = 0; k < m->n; k++) {
        r[k] = log(m->w[k]);
        for (int d = 0; d < 2; d++) {
            const double v = a * a * m->var[k][d] + s * s, e = x[d] - a * m->mu[k][d];
            r[k] -= 0.5 * (e * e / v + log(v));
        }
        if (r[k] > top) top = r[k];
    }
    for (int k = 0; k < m->n; k++) sum += r[k] = exp(r[k] - top);
    for (int i = 0; i < 2; i++) {
        score[i] = x0[i] = 0;
        for (int j = 0; j < 2; j++) H[i][j] = cov[i][j] = 0;
    }
    for (int k = 0; k < m->n; k++) {
        const double share = r[k] / sum;
        for (int i = 0; i < 2; i++) {
            const double v = a * a * m->var[k][i] + s * s, e = x[i] - a * m->mu[k][i];
            g[i] = -e / v;
            mean[i] = m->mu[k][i] + a * m->var[k][i] * e / v;
            score[i] += share * g[i];
            x0[i] += share * mean[i];
            H[i][i] -= share / v;
            cov[i][i] += share * m->var[k][i] * s * s / v;
        }
        for (int i = 0; i < 2; i++)
            for (int j = 0; j < 2; j++) {
                H[i][j] += share * g[i] * g[j];
                cov[i][j] += share * mean[i] * mean[j];
            }
    }
    for (int i = 0; i < 2; i++)
        for (int j = 0; j < 2; j++) {
            H[i][j] -= score[i] * score[j];
            cov[i][j] -= x0[i] * x0[j];
        }
}

/* What a network would predict: eps = -s score, x0, v = a eps - s x0, the score, flow = eps - x0. */
static inline double mixture_prediction(brume_prediction p, double a, double s, double score, double x0)
{
    const double eps = -s * score;
    switch (p) {
    case BRUME_PREDICT_EPS: return eps;
    case BRUME_PREDICT_X0: return x0;
    case BRUME_PREDICT_V: return a * eps - s * x0;
    case BRUME_PREDICT_SCORE: return score;
    case BRUME_PREDICT_FLOW: return eps - x0;
    case BRUME_PREDICT_EDM: break;
    }
    return NAN;
}

#endif
