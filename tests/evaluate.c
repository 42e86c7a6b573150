/* SPDX-License-Identifier: MIT
 * Frechet distance, KID, precision and recall, neighbours: against scipy and numpy (scripts/make_golden_evaluate.py), formulas,
 * and the ends of what is allowed. */
#include <unistd.h>

#include "brume/evaluate.h"
#include "brume/rng.h"
#include "check.h"

enum { N = 60, D = 7 };

/* What the script prints. */
#define FRECHET_MEANS 3.24606934544305
#define FRECHET_COVARIANCES 1.71897917374587
#define THIN_MEANS 2.71089144126797
#define THIN_COVARIANCES 5.38243688000512
#define KID 4.70976953411289
#define PRECISION 0.283333333333333
#define RECALL 1.0
#define DENSITY 0.166666666666667
#define COVERAGE 0.416666666666667

static void rows(int n, int d, double phase, float *to)
{
    for (int i = 0; i < n; i++)
        for (int j = 0; j < d; j++) {
            const double wave =
                sin(1.3 * i + 0.7 * j * j + 0.11 * i * j + phase) + 0.5 * cos(2.1 * i * (j + 1)) + 0.1 * phase * j;
            to[i * d + j] = (float)(wave * (1 + 0.2 * phase * j));
        }
}

/* Statistics of n rows that come in parts of that many. */
static brume_feature_stats *stats(const float *x, int n, int d, int part)
{
    brume_feature_stats *s = NULL;
    CHECK_OK(brume_feature_stats_new(d, &s));
    for (int i = 0; i < n; i += part) CHECK_OK(brume_feature_stats_add(s, x + i * d, n - i < part ? n - i : part));
    CHECK_INT(brume_feature_stats_count(s), n);
    return s;
}

static brume_frechet distance(const float *x, int n, const float *y, int m, int d)
{
    brume_frechet f;
    brume_feature_stats *a = stats(x, n, d, 16), *b = stats(y, m, d, 1000);
    if (brume_frechet_available()) CHECK_OK(brume_frechet_distance(a, b, &f));
    else CHECK_FAILS(brume_frechet_distance(a, b, &f), BRUME_E_UNSUPPORTED, "LAPACK");
    brume_feature_stats_free(a);
    brume_feature_stats_free(b);
    return f;
}

/* Mean and covariance against two passes in double; features far from 0 cost no digits. */
static void test_stats(void)
{
    float x[N * D];
    double mean[D], cov[D * D];
    rows(N, D, 0.4, x);
    for (int i = 0; i < N * D; i++) x[i] += 4096;
    for (int part = 1; part <= N; part += 19) {
        brume_feature_stats *s = stats(x, N, D, part);
        CHECK_OK(brume_feature_stats_get(s, mean, cov));
        for (int i = 0; i < D; i++)
            for (int j = 0; j < D; j++) {
                double mi = 0, mj = 0, want = 0;
                for (int r = 0; r < N; r++) mi += (double)x[r * D + i] / N, mj += (double)x[r * D + j] / N;
                for (int r = 0; r < N; r++) want += ((double)x[r * D + i] - mi) * ((double)x[r * D + j] - mj) / (N - 1);
                CHECK_NEAR(mean[i], mi, 1e-9);
                CHECK_NEAR(cov[i * D + j], want, 1e-9); /* means of 4096 in double: 1e-12 each */
            }
        brume_feature_stats_free(s);
    }
    brume_feature_stats *s = NULL;
    CHECK_FAILS(brume_feature_stats_new(0, &s), BRUME_E_ARG, "1 to 65536");
    CHECK_OK(brume_feature_stats_new(D, &s));
    CHECK_FAILS(brume_feature_stats_get(s, mean, cov), BRUME_E_ARG, "no rows");
    x[D + 2] = NAN;
    CHECK_FAILS(brume_feature_stats_add(s, x, N), BRUME_E_NUMERIC, "value 2 of row 1");
    CHECK_INT(brume_feature_stats_count(s), 0);
    CHECK_OK(brume_feature_stats_add(s, x, 1));
    CHECK_OK(brume_feature_stats_get(s, mean, cov));
    for (int i = 0; i < D * D; i++) CHECK(cov[i] == 0);
    for (int i = 0; i < D; i++) CHECK(mean[i] == (double)x[i]);
    brume_feature_stats_free(s);
}

static void test_frechet(void)
{
    float x[N * D], y[N * D];
    rows(N, D, 0.0, x);
    rows(N, D, 0.9, y);
    brume_frechet f = distance(x, N, y, N, D);
    if (!brume_frechet_available()) return;
    CHECK_NEAR(f.means, FRECHET_MEANS, 1e-10);
    CHECK_NEAR(f.covariances, FRECHET_COVARIANCES, 1e-6); /* what sqrtm's root of a product that is not symmetric leaves */
    CHECK_NEAR(f.distance, f.means + f.covariances, 1e-12);
    CHECK_INT(f.rank[0], D);
    CHECK_INT(f.rank[1], D);
    /* fewer rows than values */
    f = distance(x, 5, y, N, D);
    CHECK_NEAR(f.means, THIN_MEANS, 1e-10);
    CHECK_NEAR(f.covariances, THIN_COVARIANCES, 1e-5);
    CHECK_INT(f.rank[0], 4);
    CHECK_INT(f.rank[1], D);
    /* equal sets, and one image */
    f = distance(x, N, x, N, D);
    CHECK_NEAR(f.means, 0, 1e-28); /* one came in parts, whose means are rounded */
    CHECK_NEAR(f.distance, 0, 1e-11);
    f = distance(x, 5, x, 5, D);
    CHECK_NEAR(f.distance, 0, 1e-6); /* the root of a rounding of 0, three times */
    f = distance(x, 1, x, 1, D);
    CHECK(f.distance == 0);
    CHECK_INT(f.rank[0], 0);
    f = distance(x, 1, x + D, 1, D);
    double apart = 0;
    for (int j = 0; j < D; j++) apart += ((double)x[j] - (double)x[D + j]) * ((double)x[j] - (double)x[D + j]);
    CHECK_NEAR(f.distance, apart, 1e-12);
    /* One value: (m1 - m2)^2 + (s1 - s2)^2. Points at m +- 1 have the variance 2, those at m +- 3 have 18. */
    const float narrow[2] = { 0.5f, 2.5f }, wide[2] = { -5, 1 };
    f = distance(narrow, 2, wide, 2, 1);
    CHECK_NEAR(f.means, 3.5 * 3.5, 1e-12);
    CHECK_NEAR(f.covariances, (sqrt(18) - sqrt(2)) * (sqrt(18) - sqrt(2)), 1e-12);
    /* A scaled set: S2 = 4 S1, so tr(S1 + S2 - 2 (2 S1)) = tr(S1). */
    double mean[D], cov[D * D], trace = 0;
    for (int i = 0; i < N * D; i++) y[i] = 2 * x[i];
    brume_feature_stats *a = stats(x, N, D, N), *other = NULL;
    CHECK_OK(brume_feature_stats_get(a, mean, cov));
    for (int j = 0; j < D; j++) trace += cov[j * D + j];
    f = distance(x, N, y, N, D);
    CHECK_NEAR(f.covariances, trace, 1e-10 * trace);
    CHECK_OK(brume_feature_stats_new(D + 1, &other));
    CHECK_FAILS(brume_frechet_distance(a, other, &f), BRUME_E_SHAPE, "7 and of 8");
    brume_feature_stats_free(other);
    CHECK_OK(brume_feature_stats_new(D, &other));
    CHECK_FAILS(brume_frechet_distance(a, other, &f), BRUME_E_ARG, "no rows");
    brume_feature_stats_free(other);
    brume_feature_stats_free(a);
}

/* Two wide normal distributions whose distance is known, and the bias of few rows. */
static void test_gaussians(void)
{
    enum { ROWS = 20000, WIDTH = 8 };
    float *x = malloc(sizeof(float) * ROWS * WIDTH), *y = malloc(sizeof(float) * ROWS * WIDTH);
    if (!CHECK(x && y)) return;
    brume_fill_normal(1, 0, 0, 0, ROWS * WIDTH, x);
    brume_fill_normal(2, 0, 0, 0, ROWS * WIDTH, y);
    for (int i = 0; i < ROWS * WIDTH; i++) y[i] = 0.5f + 3 * y[i];
    const brume_frechet all = distance(x, ROWS, y, ROWS, WIDTH), few = distance(x, 40, y, 40, WIDTH),
    same = distance(x, 40, x + 40 * WIDTH, 40, WIDTH);
    if (brume_frechet_available()) {
        CHECK_NEAR(all.distance, WIDTH * (0.25 + 4), 0.7); /* deviations of 8 means and variances of 20000 rows: 0.2 */
        CHECK(few.distance > 0 && same.distance > 0.3);
    }
    brume_kid k;
    CHECK_OK(brume_kid_distance(x, 200, x + 200 * WIDTH, 200, WIDTH, NULL, &k));
    CHECK_NEAR(k.mean, 0, 0.03); /* of one distribution: unbiased */
    free(x);
    free(y);
}

static void test_kid(void)
{
    float x[N * D], y[N * D];
    brume_kid k, again;
    rows(N, D, 0.0, x);
    rows(N, D, 0.9, y);
    CHECK_OK(brume_kid_distance(x, N, y, N, D, NULL, &k));
    CHECK_NEAR(k.mean, KID, 1e-11);
    CHECK(k.std == 0 && k.subsets == 1 && k.size == N);
    /* Means over subsets, near the whole; the same bits again; another seed, another choice. */
    const brume_kid_options o = { .subsets = 300, .size = 20, .seed = 5 }, other = { .subsets = 300, .size = 20, .seed = 6 };
    CHECK_OK(brume_kid_distance(x, N, y, N, D, &o, &k));
    CHECK_NEAR(k.mean, KID, 5 * k.std / sqrt(300));
    CHECK(k.std > 0);
    CHECK_OK(brume_kid_distance(x, N, y, N, D, &o, &again));
    CHECK(again.mean == k.mean && again.std == k.std);
    CHECK_OK(brume_kid_distance(x, N, y, N, D, &other, &again));
    CHECK(again.mean != k.mean);
    CHECK_OK(brume_kid_distance(x, N, x, N, D, NULL, &k));
    CHECK(k.mean < 0); /* equal sets share what unbiased estimates leave out */
    CHECK_OK(brume_kid_distance(x, 2, y, 3, D, NULL, &k));
    CHECK_INT(k.size, 2);
    CHECK_FAILS(brume_kid_distance(x, 1, y, N, D, NULL, &k), BRUME_E_ARG, "at least 2");
    CHECK_FAILS(brume_kid_distance(x, 10, y, N, D, &o, &k), BRUME_E_ARG, "subsets of 20");
    y[3] = INFINITY;
    CHECK_FAILS(brume_kid_distance(x, N, y, N, D, NULL, &k), BRUME_E_NUMERIC, "value 3 of row 0");
}

static void test_prdc(void)
{
    float x[N * D], y[N * D];
    brume_prdc p;
    rows(N, D, 0.0, x);
    rows(N, D, 0.9, y);
    CHECK_OK(brume_prdc_compute(x, N, y, N, D, 3, &p));
    CHECK_NEAR(p.precision, PRECISION, 1e-12);
    CHECK_NEAR(p.recall, RECALL, 1e-12);
    CHECK_NEAR(p.density, DENSITY, 1e-12);
    CHECK_NEAR(p.coverage, COVERAGE, 1e-12);
    CHECK_OK(brume_prdc_compute(x, N, x, N, D, 3, &p));
    CHECK(p.precision == 1 && p.recall == 1 && p.coverage == 1);
    for (int i = 0; i < N * D; i++) y[i] = x[i] + 1000;
    CHECK_OK(brume_prdc_compute(x, N, y, N, D, 3, &p));
    CHECK(p.precision == 0 && p.recall == 0 && p.density == 0 && p.coverage == 0);
    /* By hand, k = 1. Real 0, 1, 10: radii 1, 1, 9; fake 0.5, 3, 30: radii 2.5, 2.5, 27. */
    const float real[] = { 0, 1, 10 }, fake[] = { 0.5f, 3, 30 };
    CHECK_OK(brume_prdc_compute(real, 3, fake, 3, 1, 1, &p));
    CHECK_NEAR(p.precision, 2.0 / 3, 1e-15); /* 3 lies in the ball of 10, 30 in none */
    CHECK_NEAR(p.recall, 3.0 / 3, 1e-15);    /* 10 lies in the ball of 30 */
    CHECK_NEAR(p.density, 3.0 / 3, 1e-15);   /* 0.5 lies in two balls, 3 in one */
    CHECK_NEAR(p.coverage, 3.0 / 3, 1e-15);
    CHECK_FAILS(brume_prdc_compute(x, N, y, 3, D, 3, &p), BRUME_E_ARG, "more than that");
    CHECK_FAILS(brume_prdc_compute(x, N, y, N, D, 65, &p), BRUME_E_ARG, "1 to 64");
    x[0] = NAN;
    CHECK_FAILS(brume_prdc_compute(x, N, y, N, D, 3, &p), BRUME_E_NUMERIC, "row 0");
}

static void test_neighbours(void)
{
    float x[N * D], y[N * D];
    brume_neighbour whole[N * 4], parts[N * 4], few[3];
    rows(N, D, 0.0, x);
    rows(N, D, 0.9, y);
    memcpy(y + 17 * D, x + 4 * D, D * sizeof *x); /* one that was remembered, twice */
    memcpy(y + 33 * D, x + 4 * D, D * sizeof *x);
    brume_neighbours_clear(whole, N, 4);
    brume_neighbours_clear(parts, N, 4);
    CHECK_OK(brume_neighbours_add(x, N, y, N, D, 0, 4, whole));
    for (int i = N - 10; i >= 0; i -= 10) CHECK_OK(brume_neighbours_add(x, N, y + i * D, 10, D, i, 4, parts)); /* in any order */
    for (int i = 0; i < 4 * N; i++) CHECK(whole[i].index == parts[i].index && whole[i].distance == parts[i].distance);
    CHECK(whole[4 * 4].distance == 0 && whole[4 * 4].index == 17 && whole[4 * 4 + 1].distance == 0 &&
          whole[4 * 4 + 1].index == 33);
    for (int i = 0; i < N; i++) {
        double least = INFINITY;
        for (int j = 0; j < N; j++) {
            double d = 0;
            for (int k = 0; k < D; k++)
                d += ((double)x[i * D + k] - (double)y[j * D + k]) * ((double)x[i * D + k] - (double)y[j * D + k]);
            least = fmin(least, sqrt(d));
        }
        CHECK_NEAR(whole[4 * i].distance, least, 1e-12);
        for (int k = 1; k < 4; k++) CHECK(whole[4 * i + k - 1].distance <= whole[4 * i + k].distance);
    }
    brume_neighbours_clear(few, 1, 3);
    CHECK_OK(brume_neighbours_add(x, 1, y, 2, D, 100, 3, few));
    CHECK(few[0].index >= 100 && few[1].index >= 100 && few[2].index == -1 && few[2].distance == INFINITY);
    y[0] = NAN;
    CHECK_FAILS(brume_neighbours_add(x, 1, y, 2, D, 0, 3, few), BRUME_E_NUMERIC, "points");
}

int main(void)
{
    test_stats();
    test_frechet();
    test_gaussians();
    test_kid();
    test_prdc();
    test_neighbours();
    return check_report();
}
