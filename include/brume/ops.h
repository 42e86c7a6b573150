/* SPDX-License-Identifier: MIT
 * Operators: each call appends nodes to a graph and returns the result, or BRUME_NONE once the graph holds an error.
 *
 * Tensors are f32 unless another type is named. Images are (N, H, W, C), sequences (B, S, C), "..." stands for any leading axes.
 * Every operator has a gradient for its f32 inputs unless it says otherwise. Axes count from 0; negative axes count from the
 * end. */
#ifndef BRUME_OPS_H
#define BRUME_OPS_H

#include "brume/api.h"
#include "brume/graph.h"

BRUME_API_BEGIN

/** Activation functions that networks name. */
typedef enum brume_act { BRUME_ACT_NONE = 0, BRUME_ACT_SILU, BRUME_ACT_RELU, BRUME_ACT_MISH,
                         BRUME_ACT_GELU_ERF, BRUME_ACT_GELU_TANH,
                         BRUME_ACT_GELU_QUICK } brume_act;

/* ---- elementwise, fused into chains by the plan ---------------------------------------------------------------------------- */

brume_tensor brume_silu(brume_graph *g, brume_tensor x);       /**< x sigmoid(x) */
brume_tensor brume_relu(brume_graph *g, brume_tensor x);       /**< max(x, 0); gradient 0 at x <= 0 */
brume_tensor brume_mish(brume_graph *g, brume_tensor x);       /**< x tanh(ln(1 + e^x)) */
brume_tensor brume_gelu_erf(brume_graph *g, brume_tensor x);   /**< x (1 + erf(x / sqrt 2)) / 2 */
brume_tensor brume_gelu_tanh(brume_graph *g, brume_tensor x);  /**< x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))) / 2 */
brume_tensor brume_gelu_quick(brume_graph *g, brume_tensor x); /**< x sigmoid(1.702 x) */
brume_tensor brume_activation(brume_graph *g, brume_tensor x, brume_act act); /**< one of the above, or x itself */
brume_tensor brume_exp(brume_graph *g, brume_tensor x);
brume_tensor brume_expm1(brume_graph *g, brume_tensor x);      /**< exp(x) - 1, exact near 0 */
brume_tensor brume_log(brume_graph *g, brume_tensor x);        /**< natural logarithm, x > 0 */
brume_tensor brume_sqrt(brume_graph *g, brume_tensor x);
brume_tensor brume_square(brume_graph *g, brume_tensor x);
brume_tensor brume_sigmoid(brume_graph *g, brume_tensor x);
brume_tensor brume_tanh(brume_graph *g, brume_tensor x);
brume_tensor brume_sin(brume_graph *g, brume_tensor x);        /**< x in radians */
brume_tensor brume_cos(brume_graph *g, brume_tensor x);
brume_tensor brume_affine(brume_graph *g, brume_tensor x, float scale, float shift); /**< scale x + shift */
brume_tensor brume_clamp(brume_graph *g, brume_tensor x, float lo, float hi);        /**< gradient 0 outside [lo, hi] */
/** Binary operators broadcast as numpy does: shapes are aligned at the end, an axis of 1 is repeated; both at most 5-d. */
brume_tensor brume_add(brume_graph *g, brume_tensor a, brume_tensor b);
brume_tensor brume_sub(brume_graph *g, brume_tensor a, brume_tensor b);
brume_tensor brume_mul(brume_graph *g, brume_tensor a, brume_tensor b);
brume_tensor brume_div(brume_graph *g, brume_tensor a, brume_tensor b);

/** x itself, through which no gradient flows. */
brume_tensor brume_stop_gradient(brume_graph *g, brume_tensor x);
/** A tensor filled with one value. No gradient. */
brume_tensor brume_constant(brume_graph *g, brume_shape shape, float value);

/* ---- shape ----------------------------------------------------------------------------------------------------------------- */

/** Same elements in the same order, other dimensions; costs nothing. numel must agree. */
brume_tensor brume_reshape(brume_graph *g, brume_tensor x, brume_shape shape);
/** Joins n (1..16) tensors along axis; the other axes must agree. */
brume_tensor brume_concat(brume_graph *g, int n, const brume_tensor *xs, int axis);
/** Elements start .. start + length - 1 along axis. */
brume_tensor brume_slice(brume_graph *g, brume_tensor x, int axis, int64_t start, int64_t length);
/** before[i] and after[i] zeros around axis i (arrays of x's ndim, entries >= 0). */
brume_tensor brume_pad(brume_graph *g, brume_tensor x, const int64_t *before, const int64_t *after);
/**
 * Joins n tensors, flattened, into one vector in the given order, at element offsets[i] (ascending, not overlapping) of size
 * elements; gaps are zero. The plan lets producers write in place, so that this costs nothing where it can.
 */
brume_tensor brume_pack(brume_graph *g, int n, const brume_tensor *xs, const int64_t *offsets, int64_t size);

/* ---- reductions ------------------------------------------------------------------------------------------------------------ */

/** Sum over the axes whose bit is set in axes (bit i = axis i); they stay as 1 if keepdims, else vanish. Fixed order of
 * summation. */
brume_tensor brume_sum(brume_graph *g, brume_tensor x, uint32_t axes, int keepdims);
brume_tensor brume_mean(brume_graph *g, brume_tensor x, uint32_t axes, int keepdims);
/** Sum of x down to a shape that broadcasts to x's (the gradient of broadcasting). */
brume_tensor brume_sum_to(brume_graph *g, brume_tensor x, brume_shape shape);
/** sqrt(sum of squares of all elements), a scalar. No gradient. */
brume_tensor brume_l2_norm(brume_graph *g, brume_tensor x);

/* ---- linear algebra -------------------------------------------------------------------------------------------------------- */

/** y = x w + bias. x (..., I), w (I, O), bias (O) or BRUME_NONE. Returns (..., O). Files hold w as (O, I):
 * BRUME_LAYOUT_LINEAR. */
brume_tensor brume_linear(brume_graph *g, brume_tensor x, brume_tensor w, brume_tensor bias);
/** Batched product of the last two axes; trans_a / trans_b take that operand transposed. Leading axes must agree. Both at least
 * 2-d. */
brume_tensor brume_matmul(brume_graph *g, brume_tensor a, brume_tensor b, int trans_a, int trans_b);

/** Stride and padding of a convolution. */
typedef struct brume_conv2d_params {
    int32_t stride;        /* >= 1, both axes */
    int32_t pad[4];        /* zeros at top, left, bottom, right; each >= 0; kernel and more take a pass of their own */
    int32_t groups;        /* divides I and O; 0 means 1 */
} brume_conv2d_params;
/**
 * Cross-correlation with zero padding, out = floor((in + pads - k) / stride) + 1.
 * x (N, H, W, I); w (kh, kw, I / groups, O), files hold (O, I / groups, kh, kw): BRUME_LAYOUT_CONV
 * bias (O), or (N, O) for one per sample (a time embedding), or BRUME_NONE
 * residual (N, Ho, Wo, O) is added to the result, or BRUME_NONE
 */
brume_tensor brume_conv2d(brume_graph *g, brume_tensor x, brume_tensor w, brume_tensor bias, brume_tensor residual,
                          const brume_conv2d_params *p);

/* ---- normalisation --------------------------------------------------------------------------------------------------------- */

/**
 * Group normalisation (Wu & He 2018) and, if asked, an activation: y = act((x - mean) rstd w + b), rstd = 1 / sqrt(var +
 * norm_eps), var divides by the count. x (N, H, W, C); w, b (C), or both BRUME_NONE for 1 and 0; groups divides C; norm_eps > 0;
 * act is BRUME_ACT_NONE or BRUME_ACT_SILU (others: apply brume_activation). Variance in two passes: exact for large means.
 */
brume_tensor brume_group_norm(brume_graph *g, brume_tensor x, brume_tensor w, brume_tensor b, int groups, float norm_eps,
                              brume_act act);
/** Layer normalisation over the last axis (Ba et al. 2016), biased variance. x (..., D); w, b (D) or both BRUME_NONE. */
brume_tensor brume_layer_norm(brume_graph *g, brume_tensor x, brume_tensor w, brume_tensor b, float norm_eps);
/** Softmax over the last axis, with the maximum subtracted first. */
brume_tensor brume_softmax(brume_graph *g, brume_tensor x);

/* ---- attention ------------------------------------------------------------------------------------------------------------- */

/**
 * softmax(scale q k^T [+ causal mask: query i sees keys 0..i]) v for every head (Vaswani et al. 2017), O(S) memory.
 * q (B, Sq, heads D), k and v (B, Sk, heads D): channel c belongs to head c / D. scale > 0. Returns (B, Sq, heads D).
 */
brume_tensor brume_sdpa(brume_graph *g, brume_tensor q, brume_tensor k, brume_tensor v, int heads, int causal, float scale);
/** (..., 2 D) -> (..., D): first half times gelu_erf(second half) (Shazeer 2020). */
brume_tensor brume_geglu(brume_graph *g, brume_tensor x);

/* ---- resampling ------------------------------------------------------------------------------------------------------------ */

/** Nearest: src = min(floor(dst * (in / out)), in - 1) per axis. (N, H, W, C) -> (N, out_h, out_w, C). */
brume_tensor brume_upsample_nearest(brume_graph *g, brume_tensor x, int64_t out_h, int64_t out_w);
/** 2x2 means, stride 2; an odd trailing row or column is dropped. */
brume_tensor brume_avg_pool2d(brume_graph *g, brume_tensor x);
/** Windows of brume_max_pool2d() and brume_mean_pool2d(). */
typedef struct brume_pool2d_params {
    int32_t kernel[2];     /* height and width, 1 .. 32768 */
    int32_t stride;        /* >= 1, both axes */
    int32_t pad[2];        /* above and below, left and right; below the kernel's size */
    int32_t count_pad;     /* means: 1: padding counts as zeros, 0: only pixels of the image count */
} brume_pool2d_params;
/** Maxima, or means, over windows of pixels: (N, H, W, C) -> (N, Ho, Wo, C), out = floor((in + 2 pad - kernel) / stride) + 1. No
 * gradient. */
brume_tensor brume_max_pool2d(brume_graph *g, brume_tensor x, const brume_pool2d_params *p);
brume_tensor brume_mean_pool2d(brume_graph *g, brume_tensor x, const brume_pool2d_params *p);
/** FIR resampling by 2 with K = outer([1,3,3,1], [1,3,3,1]) / 64 (Song et al. 2021, NCSN++; model-format 6.1). */
brume_tensor brume_fir_downsample2(brume_graph *g, brume_tensor x);
brume_tensor brume_fir_upsample2(brume_graph *g, brume_tensor x);

/* ---- tables and embeddings ------------------------------------------------------------------------------------------------- */

/** Rows of table (V, D) chosen by ids i32 (...): (..., D); repeated ids add up in the gradient. Ids outside 0..V-1 give NaN
 * rows. */
brume_tensor brume_embedding(brume_graph *g, brume_tensor table, brume_tensor ids);
/** Per-sample coefficients: table (T, K) or (T) and t i32 (N) -> (N, K) or (N): rows of a schedule. No gradient for t. */
brume_tensor brume_gather(brume_graph *g, brume_tensor table, brume_tensor t);
/**
 * Sinusoidal embedding of t (N) f32 (Vaswani et al. 2017; Ho et al. 2020): args t exp(-ln(10000) i / (half - freq_shift)), half =
 * dim / 2; [sin, cos], or [cos, sin] if flip_sin_to_cos; a zero is appended if dim is odd. Returns (N, dim). No gradient.
 */
brume_tensor brume_timestep_embedding(brume_graph *g, brume_tensor t, int64_t dim, int flip_sin_to_cos, float freq_shift);
/** [sin(2 pi ln(t) w), cos(2 pi ln(t) w)] of t (N) > 0 and a table w (D): (N, 2 D). No gradient (the table is never trained). */
brume_tensor brume_fourier_embedding(brume_graph *g, brume_tensor t, brume_tensor w);

/* ---- losses (scalars) ------------------------------------------------------------------------------------------------------ */

/** mean (x - target)^2 over all elements. */
brume_tensor brume_mse(brume_graph *g, brume_tensor x, brume_tensor target);
/** Mean over rows of logsumexp(x) - x[label]. x (N, C), labels i32 (N) in 0..C-1. */
brume_tensor brume_cross_entropy(brume_graph *g, brume_tensor x, brume_tensor labels);

/**
 * Log probability of 8-bit values x (levels -1, -1 + 2/255, .., 1) under N(mean, exp(2 log_std)): F((x + 1/255 - mean) / std) -
 * F((x - 1/255 - mean) / std), below -0.999 and above 0.999 open-ended (Ho et al. 2020, eq. 13), not below log 1e-12, where the
 * gradient ends. F is the approximation (1 + tanh(sqrt(2/pi) (v + 0.044715 v^3))) / 2 of the released code: up to 1e-3 nats from
 * the exact one. The three broadcast. The gradient for x is that of a bin that moves with x.
 */
brume_tensor brume_bin_log_prob(brume_graph *g, brume_tensor x, brume_tensor mean, brume_tensor log_std);

/* ---- diffusion ------------------------------------------------------------------------------------------------------------- */

/**
 * y = sum_j c_j x_j over n (1..8) tensors of one shape (N, ...), c_j = coef[j] for coef (n), coef[i, j] for sample i for coef (N,
 * n). A term whose coefficient is exactly 0 is skipped: 0 times NaN adds nothing. No gradient for coef.
 */
brume_tensor brume_lincomb(brume_graph *g, int n, const brume_tensor *xs, brume_tensor coef);
/**
 * Unit normal noise of shape (N, ...), sample i from Philox4x32-10 with key seeds[i] (i64 (N)), counter (element / 4, stream,
 * step); step i32, a scalar input. The bits are the same on every device. No gradient.
 */
brume_tensor brume_normal(brume_graph *g, brume_tensor seeds, brume_tensor step, uint32_t stream, brume_shape shape);
/** The same, uniform in [0, 1): 24-bit fractions. */
brume_tensor brume_uniform(brume_graph *g, brume_tensor seeds, brume_tensor step, uint32_t stream, brume_shape shape);
/**
 * x / (1 - p) with probability 1 - p, else 0 (Srivastava et al. 2014); x (N, ...). Seeds and step as for brume_normal; give every
 * layer its own stream. 0 <= p < 1.
 */
brume_tensor brume_dropout(brume_graph *g, brume_tensor x, float p, brume_tensor seeds, brume_tensor step, uint32_t stream);

/* ---- updates in place on persistent tensors; no gradient ------------------------------------------------------------------- */

/** Entries of the f32 vector that drives an optimizer step: one write per step, no recompilation. */
enum { BRUME_HYPER_LR = 0, BRUME_HYPER_BETA1, BRUME_HYPER_BETA2, BRUME_HYPER_EPS, BRUME_HYPER_DECAY,
       BRUME_HYPER_BIAS1, /* 1 - beta1^k, k = this step counted from 1 */
       BRUME_HYPER_BIAS2, /* 1 - beta2^k */
       BRUME_HYPER_COUNT };
/**
 * AdamW (Loshchilov & Hutter 2019), in place on param, m, v (P): g = grad * scale; param -= lr decay param; m = b1 m + (1-b1) g;
 * v = b2 v + (1-b2) g^2; param -= lr (m / bias1) / (sqrt(v / bias2) + eps).
 * decoupled 0: Adam (Kingma & Ba 2015), g += decay param instead. scale: a scalar tensor (see brume_clip_scale) or BRUME_NONE.
 */
void brume_adamw_update(brume_graph *g, brume_tensor param, brume_tensor m, brume_tensor v, brume_tensor grad, brume_tensor hyper,
                        brume_tensor scale, int decoupled);
/** SGD with momentum (PyTorch's form): g = grad scale + decay param; m = beta1 m + g; param -= lr m. In place on param, m. */
void brume_sgd_update(brume_graph *g, brume_tensor param, brume_tensor m, brume_tensor grad, brume_tensor hyper,
                      brume_tensor scale);
/** ema = decay ema + (1 - decay) param, decay a scalar tensor; in place on ema. */
void brume_ema_update(brume_graph *g, brume_tensor ema, brume_tensor param, brume_tensor decay);
/** sum = sum + x; or, where the scalar tensor keep is 0, sum = x whatever sum held. In place on sum. */
void brume_accumulate(brume_graph *g, brume_tensor sum, brume_tensor x, brume_tensor keep);
/** min(1, max_norm / (norm + 1e-6)) of a scalar norm (Pascanu et al. 2013; PyTorch's clip_grad_norm_). max_norm a scalar
 * tensor. */
brume_tensor brume_clip_scale(brume_graph *g, brume_tensor norm, brume_tensor max_norm);
/**
 * x in another type: f32 to f16 (to nearest, ties to even; above 65504 infinity) or f16 to f32 (exact). Any shape. Has no
 * gradient: it is put into finished graphs, see brume_store_half().
 */
brume_tensor brume_cast(brume_graph *g, brume_tensor x, brume_dtype to);
/** Copies x into the persistent tensor dst of the same shape. */
void brume_assign(brume_graph *g, brume_tensor dst, brume_tensor x);

BRUME_API_END

#endif
