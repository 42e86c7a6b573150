/* SPDX-License-Identifier: MIT
 * Functions that expressions of ops/ew.def, C kernels and OpenCL kernels use alike.
 *
 * In C they are scalar, free of branches and of fp64, so that compilers vectorise loops over them; within 1.5 ulp. In OpenCL they work
 * on float and floatN: exp, log and sqrt are the builtins (3 ulp), tanh and erf are made of exp and the same polynomials as in C,
 * because builtin erf may be 16 ulp off and is ten times slower on PoCL. sin and cos are the builtins (4 ulp) and the C library's.
 * NaN comes out where NaN goes in; overflow gives inf, underflow 0.
 *
 * An expression may use: arguments a, b, c, d (float, or in OpenCL floatN); parameters p0 .. p3 (float); float constants; + - * /
 * and unary minus; and the names below. Conditions stand only as first argument of bm_select and are one comparison; one of its two
 * values must be an argument or computed from one, the other may be a scalar. Compound functions are macros that name their
 * argument several times: what stands for a, b, c, d must be a plain variable, and the compiler merges the repetitions. */
#ifndef BRUME_MATH_H
#define BRUME_MATH_H

/* tanh(x) = x + x^3 P(x^2) for |x| < 0.625, else 1 - 2 / (exp(2 |x|) + 1) with the sign of x; s = x^2. */
#define BM_TANH_P(s)                                                                                                             \
    ((((-0.00570497848f * (s) + 0.0206390787f) * (s) - 0.0537397116f) * (s) + 0.133314416f) * (s) - 0.333332807f)
/* erf(x) = x + x P(x^2) for |x| < 0.875, else 1 - exp(-|x| Q(|x|)) with the sign of x. Q is fitted up to 4, from where on erf is 1 in f32. */
#define BM_ERF_P(s)                                                                                                              \
    ((((((8.67538984e-05f * (s) - 0.000821110327f) * (s) + 0.00520674745f) * (s) - 0.0268615838f) * (s) + 0.11283733f) * (s) -   \
      0.376126349f) * (s) + 0.128379166f)
#define BM_ERF_Q(z)                                                                                                              \
    ((((((9.75057901e-06f * (z) - 0.00030803142f) * (z) + 0.0035826175f) * (z) - 0.0236360356f) * (z) + 0.106091283f) * (z) +    \
      0.635238886f) * (z) + 1.12862706f)

#if defined(__OPENCL_VERSION__) || defined(__OPENCL_C_VERSION__)

#define bm_exp(x) exp(x)
#define bm_log(x) log(x)
#define bm_sqrt(x) sqrt(x)
#define bm_sin(x) sin(x)
#define bm_cos(x) cos(x)
#define bm_abs(x) fabs(x)
#define bm_tanh(x)                                                                                                               \
    copysign(bm_select(fabs(x) < 0.625f, fabs(x) + fabs(x) * ((x) * (x)) * BM_TANH_P((x) * (x)),                                 \
                       1.0f - 2.0f / (exp(2.0f * fabs(x)) + 1.0f)), x)
#define bm_erf_z(x) bm_min(fabs(x), 4.0f)
#define bm_erf(x)                                                                                                                \
    copysign(bm_select(fabs(x) < 0.875f, fabs(x) + fabs(x) * BM_ERF_P((x) * (x)), 1.0f - exp(-bm_erf_z(x) * BM_ERF_Q(bm_erf_z(x)))), x)

#else

#include <math.h>
#include <stdint.h>
#include <string.h>

static inline uint32_t bm_bits(float x) { uint32_t u; memcpy(&u, &x, sizeof u); return u; }
static inline float bm_from_bits(uint32_t u) { float x; memcpy(&x, &u, sizeof x); return x; }

static inline float bm_abs(float x) { return bm_from_bits(bm_bits(x) & 0x7fffffffu); }
static inline float bm_sqrt(float x) { return sqrtf(x); }
static inline float bm_sin(float x) { return sinf(x); } /* these two are calls; only embeddings of time use them */
static inline float bm_cos(float x) { return cosf(x); }

/* exp(x) = 2^n exp(r), n = round(x / ln 2), |r| <= ln 2 / 2; ln 2 in two parts, of which the first times n is exact.
 * Beyond the clamp the result is 0 or inf; 2^n is applied in two factors, so that subnormal and infinite results come by rounding. */
static inline float bm_exp(float x)
{
    const float magic = 12582912.0f; /* 1.5 2^23: adding it rounds to an integer, which then stands in the low bits */
    x = x < -104.0f ? -104.0f : x;
    x = x > 89.0f ? 89.0f : x;
    const float t = x * 1.44269504f + magic, n = t - magic;
    const float r = (x - n * 0.693359375f) - n * -2.12194440e-4f;
    const int32_t k = (int32_t)(bm_bits(t) - 0x4b400000u), k1 = k >> 1, k2 = k - k1;
    float p = 0.00138145383f;
    p = p * r + 0.00836874545f;
    p = p * r + 0.041668389f;
    p = p * r + 0.166665211f;
    p = p * r + 0.49999994f;
    p = r + r * r * p;
    const float s1 = bm_from_bits((uint32_t)(k1 + 127) << 23), s2 = bm_from_bits((uint32_t)(k2 + 127) << 23);
    return (s1 + s1 * p) * s2;
}

/* log(x) = e ln 2 + log(1 + f), 1 + f within [sqrt(1/2), sqrt(2)). */
static inline float bm_log(float x)
{
    const float tiny = x < 1.17549435e-38f ? 1.0f : 0.0f; /* subnormal: brought into range */
    const uint32_t u = bm_bits(x * (1.0f + tiny * 8388607.0f)) - 0x3f3504f3u; /* sqrt(1/2) */
    const float e = (float)((int32_t)u >> 23) - 23.0f * tiny, f = bm_from_bits((u & 0x7fffffu) + 0x3f3504f3u) - 1.0f;
    float p = 0.0674655959f;
    p = p * f - 0.116796434f;
    p = p * f + 0.118903361f;
    p = p * f - 0.124051377f;
    p = p * f + 0.14219223f;
    p = p * f - 0.166680068f;
    p = p * f + 0.200021341f;
    p = p * f - 0.250000089f;
    p = p * f + 0.333333135f;
    const float q = f * f;
    float y = e * 0.693359375f + (f + (q * f * p - 0.5f * q + e * -2.12194440e-4f));
    y = x <= 0.0f ? -INFINITY : y;
    y = x < 0.0f ? NAN : y;
    return x < INFINITY ? y : x; /* inf and NaN as they are */
}

static inline float bm_tanh(float x)
{
    const float z = bm_abs(x), s = x * x;
    const float big = 1.0f - 2.0f / (bm_exp(2.0f * z) + 1.0f), y = z < 0.625f ? z + z * s * BM_TANH_P(s) : big;
    return bm_from_bits(bm_bits(y) | (bm_bits(x) & 0x80000000u));
}

static inline float bm_erf(float x)
{
    const float a = bm_abs(x), z = a > 4.0f ? 4.0f : a, s = x * x;
    const float y = z < 0.875f ? a + a * BM_ERF_P(s) : 1.0f - bm_exp(-z * BM_ERF_Q(z));
    return bm_from_bits(bm_bits(y) | (bm_bits(x) & 0x80000000u));
}

#endif

/* x if the comparison c holds, else y; lane by lane in OpenCL, whose ?: does so for vectors. */
#define bm_select(c, x, y) ((c) ? (x) : (y))
/* The greater or smaller; a NaN x stays (not a NaN y). */
#define bm_max(x, y) bm_select((x) < (y), y, x)
#define bm_min(x, y) bm_select((x) > (y), y, x)

/* exp(x) - 1 = 2 t / (1 - t), t = tanh(x / 2): without the difference where that has no digits left. */
#define bm_expm1(x)                                                                                                              \
    bm_select(bm_abs(x) < 1.0f, 2.0f * bm_tanh(0.5f * (x)) / (1.0f - bm_tanh(0.5f * (x))), bm_exp(x) - 1.0f)

#define bm_sigmoid(x) (1.0f / (1.0f + bm_exp(-(x))))
/* With e = exp(-|x|) and q = 1 / (1 + e): sigmoid(x) is q or e q, and sigmoid(x) (1 - sigmoid(x)) is e q^2, without the difference,
 * which has no digits left for large x. */
#define bm_sigmoid_e(x) bm_exp(-bm_abs(x))
#define bm_sigmoid_q(x) (1.0f / (1.0f + bm_sigmoid_e(x)))
#define bm_sigmoid_grad(x) (bm_sigmoid_e(x) * bm_sigmoid_q(x) * bm_sigmoid_q(x))
/* d (x sigmoid(z)) / d x = sigmoid(z) + x z' sigmoid'(z) */
#define bm_swish_grad(x, z, dz)                                                                                                  \
    (bm_sigmoid_q(z) * (bm_select((z) < 0.0f, bm_sigmoid_e(z), 1.0f) + (x) * (bm_sigmoid_e(z) * bm_sigmoid_q(z) * (dz))))
/* 1 - tanh(x)^2, likewise. */
#define bm_tanh_grad(x) (4.0f * bm_sigmoid_grad(2.0f * (x)))

#define bm_silu(x) ((x) / (1.0f + bm_exp(-(x))))
#define bm_silu_grad(x) bm_swish_grad(x, x, 1.0f)

/* x tanh(ln(1 + e)) with e = exp(x) is x w / (w + 2), w = e (e + 2) (Misra 2019); from x = 20 on the quotient is 1 in f32. */
#define bm_mish_e(x) bm_exp(bm_min(x, 20.0f))
#define bm_mish_w(x) (bm_mish_e(x) * (bm_mish_e(x) + 2.0f))
#define bm_mish(x) ((x) * (bm_mish_w(x) / (bm_mish_w(x) + 2.0f)))
#define bm_mish_grad(x)                                                                                             \
    (bm_mish_w(x) / (bm_mish_w(x) + 2.0f) +                                                                         \
     bm_min(x, 20.0f) * (4.0f * bm_mish_e(x) * (bm_mish_e(x) + 1.0f) / ((bm_mish_w(x) + 2.0f) * (bm_mish_w(x) + 2.0f))))

/* Hendrycks & Gimpel 2016: x Phi(x), and its two approximations. Phi'(x) = exp(-x^2 / 2) / sqrt(2 pi). */
#define bm_gelu_erf(x) (0.5f * (x) * (1.0f + bm_erf(0.707106781f * (x))))
#define bm_gelu_erf_grad(x) (0.5f * (1.0f + bm_erf(0.707106781f * (x))) + 0.398942280f * (x) * bm_exp(-0.5f * (x) * (x)))

/* (1 + tanh(u)) / 2 = sigmoid(2 u), u = sqrt(2/pi) (x + 0.044715 x^3); beyond 12 the sigmoid is 0 or 1 in f32, and x^3 must not overflow. */
#define bm_gelu_u2(x) (1.59576912f * (x) * (1.0f + 0.044715f * (x) * (x)))
#define bm_gelu_x(x) bm_max(bm_min(x, 12.0f), -12.0f)
#define bm_gelu_tanh(x) ((x) * bm_sigmoid(bm_gelu_u2(bm_gelu_x(x))))
#define bm_gelu_tanh_grad(x)                                                                                                     \
    bm_swish_grad(bm_gelu_x(x), bm_gelu_u2(bm_gelu_x(x)), 1.59576912f * (1.0f + 0.134145f * bm_gelu_x(x) * bm_gelu_x(x)))

/* log of the probability that a normal variable falls into the bin of an 8-bit value x in [-1, 1] (Ho et al. 2020, eq. 13), its
 * distribution function being (1 + tanh(..)) / 2 = sigmoid(u2(v)) as in the released code. z = (x - mean) / std, h = 1 / (255 std);
 * the first and the last bin are open. sigmoid(A) - sigmoid(B) = sigmoid(A) sigmoid(-B) (1 - exp(B - A)) needs no difference of nearly
 * equal numbers; 1 - exp(-D) = 2 t / (1 + t), t = tanh(D / 2), and half of D = A - B is formed from h, not from A and B. */
#define bm_log_sigmoid(x) (bm_min(x, 0.0f) - bm_log(1.0f + bm_exp(-bm_abs(x))))
#define bm_bin_t(z, h) bm_tanh(1.59576912f * (h) * (1.0f + 0.044715f * (3.0f * (z) * (z) + (h) * (h))))
#define bm_bin_upper(z, h) bm_log_sigmoid(bm_gelu_u2((z) + (h)))  /* log F(z + h) */
#define bm_bin_lower(z, h) bm_log_sigmoid(-bm_gelu_u2((z) - (h))) /* log (1 - F(z - h)) */
#define bm_bin_ends(x, below, above, between) bm_select((x) < -0.999f, below, bm_select((x) > 0.999f, above, between))
#define bm_bin(x, z, h)                                                                                                          \
    bm_bin_ends(x, bm_bin_upper(z, h), bm_bin_lower(z, h),                                                                       \
                bm_bin_upper(z, h) + bm_bin_lower(z, h) + bm_log(2.0f * bm_bin_t(z, h) / (1.0f + bm_bin_t(z, h))))
/* Derivatives: of log F(z + h) by its argument, of log (1 - F(z - h)), and of log (1 - exp(-D)) by D, which is 1 / (exp(D) - 1). */
#define bm_bin_du2(v) (1.59576912f * (1.0f + 0.134145f * (v) * (v)))
#define bm_bin_dupper(z, h) (bm_sigmoid(-bm_gelu_u2((z) + (h))) * bm_bin_du2((z) + (h)))
#define bm_bin_dlower(z, h) (-bm_sigmoid(bm_gelu_u2((z) - (h))) * bm_bin_du2((z) - (h)))
#define bm_bin_q(z, h)                                                                                                           \
    (bm_exp(-3.19153824f * (h) * (1.0f + 0.044715f * (3.0f * (z) * (z) + (h) * (h)))) * (1.0f + bm_bin_t(z, h)) / (2.0f * bm_bin_t(z, h)))
#define bm_bin_dz(x, z, h)                                                                                                       \
    bm_bin_ends(x, bm_bin_dupper(z, h), bm_bin_dlower(z, h),                                                                     \
                bm_bin_dupper(z, h) + bm_bin_dlower(z, h) + bm_bin_q(z, h) * (0.856257791f * (z) * (h)))
#define bm_bin_dh(x, z, h)                                                                                                       \
    bm_bin_ends(x, bm_bin_dupper(z, h), -bm_bin_dlower(z, h),                                                                    \
                bm_bin_dupper(z, h) - bm_bin_dlower(z, h) +                                                                      \
                    bm_bin_q(z, h) * (3.19153824f * (1.0f + 0.134145f * ((z) * (z) + (h) * (h)))))

#define bm_gelu_quick(x) ((x) / (1.0f + bm_exp(-1.702f * (x))))
#define bm_gelu_quick_grad(x) bm_swish_grad(x, 1.702f * (x), 1.702f)

#endif
