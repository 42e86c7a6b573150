/* SPDX-License-Identifier: MIT
 * What likelihoods share: the decoder's probabilities, dequantisation, units. */
#include "brume/likelihood.h"

#include <math.h>

#include "brume/rng.h"

void brume_mean_error(const double *value, int64_t n, double *mean, double *error)
{
    double sum = 0, squares = 0;
    for (int64_t i = 0; i < n; i++) sum += value[i];
    *mean = sum / (double)n;
    for (int64_t i = 0; i < n; i++) squares += (value[i] - *mean) * (value[i] - *mean);
    *error = n < 2 ? NAN : sqrt(squares / ((double)(n - 1) * (double)n));
}

/* F(v), and 1 - F(v) = F(-v) of either distribution function without cancellation */
static double cdf_of(double v, brume_normal_cdf cdf)
{
    if (cdf == BRUME_CDF_EXACT) return 0.5 * erfc(-v / sqrt(2.0));
    const double z = sqrt(2.0 / 3.14159265358979323846) * (v + 0.044715 * v * v * v);
    return 1 / (1 + exp(-2 * z));
}

double brume_discretised_gaussian(double x, double mean, double log_std, brume_normal_cdf cdf)
{
    const double inv = exp(-log_std), hi = (x - mean + 1.0 / 255) * inv, lo = (x - mean - 1.0 / 255) * inv;
    double p;
    if (x < -0.999) p = cdf_of(hi, cdf);
    else if (x > 0.999) p = cdf_of(-lo, cdf);
    else if (lo > 0) p = cdf_of(-lo, cdf) - cdf_of(-hi, cdf); /* both in the upper tail: the small ends are subtracted */
    else p = cdf_of(hi, cdf) - cdf_of(lo, cdf);
    return isnan(p) ? p : log(fmax(p, 1e-12));
}

double brume_bits_per_dim(double log_p, int64_t dims) { return -log_p / ((double)dims * log(2.0)) + 7; }

void brume_dequantise(const float *x, int64_t n, int64_t seed, float *out)
{
    brume_fill_uniform((uint64_t)seed, BRUME_STREAM_DEQUANTISE, 0, 0, n, out);
    for (int64_t i = 0; i < n; i++) {
        const double level = fmin(fmax(rint((x[i] + 1.0) * 127.5), 0), 255);
        out[i] = (float)((level + out[i]) / 128 - 1);
    }
}
