/* SPDX-License-Identifier: MIT
 * Optimizer updates in place: VW elements per item (4, 8 or 16), the last item element by element. */

/* Order of the numbers in hyper: enum BRUME_HYPER_LR in brume/ops.h. */
#define LR hyper[0]
#define BETA1 hyper[1]
#define BETA2 hyper[2]
#define EPS hyper[3]
#define DECAY hyper[4]
#define BIAS1 hyper[5]
#define BIAS2 hyper[6]

/* TYPE float or VEC, LOAD and STORE for it, at element i. */
#define ADAMW(TYPE, LOAD, STORE)                                                              \
    {                                                                                         \
        const TYPE p = LOAD(param + i), d = LOAD(grad + i) * grad_scale + l2 * p;             \
        const TYPE mi = beta1 * LOAD(m + i) + (1.0f - beta1) * d;                             \
        const TYPE vi = beta2 * LOAD(v + i) + (1.0f - beta2) * (d * d);                       \
        STORE(mi, m + i);                                                                     \
        STORE(vi, v + i);                                                                     \
        STORE(p - (decay * p + step * mi / (sqrt(vi * inv_bias2) + eps)), param + i);         \
    }
#define LOAD1(p) (*(p))
#define STORE1(x, p) (*(p) = (x))

__kernel void adamw(TENSOR(param), TENSOR(m), TENSOR(v), TENSOR(grad), TENSOR(hyper), TENSOR(scale), long n, int decoupled)
{
    BIND(param);
    BIND(m);
    BIND(v);
    CBIND(grad);
    CBIND(hyper);
    CBIND_OPT(scale);
    const float grad_scale = ABSENT(scale) ? 1.0f : scale[0], beta1 = BETA1, beta2 = BETA2, eps = EPS;
    const float decay = decoupled ? LR * DECAY : 0.0f, l2 = decoupled ? 0.0f : DECAY;
    const float step = LR / BIAS1, inv_bias2 = 1.0f / BIAS2;
    size_t i = get_global_id(0) * VW;
    if ((long)i + VW <= n) ADAMW(VEC, VLOAD, VSTORE)
    else for (; (long)i < n; i++) ADAMW(float, LOAD1, STORE1)
}

#define SGD(TYPE, LOAD, STORE)                                                                \
    {                                                                                         \
        const TYPE p = LOAD(param + i);                                                       \
        const TYPE mi = momentum * LOAD(m + i) + (LOAD(grad + i) * grad_scale + decay * p);   \
        STORE(mi, m + i);                                                                     \
        STORE(p - lr * mi, param + i);                                                        \
    }

__kernel void sgd(TENSOR(param), TENSOR(m), TENSOR(grad), TENSOR(hyper), TENSOR(scale), long n)
{
    BIND(param);
    BIND(m);
    CBIND(grad);
    CBIND(hyper);
    CBIND_OPT(scale);
    const float grad_scale = ABSENT(scale) ? 1.0f : scale[0], momentum = BETA1, decay = DECAY, lr = LR;
    size_t i = get_global_id(0) * VW;
    if ((long)i + VW <= n) SGD(VEC, VLOAD, VSTORE)
    else for (; (long)i < n; i++) SGD(float, LOAD1, STORE1)
}

__kernel void ema(TENSOR(avg), TENSOR(param), TENSOR(decay), long n)
{
    BIND(avg);
    CBIND(param);
    CBIND(decay);
    const float d = decay[0], rest = 1.0f - d;
    size_t i = get_global_id(0) * VW;
    if ((long)i + VW <= n) VSTORE(d * VLOAD(avg + i) + rest * VLOAD(param + i), avg + i);
    else for (; (long)i < n; i++) avg[i] = d * avg[i] + rest * param[i];
}

__kernel void accumulate(TENSOR(sum), TENSOR(x), TENSOR(keep), long n)
{
    BIND(sum);
    CBIND(x);
    CBIND(keep);
    const int add = keep[0] != 0.0f; /* else what the sum held, a NaN perhaps, must not matter */
    size_t i = get_global_id(0) * VW;
    if ((long)i + VW <= n) VSTORE(add ? VLOAD(sum + i) + VLOAD(x + i) : VLOAD(x + i), sum + i);
    else for (; (long)i < n; i++) sum[i] = add ? sum[i] + x[i] : x[i];
}
