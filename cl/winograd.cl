/* SPDX-License-Identifier: MIT
 * 3x3 convolutions of stride 1 for devices of CPU type, and their gradients by x: the transforms of winograd.h around 36 products by the
 * register tiles of tile.h, each (tiles, C) times (C, O). */
/* Transformed weights in panels [panel][36][C][NR], and behind them a row of C zeros for what lies outside of the image. Tap (ky, kx), channel k, column n at b[tap stride_tap + k stride_k + n stride_n];
 * flip turns the taps around, for the gradient by x. Grid (C, panels). */
__kernel void winograd_pack(TENSOR(b), TENSOR(out), const int C, const int N, const long stride_tap, const int stride_k, const int stride_n,
                            const int flip)
{
    CBIND(b);
    BIND(out);
    const size_t c = get_global_id(0), panel = get_global_id(1);
    const size_t panels = (N + NR - 1) / NR;
    if (c >= (size_t)C || panel >= panels) return;
    if (panel == 0) out[panels * 36 * C * NR + c] = 0.0f;
    for (int v = 0; v < NV; v++) {
        const int n0 = (int)panel * NR + v * VW;
        VEC half_done[18];
        for (int kx = 0; kx < 3; kx++) {
            VEC g[3];
            for (int ky = 0; ky < 3; ky++) {
                const int tap = ky * 3 + kx;
                const __global float *p = b + (flip ? 8 - tap : tap) * stride_tap + c * stride_k;
                if (stride_n == 1 && n0 + VW <= N) {
                    g[ky] = VLOAD(p + n0);
                } else {
                    float lane[VW];
                    for (int j = 0; j < VW; j++) lane[j] = n0 + j < N ? p[(size_t)(n0 + j) * stride_n] : 0.0f;
                    g[ky] = PLOAD(lane);
                }
            }
            wino_weight(g, half_done + kx, 3);
        }
        for (int i = 0; i < 6; i++) {
            VEC u[6];
            wino_weight(half_done + 3 * i, u, 1);
            for (int j = 0; j < 6; j++) VSTORE(u[j], out + ((panel * 36 + i * 6 + j) * C + c) * NR + v * VW);
        }
    }
}

/* Floats between the planes of sources and of products of a block; powers of two would meet in the same lines of the cache. */
#define SOURCE_PLANE(block) ((block) * C + 16)
#define PRODUCT_PLANE(block) ((size_t)((O + NR - 1) / NR) * (block) * NR + 16)

/* Where a tile lies: image, first pixel of its 4 x 4 results. */
#define TILE_AT(tile)                                                           \
    const int n = (tile) / tiles_x / tiles_y, py = (tile) / tiles_x % tiles_y * 4, px = (tile) % tiles_x * 4

/* The 36 transformed sources of a tile: channel c of plane e to source[e plane + c]. */
static void tile_sources(const __global float *x, const __global float *zeros, int tile, int tiles_x, int tiles_y, int H, int W, int C,
                         __global float *source, int plane)
{
    TILE_AT(tile);
    const __global float *image = x + (size_t)n * H * W * C, *from[36];
    for (int i = 0; i < 6; i++)
        for (int j = 0; j < 6; j++) {
            const int iy = py - 1 + i, ix = px - 1 + j;
            from[i * 6 + j] = (uint)iy < (uint)H && (uint)ix < (uint)W ? image + (size_t)(iy * W + ix) * C : zeros;
        }
    for (int c = 0; c < C; c += VW) {
        VEC half_done[36];
        #pragma unroll
        for (int j = 0; j < 6; j++) {
            VEC d[6];
            #pragma unroll
            for (int i = 0; i < 6; i++) d[i] = VLOAD(from[i * 6 + j] + c);
            wino_source(d, half_done + j, 6);
        }
        #pragma unroll
        for (int i = 0; i < 6; i++) {
            VEC d[6];
            wino_source(half_done + 6 * i, d, 1);
            #pragma unroll
            for (int j = 0; j < 6; j++) VSTORE(d[j], source + (size_t)(i * 6 + j) * plane + c);
        }
    }
}

#define ZEROS(w) ((w) + (size_t)((O + NR - 1) / NR) * 36 * C * NR)

/* Plane e of one panel: rows of sources (C floats each) times weights, to rows of NR floats. */
static void plane_products(const __global float *source, const __global float *w, int rows, int C, __global float *product)
{
    for (int t = 0; t < rows; t += MR) {
        const __global float *p[MR], *bp = w;
        #pragma unroll
        for (int r = 0; r < MR; r++) p[r] = source + (size_t)min(t + r, rows - 1) * C;
        TILE_ZERO(MR);
        #define ROW(r) p[r][c]
        for (int c = 0; c < C; c++, bp += NR) TILE_STEP(MR, ROW, bp)
        #undef ROW
        #pragma unroll
        for (int r = 0; r < MR; r++) {
            if (t + r >= rows) break;
            #pragma unroll
            for (int v = 0; v < NV; v++) VSTORE(acc[r][v], product + (t + r) * NR + v * VW);
        }
    }
}

/* The 4 x 4 results of a tile, a vector of channels from o on: y = products transformed back + bias + res. */
static void tile_results(const __global float *product, size_t plane, int n, int py, int px, int H, int W, int O, int o,
                         const __global float *bias, const __global float *res, __global float *y)
{
    VEC half_done[24];
    #pragma unroll
    for (int j = 0; j < 6; j++) {
        VEC m[6];
        #pragma unroll
        for (int i = 0; i < 6; i++) m[i] = VLOAD(product + (size_t)(i * 6 + j) * plane);
        wino_result(m, half_done + j, 6);
    }
    const size_t at = (size_t)((n * H + py) * W + px) * O + o;
    if (o + VW <= O) {
        const VEC add = bias ? VLOAD(bias + o) : (VEC)(0.0f);
        const int columns = min(4, W - px);
        #pragma unroll
        for (int i = 0; i < 4; i++) {
            VEC r[4];
            if (py + i >= H) break;
            wino_result(half_done + 6 * i, r, 1);
            #pragma unroll
            for (int j = 0; j < 4; j++) r[j] += add;
            const size_t row = at + (size_t)(i * W) * O;
            if (res) {
                #pragma unroll
                for (int j = 0; j < 4; j++)
                    if (j < columns) r[j] += VLOAD(res + row + (size_t)j * O);
            }
            #pragma unroll
            for (int j = 0; j < 4; j++)
                if (j < columns) VSTORE(r[j], y + row + (size_t)j * O);
        }
        return;
    }
    for (int i = 0; i < 4 && py + i < H; i++) {
        VEC r[4];
        wino_result(half_done + 6 * i, r, 1);
        for (int j = 0; j < 4 && px + j < W; j++) {
            const size_t to = at + (size_t)(i * W + j) * O;
            float t[VW];
            PSTORE(r[j], t);
            for (int k = 0; o + k < O; k++) y[to + k] = t[k] + (bias ? bias[o + k] : 0.0f) + (res ? res[to + k] : 0.0f);
        }
    }
}

/* The same for all channels of a tile that is row t of a block of `block` rows, whose products are [panels][block][NR] in each plane. */
static void block_results(const __global float *products, int t, int block, int tile, int tiles_x, int tiles_y, int H, int W, int O,
                          const __global float *bias, int per_sample, const __global float *res, __global float *y)
{
    TILE_AT(tile);
    for (int o = 0; o < O; o += VW)
        tile_results(products + ((size_t)(o / NR) * block + t) * NR + o % NR, PRODUCT_PLANE(block), n, py, px, H, W, O, o,
                     bias && per_sample ? bias + (size_t)n * O : bias, res, y);
}

/* Many tiles: y (images, H, W, O) from x (images, H, W, C) with a row of zeros around it, C a multiple of VW, in blocks of tiles whose
 * sources, [block][C] in each plane, and products stay in the cache. work [items][size]; each of the items does every items-th block.
 * Grid (items). */
__kernel void winograd_blocks(TENSOR(x), TENSOR(w), TENSOR(bias), TENSOR(res), TENSOR(y), TENSOR(work), const int images, const int H, const int W,
                              const int C, const int O, const int per_sample, const int block, const int items, const long size)
{
    CBIND(x);
    CBIND(w);
    BIND(y);
    const int tiles_x = (W + 3) / 4, tiles_y = (H + 3) / 4, tiles = images * tiles_y * tiles_x, panels = (O + NR - 1) / NR;
    __global float *source = work_base + work_off + get_global_id(0) * (size_t)size, *product = source + 36 * (size_t)SOURCE_PLANE(block);
    for (int first = (int)get_global_id(0) * block; first < tiles; first += items * block) {
        const int rows = min(block, tiles - first);
        for (int t = 0; t < rows; t++)
            tile_sources(x, ZEROS(w), first + t, tiles_x, tiles_y, H, W, C, source + (size_t)t * C, SOURCE_PLANE(block));
        for (int e = 0; e < 36; e++)
            for (int panel = 0; panel < panels; panel++)
                plane_products(source + (size_t)e * SOURCE_PLANE(block), w + ((size_t)panel * 36 + e) * C * NR, rows, C,
                               product + e * PRODUCT_PLANE(block) + (size_t)panel * block * NR);
        for (int t = 0; t < rows; t++)
            block_results(product, t, block, first + t, tiles_x, tiles_y, H, W, O, ABSENT(bias) ? 0 : bias_base + bias_off, per_sample,
                          ABSENT(res) ? 0 : res_base + res_off, y);
    }
}

/* Few tiles: all of them are one block, in three launches that each have work for every core. Grids: tiles; (panels, 36); tiles. */
__kernel void winograd_sources(TENSOR(x), TENSOR(w), TENSOR(source), const int tiles, const int H, const int W, const int C, const int O)
{
    CBIND(x);
    CBIND(w);
    BIND(source);
    const int t = (int)get_global_id(0);
    if (t < tiles) tile_sources(x, ZEROS(w), t, (W + 3) / 4, (H + 3) / 4, H, W, C, source + (size_t)t * C, SOURCE_PLANE(tiles));
}

__kernel void winograd_products(TENSOR(source), TENSOR(w), TENSOR(product), const int tiles, const int C, const int O)
{
    CBIND(source);
    CBIND(w);
    BIND(product);
    const size_t panel = get_global_id(0), e = get_global_id(1);
    plane_products(source + e * SOURCE_PLANE(tiles), w + (panel * 36 + e) * C * NR, tiles, C,
                   product + e * PRODUCT_PLANE(tiles) + panel * tiles * NR);
}

__kernel void winograd_results(TENSOR(product), TENSOR(bias), TENSOR(res), TENSOR(y), const int tiles, const int H, const int W, const int O,
                               const int per_sample)
{
    CBIND(product);
    BIND(y);
    const int t = (int)get_global_id(0);
    if (t < tiles)
        block_results(product, t, tiles, t, (W + 3) / 4, (H + 3) / 4, H, W, O, ABSENT(bias) ? 0 : bias_base + bias_off, per_sample,
                      ABSENT(res) ? 0 : res_base + res_off, y);
}
