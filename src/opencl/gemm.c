/* SPDX-License-Identifier: MIT
 * Matrix products by CLBlast, where it is built in. */
#include "config.h"
#include "opencl/internal.h"

#if BRUME_HAVE_CLBLAST
#include <clblast_c.h>
#include <math.h>
#include <pthread.h>

/* Older CLBlast releases race when two threads compile the same routine (CLBlast#486): one at a time. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

brume_status brume_cl_run_gemm(struct brume_cl_device *d, const struct brume_cl_gemm *g, const cl_mem mem[3],
                               const uint64_t offset[3], const char *what)
{
    if (g->m == 0 || g->n == 0 || g->k == 0 || g->batch == 0) return BRUME_OK; /* CLBlast calls them invalid */
    const CLBlastTranspose ta = g->trans_a ? CLBlastTransposeYes : CLBlastTransposeNo;
    const CLBlastTranspose tb = g->trans_b ? CLBlastTransposeYes : CLBlastTransposeNo;
    const size_t m = (size_t)g->m, n = (size_t)g->n, k = (size_t)g->k;
    const size_t lda = (size_t)g->lda, ldb = (size_t)g->ldb, ldc = (size_t)g->ldc;
    CLBlastStatusCode err;
    pthread_mutex_lock(&lock);
    if (g->batch <= 1)
        err = CLBlastSgemm(CLBlastLayoutRowMajor, ta, tb, m, n, k, g->alpha, mem[0], offset[0], lda, mem[1], offset[1], ldb,
                           g->beta, mem[2], offset[2], ldc, &d->queue, NULL);
    else
        err = CLBlastSgemmStridedBatched(CLBlastLayoutRowMajor, ta, tb, m, n, k, g->alpha, mem[0], offset[0], lda,
                                         (size_t)g->stride_a, mem[1], offset[1], ldb, (size_t)g->stride_b, g->beta, mem[2],
                                         offset[2], ldc, (size_t)g->stride_c, (size_t)g->batch, &d->queue, NULL);
    pthread_mutex_unlock(&lock);
    if (err == CLBlastSuccess) return BRUME_OK;
    return brume_cl_fail(d, (cl_int)err, g->batch <= 1 ? "CLBlastSgemm" : "CLBlastSgemmStridedBatched",
                         "%s: m %zu n %zu k %zu batch %zu (CLBlast can be left out: clblast = 0)", what, m, n, k,
                         (size_t)g->batch);
}

/* On processors CLBlast's own choice of parameters, made for devices with local memory, is slow: 512 x 512 x 512 take 30 ms on
 * two cores, and 6.2 ms where a work-item makes a tile of 32 x 8 alone, in vectors. Products of all sizes take that way. */
static const struct { const char *name; size_t value; } tile_parameters[] = {
    { "GEMMK", 0 }, { "KREG", 1 }, { "KWG", 16 }, { "KWI", 1 }, { "MDIMA", 1 }, { "MDIMC", 1 }, { "MWG", 32 }, { "NDIMB", 1 },
    { "NDIMC", 1 }, { "NWG", 8 }, { "SA", 0 }, { "SB", 0 }, { "STRM", 0 }, { "STRN", 0 }, { "VWM", 16 }, { "VWN", 8 },
};
enum { N_PARAMETERS = sizeof tile_parameters / sizeof *tile_parameters };

#define CHECK_M 37
#define CHECK_N 29
#define CHECK_K 19

static float check_value(int i) { return (float)(i % 7 - 3); }

/* CLBlast takes parameters unseen, and wrong ones give wrong results: a product of small integers, which must come out exact. */
static brume_status check_tiles(struct brume_cl_device *d)
{
    enum { A = CHECK_M * CHECK_K, B = CHECK_K * CHECK_N, C = CHECK_M * CHECK_N };
    float x[A + B + C];
    cl_int err = CL_SUCCESS;
    const cl_mem mem = d->cl->CreateBuffer(d->context, CL_MEM_READ_WRITE, sizeof x, NULL, &err);
    if (!mem || err) return brume_cl_fail(d, err, "clCreateBuffer", "%zu bytes", sizeof x);
    for (int i = 0; i < A + B + C; i++) x[i] = i < A + B ? check_value(i) : NAN;
    const struct brume_cl_gemm g = { .m = CHECK_M, .n = CHECK_N, .k = CHECK_K, .lda = CHECK_K, .ldb = CHECK_N, .ldc = CHECK_N,
                                     .alpha = 1, .batch = 1 };
    err = d->cl->EnqueueWriteBuffer(d->queue, mem, CL_TRUE, 0, sizeof x, x, 0, NULL, NULL);
    brume_status s = err ? brume_cl_fail(d, err, "clEnqueueWriteBuffer", "%zu bytes", sizeof x) : BRUME_OK;
    if (!s)
        s = brume_cl_run_gemm(d, &g, (const cl_mem[]){ mem, mem, mem }, (const uint64_t[]){ 0, A, A + B }, "check of parameters");
    if (!s && (err = d->cl->EnqueueReadBuffer(d->queue, mem, CL_TRUE, 0, sizeof x, x, 0, NULL, NULL)))
        s = brume_cl_fail(d, err, "clEnqueueReadBuffer", "%zu bytes", sizeof x);
    for (int i = 0; i < C && !s; i++) {
        float want = 0;
        for (int k = 0; k < CHECK_K; k++)
            want += check_value(i / CHECK_N * CHECK_K + k) * check_value(A + k * CHECK_N + i % CHECK_N);
        if (!(x[A + B + i] == want))
            s = brume_fail(BRUME_E_DEVICE,
                           "%s '%s': CLBlast multiplies wrongly with brume's parameters for processors: element %d is %g, not "
                           "%g; use --clblast off",
                           d->info.spec, d->info.name, i, (double)x[A + B + i], (double)want);
    }
    d->cl->ReleaseMemObject(mem);
    return s;
}

/* Before the first product; CLBlast keeps them for the process. */
static brume_status override_parameters(struct brume_cl_device *d)
{
    if (d->gemm_ready || !d->info.is_cpu_type) return BRUME_OK;
    const char *names[N_PARAMETERS], *least = "XGEMM_MIN_INDIRECT_SIZE";
    size_t values[N_PARAMETERS], one = 1;
    for (int i = 0; i < N_PARAMETERS; i++) {
        names[i] = tile_parameters[i].name;
        values[i] = tile_parameters[i].value;
    }
    pthread_mutex_lock(&lock);
    CLBlastStatusCode err = CLBlastOverrideParameters(d->id, "Xgemm", CLBlastPrecisionSingle, N_PARAMETERS, names, values);
    if (err == CLBlastSuccess) err = CLBlastOverrideParameters(d->id, "GemmRoutine", CLBlastPrecisionSingle, 1, &least, &one);
    pthread_mutex_unlock(&lock);
    if (err != CLBlastSuccess) return brume_cl_fail(d, (cl_int)err, "CLBlastOverrideParameters", "parameters for processors");
    d->gemm_ready = true;
    return check_tiles(d);
}

brume_status brume_cl_warm_gemm(struct brume_cl_device *d, const struct brume_cl_gemm *g)
{
    const brume_status s = override_parameters(d);
    if (s) return s;
    /* CLBlast compiles all kernels of a routine at its first call, whatever the size: the smallest product on the dummy
     * buffer. */
    const struct brume_cl_gemm one = { .m = 1, .n = 1, .k = 1, .lda = 1, .ldb = 1, .ldc = 1, .alpha = 0, .beta = 1,
                                       .batch = g->batch > 1 ? 2 : 1, .stride_a = 1, .stride_b = 1, .stride_c = 1 };
    const cl_mem mem[3] = { d->dummy, d->dummy, d->dummy };
    const uint64_t offset[3] = { 0, 8, 16 };
    return brume_cl_run_gemm(d, &one, mem, offset, "first call");
}
#else
brume_status brume_cl_run_gemm(struct brume_cl_device *d, const struct brume_cl_gemm *g, const cl_mem mem[3],
                               const uint64_t offset[3], const char *what)
{
    (void)g; (void)mem; (void)offset;
    return brume_fail(BRUME_E_UNSUPPORTED, "%s: '%s' would need CLBlast, which this build lacks (-Dclblast=enabled)",
                      d->info.spec, what);
}

brume_status brume_cl_warm_gemm(struct brume_cl_device *d, const struct brume_cl_gemm *g)
{
    const cl_mem mem[3] = { 0 };
    const uint64_t offset[3] = { 0 };
    return brume_cl_run_gemm(d, g, mem, offset, "gemm");
}
#endif
