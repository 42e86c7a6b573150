/* SPDX-License-Identifier: MIT
 * Resampling of images (N, H, W, C). An item makes up to 4 channels of one pixel of the result. */
#define ITEM                                                                                  \
    const long item = (long)get_global_id(0), quads = (c + 3) / 4;                            \
    const long pixel = item / quads, c0 = item % quads * 4;                                   \
    if (pixel >= pixels) return;                                                              \
    const int full = c0 + 4 <= c, left = full ? 4 : (int)(c - c0)

/* The item's channels from p on; what lies beyond the pixel is 0. */
static float4 load(const __global float *p, int full, int left)
{
    if (full) return vload4(0, p);
    return (float4)(p[0], left > 1 ? p[1] : 0.0f, left > 2 ? p[2] : 0.0f, 0.0f);
}

static void store(float4 v, __global float *p, int full, int left)
{
    if (full) {
        vstore4(v, 0, p);
        return;
    }
    p[0] = v.x;
    if (left > 1) p[1] = v.y;
    if (left > 2) p[2] = v.z;
}

/* x (h, w), y (oh, ow): output d reads input floor(d in / out). */
__kernel void upsample_nearest(TENSOR(x), TENSOR(y), long h, long w, long c, long oh, long ow, long pixels)
{
    CBIND(x);
    BIND(y);
    ITEM;
    const long ox = pixel % ow, oy = pixel / ow % oh, n = pixel / ow / oh;
    store(load(x + ((n * h + oy * h / oh) * w + ox * w / ow) * c + c0, full, left), y + pixel * c + c0, full, left);
}

/* dx (h, w) sums the outputs of dy (oh, ow) that read it: ceil(i out / in) <= d < ceil((i + 1) out / in). */
__kernel void upsample_nearest_grad(TENSOR(dy), TENSOR(dx), long h, long w, long c, long oh, long ow, long pixels)
{
    CBIND(dy);
    BIND(dx);
    ITEM;
    const long ix = pixel % w, iy = pixel / w % h, n = pixel / w / h;
    const long y1 = ((iy + 1) * oh + h - 1) / h, x0 = (ix * ow + w - 1) / w, x1 = ((ix + 1) * ow + w - 1) / w;
    float4 s = 0.0f;
    for (long y = (iy * oh + h - 1) / h; y < y1; y++)
        for (long x = x0; x < x1; x++) s += load(dy + ((n * oh + y) * ow + x) * c + c0, full, left);
    store(s, dx + pixel * c + c0, full, left);
}

/* x (h, w), y (h / 2, w / 2) */
__kernel void avg_pool2d(TENSOR(x), TENSOR(y), long h, long w, long c, long pixels)
{
    CBIND(x);
    BIND(y);
    ITEM;
    const long oh = h / 2, ow = w / 2, ox = pixel % ow, oy = pixel / ow % oh, n = pixel / ow / oh;
    x += ((n * h + 2 * oy) * w + 2 * ox) * c + c0;
    const float4 s = (load(x, full, left) + load(x + c, full, left)) + (load(x + w * c, full, left) + load(x + w * c + c, full, left));
    store(0.25f * s, y + pixel * c + c0, full, left);
}

/* dx (h, w), dy (h / 2, w / 2) */
__kernel void avg_pool2d_grad(TENSOR(dy), TENSOR(dx), long h, long w, long c, long pixels)
{
    CBIND(dy);
    BIND(dx);
    ITEM;
    const long oh = h / 2, ow = w / 2, x = pixel % w / 2, y = pixel / w % h / 2, n = pixel / w / h;
    float4 v = 0.0f;
    if (x < ow && y < oh) v = 0.25f * load(dy + ((n * oh + y) * ow + x) * c + c0, full, left);
    store(v, dx + pixel * c + c0, full, left);
}

/* y[o] = gain sum over i, k in 0..3 of t[i] t[k] x[2 o - 1 + (i, k)], t = 1 3 3 1, zeros outside. */
__kernel void fir_down(TENSOR(x), TENSOR(y), long h, long w, long c, long oh, long ow, long pixels, float gain)
{
    CBIND(x);
    BIND(y);
    ITEM;
    const long ox = pixel % ow, oy = pixel / ow % oh, n = pixel / ow / oh;
    float4 s = 0.0f;
    for (int i = 0; i < 4; i++) {
        const long sy = 2 * oy - 1 + i;
        if (sy < 0 || sy >= h) continue;
        for (int k = 0; k < 4; k++) {
            const long sx = 2 * ox - 1 + k;
            if (sx < 0 || sx >= w) continue;
            s += (i % 3 ? 3.0f : 1.0f) * (k % 3 ? 3.0f : 1.0f) * load(x + ((n * h + sy) * w + sx) * c + c0, full, left);
        }
    }
    store(gain * s, y + pixel * c + c0, full, left);
}

/* Its transpose: output p reads input p / 2 with weight 3 and the neighbour on p's side with weight 1, along both axes. */
__kernel void fir_up(TENSOR(x), TENSOR(y), long h, long w, long c, long oh, long ow, long pixels, float gain)
{
    CBIND(x);
    BIND(y);
    ITEM;
    const long ox = pixel % ow, oy = pixel / ow % oh, n = pixel / ow / oh;
    float4 s = 0.0f;
    for (int i = 0; i < 2; i++) {
        const long sy = oy / 2 + (i ? (oy % 2 ? 1 : -1) : 0);
        if (sy < 0 || sy >= h) continue;
        for (int k = 0; k < 2; k++) {
            const long sx = ox / 2 + (k ? (ox % 2 ? 1 : -1) : 0);
            if (sx < 0 || sx >= w) continue;
            s += (i ? 1.0f : 3.0f) * (k ? 1.0f : 3.0f) * load(x + ((n * h + sy) * w + sx) * c + c0, full, left);
        }
    }
    store(gain * s, y + pixel * c + c0, full, left);
}
