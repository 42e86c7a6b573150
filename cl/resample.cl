/* SPDX-License-Identifier: MIT
 * Resampling of images (N, H, W, C). An item makes up to VW (4, 8 or 16) channels of one pixel of the result.
 * Pixels are counted in 32 bits: 64-bit division costs more than everything else here. */
#define CAT_(a, b) a##b
#define CAT(a, b) CAT_(a, b)
#define VEC CAT(float, VW)

#define ITEM                                                                                  \
    const uint item = (uint)get_global_id(0), groups = ((uint)c + VW - 1) / VW;               \
    const uint pixel = item / groups, c0 = item % groups * VW;                                \
    if (pixel >= (uint)pixels) return;                                                        \
    const int left = (int)((uint)c - c0)

/* Row, column and image of the item's pixel in images of hh by ww. */
#define PLACE(yy, xx, n, hh, ww)                                                              \
    const uint row_of = pixel / (uint)(ww);                                                   \
    const long xx = (long)(pixel - row_of * (uint)(ww)), yy = (long)(row_of % (uint)(hh)), n = (long)(row_of / (uint)(hh))

/* The item's channels from p on; what lies beyond the pixel is 0. */
static VEC load(const __global float *p, int left)
{
    if (left >= VW) return CAT(vload, VW)(0, p);
    float v[VW];
    for (int i = 0; i < VW; i++) v[i] = 0.0f;
    for (int i = 0; i < left; i++) v[i] = p[i];
    return CAT(vload, VW)(0, v);
}

static void store(VEC x, __global float *p, int left)
{
    if (left >= VW) {
        CAT(vstore, VW)(x, 0, p);
        return;
    }
    float v[VW];
    CAT(vstore, VW)(x, 0, v);
    for (int i = 0; i < left; i++) p[i] = v[i];
}

/* x (h, w), y (oh, ow): output d reads input floor(d in / out). */
__kernel void upsample_nearest(TENSOR(x), TENSOR(y), long h, long w, long c, long oh, long ow, long pixels)
{
    CBIND(x);
    BIND(y);
    ITEM;
    PLACE(oy, ox, n, oh, ow);
    store(load(x + ((n * h + oy * h / oh) * w + ox * w / ow) * c + c0, left), y + (long)pixel * c + c0, left);
}

/* dx (h, w) sums the outputs of dy (oh, ow) that read it: ceil(i out / in) <= d < ceil((i + 1) out / in). */
__kernel void upsample_nearest_grad(TENSOR(dy), TENSOR(dx), long h, long w, long c, long oh, long ow, long pixels)
{
    CBIND(dy);
    BIND(dx);
    ITEM;
    PLACE(iy, ix, n, h, w);
    const long y1 = ((iy + 1) * oh + h - 1) / h, x0 = (ix * ow + w - 1) / w, x1 = ((ix + 1) * ow + w - 1) / w;
    VEC s = 0.0f;
    for (long y = (iy * oh + h - 1) / h; y < y1; y++)
        for (long x = x0; x < x1; x++) s += load(dy + ((n * oh + y) * ow + x) * c + c0, left);
    store(s, dx + (long)pixel * c + c0, left);
}

/* x (h, w), y (h / 2, w / 2) */
__kernel void avg_pool2d(TENSOR(x), TENSOR(y), long h, long w, long c, long pixels)
{
    CBIND(x);
    BIND(y);
    ITEM;
    const long oh = h / 2, ow = w / 2;
    PLACE(oy, ox, n, oh, ow);
    x += ((n * h + 2 * oy) * w + 2 * ox) * c + c0;
    const VEC s = (load(x, left) + load(x + c, left)) + (load(x + w * c, left) + load(x + w * c + c, left));
    store(0.25f * s, y + (long)pixel * c + c0, left);
}

/* dx (h, w), dy (h / 2, w / 2) */
__kernel void avg_pool2d_grad(TENSOR(dy), TENSOR(dx), long h, long w, long c, long pixels)
{
    CBIND(dy);
    BIND(dx);
    ITEM;
    const long oh = h / 2, ow = w / 2;
    PLACE(py, px, n, h, w);
    const long x = px / 2, y = py / 2;
    VEC v = 0.0f;
    if (x < ow && y < oh) v = 0.25f * load(dy + ((n * oh + y) * ow + x) * c + c0, left);
    store(v, dx + (long)pixel * c + c0, left);
}

/* y[o] = gain sum over i, k in 0..3 of t[i] t[k] x[2 o - 1 + (i, k)], t = 1 3 3 1, zeros outside. */
__kernel void fir_down(TENSOR(x), TENSOR(y), long h, long w, long c, long oh, long ow, long pixels, float gain)
{
    CBIND(x);
    BIND(y);
    ITEM;
    PLACE(oy, ox, n, oh, ow);
    VEC s = 0.0f;
    for (int i = 0; i < 4; i++) {
        const long sy = 2 * oy - 1 + i;
        if (sy < 0 || sy >= h) continue;
        for (int k = 0; k < 4; k++) {
            const long sx = 2 * ox - 1 + k;
            if (sx < 0 || sx >= w) continue;
            s += (i % 3 ? 3.0f : 1.0f) * (k % 3 ? 3.0f : 1.0f) * load(x + ((n * h + sy) * w + sx) * c + c0, left);
        }
    }
    store(gain * s, y + (long)pixel * c + c0, left);
}

/* Its transpose: output p reads input p / 2 with weight 3 and the neighbour on p's side with weight 1, along both axes. */
__kernel void fir_up(TENSOR(x), TENSOR(y), long h, long w, long c, long oh, long ow, long pixels, float gain)
{
    CBIND(x);
    BIND(y);
    ITEM;
    PLACE(oy, ox, n, oh, ow);
    VEC s = 0.0f;
    for (int i = 0; i < 2; i++) {
        const long sy = oy / 2 + (i ? (oy % 2 ? 1 : -1) : 0);
        if (sy < 0 || sy >= h) continue;
        for (int k = 0; k < 2; k++) {
            const long sx = ox / 2 + (k ? (ox % 2 ? 1 : -1) : 0);
            if (sx < 0 || sx >= w) continue;
            s += (i ? 1.0f : 3.0f) * (k ? 1.0f : 3.0f) * load(x + ((n * h + sy) * w + sx) * c + c0, left);
        }
    }
    store(gain * s, y + (long)pixel * c + c0, left);
}
