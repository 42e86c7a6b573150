/* SPDX-License-Identifier: MIT
 * Scalar coefficients of the solvers, in double and without cancellation at small steps. h is a step of lambda = ln(a / s). */
#ifndef BRUME_DIFFUSION_SOLVER_COEF_H
#define BRUME_DIFFUSION_SOLVER_COEF_H

enum { BRUME_SOLVER_MAX_ORDER = 6 };

/* expm1(-h) / h + 1 and (expm1(-h) + h) / h^2 - 1/2 (Lu et al. 2022b, app. B), for any h, also negative (the eps forms) and
 * infinite: with h' = -h, expm1(h) / h - 1 = -phi1(h') and (expm1(h) - h) / h^2 - 1/2 = phi2(h'). */
double brume_phi1(double h);
double brume_phi2(double h);

/* A step from sigma s0 to s1 split in a deterministic part down to *down and fresh noise *up, down^2 + up^2 = s1^2 (k-diffusion):
 * up = min(s1, eta sqrt(s1^2 (s0^2 - s1^2) / s0^2)). */
void brume_ancestral(double s0, double s1, double eta, double *down, double *up);

/* Integral over sigma[i] .. sigma[i+1] of the Lagrange polynomial that is 1 at sigma[i-k] and 0 at the other nodes
 * sigma[i] .. sigma[i-order+1]: weight of slope i-k in a linear multistep. 1 <= order <= 4, 0 <= k < order <= i + 1. */
double brume_lms_coef(const double *sigma, int i, int k, int order);

/* UniPC of order p <= BRUME_SOLVER_MAX_ORDER (Zhao et al. 2023, alg. 1 and 2): r[0 .. p-2] = (lambda_k - lambda) / h of older
 * nodes, newest first. rho receives p-1 weights (predictor) or p (corrector; the last one for the new value); *B = expm1(-h), or
 * -h with bh1. */
void brume_unipc_rho(const double *r, int p, double h, int bh1, int corrector, double *rho, double *B);

/* Order of step i = 0 .. n-1 of a singlestep solver: 1, 2, .. order in every block; the last block is cut where n is no multiple
 * of the order, and ends with 1 where it is one and lower_order_final (Lu et al. 2022a, app. D.3). A step of order k uses the
 * last k predictions. */
int brume_singlestep_order(int i, int n, int order, int lower_order_final);

#endif
