/* SPDX-License-Identifier: MIT
 * What conv2d and its two gradients share: attributes and sizes. */
#ifndef BRUME_OPS_CONV2D_H
#define BRUME_OPS_CONV2D_H

#include "graph/op.h"
#include "simd/conv.h"

/* pad: top, left, bottom, right. The gradients know the sizes that their inputs do not give: h, w of x for conv2d_dx, kh, kw for
 * conv2d_dw. */
struct brume_conv2d_attrs { int32_t stride, pad[4]; int64_t h, w, kh, kw; };

/** Sizes of the convolution that the three ops stand for; the shapes are those of x, the weight and y. */
struct brume_conv brume_conv2d_sizes(const struct brume_conv2d_attrs *a, brume_shape x, brume_shape w, brume_shape y);
/** The same from a node of conv2d, conv2d_dx or conv2d_dw. */
struct brume_conv brume_conv2d_sizes_of(const struct brume_node *n);
struct brume_conv brume_conv2d_dx_sizes_of(const struct brume_node *n);
struct brume_conv brume_conv2d_dw_sizes_of(const struct brume_node *n);
double brume_conv2d_flops(const struct brume_conv *c);
/** The `key` of the three ops. */
void brume_conv2d_key(const struct brume_node *n, char *text, size_t size);
/** Rows or columns of the result. */
int64_t brume_conv2d_extent(int64_t in, int64_t before, int64_t after, int64_t kernel, int64_t stride);

/** dx of conv2d: dy (N, Ho, Wo, O), w (kh, kw, I, O), to x's (N, a->h, a->w, I). */
brume_tensor brume_conv2d_dx(brume_graph *g, brume_tensor dy, brume_tensor w, const struct brume_conv2d_attrs *a);
/** dw of conv2d: x (N, H, W, I), dy (N, Ho, Wo, O), to w's (a->kh, a->kw, I, O). */
brume_tensor brume_conv2d_dw(brume_graph *g, brume_tensor x, brume_tensor dy, const struct brume_conv2d_attrs *a);

#endif
