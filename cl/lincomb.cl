/* SPDX-License-Identifier: MIT
 * y = sum_j c_j x_j over `terms` tensors; cols vectors of VW floats share one row of coefficients. A term with coefficient 0 is not read. */

#define TERM(j) if (j < terms && c[j] != 0.0f) s += c[j] * VLOAD(x##j##_base + x##j##_off + i * VW)

__kernel void lincomb(TENSOR(y), TENSOR(coef), const long items, const long cols, const int terms, TENSOR(x0), TENSOR(x1), TENSOR(x2),
                      TENSOR(x3), TENSOR(x4), TENSOR(x5), TENSOR(x6), TENSOR(x7))
{
    BIND(y);
    CBIND(coef);
    const size_t i = get_global_id(0);
    if (i >= (size_t)items) return;
    const __global float *c = coef + i / (size_t)cols * (size_t)terms;
    VEC s = 0.0f;
    TERM(0);
    TERM(1);
    TERM(2);
    TERM(3);
    TERM(4);
    TERM(5);
    TERM(6);
    TERM(7);
    VSTORE(s, y + i * VW);
}
