/* SPDX-License-Identifier: MIT
 * How near drawn images are to those of a data set: features of images, and what is computed from two sets of them.
 *
 * Features are rows of f32, (N, D). What is computed from them is computed in double, in an order that depends on the sizes
 * alone, on one thread per core. Features that are NaN or infinite are BRUME_E_NUMERIC with the row's number. All figures depend
 * on the network that makes the features and on N: compare only those that agree in both. */
#ifndef BRUME_EVALUATE_H
#define BRUME_EVALUATE_H

#include <stdint.h>

#include "brume/api.h"
#include "brume/data.h"
#include "brume/device.h"
#include "brume/graph.h"

BRUME_API_BEGIN

/* ---- features -------------------------------------------------------------------------------------------------------------- */

/** A network that makes features of images, planned on a device. */
typedef struct brume_feature_network brume_feature_network;

/**
 * Plans a feature network for images (N, H, W, C), N at once, on d, which must outlive it. what is
 * - the folder of a classifier (brume train --task classifier): what its last layer reads, at the smallest noise level of its
 *   process;
 * - a folder with a config.json of class "BrumeFeatureNetwork" and model.safetensors: see docs/features.md;
 * - "pixels": the H W C values themselves.
 * variant: which weights of the folder, or NULL.
 * BRUME_E_ARG: the folder holds another kind of model; BRUME_E_SHAPE: images of that size or number of channels do not fit.
 */
brume_status brume_feature_network_open(brume_device *d, const char *what, const char *variant, brume_shape images,
                                        brume_feature_network **out);
void brume_feature_network_free(brume_feature_network *f);
/** Values D of a feature. */
int64_t brume_feature_network_width(const brume_feature_network *f);
/** What it is, for a reader: "64 values before the last layer of the classifier runs/judge". */
const char *brume_feature_network_name(const brume_feature_network *f);
/** What is worth telling about its files, such as weights that are NaN or infinite; "" if nothing is. */
const char *brume_feature_network_note(const brume_feature_network *f);
/** 64 bits that differ between networks with other layers or weights. */
uint64_t brume_feature_network_fingerprint(const brume_feature_network *f);
/** Features (n, D) of n images (n, H, W, C) in [-1, 1], any n >= 0. BRUME_E_NUMERIC names an image whose features are not
 * finite. */
brume_status brume_feature_network_run(brume_feature_network *f, const float *images, int64_t n, float *features);

/** Features of a data set, computed or found in a file. */
typedef struct brume_reference {
    int64_t n, dims;          /**< rows and columns of features */
    float *features;          /**< (n, dims) */
    int64_t *items;           /**< n: which item of the data set each row is */
    uint64_t data;            /**< fingerprint of the images */
    char *path;               /**< of the file, or NULL: there is none */
    /** MENDED: the file was damaged and is made again */
    enum { BRUME_REFERENCE_MADE = 0, BRUME_REFERENCE_READ, BRUME_REFERENCE_MENDED } from;
} brume_reference;

/**
 * Features of n items of ds, chosen by seed 0 (n = 0: of all). They are read from a file that belongs to exactly these images and
 * this network, or computed and written to it.
 * file   NULL: one in the folder of caches (brume devices names it), if there is one. Else this path: BRUME_E_ARG if a file there
 *        belongs to other images, another network or another program; it is left as it is
 * step   called with ctx and the images done, of n; may be NULL
 */
brume_status brume_reference_new(brume_feature_network *f, const brume_dataset *ds, int64_t n, const char *file,
                                 void (*step)(void *ctx, int64_t done, int64_t n), void *ctx, brume_reference **out);
void brume_reference_free(brume_reference *r);

/* ---- Frechet distance ------------------------------------------------------------------------------------------------------ */

/** Mean and covariance of features that come in parts. */
typedef struct brume_feature_stats brume_feature_stats;

/** dims D >= 1. */
brume_status brume_feature_stats_new(int64_t dims, brume_feature_stats **out);
void brume_feature_stats_free(brume_feature_stats *s);
/** Takes n more rows (n, D). Parts are joined by their means (Chan et al. 1983), so that a large mean costs no digits. */
brume_status brume_feature_stats_add(brume_feature_stats *s, const float *features, int64_t n);
/** Rows so far. */
int64_t brume_feature_stats_count(const brume_feature_stats *s);
/** mean (D), and covariance (D, D), which divides by N - 1 and is 0 for N = 1; either may be NULL. BRUME_E_ARG: there are no
 * rows. */
brume_status brume_feature_stats_get(const brume_feature_stats *s, double *mean, double *covariance);

/** A Frechet distance and its parts. */
typedef struct brume_frechet {
    double distance;          /**< their sum, d^2 of the paper: FID where features are those of Inception v3 */
    double means;             /**< |m1 - m2|^2 */
    double covariances;       /**< tr(S1 + S2 - 2 (S1 S2)^(1/2)) */
    int64_t rank[2];          /**< of S1 and S2: below D a covariance is singular, for one from N - 1 < D rows or from features
                                   that depend on each other */
} brume_frechet;

/** 1 if this build can compute Frechet distances (LAPACK). */
int brume_frechet_available(void);
/**
 * Distance of the normal distributions with the moments of a and b (Heusel et al. 2017, eq. 6; Dowson & Landau 1982):
 *   |m1 - m2|^2 + tr(S1) + tr(S2) - 2 tr((S1 S2)^(1/2))
 * The last trace is the sum of square roots of the eigenvalues of B^T S2 B, B B^T = S1, which is symmetric: they are real and not
 * negative, also where S1 or S2 is singular; those below 0 by rounding count as 0. It falls with the number of rows: its bias is
 * positive (Binkowski et al. 2018). BRUME_E_UNSUPPORTED: the build has no LAPACK; BRUME_E_SHAPE: other widths; BRUME_E_ARG: one
 * has no rows.
 */
brume_status brume_frechet_distance(const brume_feature_stats *a, const brume_feature_stats *b, brume_frechet *out);

/* ---- kernel distance ------------------------------------------------------------------------------------------------------- */

/** How a kernel distance is estimated; { 0 } gives the defaults. */
typedef struct brume_kid_options {
    int32_t subsets;          /**< >= 1; 0: 100 */
    int64_t size;             /**< rows of a subset, drawn without replacement from each side; 0: 1000, or all where there are
                                   fewer */
    uint64_t seed;            /**< of the draw */
} brume_kid_options;

/** A kernel distance. */
typedef struct brume_kid {
    double mean, std;         /**< over the subsets; std divides by their number */
    int32_t subsets;          /**< as used */
    int64_t size;             /**< as used */
} brume_kid;

/**
 * KID (Binkowski et al. 2018, sec. 4): unbiased MMD^2 of x (n, D) and y (m, D) with the kernel k(a, b) = (a . b / D + 1)^3,
 *   sum_{i != j} k(x_i, x_j) / (s (s - 1)) + the same of y - 2 sum_{i, j} k(x_i, y_j) / s^2
 * over subsets of s rows. It may be negative; its expectation does not depend on N. options may be NULL.
 * BRUME_E_ARG: fewer than 2 rows, or than a subset takes.
 */
brume_status brume_kid_distance(const float *x, int64_t n, const float *y, int64_t m, int64_t dims,
                                const brume_kid_options *options, brume_kid *out);

/* ---- precision, recall, density, coverage ---------------------------------------------------------------------------------- */

/** Precision, recall, density and coverage of samples. */
typedef struct brume_prdc {
    double precision, recall; /**< Kynkaanniemi et al. 2019, eqs. 1, 2 */
    double density, coverage; /**< Naeem et al. 2020, eqs. 4, 6 */
} brume_prdc;

/**
 * From the distances of real (n, D) and fake (m, D) features; B(a) is the ball around a whose radius reaches its k-th nearest
 * neighbour among its own kind.
 *   precision   part of the fake rows that lie in a B(real);      recall     part of the real rows that lie in a B(fake)
 *   density     balls B(real) that a fake row lies in, mean, over k;  coverage   part of the balls B(real) that a fake row lies
 *               in
 * BRUME_E_ARG: k is not 1 .. 64, or n or m is not above k.
 */
brume_status brume_prdc_compute(const float *real, int64_t n, const float *fake, int64_t m, int64_t dims, int32_t k,
                                brume_prdc *out);

/* ---- nearest neighbours ---------------------------------------------------------------------------------------------------- */

/** One of the nearest points of a query. */
typedef struct brume_neighbour {
    int64_t index;            /**< -1: there were fewer points */
    double distance;          /**< Euclidean; INFINITY with index -1 */
} brume_neighbour;

/** n k neighbours that are not found yet. */
void brume_neighbours_clear(brume_neighbour *found, int64_t n, int32_t k);
/**
 * Puts points (m, D), numbered from `first`, among the k nearest found so far of each of the queries (n, D): found (n, k),
 * nearest first, of equal distance the smaller number first. Distances are sums of squared differences: 0 for equal rows alone.
 */
brume_status brume_neighbours_add(const float *queries, int64_t n, const float *points, int64_t m, int64_t dims, int64_t first,
                                  int32_t k, brume_neighbour *found);

BRUME_API_END

#endif
