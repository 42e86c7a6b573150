/* SPDX-License-Identifier: MIT
 * Speed of the cpu backend's products and convolutions, as GFLOP/s and as a share of the processor's measured multiply-add rate.
 * Convolutions count the arithmetic of the definition: taps outside the image are left out and Winograd multiplies less, so that
 * shares above 100% are possible. usage: bench_simd [THREADS [SECONDS]]   default: all cores, 0.1 s for each line */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/pool.h"
#include "simd/conv.h"
#include "simd/gemm.h"
#include "simd/simd.h"

#define PEAK_STEPS 300000

static struct brume_pool *pool;
static const struct brume_simd *simd;
static int threads;
static double seconds = 0.1, peak;

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void peak_task(void *ctx, int64_t task, int thread)
{
    (void)ctx, (void)task, (void)thread;
    simd->multiply_adds(PEAK_STEPS);
}

static double measure_peak(void)
{
    double best = 0;
    for (int i = 0; i < 10; i++) {
        const double begin = now();
        brume_pool_run(pool, threads, peak_task, NULL);
        const double rate = 2.0 * BRUME_SIMD_CHAINS * PEAK_STEPS * simd->vector_width * threads / (now() - begin) * 1e-9;
        if (rate > best) best = rate;
    }
    return best;
}

static float *numbers(int64_t n)
{
    float *p = aligned_alloc(64, (size_t)(n * 4 + 63) / 64 * 64);
    if (!p) {
        fprintf(stderr, "bench_simd: out of memory\n");
        exit(1);
    }
    for (int64_t i = 0; i < n; i++) p[i] = (float)(i * 7919 % 1009) / 1009 - 0.5f;
    return p;
}

/* Everything that a line may need. */
struct job {
    struct brume_gemm gemm;
    struct brume_conv c;
    float *x, *w, *y, *packed, *work;
};

static void report(const char *what, double flops, void (*run)(const struct job *), const struct job *j)
{
    double best = 1e9;
    const double end = now() + seconds;
    for (int i = 0; i < 3 || now() < end; i++) {
        const double begin = now();
        run(j);
        const double t = now() - begin;
        if (t < best) best = t;
    }
    printf("  %-10s %8.1f GFLOP/s %4.0f%% %10.1f us", what, flops / best * 1e-9, flops / best * 1e-7 / peak, best * 1e6);
}

static void run_gemm(const struct job *j) { simd->gemm->run(&j->gemm, 1, 0, 0, 0, pool); }
static void forward(const struct job *j) { simd->conv->forward(&j->c, j->x, j->packed, NULL, 0, NULL, j->y, j->work, pool); }
static void dx(const struct job *j) { simd->conv->dx(&j->c, j->y, j->packed, j->x, j->work, pool); }
static void dw(const struct job *j) { simd->conv->dw(&j->c, j->x, j->y, j->w, j->work, pool); }
static void wino(const struct job *j) { simd->conv->winograd(&j->c, j->x, j->packed, NULL, 0, NULL, j->y, j->work, pool); }
static void wino_dx(const struct job *j) { simd->conv->winograd_dx(&j->c, j->y, j->packed, j->x, j->work, pool); }
static void wino_dw(const struct job *j) { simd->conv->winograd_dw(&j->c, j->x, j->y, j->w, j->work, pool); }
static void pack(const struct job *j) { simd->conv->pack(&j->c, j->w, j->packed, pool); }
static void wino_pack(const struct job *j) { simd->conv->winograd_pack(&j->c, j->w, j->packed, pool); }

static void bench_gemm(int64_t m, int64_t n, int64_t k)
{
    struct job j = { .x = numbers(m * k), .y = numbers(m * n), .w = numbers(k * n),
                     .packed = numbers(brume_gemm_packed(k, n, simd->vector_width)) };
    j.gemm = (struct brume_gemm){ .m = m, .n = n, .k = k, .a = j.x, .a_row = k, .a_col = 1, .b = j.packed, .c = j.y,
                                  .ldc = n, .alpha = 1 };
    simd->gemm->pack(k, n, j.w, n, 1, 1, 0, j.packed, pool);
    printf("product %lldx%lldx%lld\n", (long long)m, (long long)n, (long long)k);
    report("A B", 2.0 * (double)(m * n * k), run_gemm, &j);
    j.gemm.a_row = 1, j.gemm.a_col = m;
    report("A^T B", 2.0 * (double)(m * n * k), run_gemm, &j);
    printf("\n");
    free(j.x), free(j.y), free(j.w), free(j.packed);
}

static int64_t most(int64_t a, int64_t b) { return a > b ? a : b; }

static void bench_conv(int64_t n, int64_t h, int64_t i, int64_t o, int32_t k, int32_t stride)
{
    const int64_t ho = (h + k / 2 * 2 - k) / stride + 1;
    const int vw = simd->vector_width;
    struct job j = { .c = { n, h, h, i, ho, ho, o, k, k, stride, k / 2, k / 2 } };
    const struct brume_conv *const c = &j.c;
    const bool winograd = brume_winograd_fits(c);
    int64_t packed = most(brume_conv_packed(c, vw), brume_conv_packed_dx(c, vw));
    size_t work = brume_conv_work(c) + brume_conv_work_dx(c) + brume_conv_work_dw(c, vw, threads);
    if (winograd) {
        packed = most(brume_winograd_packed(c, vw), brume_winograd_packed_dx(c, vw));
        work +=
            brume_winograd_work(c, vw, threads) + brume_winograd_work_dx(c, vw, threads) + brume_winograd_work_dw(c, vw, threads);
    }
    j.x = numbers(n * h * h * i), j.y = numbers(n * ho * ho * o), j.w = numbers(k * k * i * o);
    j.packed = numbers(packed), j.work = numbers((int64_t)(work / 4));
    const double flops = 2.0 * (double)(n * ho * ho) * (double)(k * k * i * o);
    printf("conv %dx%d stride %d, %lld images of %lldx%lld, %lld to %lld channels\n", k, k, stride, (long long)n, (long long)h,
           (long long)h, (long long)i, (long long)o);
    report("pack", 0, pack, &j);
    report("forward", flops, forward, &j);
    simd->conv->pack_dx(c, j.w, j.packed, pool);
    report("dx", flops, dx, &j);
    report("dw", flops, dw, &j);
    printf("\n");
    if (winograd) {
        report("F(4,3) pack", 0, wino_pack, &j);
        report("forward", flops, wino, &j);
        simd->conv->winograd_pack_dx(c, j.w, j.packed, pool);
        report("dx", flops, wino_dx, &j);
        report("dw", flops, wino_dw, &j);
        printf("\n");
    }
    free(j.x), free(j.y), free(j.w), free(j.packed), free(j.work);
}

int main(int argc, char **argv)
{
    if (brume_pool_new(argc > 1 ? atoi(argv[1]) : 0, &pool) != BRUME_OK) {
        fprintf(stderr, "bench_simd: %s\n", brume_error());
        return 1;
    }
    if (argc > 2) seconds = atof(argv[2]);
    simd = brume_simd_choose(NULL);
    if (!simd) {
        fprintf(stderr, "bench_simd: BRUME_ISA names no instruction set of this build and processor\n");
        return 1;
    }
    threads = brume_pool_threads(pool);
    peak = measure_peak();
    printf("%s, %d threads, multiply-add rate %.1f GFLOP/s\n", simd->isa, threads, peak);
    bench_gemm(512, 512, 512);
    bench_gemm(3136, 128, 128);
    bench_gemm(1, 512, 128);
    static const int convs[][6] = { /* images, height, input and output channels, kernel, stride */
        { 64, 28, 32, 32, 3, 1 }, { 64, 28, 96, 32, 3, 1 }, { 64, 14, 64, 64, 3, 1 }, { 64, 7, 128, 128, 3, 1 },
        { 64, 28, 32, 32, 3, 2 }, { 64, 28, 1, 32, 3, 1 }, { 64, 28, 32, 1, 3, 1 }, { 64, 14, 128, 64, 1, 1 },
        { 16, 32, 128, 128, 3, 1 }, { 16, 16, 256, 256, 3, 1 }, { 16, 4, 512, 256, 3, 1 }, { 1, 28, 32, 32, 3, 1 },
        { 1, 14, 64, 64, 3, 1 }, { 1, 7, 128, 128, 3, 1 },
    };
    for (size_t i = 0; i < sizeof convs / sizeof *convs; i++)
        bench_conv(convs[i][0], convs[i][1], convs[i][2], convs[i][3], convs[i][4], convs[i][5]);
    brume_pool_free(pool);
    return 0;
}
