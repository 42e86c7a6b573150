/* SPDX-License-Identifier: MIT
 * Noise and dropout from Philox4x32-10: element e of a sample of len elements is word e % 4 of counter (e / 4 low, high, stream,
 * step) under the sample's seed. Item (i, sample) makes counters i LANES .. i LANES + LANES - 1, four elements each.
 * LANES 1, or 4, 8, 16 with PX_W the same: vectors of counters, for CPUs. Needs philox.h. */
#if LANES == 4
#define LANE_IDS (uint4)(0, 1, 2, 3)
#elif LANES == 8
#define LANE_IDS (uint8)(0, 1, 2, 3, 4, 5, 6, 7)
#elif LANES == 16
#define LANE_IDS (uint16)(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)
#else
#define LANE_IDS 0u
#endif

/* Words r[0..3] of the item's counters; left elements of the sample remain. The high word needs no carry: LANES divides 2^32. */
#define WORDS(r)                                                                                                       \
    const size_t sample = get_global_id(1);                                                                           \
    const ulong block = (ulong)get_global_id(0) * LANES;                                                              \
    const long first = (long)(4 * block), left = len - first;                                                         \
    if (left <= 0) return;                                                                                            \
    const ulong seed = as_ulong(seeds[sample]);                                                                       \
    brume_px_u32 r[4];                                                                                                \
    BRUME_PHILOX((brume_px_u32)((uint)block) + LANE_IDS, (brume_px_u32)((uint)(block >> 32)), (brume_px_u32)(as_uint(stream)), \
                 (brume_px_u32)(as_uint(step[0])), (brume_px_u32)((uint)seed), (brume_px_u32)((uint)(seed >> 32)), r)

/* Four lanes of word 0, 1, 2, 3 in the order of the elements. */
#define BRAID(a, b, c, d)                                                                                              \
    (float16)((a).s0, (b).s0, (c).s0, (d).s0, (a).s1, (b).s1, (c).s1, (d).s1, (a).s2, (b).s2, (c).s2, (d).s2, (a).s3, (b).s3, (c).s3, (d).s3)

/* One value per word, to all elements of the item in their order: out has 4 LANES. */
static void in_order(const brume_px_f32 *v, float *out)
{
#if LANES == 4
    vstore16(BRAID(v[0], v[1], v[2], v[3]), 0, out);
#elif LANES == 8
    vstore16(BRAID(v[0].lo, v[1].lo, v[2].lo, v[3].lo), 0, out);
    vstore16(BRAID(v[0].hi, v[1].hi, v[2].hi, v[3].hi), 1, out);
#elif LANES == 16
    vstore16(BRAID(v[0].lo.lo, v[1].lo.lo, v[2].lo.lo, v[3].lo.lo), 0, out);
    vstore16(BRAID(v[0].lo.hi, v[1].lo.hi, v[2].lo.hi, v[3].lo.hi), 1, out);
    vstore16(BRAID(v[0].hi.lo, v[1].hi.lo, v[2].hi.lo, v[3].hi.lo), 2, out);
    vstore16(BRAID(v[0].hi.hi, v[1].hi.hi, v[2].hi.hi, v[3].hi.hi), 3, out);
#else
    vstore4((float4)(v[0], v[1], v[2], v[3]), 0, out);
#endif
}

static void store(const float *v, long left, __global float *y)
{
    if (left >= 4 * LANES) {
        for (int i = 0; i < LANES; i++) vstore4(vload4(i, v), i, y);
    } else {
        for (int i = 0; i < (int)left; i++) y[i] = v[i];
    }
}

__kernel void noise_normal(TENSOR_I64(seeds), TENSOR_I32(step), TENSOR(y), int stream, long len)
{
    CBIND_I64(seeds);
    CBIND_I32(step);
    BIND(y);
    WORDS(r);
    const brume_px_f32 v[4] = { brume_px_normal(r[0]), brume_px_normal(r[1]), brume_px_normal(r[2]), brume_px_normal(r[3]) };
    float ordered[4 * LANES];
    in_order(v, ordered);
    store(ordered, left, y + (long)sample * len + first);
}

__kernel void noise_uniform(TENSOR_I64(seeds), TENSOR_I32(step), TENSOR(y), int stream, long len)
{
    CBIND_I64(seeds);
    CBIND_I32(step);
    BIND(y);
    WORDS(r);
    const brume_px_f32 v[4] = { brume_px_uniform(r[0]), brume_px_uniform(r[1]), brume_px_uniform(r[2]), brume_px_uniform(r[3]) };
    float ordered[4 * LANES];
    in_order(v, ordered);
    store(ordered, left, y + (long)sample * len + first);
}

/* y = x scale where the word is not below threshold, else 0: also the gradient, with dy for x. */
__kernel void dropout(TENSOR(x), TENSOR_I64(seeds), TENSOR_I32(step), TENSOR(y), int stream, long len, int threshold, float scale)
{
    CBIND(x);
    CBIND_I64(seeds);
    CBIND_I32(step);
    BIND(y);
    WORDS(r);
    const brume_px_u32 limit = (brume_px_u32)(as_uint(threshold));
    brume_px_f32 v[4];
    for (int i = 0; i < 4; i++) v[i] = BRUME_PX_SELECT(brume_px_keep(r[i], limit), 1.0f, 0.0f);
    float kept[4 * LANES];
    in_order(v, kept);
    x += (long)sample * len + first;
    y += (long)sample * len + first;
    if (left >= 4 * LANES) {
        for (int i = 0; i < LANES; i++) vstore4(select((float4)(0.0f), scale * vload4(i, x), vload4(i, kept) > 0.0f), i, y);
    } else {
        for (int i = 0; i < (int)left; i++) y[i] = kept[i] > 0.0f ? scale * x[i] : 0.0f;
    }
}
