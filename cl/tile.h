/* SPDX-License-Identifier: MIT
 * Register tiles for devices of CPU type: one work-item computes one tile, no local memory, no barrier.
 *
 * A tile is MR rows by NR = NV x VW columns, held in MR x NV vectors of VW floats (the device's native width): with 16 vector
 * registers 6 x 2, with 32 registers 8 x 2. Per step k: NV vector loads of B, MR broadcasts of A, MR x NV multiply-adds. */
#define NR (NV * VW)

/* acc += ROW(0..R-1) (one scalar per row) times the NR columns at b; or those that COLUMNS makes of v, 0 .. NV - 1. */
#define TILE_STEP(R, ROW, b) TILE_STEP_OF(R, ROW, VLOAD((b) + v * VW))
#define TILE_STEP_OF(R, ROW, COLUMNS)                                     \
    {                                                                   \
        VEC bv[NV];                                                     \
        _Pragma("unroll") for (int v = 0; v < NV; v++) bv[v] = COLUMNS; \
        _Pragma("unroll") for (int r = 0; r < (R); r++) {               \
            const float s = ROW(r);                                     \
            _Pragma("unroll") for (int v = 0; v < NV; v++) acc[r][v] = s * bv[v] + acc[r][v]; \
        }                                                               \
    }

#define TILE_ZERO(R)                                                    \
    VEC acc[R][NV];                                                     \
    _Pragma("unroll") for (int r = 0; r < (R); r++)                     \
        _Pragma("unroll") for (int v = 0; v < NV; v++) acc[r][v] = (VEC)(0.0f)

/* y row: acc + bias + residual, at most `cols` columns. bias and res may be null pointers. */
static void finish_row(VEC *acc, const __global float *bias, const __global float *res, __global float *y, int cols)
{
    if (cols >= NR) {
        #pragma unroll
        for (int v = 0; v < NV; v++) {
            VEC t = acc[v];
            if (bias) t += VLOAD(bias + v * VW);
            if (res) t += VLOAD(res + v * VW);
            VSTORE(t, y + v * VW);
        }
        return;
    }
    float t[NR];
    #pragma unroll
    for (int v = 0; v < NV; v++) PSTORE(acc[v], t + v * VW);
    for (int c = 0; c < cols; c++) {
        float s = t[c];
        if (bias) s += bias[c];
        if (res) s += res[c];
        y[c] = s;
    }
}
