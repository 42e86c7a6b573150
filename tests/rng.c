/* SPDX-License-Identifier: MIT
 * Random numbers: known answers of Philox, the same bits from every instruction set, device and build, and their statistics.
 * usage: test_rng [--device D]... */
#include "brume/rng.h"

#include "brume/ops.h"
#include "brume/plan.h"
#include "check.h"
#include "cl/philox.h"
#include "devices.h"
#include "noise_ref.h"
#include "simd/misc.h"
#include "simd/simd.h"

#define MILLION (1 << 20)
#define HASH_NORMAL 0xdd7044d15de56db7u
#define HASH_UNIFORM 0x400e8b3393ee8721u

/* FNV-1a over the bytes of n floats, low byte first on every machine. */
static uint64_t hash(const float *x, int64_t n)
{
    uint64_t h = 0xcbf29ce484222325u;
    for (int64_t i = 0; i < n; i++) {
        uint32_t u;
        memcpy(&u, x + i, 4);
        for (int b = 0; b < 32; b += 8) h = (h ^ (u >> b & 0xffu)) * 0x100000001b3u;
    }
    return h;
}

/* From kat_vectors of Random123 (Salmon et al. 2011). */
static void known_answers(void)
{
    static const uint32_t rows[3][10] = {
        { 0, 0, 0, 0, 0, 0, 0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8 },
        { ~0u, ~0u, ~0u, ~0u, ~0u, ~0u, 0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd },
        { 0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344, 0xa4093822, 0x299f31d0, 0xd16cfe09, 0x94fdcceb,
          0x5001e420, 0x24126ea1 },
    };
    for (int i = 0; i < 3; i++) {
        uint32_t out[4];
        brume_philox(rows[i], rows[i] + 4, out);
        CHECK(!memcmp(out, rows[i] + 6, sizeof out));
    }
}

static int by_value(const void *a, const void *b)
{
    const float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

static const uint64_t seed = 0x0123456789abcdef;

/* x: a million normals. The hash pins the bits: whatever compiler, flags or processor made them. */
static void statistics(float *x)
{
    CHECK(hash(x, MILLION) == HASH_NORMAL);
    double mean = 0, var = 0, skew = 0, kurt = 0, worst = 0, ks = 0;
    for (int i = 0; i < MILLION; i++) mean += x[i];
    mean /= MILLION;
    for (int i = 0; i < MILLION; i++) {
        const double d = x[i] - mean;
        var += d * d;
        skew += d * d * d;
        kurt += d * d * d * d;
    }
    var /= MILLION;
    /* four standard errors: 1, sqrt 2, sqrt 6, sqrt 24 over sqrt n */
    CHECK_NEAR(mean, 0, 4.0 / 1024);
    CHECK_NEAR(var, 1, 5.7 / 1024);
    CHECK_NEAR(skew / MILLION, 0, 9.8 / 1024);
    CHECK_NEAR(kurt / MILLION, 3, 19.6 / 1024);
    for (int64_t i = 0; i < 20000; i++) {
        const double e = fabs(x[i] - noise_normal(noise_word((int64_t)seed, 1, 7, i)));
        if (!(e <= worst)) worst = e;
    }
    CHECK_NEAR(worst, 0, 2e-6);
    qsort(x, MILLION, sizeof *x, by_value);
    for (int i = 0; i < MILLION; i++) {
        const double f = 0.5 * erfc(-(double)x[i] / sqrt(2));
        ks = fmax(ks, fmax(fabs(f - (double)i / MILLION), fabs(f - (double)(i + 1) / MILLION)));
    }
    CHECK_NEAR(ks, 0, 1.63 / 1024); /* Kolmogorov-Smirnov, 1 % level */
}

/* The transform alone over the whole range, densest in the far tail, where few random words fall. */
static void tail(void)
{
    double worst = 0;
    for (uint32_t m = 0; m < 0x80000000u; m += 1 + m / 256) {
        const double e = fmax(fabs(brume_px_normal(m) - noise_normal(m)),
                              fabs(brume_px_normal(m | 0x80000000u) - noise_normal(m | 0x80000000u)));
        if (!(e <= worst)) worst = e;
    }
    CHECK_NEAR(worst, 0, 2e-6);
}

/* Every instruction set's loops against the scalar functions, for starts and lengths around the batch. */
static void every_isa(const float *normal, const float *uniform, float *buf)
{
    static const int64_t lengths[] = { 1, 3, 4, 255, 256, 257, 100003 };
    for (int i = 0; brume_simd_nth(i); i++) {
        const struct brume_simd_noise *noise = brume_simd_nth(i)->noise;
        for (size_t k = 0; k < sizeof lengths / sizeof *lengths; k++) {
            const int64_t n = lengths[k], first = 4 * (int64_t)k;
            const struct brume_noise_at at = { seed, (uint64_t)first / 4, 1, 7 };
            noise->normal(n, &at, buf);
            CHECK(!memcmp(buf, normal + first, (size_t)n * sizeof *buf));
            noise->uniform(n, &at, buf);
            CHECK(!memcmp(buf, uniform + first, (size_t)n * sizeof *buf));
        }
        /* a carry into the high word of the counter */
        const struct brume_noise_at far = { seed, 0xffffffff0u, 1, 7 };
        float want[1024];
        brume_fill_normal(seed, 1, 7, 4 * far.block, 1024, want);
        noise->normal(1024, &far, buf);
        CHECK(!memcmp(buf, want, sizeof want));
    }
}

/* brume_normal() and brume_uniform() of a device: sample i must not depend on the others. */
static void on_device(brume_device *d, const char *where)
{
    enum { N = 3, LEN = 37 * 41 * 3 };
    static const int64_t seeds[N] = { 5, -1, INT64_MIN };
    const int32_t step = -7;
    static float got[2][N * LEN], want[2][N * LEN];
    brume_graph *g = brume_graph_new();
    const brume_tensor s = brume_input(g, "seeds", BRUME_I64, BRUME_SHAPE(N)),
                       t = brume_input(g, "step", BRUME_I32, BRUME_SCALAR);
    const brume_tensor y[2] = { brume_normal(g, s, t, 0xfffffff0u, BRUME_SHAPE(N, 37, 41, 3)),
                                brume_uniform(g, s, t, 9, BRUME_SHAPE(N, 37, 41, 3)) };
    for (int i = 0; i < 2; i++) brume_output(g, y[i], i ? "uniform" : "normal");
    for (int i = 0; i < N; i++) {
        brume_fill_normal((uint64_t)seeds[i], 0xfffffff0u, (uint32_t)step, 0, LEN, want[0] + i * LEN);
        brume_fill_uniform((uint64_t)seeds[i], 9, (uint32_t)step, 0, LEN, want[1] + i * LEN);
    }
    brume_plan *p = NULL;
    int ok = CHECK_OK(brume_graph_status(g)) && CHECK_OK(brume_plan_new(d, g, NULL, &p)) &&
             CHECK_OK(brume_plan_write(p, s, seeds, sizeof seeds)) && CHECK_OK(brume_plan_write(p, t, &step, sizeof step)) &&
             CHECK_OK(brume_plan_run(p));
    for (int i = 0; i < 2 && ok; i++)
        ok = CHECK_OK(brume_plan_read(p, y[i], got[i], sizeof got[i])) && CHECK(!memcmp(got[i], want[i], sizeof got[i]));
    printf("%s: %s\n", where, ok ? "same bits" : "FAILED");
    brume_plan_free(p);
    brume_graph_free(g);
}

static void generator(void)
{
    brume_rng r = { .seed = 3, .stream = 4, .step = 5 };
    float f[9], g[9];
    brume_fill_uniform(3, 4, 5, 0, 9, f);
    for (int i = 0; i < 9; i++) g[i] = brume_rng_uniform(&r);
    CHECK(!memcmp(f, g, sizeof f));
    /* any cut of a long sample: begins within a counter, ends within a batch of them */
    static float cut[2000];
    int equal = 1;
    for (int first = 0; first < 6; first++) {
        for (int n = 1; n <= 2000; n = 3 * n + 1) {
            r.next = (uint64_t)first + 0xfffffff0u * 4ull; /* the counter's low word overflows on the way */
            brume_fill_uniform(3, 4, 5, r.next, n, cut);
            for (int i = 0; i < n; i++) equal = equal && cut[i] == brume_rng_uniform(&r);
        }
    }
    CHECK(equal);
    r.next = 2;
    brume_fill_normal(3, 4, 5, 2, 5, f);
    for (int i = 0; i < 5; i++) g[i] = brume_rng_normal(&r);
    CHECK(!memcmp(f, g, 5 * sizeof *f));

    int count[7] = { 0 }, fair = 1;
    for (int i = 0; i < 70000; i++) count[brume_rng_below(&r, 7)]++;
    for (int i = 0; i < 7; i++) fair = fair && abs(count[i] - 10000) < 400; /* 4 standard deviations */
    CHECK(fair);
    CHECK_INT(brume_rng_below(&r, 0), 0);
    CHECK_INT(brume_rng_below(&r, 1), 0);
    for (int i = 0; i < 100; i++) fair = fair && brume_rng_below(&r, 0xffffffffu) < 0xffffffffu;
    CHECK(fair);

    int64_t order[1000];
    char seen[1000] = { 0 };
    brume_rng_permutation(&r, 1000, order);
    int moved = 0, good = 1;
    for (int i = 0; i < 1000; i++) {
        good = good && order[i] >= 0 && order[i] < 1000 && !seen[order[i]];
        if (good) seen[order[i]] = 1;
        moved += order[i] != i;
    }
    CHECK(good && moved > 950);
    CHECK(brume_seed_mix(1, 0) != brume_seed_mix(1, 1) && brume_seed_mix(1, 0) != brume_seed_mix(2, 0));
}

int main(int argc, char **argv)
{
    float *normal = malloc(MILLION * sizeof *normal), *uniform = malloc(MILLION * sizeof *uniform),
          *buf = malloc(MILLION * sizeof *buf);
    if (!normal || !uniform || !buf) return 1;
    known_answers();
    generator();
    tail();
    brume_fill_normal(seed, 1, 7, 0, MILLION, normal);
    brume_fill_uniform(seed, 1, 7, 0, MILLION, uniform);
    CHECK(hash(uniform, MILLION) == HASH_UNIFORM);
    every_isa(normal, uniform, buf);
    statistics(normal);
    struct test_devices devices;
    test_devices_open(&devices, &argc, argv, 1);
    for (int i = 0; i < devices.n; i++) on_device(devices.at[i].device, devices.at[i].where);
    test_devices_close(&devices);
    free(normal);
    free(uniform);
    free(buf);
    return check_report();
}
