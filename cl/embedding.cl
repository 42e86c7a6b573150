/* SPDX-License-Identifier: MIT
 * Rows of a table by ids, and the table's gradient. rows x width: the table; VW: columns of an item, 4, 8 or 16. */

/* One value per item; an id outside the table gives NaN. */
__kernel void gather(TENSOR(table), TENSOR_I32(ids), TENSOR(y), long rows, long width, long n)
{
    CBIND(table);
    CBIND_I32(ids);
    BIND(y);
    const size_t i = get_global_id(0);
    if ((long)i >= n) return;
    const int id = ids[(long)i / width]; /* int: llvmpipe also gets 64-bit comparisons of widened values wrong */
    const bool inside = id >= 0 && id < (int)rows;
    /* Some compilers (Mesa's llvmpipe) load on both branches: the address must be good on either. */
    const float value = table[(long)(inside ? id : 0) * width + (long)i % width];
    y[i] = inside ? value : NAN;
}

/* One item: VW columns of one row of the table, over all ids in their order. */
__kernel void scatter(TENSOR(dy), TENSOR_I32(ids), TENSOR(dtable), long rows, long width, long n_ids)
{
    CBIND(dy);
    CBIND_I32(ids);
    BIND(dtable);
    const size_t col = get_global_id(0) * VW, row = get_global_id(1);
    if ((long)col >= width || (long)row >= rows) return;
    dy += col;
    dtable += (long)row * width + (long)col;
    if ((long)col + VW <= width) {
        VEC s = 0.0f;
        for (long i = 0; i < n_ids; i++)
            if (ids[i] == (long)row) s += VLOAD(dy + i * width);
        VSTORE(s, dtable);
        return;
    }
    for (long k = 0; (long)col + k < width; k++) {
        float s = 0.0f;
        for (long i = 0; i < n_ids; i++)
            if (ids[i] == (long)row) s += dy[i * width + k];
        dtable[k] = s;
    }
}
