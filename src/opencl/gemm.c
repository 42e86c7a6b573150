/* SPDX-License-Identifier: MIT
 * Matrix products by CLBlast, where it is built in. */
#include "config.h"
#include "opencl/internal.h"

#if BRUME_HAVE_CLBLAST
#include <clblast_c.h>
#include <pthread.h>

/* Older CLBlast releases race when two threads compile the same routine (CLBlast#486): one at a time. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

brume_status brume_cl_run_gemm(struct brume_cl_device *d, const struct brume_cl_gemm *g, const cl_mem mem[3], const uint64_t offset[3],
                               const char *what)
{
    if (g->m == 0 || g->n == 0 || g->k == 0 || g->batch == 0) return BRUME_OK; /* CLBlast calls them invalid */
    const CLBlastTranspose ta = g->trans_a ? CLBlastTransposeYes : CLBlastTransposeNo;
    const CLBlastTranspose tb = g->trans_b ? CLBlastTransposeYes : CLBlastTransposeNo;
    const size_t m = (size_t)g->m, n = (size_t)g->n, k = (size_t)g->k;
    const size_t lda = (size_t)g->lda, ldb = (size_t)g->ldb, ldc = (size_t)g->ldc;
    CLBlastStatusCode err;
    pthread_mutex_lock(&lock);
    if (g->batch <= 1)
        err = CLBlastSgemm(CLBlastLayoutRowMajor, ta, tb, m, n, k, g->alpha, mem[0], offset[0], lda, mem[1], offset[1], ldb, g->beta, mem[2],
                           offset[2], ldc, &d->queue, NULL);
    else
        err = CLBlastSgemmStridedBatched(CLBlastLayoutRowMajor, ta, tb, m, n, k, g->alpha, mem[0], offset[0], lda, (size_t)g->stride_a, mem[1],
                                         offset[1], ldb, (size_t)g->stride_b, g->beta, mem[2], offset[2], ldc, (size_t)g->stride_c,
                                         (size_t)g->batch, &d->queue, NULL);
    pthread_mutex_unlock(&lock);
    if (err == CLBlastSuccess) return BRUME_OK;
    return brume_cl_fail(d, (cl_int)err, g->batch <= 1 ? "CLBlastSgemm" : "CLBlastSgemmStridedBatched",
                         "%s: m %zu n %zu k %zu batch %zu (CLBlast can be left out: clblast = 0)", what, m, n, k, (size_t)g->batch);
}

brume_status brume_cl_warm_gemm(struct brume_cl_device *d, const struct brume_cl_gemm *g)
{
    /* CLBlast compiles all kernels of a routine at its first call, whatever the size: the smallest product on the dummy buffer. */
    const struct brume_cl_gemm one = { .m = 1, .n = 1, .k = 1, .lda = 1, .ldb = 1, .ldc = 1, .alpha = 0, .beta = 1,
                                       .batch = g->batch > 1 ? 2 : 1, .stride_a = 1, .stride_b = 1, .stride_c = 1 };
    const cl_mem mem[3] = { d->dummy, d->dummy, d->dummy };
    const uint64_t offset[3] = { 0, 8, 16 };
    return brume_cl_run_gemm(d, &one, mem, offset, "first call");
}
#else
brume_status brume_cl_run_gemm(struct brume_cl_device *d, const struct brume_cl_gemm *g, const cl_mem mem[3], const uint64_t offset[3],
                               const char *what)
{
    (void)g; (void)mem; (void)offset;
    return brume_fail(BRUME_E_UNSUPPORTED, "%s: '%s' would need CLBlast, which this build lacks (-Dclblast=enabled)", d->info.spec, what);
}

brume_status brume_cl_warm_gemm(struct brume_cl_device *d, const struct brume_cl_gemm *g)
{
    const cl_mem mem[3] = { 0 };
    const uint64_t offset[3] = { 0 };
    return brume_cl_run_gemm(d, g, mem, offset, "gemm");
}
#endif
