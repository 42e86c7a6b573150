/* SPDX-License-Identifier: MIT
 * Ladders of noise levels and NCSNv2's rules for choosing one. */
#include "brume/ladder.h"

#include <math.h>

#include "base/fail.h"

static const double pi = 3.14159265358979323846;

static double part(int32_t i, int32_t n) { return n > 1 ? (double)i / (n - 1) : 0.0; }

void brume_karras_sigmas(double lo, double hi, double rho, int32_t n, double *sigma)
{
    const double a = pow(hi, 1 / rho), b = pow(lo, 1 / rho);
    for (int32_t i = 0; i < n; i++) sigma[i] = pow(a + part(i, n) * (b - a), rho);
}

void brume_exponential_sigmas(double lo, double hi, int32_t n, double *sigma)
{
    for (int32_t i = 0; i < n; i++) sigma[i] = exp(log(hi) + part(i, n) * (log(lo) - log(hi)));
}

void brume_polyexponential_sigmas(double lo, double hi, double rho, int32_t n, double *sigma)
{
    for (int32_t i = 0; i < n; i++) sigma[i] = exp(log(lo) + pow(1 - part(i, n), rho) * (log(hi) - log(lo)));
}

void brume_uniform_sigmas(double lo, double hi, int32_t n, double *sigma)
{
    for (int32_t i = 0; i < n; i++) sigma[i] = hi + part(i, n) * (lo - hi);
}

void brume_vp_sigmas(double beta_d, double beta_min, double eps, int32_t n, double *sigma)
{
    for (int32_t i = 0; i < n; i++) {
        const double t = 1 + part(i, n) * (eps - 1);
        sigma[i] = sqrt(expm1(0.5 * beta_d * t * t + beta_min * t));
    }
}

void brume_iddpm_sigmas(int32_t m, double *u)
{
    u[m] = 0;
    for (int32_t j = m; j > 0; j--) {
        const double before = sin(0.5 * pi * (j - 1) / m / 1.008), at = sin(0.5 * pi * j / m / 1.008), ratio = before / at;
        u[j - 1] = sqrt((u[j] * u[j] + 1) / fmax(ratio * ratio, 0.001) - 1);
    }
}

double brume_flow_shift(double sigma, double k) { return k * sigma / (1 + (k - 1) * sigma); }

brume_status brume_ncsn_sigma_max(const float *points, int64_t count, int64_t dim, double *out)
{
    double largest = 0;
    *out = 0;
    if (count < 2 || dim < 1)
        return brume_fail(BRUME_E_ARG, "a largest distance needs at least 2 points, got %lld of %lld values", (long long)count,
                          (long long)dim);
    for (int64_t i = 0; i < count; i++)
        for (int64_t j = 0; j < i; j++) {
            double square = 0;
            for (int64_t k = 0; k < dim; k++) {
                const double d = (double)points[i * dim + k] - (double)points[j * dim + k];
                square += d * d;
            }
            if (!(square <= largest)) largest = square;
        }
    if (!isfinite(largest)) return brume_fail(BRUME_E_NUMERIC, "the points are not all finite");
    *out = sqrt(largest);
    return BRUME_OK;
}

/* Share of a level's radii that its neighbour covers: falls from nearly 1 at g = 1 to 0 */
static double overlap(double root, double g)
{
    const double low = root * (g - 1) - 3 * g, high = root * (g - 1) + 3 * g; /* Phi(high) - Phi(low), by the tails */
    return 0.5 * (erfc(low / sqrt(2.0)) - erfc(high / sqrt(2.0)));
}

double brume_ncsn_ratio(int64_t dim)
{
    if (dim < 1) return 0;
    const double root = sqrt(2.0 * (double)dim);
    double lo = 1, hi = 2;
    if (root <= 3) return INFINITY; /* the overlap tends to Phi((root + 3) g) - Phi((root - 3) g), which is above a half for every
                                       g */
    while (overlap(root, hi) > 0.5) hi *= 2;
    for (int i = 0; i < 200 && hi - lo > 0; i++) {
        const double mid = lo + (hi - lo) / 2;
        if (mid <= lo || mid >= hi) break;
        if (overlap(root, mid) > 0.5) lo = mid;
        else hi = mid;
    }
    return hi;
}

brume_status brume_ncsn_levels(double lo, double hi, double ratio, int32_t *n)
{
    *n = 0;
    if (!(lo > 0 && hi >= lo && hi < INFINITY && ratio > 1))
        return brume_fail(BRUME_E_ARG, "levels need 0 < lo <= hi and a ratio above 1, got %g, %g, %g", lo, hi, ratio);
    const double steps = hi > lo ? fmax(ceil(log(hi / lo) / log(ratio) - 1e-9), 1) : 0;
    if (!(steps < 2147483646.0)) return brume_fail(BRUME_E_ARG, "a ratio of %.17g would take %g levels", ratio, steps);
    *n = 1 + (int32_t)steps;
    return BRUME_OK;
}

/* (variance after `steps` Langevin steps at lo, of samples that had g lo) / lo^2 with e = lr / lo^2; q = 2 e / (1 - (1 - e)^2) =
 * 2 / (2 - e) */
static double variance_ratio(double e, double g, int32_t steps)
{
    const double q = 2 / (2 - e);
    return pow(1 - e, 2.0 * steps) * (g * g - q) + q;
}

brume_status brume_ncsn_step_size(double lo, double ratio, int32_t steps, double *lr)
{
    *lr = 0;
    if (!(lo > 0 && ratio > 1 && ratio < INFINITY && steps >= 1))
        return brume_fail(BRUME_E_ARG, "a step size needs a level above 0, a ratio above 1 and at least 1 step, got %g, %g, %d",
                          lo, ratio, steps);
    /* From g^2 at e = 0 the ratio falls to a minimum above 1 (as q > 1 and g > 1) and rises without end towards e = 2. */
    double a = 0, b = 1;
    for (int i = 0; i < 200; i++) {
        const double left = a + (b - a) / 3, right = b - (b - a) / 3;
        if (variance_ratio(left, ratio, steps) <= variance_ratio(right, ratio, steps)) b = right;
        else a = left;
    }
    *lr = b * lo * lo;
    return BRUME_OK;
}
