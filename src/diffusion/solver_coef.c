/* SPDX-License-Identifier: MIT
 * Scalar coefficients of the solvers. */
#include "diffusion/solver_coef.h"

#include <math.h>

/* g_j(z) = sum over m >= 1 of z^m / (m + j)!; that is expm1(z) / z - 1 for j = 1, and g_{j+1} = g_j / z - 1 / (j+1)!.
 * The recursion loses a digit of every small z per level, so there the series is summed. */
static double g_function(int j, double z)
{
    double factorial = 1.0;
    if (fabs(z) < 1.0) {
        for (int k = 2; k <= j + 1; k++) factorial *= k;
        double sum = 0.0; /* Horner: z (1 + z/(j+2) (1 + z/(j+3) (..))) / (j+1)! */
        for (int m = 18; m >= 2; m--) sum = z / (m + j) * (1.0 + sum);
        return z / factorial * (1.0 + sum);
    }
    double g = expm1(z) / z - 1.0;
    for (int k = 2; k <= j; k++) {
        factorial *= k;
        g = g / z - 1.0 / factorial;
    }
    return g;
}

double brume_phi1(double h) { return -g_function(1, -h); }
double brume_phi2(double h) { return g_function(2, -h); }

void brume_ancestral(double s0, double s1, double eta, double *down, double *up)
{
    *up = s0 > 0.0 ? fmin(s1, eta * s1 / s0 * sqrt(fmax((s0 - s1) * (s0 + s1), 0.0))) : 0.0;
    *down = sqrt(fmax((s1 - *up) * (s1 + *up), 0.0));
}

double brume_lms_coef(const double *sigma, int i, int k, int order)
{
    /* Two Gauss-Legendre points are exact up to degree 3, which is order - 1 at most. */
    const double half = 0.5 * (sigma[i + 1] - sigma[i]), middle = 0.5 * (sigma[i + 1] + sigma[i]);
    double sum = 0.0;
    for (int side = -1; side <= 1; side += 2) {
        const double u = middle + side * half / sqrt(3.0);
        double basis = 1.0;
        for (int j = 0; j < order; j++)
            if (j != k) basis *= (u - sigma[i - j]) / (sigma[i - k] - sigma[i - j]);
        sum += half * basis;
    }
    return sum;
}

/* x = solution of the n x n system whose row j holds node^j: Gauss with row pivoting. */
static void solve_vandermonde(const double *node, int n, const double *rhs, double *x)
{
    double a[BRUME_SOLVER_MAX_ORDER][BRUME_SOLVER_MAX_ORDER + 1];
    for (int j = 0; j < n; j++) {
        for (int k = 0; k < n; k++) a[j][k] = j ? a[j - 1][k] * node[k] : 1.0;
        a[j][n] = rhs[j];
    }
    for (int c = 0; c < n; c++) {
        int best = c;
        for (int r = c + 1; r < n; r++)
            if (fabs(a[r][c]) > fabs(a[best][c])) best = r;
        for (int k = c; k <= n; k++) {
            const double swap = a[c][k];
            a[c][k] = a[best][k];
            a[best][k] = swap;
        }
        for (int r = c + 1; r < n; r++) {
            const double f = a[r][c] / a[c][c];
            for (int k = c; k <= n; k++) a[r][k] -= f * a[c][k];
        }
    }
    for (int c = n - 1; c >= 0; c--) {
        x[c] = a[c][n];
        for (int k = c + 1; k < n; k++) x[c] -= a[c][k] * x[k];
        x[c] /= a[c][c];
    }
}

void brume_unipc_rho(const double *r, int p, double h, int bh1, int corrector, double *rho, double *B)
{
    double node[BRUME_SOLVER_MAX_ORDER], rhs[BRUME_SOLVER_MAX_ORDER], factorial = 1.0;
    *B = bh1 ? -h : expm1(-h);
    if (corrector ? p == 1 : p == 2) { rho[0] = 0.5; return; } /* any weight has this order; the authors fixed it */
    for (int j = 0; j < p; j++) {
        node[j] = j < p - 1 ? r[j] : 1.0;
        factorial *= j + 1;
        rhs[j] = g_function(j + 1, -h) * factorial / *B;
    }
    solve_vandermonde(node, corrector ? p : p - 1, rhs, rho);
}

int brume_singlestep_order(int i, int n, int order, int lower_order_final)
{
    return i == n - 1 && lower_order_final && n % order == 0 ? 1 : i % order + 1;
}
