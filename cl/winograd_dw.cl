/* SPDX-License-Identifier: MIT
 * Weight gradients of 3x3 convolutions of stride 1 for devices of CPU type, by the transposed transforms of winograd.h and the register tiles
 * of tile.h: dw = G'[ sum over tiles of (B' x B) (A dy A') ] G, 36 products for 144.
 * A chunk of T tiles goes at a time: sources as [36][I / VW][T + 2][VW], results' gradients as [36][panels][T + 2][NR], then for each of
 * the 36 one product over the tiles, DR x NR sums to a work-item, kept as [36][panels][I / DR][DR][NR] from chunk to chunk.
 * I and O are multiples of VW. T + 2: rows apart by powers of two would meet in the same lines of the cache. */
#define DR (VW == 16 ? 8 : 4)

/* Transforms tiles first .. first + count - 1 of x or (grad) of dy, (images, H, W, C), tiles_y x tiles_x to an image; in panels of one vector,
 * or of NV for dy, with zeros where the last one exceeds C. Grid: tiles of the chunk. */
__kernel void winograd_dw_transform(TENSOR(x), TENSOR(out), const int H, const int W, const int C, const int tiles_y, const int tiles_x,
                                    const int pad_y, const int pad_x, const int grad, const int first, const int count, const int T)
{
    CBIND(x);
    BIND(out);
    const int t = (int)get_global_id(0), tile = first + t, edge = grad ? 4 : 6, nvp = grad ? NV : 1;
    if (t >= count) return;
    const int y0 = tile / tiles_x % tiles_y * 4 - pad_y, x0 = tile % tiles_x * 4 - pad_x;
    const __global float *image = x + (size_t)(tile / tiles_x / tiles_y) * H * W * C;
    const int panels = (C + nvp * VW - 1) / (nvp * VW);
    for (int v = 0; v < panels * nvp; v++) {
        VEC half_done[36];
        for (int j = 0; j < edge; j++) {
            VEC d[6];
            #pragma unroll
            for (int i = 0; i < 6; i++) {
                const int iy = y0 + i, ix = x0 + j;
                const int inside = i < edge && v * VW < C && (uint)iy < (uint)H && (uint)ix < (uint)W;
                d[i] = inside ? VLOAD(image + (size_t)(iy * W + ix) * C + v * VW) : (VEC)(0.0f);
            }
            if (grad) wino_result_grad(d, half_done + j, 6);
            else wino_source(d, half_done + j, 6);
        }
        __global float *to = out + ((size_t)(v / nvp) * (T + 2) + t) * nvp * VW + v % nvp * VW;
        const size_t apart = (size_t)panels * (T + 2) * nvp * VW;
        #pragma unroll
        for (int i = 0; i < 6; i++) {
            VEC d[6];
            if (grad) wino_result_grad(half_done + 6 * i, d, 1);
            else wino_source(half_done + 6 * i, d, 1);
            #pragma unroll
            for (int j = 0; j < 6; j++) VSTORE(d[j], to + (i * 6 + j) * apart);
        }
    }
}

/* Adds one chunk's products to sums. Grid (I / DR, panels, 36). */
__kernel void winograd_dw_products(TENSOR(source), TENSOR(result), TENSOR(sums), const int I, const int count, const int T, const int more)
{
    CBIND(source);
    CBIND(result);
    BIND(sums);
    const int rows = (int)get_global_id(0), panel = (int)get_global_id(1), panels = (int)get_global_size(1);
    const size_t at = get_global_id(2);
    if (rows * DR >= I) return;
    source += (at * (I / VW) + rows * DR / VW) * (T + 2) * VW + rows * DR % VW;
    result += (at * panels + panel) * (T + 2) * NR;
    sums += ((at * panels + panel) * (I / DR) + rows) * DR * NR;
    TILE_ZERO(DR);
    if (more) {
        #pragma unroll
        for (int r = 0; r < DR; r++)
            #pragma unroll
            for (int v = 0; v < NV; v++) acc[r][v] = VLOAD(sums + r * NR + v * VW);
    }
    #define ROW(r) source[r]
    for (int t = 0; t < count; t++, source += VW, result += NR) TILE_STEP(DR, ROW, result)
    #undef ROW
    #pragma unroll
    for (int r = 0; r < DR; r++)
        #pragma unroll
        for (int v = 0; v < NV; v++) VSTORE(acc[r][v], sums + r * NR + v * VW);
}

/* dw (3, 3, I, O) from the sums. Grid (I, panels). */
__kernel void winograd_dw_finish(TENSOR(sums), TENSOR(dw), const int I, const int O)
{
    CBIND(sums);
    BIND(dw);
    const size_t i = get_global_id(0), panel = get_global_id(1), panels = (O + NR - 1) / NR;
    if (i >= (size_t)I || panel >= panels) return;
    for (int v = 0; v < NV; v++) {
        const int o = (int)panel * NR + v * VW;
        if (o >= O) return;
        VEC half_done[18];
        for (int k = 0; k < 6; k++) {
            VEC u[6];
            for (int l = 0; l < 6; l++) u[l] = VLOAD(sums + (((size_t)(k * 6 + l) * panels + panel) * I + i) * NR + v * VW);
            wino_weight_grad(u, half_done + k, 6);
        }
        for (int kx = 0; kx < 3; kx++) {
            VEC g[3];
            wino_weight_grad(half_done + 6 * kx, g, 1);
            for (int ky = 0; ky < 3; ky++) VSTORE(g[ky], dw + ((size_t)(ky * 3 + kx) * I + i) * O + o);
        }
    }
}
