/* SPDX-License-Identifier: MIT
 * Multiply-adds in registers, eight independent chains of vectors of WIDTH floats: their rate is what kernels can reach at most. */
#define VEC_OF(width) float##width
#define VEC_CAT(width) VEC_OF(width)
#if WIDTH == 1
#define VEC float
#else
#define VEC VEC_CAT(WIDTH)
#endif

__kernel void multiply_adds(__global float *y, const int steps)
{
    const VEC m = 0.999f, q = 0.001f;
    VEC a = q * (float)get_global_id(0), b = a + q, c = b + q, d = c + q, e = d + q, f = e + q, g = f + q, h = g + q;
    for (int i = 0; i < steps; i++) {
        a = mad(a, m, q), b = mad(b, m, q), c = mad(c, m, q), d = mad(d, m, q);
        e = mad(e, m, q), f = mad(f, m, q), g = mad(g, m, q), h = mad(h, m, q);
    }
    union { VEC v; float f[WIDTH]; } sum;
    sum.v = a + b + c + d + e + f + g + h;
    float total = 0;
    for (int i = 0; i < WIDTH; i++) total += sum.f[i];
    y[get_global_id(0)] = total;
}
