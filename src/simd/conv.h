/* SPDX-License-Identifier: MIT
 * Convolutions over channels-last images as implicit matrix products: no im2col copy, no padded copy.
 *
 * Forward and data gradient share one loop ("gather"): every pixel of the result sums, over the taps (kernel positions) that meet
 * the source image there, source row (C floats) x packed weights (C x NR). The weight gradient sums over pixels. */
#ifndef BRUME_SIMD_CONV_H
#define BRUME_SIMD_CONV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct brume_pool;

/* x (n, h, w, i), weights (kh, kw, i, o), y (n, ho, wo, o); top, left: zeros before row 0 and column 0. */
struct brume_conv {
    int64_t n, h, w, i, ho, wo, o;
    int32_t kh, kw, stride, top, left;
};

struct brume_simd_conv {
    /* Weights for forward, [ceil(o / NR)][kh][kw][i][NR], and for the data gradient, [ceil(i / NR)][kh][kw][o][NR]. */
    void (*pack)(const struct brume_conv *c, const float *w, float *packed, struct brume_pool *pool);
    void (*pack_dx)(const struct brume_conv *c, const float *w, float *packed, struct brume_pool *pool);
    /* bias: NULL, or at b + n * bias_step for image n; residual: NULL or like y. */
    void (*forward)(const struct brume_conv *c, const float *x, const float *packed, const float *bias, int64_t bias_step,
                    const float *residual, float *y, void *work, struct brume_pool *pool);
    /* The same with weights of f16, packed as f16. */
    void (*pack_half)(const struct brume_conv *c, const uint16_t *w, uint16_t *packed, struct brume_pool *pool);
    void (*forward_half)(const struct brume_conv *c, const float *x, const uint16_t *packed, const float *bias, int64_t bias_step,
                         const float *residual, float *y, void *work, struct brume_pool *pool);
    void (*dx)(const struct brume_conv *c, const float *dy, const float *packed, float *dx, void *work, struct brume_pool *pool);
    void (*dw)(const struct brume_conv *c, const float *x, const float *dy, float *dw, void *work, struct brume_pool *pool);
    /* The same for 3x3 kernels of stride 1 with a quarter of the products (simd/winograd.c). */
    void (*winograd_pack)(const struct brume_conv *c, const float *w, float *packed, struct brume_pool *pool);
    void (*winograd_pack_dx)(const struct brume_conv *c, const float *w, float *packed, struct brume_pool *pool);
    void (*winograd)(const struct brume_conv *c, const float *x, const float *packed, const float *bias, int64_t bias_step,
                     const float *residual, float *y, void *work, struct brume_pool *pool);
    void (*winograd_pack_half)(const struct brume_conv *c, const uint16_t *w, float *packed, struct brume_pool *pool);
    /* The same where brume_winograd_fused(): weights as they are, of f32 or f16, are transformed in the cache, part by part. */
    void (*winograd_fused)(const struct brume_conv *c, const float *x, const void *w, bool half,
                           const float *bias, int64_t bias_step,
                           const float *residual, float *y, void *work, struct brume_pool *pool);
    void (*winograd_dx)(const struct brume_conv *c, const float *dy, const float *packed, float *dx, void *work,
                        struct brume_pool *pool);
    void (*winograd_dw)(const struct brume_conv *c, const float *x, const float *dy, float *dw, void *work,
                        struct brume_pool *pool);
};

/* Sizes depend on shape and vector width only, so that the plan knows them. vector_width as in struct brume_simd. */

/** Floats of the packed weights. */
int64_t brume_conv_packed(const struct brume_conv *c, int vector_width);
int64_t brume_conv_packed_dx(const struct brume_conv *c, int vector_width);
/** Bytes of work memory. */
size_t brume_conv_work(const struct brume_conv *c);
size_t brume_conv_work_dx(const struct brume_conv *c);
size_t brume_conv_work_dw(const struct brume_conv *c, int vector_width, int threads);

/* How a weight gradient is cut. A chunk is either `images` whole images or `rows` output rows of one image; its pixels are the
 * depth of one pass. Chunks are dealt to `splits` partial sums, which are added up in order; a task is (split, group of input
 * channels, group of output channels). All by shape only: results do not depend on the number of threads. */
struct brume_conv_dw_cut {
    int64_t images, rows, chunks_per_image, chunks;
    int64_t pixels, source_pixels;    /* most output pixels and source pixels of a chunk */
    int64_t splits, i_group, i_groups, panel_group, panel_groups;
    size_t thread_bytes, partial_bytes; /* scratch of one thread; all partial sums together (0 with one split) */
};
struct brume_conv_dw_cut brume_conv_dw_cut(const struct brume_conv *c, int vector_width);

/* Winograd's F(4x4, 3x3): how tiles of 4x4 result pixels are cut. */
struct brume_winograd_cut {
    int64_t rows, columns, tiles;       /* of one image; of all */
    int64_t block, blocks;              /* tiles of one task */
    bool staged;                        /* few tiles: all in one block, every stage on all threads, so that the weights are read
                                           once */
    int64_t ld, plane, products;        /* floats: channels of a source row, rounded up; one of 36 planes of sources, of
                                           products */
    size_t thread_bytes;
};
/** A convolution of n images of channels c to oh x ow pixels of o channels. */
struct brume_winograd_cut brume_winograd_cut(int64_t n, int64_t c, int64_t oh, int64_t ow, int64_t o, int vector_width);
/** 3x3, stride 1, one zero around: what it computes within tolerance; and whether it saves work. */
bool brume_winograd_fits(const struct brume_conv *c);
bool brume_winograd_suits(const struct brume_conv *c);    /* weights often packed once */
bool brume_winograd_suits_gradient(const struct brume_conv *c);
/** So many tiles that transforming the weights takes a few percent of the rest only. */
bool brume_winograd_pack_cheap(const struct brume_conv *c);
/** Transformed weights would be too large to be kept, and tiles are few enough to pass by each part of them. */
bool brume_winograd_fused(const struct brume_conv *c, bool half);
size_t brume_winograd_fused_work(const struct brume_conv *c, int vector_width, int threads);
#define BRUME_WINOGRAD_DEPTH 64  /* channels of a part */
#define BRUME_WINOGRAD_PANELS 2  /* panels of a task: 16 columns of f16 are half a cache line */
/** Floats of one of the 36 planes of a part: one cache line more than a power of two, because they are written together. */
static inline int64_t brume_winograd_part(int64_t nr) { return BRUME_WINOGRAD_DEPTH * nr + 16; }
/** Floats of one of the 36 planes of weights, [ceil(o / nr)][c][nr]: one cache line more than that, because they are written
 * together. */
static inline int64_t brume_winograd_plane(int64_t c, int64_t o, int64_t nr) { return (o + nr - 1) / nr * nr * c + 16; }
/** Floats of the transformed weights; bytes of work memory. */
int64_t brume_winograd_packed(const struct brume_conv *c, int vector_width);
int64_t brume_winograd_packed_dx(const struct brume_conv *c, int vector_width);
size_t brume_winograd_work(const struct brume_conv *c, int vector_width, int threads);
size_t brume_winograd_work_dx(const struct brume_conv *c, int vector_width, int threads);

/* The weight gradient by the same means, F(3x3, 4x4): the depth of the 36 products are the tiles. Tasks and partial sums as
 * above. */
struct brume_winograd_dw_cut {
    int64_t rows, columns, tiles;
    int64_t block, blocks;              /* tiles of one pass */
    int64_t splits, i_group, i_groups, panel_group, panel_groups;
    int64_t ld, source, gradient, sum;  /* floats: a source row; planes of sources, of gradients, of one task's products */
    size_t thread_bytes, sum_bytes;
};
struct brume_winograd_dw_cut brume_winograd_dw_cut(const struct brume_conv *c, int vector_width);
size_t brume_winograd_work_dw(const struct brume_conv *c, int vector_width, int threads);

#endif
