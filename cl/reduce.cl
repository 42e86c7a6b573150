/* SPDX-License-Identifier: MIT
 * Sums. The tensor is (k0, r0, k1, r1, k2, r2), kept and summed axes in turn; results are (k0, k1, k2). One pass writes `parts` partial
 * sums for each result, the last pass one, times scale, after a square root if asked. Blocks of 32 terms are added first, so that errors
 * grow slowly with the length. Integers are counts of vectors of VW floats where they count innermost elements. */

#define GROUP 64

static float across(VEC v)
{
#if VW == 1
    return v;
#else
    float t[VW], s = 0.0f;
    PSTORE(v, t);
    for (int i = 0; i < VW; i++) s += t[i];
    return s;
#endif
}

/* r2 = 1: rows of k2 vectors. One work-item adds per_part rows of one column. y is (k0, k1, parts, k2). */
__kernel void add_rows(TENSOR(x), TENSOR(y), const float scale, const int root, const long items, const long k2, const long parts,
                       const long per_part, const long k1, const long r0, const long r1)
{
    CBIND(x);
    BIND(y);
    const size_t i = get_global_id(0);
    if (i >= (size_t)items) return;
    const size_t column = i % (size_t)k2, q = i / (size_t)k2;
    const long part = (long)(q % (size_t)parts), result = (long)(q / (size_t)parts), at1 = result % k1, at0 = result / k1;
    const long begin = part * per_part, end = min(begin + per_part, r0 * r1);
    long a = begin / r1, b = begin - a * r1; /* row (a, b) of (r0, r1) */
    const __global float *p = x + ((((at0 * r0 + a) * k1 + at1) * r1 + b) * k2 + (long)column) * VW;
    const long step = k2 * VW, jump = (k1 - 1) * r1 * k2 * VW; /* to the next row; further, to the next run of r1 rows */
    VEC total = 0.0f;
    for (long r = begin; r < end;) {
        const long run = min(min(end - r, r1 - b), (long)32), fours = run / 4;
        VEC s0 = 0.0f, s1 = 0.0f, s2 = 0.0f, s3 = 0.0f; /* four, so that additions need not wait for one another */
        for (long q = 0; q < fours; q++, p += 4 * step) {
            s0 += VLOAD(p);
            s1 += VLOAD(p + step);
            s2 += VLOAD(p + 2 * step);
            s3 += VLOAD(p + 3 * step);
        }
        for (long q = 4 * fours; q < run; q++, p += step) s0 += VLOAD(p);
        total += (s0 + s1) + (s2 + s3);
        r += run;
        b += run;
        if (b == r1) {
            b = 0;
            p += jump;
        }
    }
    total *= scale;
    VSTORE(root ? sqrt(total) : total, y + i * VW);
}

/* One work-item sums all terms of one result; r2 counts vectors. */
__kernel void sum_serial(TENSOR(x), TENSOR(y), const float scale, const int root, const long results, const int square, const long k1,
                         const long k2, const long r0, const long r1, const long r2)
{
    CBIND(x);
    BIND(y);
    const size_t i = get_global_id(0);
    if (i >= (size_t)results) return;
    const long c2 = (long)(i % (size_t)k2), q = (long)(i / (size_t)k2), c1 = q % k1, c0 = q / k1;
    VEC total = 0.0f, s = 0.0f;
    int n = 0;
    for (long a = 0; a < r0; a++)
        for (long b = 0; b < r1; b++) {
            const __global float *p = x + ((((c0 * r0 + a) * k1 + c1) * r1 + b) * k2 + c2) * r2 * VW;
            for (long c = 0; c < r2; c++) {
                const VEC v = VLOAD(p + c * VW);
                s += square ? v * v : v;
                if (++n == 32) {
                    total += s;
                    s = 0.0f;
                    n = 0;
                }
            }
        }
    const float t = across(total + s);
    y[i] = root ? scale * sqrt(t) : scale * t;
}

/* For processors: one work-item sums per_part terms (vectors) of one result whose r2 terms (vectors) stand side by side. y is (results, parts). */
__kernel void sum_parts(TENSOR(x), TENSOR(y), const float scale, const int root, const long items, const long parts, const long per_part,
                        const int square, const long r2)
{
    CBIND(x);
    BIND(y);
    const size_t i = get_global_id(0);
    if (i >= (size_t)items) return;
    const long part = (long)(i % (size_t)parts), begin = part * per_part, end = min(begin + per_part, r2);
    const __global float *p = x + (long)(i / (size_t)parts) * r2 * VW;
    VEC total = 0.0f;
    for (long c = begin; c < end;) {
        const long stop = min(c + 128, end);
        VEC s0 = 0.0f, s1 = 0.0f, s2 = 0.0f, s3 = 0.0f; /* four, so that additions need not wait for one another */
        for (; c + 3 < stop; c += 4) {
            const VEC v0 = VLOAD(p + c * VW), v1 = VLOAD(p + (c + 1) * VW), v2 = VLOAD(p + (c + 2) * VW), v3 = VLOAD(p + (c + 3) * VW);
            s0 += square ? v0 * v0 : v0;
            s1 += square ? v1 * v1 : v1;
            s2 += square ? v2 * v2 : v2;
            s3 += square ? v3 * v3 : v3;
        }
        for (; c < stop; c++) {
            const VEC v = VLOAD(p + c * VW);
            s0 += square ? v * v : v;
        }
        total += (s0 + s1) + (s2 + s3);
    }
    const float t = across(total);
    y[i] = root ? scale * sqrt(t) : scale * t;
}

/* A work-group sums per_part terms (vectors) of one result. y is (k0, k1, k2, parts). VW > 1 only with r0 = r1 = 1. */
__kernel __attribute__((reqd_work_group_size(GROUP, 1, 1)))
void sum_group(TENSOR(x), TENSOR(y), const float scale, const int root, const long results, const long parts, const long per_part,
               const int square, const long k1, const long k2, const long r0, const long r1, const long r2)
{
    CBIND(x);
    BIND(y);
    __local float t[GROUP];
    const int lane = (int)get_local_id(0);
    const size_t group = get_group_id(0);
    const long part = (long)(group % (size_t)parts), result = (long)(group / (size_t)parts);
    const long c2 = result % k2, q = result / k2, c1 = q % k1, c0 = q / k1;
    const long begin = part * per_part, end = min(begin + per_part, r0 * r1 * r2);
    const int flat = r0 * r1 == 1;
    const __global float *p = x + result * r2 * VW;
    VEC total = 0.0f;
    for (long i = begin + lane; i < end;) {
        const long stop = min(i + 32 * GROUP, end);
        VEC s0 = 0.0f, s1 = 0.0f;
        if (flat) {
            for (; i + GROUP < stop; i += 2 * GROUP) {
                const VEC v = VLOAD(p + i * VW), w = VLOAD(p + (i + GROUP) * VW);
                s0 += square ? v * v : v;
                s1 += square ? w * w : w;
            }
        }
        for (; i < stop; i += GROUP) {
            const long c = i % r2, ab = i / r2, b = ab % r1, a = ab / r1;
            const VEC v = VLOAD(x + (((((c0 * r0 + a) * k1 + c1) * r1 + b) * k2 + c2) * r2 + c) * VW);
            s0 += square ? v * v : v;
        }
        total += s0 + s1;
    }
    t[lane] = across(total);
    barrier(CLK_LOCAL_MEM_FENCE);
    for (int reach = GROUP / 2; reach > 0; reach /= 2) {
        if (lane < reach) t[lane] += t[lane + reach];
        barrier(CLK_LOCAL_MEM_FENCE);
    }
    if (lane == 0 && result < results) y[group] = root ? scale * sqrt(t[0]) : scale * t[0];
}
