/* SPDX-License-Identifier: MIT
 * Ladders of noise levels, largest first, and the rules by which NCSNv2 chooses one for given data. All in double. */
#ifndef BRUME_LADDER_H
#define BRUME_LADDER_H

#include <stdint.h>

#include "brume/api.h"
#include "brume/status.h"

BRUME_API_BEGIN

/** Each fills sigma[0 .. n-1] from hi down to lo; n = 1 is hi. 0 < lo <= hi; no final 0 is appended. */

/** (hi^(1/rho) + i/(n-1) (lo^(1/rho) - hi^(1/rho)))^rho: Karras et al. 2022, eq. 5 with rho = 7, 80 .. 0.002. */
void brume_karras_sigmas(double lo, double hi, double rho, int32_t n, double *sigma);
/** hi (lo / hi)^(i/(n-1)): equal steps of ln sigma, the geometric ladder of NCSN (Song & Ermon 2019, sec. 4: 1 .. 0.01, n =
 * 10). */
void brume_exponential_sigmas(double lo, double hi, int32_t n, double *sigma);
/** exp(ln lo + (1 - i/(n-1))^rho ln(hi / lo)): k-diffusion. */
void brume_polyexponential_sigmas(double lo, double hi, double rho, int32_t n, double *sigma);
/** Equal steps of sigma. */
void brume_uniform_sigmas(double lo, double hi, int32_t n, double *sigma);

/** sqrt(exp(beta_d t^2 / 2 + beta_min t) - 1), t from 1 to eps in n equal steps: sigma of the VP SDE (Karras et al. 2022, table
 * 1; 19.9, 0.1, 1e-3). */
void brume_vp_sigmas(double beta_d, double beta_min, double eps, int32_t n, double *sigma);
/** u[0 .. m]: noise levels of the cosine schedule with m steps, u[m] = 0 (Karras et al. 2022, table 1, column iDDPM; m =
 * 1000). */
void brume_iddpm_sigmas(int32_t m, double *u);
/** k sigma / (1 + (k - 1) sigma): shift of flow matching's noise level in [0, 1] (Esser et al. 2024, eq. 23). */
double brume_flow_shift(double sigma, double k);

/** Largest noise level: the largest distance between two of count >= 2 points of dim values (Song & Ermon 2020, technique 1);
 * O(count^2 dim). */
brume_status brume_ncsn_sigma_max(const float *points, int64_t count, int64_t dim, double *out);
/**
 * Ratio g > 1 of neighbouring levels for dim values: Phi(sqrt(2 dim) (g - 1) + 3 g) - Phi(sqrt(2 dim) (g - 1) - 3 g) = 0.5
 * (technique 2). Infinite for dim <= 4, where no ratio makes the overlap so small; 0 for dim < 1.
 */
double brume_ncsn_ratio(int64_t dim);
/** Number of levels from hi to lo whose ratio is g at most: 1 + ceil(ln(hi / lo) / ln g). BRUME_E_ARG, also beyond 2^31. */
brume_status brume_ncsn_levels(double lo, double hi, double ratio, int32_t *n);
/**
 * Step size lr of annealed Langevin dynamics with `steps` steps per level, smallest level lo, ratio g: the one that brings
 *   (1 - lr/lo^2)^(2 steps) (g^2 - q) + q,   q = 2 lr / (lo^2 - lo^2 (1 - lr/lo^2)^2)
 * nearest to 1, which it stays above (Song & Ermon 2020, technique 4; 6.2e-6 for CIFAR-10). BRUME_E_ARG for lo <= 0, g <= 1,
 * steps < 1.
 */
brume_status brume_ncsn_step_size(double lo, double ratio, int32_t steps, double *lr);

BRUME_API_END

#endif
