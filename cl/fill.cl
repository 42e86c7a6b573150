/* SPDX-License-Identifier: MIT
 * Fills n words of memory from word `first` on. Each work-item takes every global_size-th word. */
__kernel void fill(__global uint *x, const ulong first, const ulong n, const uint word)
{
    for (ulong i = get_global_id(0); i < n; i += get_global_size(0)) x[first + i] = word;
}
