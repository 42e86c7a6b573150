/* SPDX-License-Identifier: MIT
 * Elementwise functions of broadcast inputs: shape rule, gradients and builders of every row of ew.def. The plan computes them in
 * fused chains, so there are no kernels here. */
#include "ops/ew.h"

#include <string.h>

#include "brume/ops.h"

bool brume_shape_broadcast(brume_shape a, brume_shape b, brume_shape *out)
{
    brume_shape s = { .ndim = a.ndim > b.ndim ? a.ndim : b.ndim };
    for (int i = 0; i < s.ndim; i++) {
        const int ia = i - (s.ndim - a.ndim), ib = i - (s.ndim - b.ndim);
        const int64_t da = ia >= 0 ? a.d[ia] : 1, db = ib >= 0 ? b.d[ib] : 1;
        if (da != db && da != 1 && db != 1) return false;
        s.d[i] = da == 1 ? db : da;
    }
    *out = s;
    return true;
}

static brume_status shape(struct brume_node *n)
{
    brume_shape s = BRUME_SCALAR;
    for (int i = 0; i < n->n_in; i++) {
        const brume_status st = brume_want(n, i, i ? "b" : "a", BRUME_F32, -1);
        if (st != BRUME_OK) return st;
        if (!brume_shape_broadcast(s, n->in_v[i]->shape, &s))
            return brume_node_fail(n, BRUME_E_SHAPE, "shapes do not broadcast: aligned at the end, each axis must agree or be 1");
    }
    n->out_v[0]->dtype = BRUME_F32;
    n->out_v[0]->shape = s;
    return BRUME_OK;
}

/* constant and expand: the shape is given. */
static brume_status shape_given(struct brume_node *n)
{
    const struct brume_ew_attrs *at = n->attrs;
    brume_shape s = at->shape;
    if (n->n_in) {
        const brume_status st = brume_want(n, 0, "x", BRUME_F32, -1);
        if (st != BRUME_OK) return st;
        char text[96];
        if (!brume_shape_broadcast(n->in_v[0]->shape, at->shape, &s) || !brume_shape_equal(s, at->shape))
            return brume_node_fail(n, BRUME_E_SHAPE, "x cannot be repeated to %s", brume_shape_text(at->shape, text));
    }
    n->out_v[0]->dtype = BRUME_F32;
    n->out_v[0]->shape = s;
    return BRUME_OK;
}

static brume_status shape_scalars(struct brume_node *n)
{
    for (int i = 0; i < n->n_in; i++)
        if (n->in_v[i]->dtype != BRUME_F32 || brume_shape_numel(n->in_v[i]->shape) != 1)
            return brume_node_fail(n, BRUME_E_SHAPE, "expects scalars of f32");
    return shape(n);
}

/* y = f(x): the row after a function of one input is its gradient. */
static void grad1(brume_graph *g, const struct brume_node *n, const brume_tensor *dy, brume_tensor *dx, const bool *need)
{
    const struct brume_ew_attrs *at = n->attrs;
    if (need[0]) dx[0] = brume_ew2(g, (enum brume_ew_index)(n->op->ew->row + 1), n->in[0], dy[0], at ? at->p : NULL);
}

static brume_tensor negative(brume_graph *g, brume_tensor x) { return brume_affine(g, x, -1.0f, 0.0f); }

static void grad_add(brume_graph *g, const struct brume_node *n, const brume_tensor *dy, brume_tensor *dx, const bool *need)
{
    for (int i = 0; i < 2; i++)
        if (need[i]) dx[i] = brume_sum_to(g, dy[0], n->in_v[i]->shape);
}

static void grad_sub(brume_graph *g, const struct brume_node *n, const brume_tensor *dy, brume_tensor *dx, const bool *need)
{
    if (need[0]) dx[0] = brume_sum_to(g, dy[0], n->in_v[0]->shape);
    if (need[1]) dx[1] = negative(g, brume_sum_to(g, dy[0], n->in_v[1]->shape));
}

static void grad_mul(brume_graph *g, const struct brume_node *n, const brume_tensor *dy, brume_tensor *dx, const bool *need)
{
    for (int i = 0; i < 2; i++)
        if (need[i]) dx[i] = brume_sum_to(g, brume_mul(g, dy[0], n->in[1 - i]), n->in_v[i]->shape);
}

static void grad_div(brume_graph *g, const struct brume_node *n, const brume_tensor *dy, brume_tensor *dx, const bool *need)
{
    if (need[0]) dx[0] = brume_sum_to(g, brume_div(g, dy[0], n->in[1]), n->in_v[0]->shape);
    if (need[1]) {
        const brume_tensor in[3] = { dy[0], n->out[0], n->in[1] };
        dx[1] = brume_sum_to(g, brume_node_add(g, &brume_ew_ops[EW_div_grad], 3, in, NULL, 0), n->in_v[1]->shape);
    }
}

/* log P depends on z and h; the value itself only says whether its bin is open. */
static void grad_bin(brume_graph *g, const struct brume_node *n, const brume_tensor *dy, brume_tensor *dx, const bool *need)
{
    static const enum brume_ew_index rule[3] = { [1] = EW_bin_log_prob_dz, [2] = EW_bin_log_prob_dh };
    const brume_tensor in[4] = { n->in[0], n->in[1], n->in[2], dy[0] };
    for (int i = 1; i < 3; i++)
        if (need[i]) dx[i] = brume_sum_to(g, brume_node_add(g, &brume_ew_ops[rule[i]], 4, in, NULL, 0), n->in_v[i]->shape);
}

static void grad_stop(brume_graph *g, const struct brume_node *n, const brume_tensor *dy, brume_tensor *dx, const bool *need)
{
    (void)g, (void)n, (void)dy, (void)dx, (void)need;
}

static void grad_expand(brume_graph *g, const struct brume_node *n, const brume_tensor *dy, brume_tensor *dx, const bool *need)
{
    const struct brume_ew_attrs *at = n->attrs;
    if (!need[0]) return;
    const brume_tensor d = brume_sum_to(g, dy[0], n->in_v[0]->shape);
    dx[0] = at->p[0] == 1.0f ? d : brume_affine(g, d, at->p[0], 0.0f);
}

static void params(const struct brume_node *n, float p[BRUME_EW_MAX_PARAM])
{
    const struct brume_ew_attrs *at = n->attrs;
    if (at) memcpy(p, at->p, sizeof at->p);
}

static const struct brume_ew rows[] = {
#define EW(f, inputs, parameters, text) { .n_in = inputs, .n_param = parameters, .expr = #text, .row = EW_##f },
#define EW1(f, parameters, y, dydx) EW(f, 1, parameters, y) EW(f##_grad, 2, parameters, b * (dydx))
#define EW1X(f, parameters, y, dx) EW(f, 1, parameters, y) EW(f##_grad, 2, parameters, dx)
#include "ops/ew.def"
#undef EW
#undef EW1
#undef EW1X
};

/* Every function of one input has the same rules; those of the others stand in SPECIAL_name. */
#define OP(f, inputs, ...) \
    { .name = #f, .n_in_min = inputs, .n_in_max = inputs, .n_out = 1, .ew = &rows[EW_##f], .ew_params = params, __VA_ARGS__ },
#define ELEMENTWISE .tolerance = BRUME_TOL_ELEMENTWISE
#define SPECIAL_add ELEMENTWISE, .shape = shape, .grad = grad_add
#define SPECIAL_sub ELEMENTWISE, .shape = shape, .grad = grad_sub
#define SPECIAL_mul ELEMENTWISE, .shape = shape, .grad = grad_mul
#define SPECIAL_div ELEMENTWISE, .shape = shape, .grad = grad_div
#define SPECIAL_div_grad ELEMENTWISE, .shape = shape
#define SPECIAL_bin_log_prob .tolerance = BRUME_TOL_BINS, .shape = shape, .grad = grad_bin
#define SPECIAL_bin_log_prob_dz .tolerance = BRUME_TOL_BINS, .shape = shape
#define SPECIAL_bin_log_prob_dh .tolerance = BRUME_TOL_BINS, .shape = shape
#define SPECIAL_stop_gradient .tolerance = BRUME_TOL_EXACT, .shape = shape, .grad = grad_stop
#define SPECIAL_constant .tolerance = BRUME_TOL_EXACT, .shape = shape_given
#define SPECIAL_expand ELEMENTWISE, .shape = shape_given, .grad = grad_expand
#define SPECIAL_clip_scale ELEMENTWISE, .shape = shape_scalars

const struct brume_op brume_ew_ops[EW_COUNT] = {
#define EW(f, inputs, parameters, text) OP(f, inputs, SPECIAL_##f)
#define EW1(f, parameters, y, dydx) \
    OP(f, 1, ELEMENTWISE, .shape = shape, .grad = grad1) OP(f##_grad, 2, ELEMENTWISE, .shape = shape)
#define EW1X(f, parameters, y, dx) EW1(f, parameters, y, dx)
#include "ops/ew.def"
};

static brume_tensor add_node(brume_graph *g, enum brume_ew_index f, int n_in, const brume_tensor *in, const float *p)
{
    struct brume_ew_attrs at = { 0 };
    if (p) memcpy(at.p, p, (size_t)rows[f].n_param * sizeof *p);
    return brume_node_add(g, &brume_ew_ops[f], n_in, in, p ? &at : NULL, p ? sizeof at : 0);
}

brume_tensor brume_ew1(brume_graph *g, enum brume_ew_index f, brume_tensor a, const float *p) { return add_node(g, f, 1, &a, p); }

brume_tensor brume_ew2(brume_graph *g, enum brume_ew_index f, brume_tensor a, brume_tensor b, const float *p)
{
    const brume_tensor in[2] = { a, b };
    return add_node(g, f, 2, in, p);
}

brume_tensor brume_expand(brume_graph *g, brume_tensor x, brume_shape s, float scale)
{
    if (scale == 1.0f && brume_shape_equal(brume_tensor_shape(g, x), s)) return x;
    const struct brume_ew_attrs at = { .p = { scale }, .shape = s };
    return brume_node_add(g, &brume_ew_ops[EW_expand], 1, &x, &at, sizeof at);
}

brume_tensor brume_constant(brume_graph *g, brume_shape s, float value)
{
    const struct brume_ew_attrs at = { .p = { value }, .shape = s };
    return brume_node_add(g, &brume_ew_ops[EW_constant], 0, NULL, &at, sizeof at);
}

brume_tensor brume_silu(brume_graph *g, brume_tensor x) { return brume_ew1(g, EW_silu, x, NULL); }
brume_tensor brume_relu(brume_graph *g, brume_tensor x) { return brume_ew1(g, EW_relu, x, NULL); }
brume_tensor brume_mish(brume_graph *g, brume_tensor x) { return brume_ew1(g, EW_mish, x, NULL); }
brume_tensor brume_gelu_erf(brume_graph *g, brume_tensor x) { return brume_ew1(g, EW_gelu_erf, x, NULL); }
brume_tensor brume_gelu_tanh(brume_graph *g, brume_tensor x) { return brume_ew1(g, EW_gelu_tanh, x, NULL); }
brume_tensor brume_gelu_quick(brume_graph *g, brume_tensor x) { return brume_ew1(g, EW_gelu_quick, x, NULL); }
brume_tensor brume_exp(brume_graph *g, brume_tensor x) { return brume_ew1(g, EW_exp, x, NULL); }
brume_tensor brume_expm1(brume_graph *g, brume_tensor x) { return brume_ew1(g, EW_expm1, x, NULL); }
brume_tensor brume_log(brume_graph *g, brume_tensor x) { return brume_ew1(g, EW_log, x, NULL); }
brume_tensor brume_sqrt(brume_graph *g, brume_tensor x) { return brume_ew1(g, EW_sqrt, x, NULL); }
brume_tensor brume_square(brume_graph *g, brume_tensor x) { return brume_ew1(g, EW_square, x, NULL); }
brume_tensor brume_sin(brume_graph *g, brume_tensor x) { return brume_ew1(g, EW_sin, x, NULL); }
brume_tensor brume_cos(brume_graph *g, brume_tensor x) { return brume_ew1(g, EW_cos, x, NULL); }
brume_tensor brume_sigmoid(brume_graph *g, brume_tensor x) { return brume_ew1(g, EW_sigmoid, x, NULL); }
brume_tensor brume_tanh(brume_graph *g, brume_tensor x) { return brume_ew1(g, EW_tanh, x, NULL); }

brume_tensor brume_activation(brume_graph *g, brume_tensor x, brume_act act)
{
    switch (act) {
    case BRUME_ACT_NONE: return brume_graph_status(g) == BRUME_OK ? x : BRUME_NONE;
    case BRUME_ACT_SILU: return brume_silu(g, x);
    case BRUME_ACT_RELU: return brume_relu(g, x);
    case BRUME_ACT_MISH: return brume_mish(g, x);
    case BRUME_ACT_GELU_ERF: return brume_gelu_erf(g, x);
    case BRUME_ACT_GELU_TANH: return brume_gelu_tanh(g, x);
    case BRUME_ACT_GELU_QUICK: return brume_gelu_quick(g, x);
    }
    return brume_graph_fail(g, BRUME_E_ARG, "activation: %d is none of enum brume_act", (int)act);
}

brume_tensor brume_affine(brume_graph *g, brume_tensor x, float scale, float shift)
{
    return brume_ew1(g, EW_affine, x, (const float[]){ scale, shift });
}

brume_tensor brume_clamp(brume_graph *g, brume_tensor x, float lo, float hi)
{
    if (!(lo <= hi))
        return brume_graph_fail(g, BRUME_E_ARG, "clamp: lower limit %g is above the upper limit %g", (double)lo, (double)hi);
    return brume_ew1(g, EW_clamp, x, (const float[]){ lo, hi });
}

brume_tensor brume_add(brume_graph *g, brume_tensor a, brume_tensor b) { return brume_ew2(g, EW_add, a, b, NULL); }
brume_tensor brume_sub(brume_graph *g, brume_tensor a, brume_tensor b) { return brume_ew2(g, EW_sub, a, b, NULL); }
brume_tensor brume_mul(brume_graph *g, brume_tensor a, brume_tensor b) { return brume_ew2(g, EW_mul, a, b, NULL); }
brume_tensor brume_div(brume_graph *g, brume_tensor a, brume_tensor b) { return brume_ew2(g, EW_div, a, b, NULL); }

brume_tensor brume_stop_gradient(brume_graph *g, brume_tensor x) { return brume_ew1(g, EW_stop_gradient, x, NULL); }

brume_tensor brume_bin_log_prob(brume_graph *g, brume_tensor x, brume_tensor mean, brume_tensor log_std)
{
    const brume_tensor per_std = brume_exp(g, brume_affine(g, log_std, -1, 0));
    const brume_tensor in[3] = { x, brume_mul(g, brume_sub(g, x, mean), per_std), brume_affine(g, per_std, 1 / 255.0f, 0) };
    return brume_clamp(g, add_node(g, EW_bin_log_prob, 3, in, NULL), -27.6310211f, 1); /* log 1e-12; rounding may exceed 0 */
}

brume_tensor brume_clip_scale(brume_graph *g, brume_tensor norm, brume_tensor max_norm)
{
    return brume_ew2(g, EW_clip_scale, norm, max_norm, NULL);
}
