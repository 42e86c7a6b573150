/* SPDX-License-Identifier: MIT
 * Weight gradients of convolutions for devices of CPU type, by the register tiles of tile.h. */
/* Gradient by the weights: dw (KH, KW, I, O) = sum over output pixels of x(pixel, i) dy(pixel, o). One work-item sums one tile of all
 * taps over one split of the image lines, in blocks of lines that stay in the first-level cache while the taps pass over them.
 * part [split][tile][tap][MR][NR] holds the sums between blocks, and at the end, for conv_tile_dw_sum.
 * lines = images * P of at most Q pixels, total pixels in all (the last line may be shorter: a product over a flat list of pixels
 * passes H = P = lines). swap: the tile's rows are O and its columns I (where O is small). NARROW: the columns are fewer than NR.
 * Grid (tiles, splits). */
__kernel void conv_tile_dw(TENSOR(x), TENSOR(dy), TENSOR(part), const int lines, const int H, const int W, const int I, const int P,
                           const int Q, const int O, const int KH, const int KW, const int stride, const int pad_y, const int pad_x,
                           const int total, const int lines_per_split, const int lines_per_block, const int swap)
{
    CBIND(x);
    CBIND(dy);
    BIND(part);
    const int S = swap ? O : I, V = swap ? I : O;       /* channels along the tile's rows and columns */
    const int s_tiles = (S + MR - 1) / MR, tile = (int)get_global_id(0);
    const int s0 = tile % s_tiles * MR, v_first = tile / s_tiles * NR;
    if (v_first >= V) return;
#ifdef NARROW
    const int v0 = 0;
#else
    const int v0 = min(v_first, V - NR);                 /* the last panel overlaps its neighbour instead of reading past the end */
#endif
    const int x_step = stride * I, y_step = O;
    const int s_step = swap ? y_step : x_step, v_step = swap ? x_step : y_step;
    int lane[MR];
    #pragma unroll
    for (int r = 0; r < MR; r++) lane[r] = min(s0 + r, S - 1);
    part += (get_global_id(1) * get_global_size(0) + tile) * (size_t)(KH * KW * MR * NR);
    const int from = (int)get_global_id(1) * lines_per_split, to = min(lines, from + lines_per_split);
    for (int block = from; block < to; block += lines_per_block) {
        const int end = min(to, block + lines_per_block);
        __global float *sums = part;
        for (int ky = 0; ky < KH; ky++)
            for (int kx = 0; kx < KW; kx++, sums += MR * NR) {
                TILE_ZERO(MR);
                if (block > from) {
                    #pragma unroll
                    for (int r = 0; r < MR; r++)
                        #pragma unroll
                        for (int v = 0; v < NV; v++) acc[r][v] = VLOAD(sums + r * NR + v * VW);
                }
                const int lo = max(0, (pad_x - kx + stride - 1) / stride), hi_x = W - 1 + pad_x - kx;
                const int hi = hi_x < 0 ? 0 : min(Q, hi_x / stride + 1);
                int n = block / P, p = block % P;
                for (int line = block; line < end; line++) {
                    const int iy = p * stride + ky - pad_y;
                    const __global float *px = x + ((size_t)(n * H + iy) * W + (lo * stride + kx - pad_x)) * I;
                    const __global float *py = dy + ((size_t)line * Q + lo) * O;
                    const __global float *ps = swap ? py : px, *pv = (swap ? px : py) + v0;
                    const int stop = (uint)iy < (uint)H ? min(hi, total - line * Q) : 0;
                    for (int ox = lo; ox < stop; ox++, ps += s_step, pv += v_step) {
                        #define ROW(r) ps[lane[r]]
#ifdef NARROW
                        float cols[NR];
                        for (int j = 0; j < NR; j++) cols[j] = pv[min(j, V - 1)];
                        TILE_STEP_OF(MR, ROW, PLOAD(cols + v * VW))
#else
                        TILE_STEP(MR, ROW, pv)
#endif
                        #undef ROW
                    }
                    if (++p == P) {
                        p = 0;
                        n++;
                    }
                }
                #pragma unroll
                for (int r = 0; r < MR; r++)
                    #pragma unroll
                    for (int v = 0; v < NV; v++) VSTORE(acc[r][v], sums + r * NR + v * VW);
            }
    }
}

/* Adds the splits of conv_tile_dw in order and puts every sum where it belongs in dw. Grid: tiles * taps * MR rows of NR sums. */
__kernel void conv_tile_dw_sum(TENSOR(part), TENSOR(dw), const int I, const int O, const int taps, const int splits, const int swap)
{
    CBIND(part);
    BIND(dw);
    const int S = swap ? O : I, V = swap ? I : O, s_tiles = (S + MR - 1) / MR, tiles = s_tiles * ((V + NR - 1) / NR);
    const size_t row = get_global_id(0), rows = (size_t)tiles * taps * MR;
    if (row >= rows) return;
    const int r = row % MR, tap = row / MR % taps, tile = row / MR / taps;
    const int s = tile % s_tiles * MR + r, v_first = tile / s_tiles * NR, v0 = max(0, min(v_first, V - NR));
    if (s >= S) return;
    VEC sum[NV];
    #pragma unroll
    for (int v = 0; v < NV; v++) sum[v] = (VEC)(0.0f);
    part += row * NR;
    for (int k = 0; k < splits; k++, part += rows * NR)
        #pragma unroll
        for (int v = 0; v < NV; v++) sum[v] += VLOAD(part + v * VW);
    float t[NR];
    #pragma unroll
    for (int v = 0; v < NV; v++) PSTORE(sum[v], t + v * VW);
    dw += (size_t)tap * I * O;
    for (int c = v_first - v0; c < NR && v0 + c < V; c++) dw[swap ? (size_t)(v0 + c) * O + s : (size_t)s * O + v0 + c] = t[c];
}
