/* SPDX-License-Identifier: MIT
 * Resampling of images (N, H, W, C). An item makes `span` channels of one pixel of the result, VW (4, 8 or 16, a divisor of span) at
 * a time: a GPU wants span VW, a CPU all channels, so that finding the pixel costs little.
 * Pixels are counted in 32 bits: 64-bit division costs more than everything else here. */

/* The item's pixel and channels c0 .. c1 - 1, of which it makes VW at a time. */
#define ITEM                                                                                  \
    const uint item = (uint)get_global_id(0), spans = ((uint)c + (uint)span - 1) / (uint)span; \
    const uint pixel = item / spans, c0 = item % spans * (uint)span, c1 = min((uint)c, c0 + (uint)span); \
    if (pixel >= (uint)pixels) return
#define EACH_CHANNELS for (uint k = c0; k < c1; k += VW)
#define LEFT (int)(c1 - k)

/* Row, column and image of the item's pixel in images of hh by ww. */
#define PLACE(yy, xx, n, hh, ww)                                                              \
    const uint row_of = pixel / (uint)(ww);                                                   \
    const long xx = (long)(pixel - row_of * (uint)(ww)), yy = (long)(row_of % (uint)(hh)), n = (long)(row_of / (uint)(hh))

/* The item's channels from p on; what lies beyond the pixel is 0. */
static VEC load(const __global float *p, int left)
{
    if (left >= VW) return VLOAD(p);
    float v[VW];
    for (int i = 0; i < VW; i++) v[i] = 0.0f;
    for (int i = 0; i < left; i++) v[i] = p[i];
    return PLOAD(v);
}

static void store(VEC x, __global float *p, int left)
{
    if (left >= VW) {
        VSTORE(x, p);
        return;
    }
    float v[VW];
    PSTORE(x, v);
    for (int i = 0; i < left; i++) p[i] = v[i];
}

/* x (h, w), y (oh, ow): output d reads input floor(d in / out). */
__kernel void upsample_nearest(TENSOR(x), TENSOR(y), long h, long w, long c, long oh, long ow, long pixels, long span)
{
    CBIND(x);
    BIND(y);
    ITEM;
    PLACE(oy, ox, n, oh, ow);
    const uint iy = (uint)oy * (uint)h / (uint)oh, ix = (uint)ox * (uint)w / (uint)ow;
    x += ((n * h + iy) * w + ix) * c;
    y += (long)pixel * c;
    EACH_CHANNELS store(load(x + k, LEFT), y + k, LEFT);
}

/* dx (h, w) sums the outputs of dy (oh, ow) that read it: ceil(i out / in) <= d < ceil((i + 1) out / in). */
#define READER(i, in, out) (((uint)(i) * (uint)(out) + (uint)(in) - 1) / (uint)(in))
__kernel void upsample_nearest_grad(TENSOR(dy), TENSOR(dx), long h, long w, long c, long oh, long ow, long pixels, long span)
{
    CBIND(dy);
    BIND(dx);
    ITEM;
    PLACE(iy, ix, n, h, w);
    const uint y0 = READER(iy, h, oh), y1 = READER(iy + 1, h, oh), x0 = READER(ix, w, ow), x1 = READER(ix + 1, w, ow);
    dy += n * oh * ow * c;
    dx += (long)pixel * c;
    EACH_CHANNELS {
        VEC s = 0.0f;
        for (uint y = y0; y < y1; y++)
            for (uint x = x0; x < x1; x++) s += load(dy + (y * ow + x) * c + k, LEFT);
        store(s, dx + k, LEFT);
    }
}

/* x (h, w), y (h / 2, w / 2) */
__kernel void avg_pool2d(TENSOR(x), TENSOR(y), long h, long w, long c, long pixels, long span)
{
    CBIND(x);
    BIND(y);
    ITEM;
    const long oh = h / 2, ow = w / 2;
    PLACE(oy, ox, n, oh, ow);
    x += ((n * h + 2 * oy) * w + 2 * ox) * c;
    y += (long)pixel * c;
    EACH_CHANNELS {
        const __global float *p = x + k;
        const VEC s = (load(p, LEFT) + load(p + c, LEFT)) + (load(p + w * c, LEFT) + load(p + w * c + c, LEFT));
        store(0.25f * s, y + k, LEFT);
    }
}

/* dx (h, w), dy (h / 2, w / 2) */
__kernel void avg_pool2d_grad(TENSOR(dy), TENSOR(dx), long h, long w, long c, long pixels, long span)
{
    CBIND(dy);
    BIND(dx);
    ITEM;
    const long oh = h / 2, ow = w / 2;
    PLACE(py, px, n, h, w);
    const long x = px / 2, y = py / 2;
    dy += ((n * oh + y) * ow + x) * c;
    dx += (long)pixel * c;
    EACH_CHANNELS {
        VEC v = 0.0f;
        if (x < ow && y < oh) v = 0.25f * load(dy + k, LEFT);
        store(v, dx + k, LEFT);
    }
}

/* y[o] = gain sum over i, k in 0..3 of t[i] t[k] x[2 o - 1 + (i, k)], t = 1 3 3 1, zeros outside. */
__kernel void fir_down(TENSOR(x), TENSOR(y), long h, long w, long c, long oh, long ow, long pixels, long span, float gain)
{
    CBIND(x);
    BIND(y);
    ITEM;
    PLACE(oy, ox, n, oh, ow);
    x += n * h * w * c;
    y += (long)pixel * c;
    EACH_CHANNELS {
        VEC s = 0.0f;
        for (int i = 0; i < 4; i++) {
            const long sy = 2 * oy - 1 + i;
            if (sy < 0 || sy >= h) continue;
            for (int m = 0; m < 4; m++) {
                const long sx = 2 * ox - 1 + m;
                if (sx < 0 || sx >= w) continue;
                s += (i % 3 ? 3.0f : 1.0f) * (m % 3 ? 3.0f : 1.0f) * load(x + (sy * w + sx) * c + k, LEFT);
            }
        }
        store(gain * s, y + k, LEFT);
    }
}

/* Its transpose: output p reads input p / 2 with weight 3 and the neighbour on p's side with weight 1, along both axes. */
__kernel void fir_up(TENSOR(x), TENSOR(y), long h, long w, long c, long oh, long ow, long pixels, long span, float gain)
{
    CBIND(x);
    BIND(y);
    ITEM;
    PLACE(oy, ox, n, oh, ow);
    x += n * h * w * c;
    y += (long)pixel * c;
    EACH_CHANNELS {
        VEC s = 0.0f;
        for (int i = 0; i < 2; i++) {
            const long sy = oy / 2 + (i ? (oy & 1 ? 1 : -1) : 0);
            if (sy < 0 || sy >= h) continue;
            for (int m = 0; m < 2; m++) {
                const long sx = ox / 2 + (m ? (ox & 1 ? 1 : -1) : 0);
                if (sx < 0 || sx >= w) continue;
                s += (i ? 1.0f : 3.0f) * (m ? 1.0f : 3.0f) * load(x + (sy * w + sx) * c + k, LEFT);
            }
        }
        store(gain * s, y + k, LEFT);
    }
}
