/* SPDX-License-Identifier: MIT
 * Scaled dot-product attention and its gradient without the matrix of weights (Dao et al. 2022, FlashAttention; algorithms 1 and
 * 4 without their random dropout). q (B, Sq, heads D), k and v (B, Sk, heads D). */
#include "ops/sdpa.h"

#include <stdio.h>
#include <string.h>

#include "base/pool.h"
#include "brume/ops.h"
#include "ops/sdpa_cl.h"
#include "ops/suits.h"
#include "simd/attention.h"
#include "simd/simd.h"

/* ---- cpu ------------------------------------------------------------------------------------------------------------------- */

struct job {
    const struct brume_simd_attention *simd;
    struct brume_sdpa_dims d;
    bool causal;
    float scale;
    const float *q, *k, *v, *dout;
    const float *o_in;
    float *o, *lse, *dq, *dk, *dv, *delta;
    float *panels;          /* slots of slot_floats */
    int64_t slot_floats, rows, row_blocks, key_blocks;
};

static int64_t round_up(int64_t x, int64_t m) { return (x + m - 1) / m * m; }

static int64_t rows_panel(int64_t s, int64_t d, int64_t nr) { return s * round_up(d, nr); }
static int64_t cols_panel(int64_t s, int64_t d, int64_t nr) { return round_up(s, nr) * d; }

static int64_t forward_slot(const struct brume_sdpa_dims *d, int64_t nr)
{
    return cols_panel(d->sk, d->d, nr) + rows_panel(d->sk, d->d, nr);
}
static int64_t backward_slot(const struct brume_sdpa_dims *d, int64_t nr)
{
    return 2 * cols_panel(d->sk, d->d, nr) + rows_panel(d->sk, d->d, nr) + 2 * rows_panel(d->sq, d->d, nr);
}

/* With two or more heads for every thread a task is a head, and a thread packs them in its slot one after the other; with fewer
 * every head has its slot, and its blocks are the tasks. Either way every sum runs in the same order. */
static bool whole_heads(const struct brume_sdpa_dims *d, int64_t threads) { return d->b * d->heads >= 2 * threads; }
static int64_t slots(const struct brume_sdpa_dims *d, int64_t threads)
{
    return whole_heads(d, threads) ? threads : d->b * d->heads;
}

static struct job job_of(const struct brume_cpu_call *call)
{
    const struct brume_sdpa_attrs *at = call->node->attrs;
    struct job j = { .simd = call->simd->attention, .d = brume_sdpa_dims_of(call->node), .causal = at->causal != 0,
                     .scale = at->scale, .q = call->in[0], .k = call->in[1], .v = call->in[2], .panels = call->work };
    j.row_blocks = (j.d.sq + BRUME_ATTENTION_ROWS - 1) / BRUME_ATTENTION_ROWS;
    if (j.d.b * j.d.heads == 1 && j.row_blocks == 1 && j.d.sq >= 32) j.row_blocks = 2;
    j.rows = (j.d.sq + j.row_blocks - 1) / j.row_blocks;
    j.row_blocks = (j.d.sq + j.rows - 1) / j.rows;
    j.key_blocks = (j.d.sk + BRUME_ATTENTION_KEYS - 1) / BRUME_ATTENTION_KEYS;
    return j;
}

/* Head `at` of B * heads, with its panels in the given slot (packed elsewhere). */
static struct brume_attention_head head_of(const struct job *j, int64_t at, int64_t slot)
{
    const struct brume_sdpa_dims *d = &j->d;
    const int64_t b = at / d->heads, first = at % d->heads * d->d, nr = j->simd->nr;
    const int64_t q_at = b * d->sq * d->ld + first, k_at = b * d->sk * d->ld + first;
    float *p = j->panels + slot * j->slot_floats;
    struct brume_attention_head h = { .sq = d->sq, .sk = d->sk, .d = d->d, .causal = j->causal,
                                      .scale = j->scale, .q = j->q + q_at, .k = j->k + k_at, .v = j->v + k_at, .ld = d->ld,
                                      .lse = j->lse + at * d->sq };
    h.k_cols = p;
    p += cols_panel(d->sk, d->d, nr);
    if (!j->dout) {
        h.v_rows = p;
        h.o = j->o + q_at;
        return h;
    }
    h.v_cols = p;
    p += cols_panel(d->sk, d->d, nr);
    h.k_rows = p;
    p += rows_panel(d->sk, d->d, nr);
    h.q_rows = p;
    h.dout_rows = p + rows_panel(d->sq, d->d, nr);
    h.dout = j->dout + q_at;
    h.delta = j->delta + at * d->sq;
    h.dq = j->dq + q_at;
    h.dk = j->dk + k_at;
    h.dv = j->dv + k_at;
    return h;
}

static void pack_head(const struct job *j, int64_t at, int64_t slot)
{
    const struct brume_attention_head h = head_of(j, at, slot);
    const struct brume_simd_attention *s = j->simd;
    s->pack_cols(h.sk, h.d, h.k, h.ld, (float *)h.k_cols);
    if (!h.dout) {
        s->pack_rows(h.sk, h.d, h.v, h.ld, (float *)h.v_rows);
        return;
    }
    s->pack_cols(h.sk, h.d, h.v, h.ld, (float *)h.v_cols);
    s->pack_rows(h.sk, h.d, h.k, h.ld, (float *)h.k_rows);
    s->pack_rows(h.sq, h.d, h.q, h.ld, (float *)h.q_rows);
    s->pack_rows(h.sq, h.d, h.dout, h.ld, (float *)h.dout_rows);
    s->dots(h.sq, h.d, h.dout, j->o_in + (h.q - j->q), h.ld, (float *)h.delta);
}

static void forward_rows(const struct job *j, const struct brume_attention_head *h, int64_t block)
{
    const int64_t i0 = block * j->rows;
    j->simd->forward(h, i0, j->d.sq - i0 < j->rows ? j->d.sq - i0 : j->rows);
}

/* Queries of a row block against the keys of a key block: the sums of dq run over key blocks, those of dk and dv over row
 * blocks. */
static void backward_block(const struct job *j, const struct brume_attention_head *h, int64_t row_block, int64_t key_block,
                           bool dq, bool dkv)
{
    const int64_t i0 = row_block * j->rows, n = j->d.sq - i0 < j->rows ? j->d.sq - i0 : j->rows;
    const int64_t j0 = key_block * BRUME_ATTENTION_KEYS,
                  nk = j->d.sk - j0 < BRUME_ATTENTION_KEYS ? j->d.sk - j0 : BRUME_ATTENTION_KEYS;
    if (j->causal && i0 + n - 1 < j0) return;
    j->simd->backward(h, i0, n, j0, nk, dq, dkv, key_block == 0, row_block == 0 || (j->causal && i0 - 1 < j0));
}

/* Keys after the last query are seen by none (causal, Sk > Sq). */
static void clear_unseen(const struct job *j, const struct brume_attention_head *h, int64_t key_block)
{
    const int64_t j0 = key_block * BRUME_ATTENTION_KEYS,
                  end = j0 + BRUME_ATTENTION_KEYS < j->d.sk ? j0 + BRUME_ATTENTION_KEYS : j->d.sk;
    if (!j->causal || j0 < j->d.sq) return;
    for (int64_t i = j0; i < end; i++) {
        memset(h->dk + i * h->ld, 0, (size_t)h->d * sizeof *h->dk);
        memset(h->dv + i * h->ld, 0, (size_t)h->d * sizeof *h->dv);
    }
}

static void forward_head(void *ctx, int64_t task, int thread)
{
    const struct job *j = ctx;
    pack_head(j, task, thread);
    const struct brume_attention_head h = head_of(j, task, thread);
    for (int64_t i = 0; i < j->row_blocks; i++) forward_rows(j, &h, i);
}

static void backward_head(void *ctx, int64_t task, int thread)
{
    const struct job *j = ctx;
    pack_head(j, task, thread);
    const struct brume_attention_head h = head_of(j, task, thread);
    for (int64_t k = 0; k < j->key_blocks; k++) {
        for (int64_t i = 0; i < j->row_blocks; i++) backward_block(j, &h, i, k, true, true);
        clear_unseen(j, &h, k);
    }
}

static void pack_task(void *ctx, int64_t task, int thread)
{
    (void)thread;
    pack_head(ctx, task, task);
}

static void forward_task(void *ctx, int64_t task, int thread)
{
    const struct job *j = ctx;
    (void)thread;
    const int64_t at = task / j->row_blocks;
    const struct brume_attention_head h = head_of(j, at, at);
    forward_rows(j, &h, task % j->row_blocks);
}

static void dq_task(void *ctx, int64_t task, int thread)
{
    const struct job *j = ctx;
    (void)thread;
    const int64_t at = task / j->row_blocks;
    const struct brume_attention_head h = head_of(j, at, at);
    for (int64_t k = 0; k < j->key_blocks; k++) backward_block(j, &h, task % j->row_blocks, k, true, false);
}

static void dkv_task(void *ctx, int64_t task, int thread)
{
    const struct job *j = ctx;
    (void)thread;
    const int64_t at = task / j->key_blocks;
    const struct brume_attention_head h = head_of(j, at, at);
    for (int64_t i = 0; i < j->row_blocks; i++) backward_block(j, &h, i, task % j->key_blocks, false, true);
    clear_unseen(j, &h, task % j->key_blocks);
}

static void cpu_forward(const struct brume_cpu_call *call)
{
    struct job j = job_of(call);
    const int64_t heads = j.d.b * j.d.heads;
    j.o = call->out[0];
    j.lse = call->out[1];
    j.slot_floats = forward_slot(&j.d, j.simd->nr);
    if (whole_heads(&j.d, brume_pool_threads(call->pool))) {
        brume_pool_run(call->pool, heads, forward_head, &j);
        return;
    }
    brume_pool_run(call->pool, heads, pack_task, &j);
    brume_pool_run(call->pool, heads * j.row_blocks, forward_task, &j);
}

static void cpu_backward(const struct brume_cpu_call *call)
{
    struct job j = job_of(call);
    const int64_t heads = j.d.b * j.d.heads, threads = brume_pool_threads(call->pool);
    j.o_in = call->in[3];
    j.lse = (float *)call->in[4];
    j.dout = call->in[5];
    j.dq = call->out[0];
    j.dk = call->out[1];
    j.dv = call->out[2];
    j.slot_floats = backward_slot(&j.d, j.simd->nr);
    j.delta = j.panels + slots(&j.d, threads) * j.slot_floats;
    if (whole_heads(&j.d, threads)) {
        brume_pool_run(call->pool, heads, backward_head, &j);
        return;
    }
    brume_pool_run(call->pool, heads, pack_task, &j);
    brume_pool_run(call->pool, heads * j.row_blocks, dq_task, &j);
    brume_pool_run(call->pool, heads * j.key_blocks, dkv_task, &j);
}

static size_t forward_work(const struct brume_node *n, const struct brume_caps *caps)
{
    const struct brume_sdpa_dims d = brume_sdpa_dims_of(n);
    if (caps->opencl) return 0;
    return (size_t)(slots(&d, caps->compute_units) * forward_slot(&d, BRUME_ATTENTION_MAX_NR)) * sizeof(float);
}

static size_t backward_work(const struct brume_node *n, const struct brume_caps *caps)
{
    const struct brume_sdpa_dims d = brume_sdpa_dims_of(n);
    if (caps->opencl) return brume_sdpa_grad_work(n, caps);
    return (size_t)(slots(&d, caps->compute_units) * backward_slot(&d, BRUME_ATTENTION_MAX_NR) + d.b * d.heads * d.sq) *
           sizeof(float);
}

static const struct brume_variant forward_kernels[] = {
    { .name = "tile", .suits = brume_suits_cpu, .work_bytes = brume_sdpa_tile_work, .cl = brume_sdpa_tile },
    { .name = "local", .fits = brume_sdpa_fits_local, .suits = brume_suits_gpu, .cl = brume_sdpa_local },
    { .name = "any", .work_bytes = forward_work, .cpu = cpu_forward, .cl = brume_sdpa_row },
    { 0 },
};
static const struct brume_variant backward_kernels[] = {
    { .name = "tile", .suits = brume_suits_cpu, .work_bytes = brume_sdpa_tile_grad_work, .cl = brume_sdpa_tile_grad },
    { .name = "local", .fits = brume_sdpa_fits_local, .suits = brume_suits_gpu, .work_bytes = brume_sdpa_grad_work,
      .cl = brume_sdpa_local_grad },
    { .name = "any", .work_bytes = backward_work, .cpu = cpu_backward, .cl = brume_sdpa_row_grad },
    { 0 },
};

/* ---- op -------------------------------------------------------------------------------------------------------------------- */

static brume_status check(struct brume_node *n)
{
    static const char *const names[] = { "q", "k", "v" };
    const struct brume_sdpa_attrs *at = n->attrs;
    for (int i = 0; i < 3; i++) {
        const brume_status s = brume_want(n, i, names[i], BRUME_F32, 3);
        if (s) return s;
    }
    const brume_shape q = n->in_v[0]->shape, k = n->in_v[1]->shape;
    if (!brume_shape_equal(k, n->in_v[2]->shape)) return brume_node_fail(n, BRUME_E_SHAPE, "k and v must have the same shape");
    if (k.d[0] != q.d[0] || k.d[2] != q.d[2])
        return brume_node_fail(n, BRUME_E_SHAPE, "q and k must agree in batch and channels");
    if (at->heads < 1 || q.d[2] % at->heads)
        return brume_node_fail(n, BRUME_E_SHAPE, "heads must divide the %lld channels, got %d", (long long)q.d[2], at->heads);
    if (!(at->scale > 0)) return brume_node_fail(n, BRUME_E_ARG, "scale must be above 0, got %g", (double)at->scale);
    return BRUME_OK;
}

static brume_status shape(struct brume_node *n)
{
    const struct brume_sdpa_attrs *at = n->attrs;
    const brume_status s = check(n);
    if (s) return s;
    const brume_shape q = n->in_v[0]->shape;
    n->out_v[0]->dtype = n->out_v[1]->dtype = BRUME_F32;
    n->out_v[0]->shape = q;
    n->out_v[1]->shape = BRUME_SHAPE(q.d[0], at->heads, q.d[1]);
    return BRUME_OK;
}

static brume_status grad_shape(struct brume_node *n)
{
    const brume_status s = check(n);
    if (s) return s;
    if (!brume_shape_equal(n->in_v[0]->shape, n->in_v[5]->shape))
        return brume_node_fail(n, BRUME_E_SHAPE, "dy must have the shape of q");
    for (int k = 0; k < 3; k++) {
        n->out_v[k]->dtype = BRUME_F32;
        n->out_v[k]->shape = n->in_v[k]->shape;
    }
    return BRUME_OK;
}

/* Products of Sq x Sk x D: two forward, seven backward at most (five are needed, two are made again for dk and dv). */
static double products(const struct brume_node *n, double count)
{
    const struct brume_sdpa_attrs *at = n->attrs;
    const struct brume_sdpa_dims d = brume_sdpa_dims_of(n);
    return count * 2 * (double)d.b * (double)d.ld * (double)d.sq * (double)d.sk * (at->causal ? 0.5 : 1.0);
}
static double flops(const struct brume_node *n) { return products(n, 2); }
static double grad_flops(const struct brume_node *n) { return products(n, 5); }

static void key(const struct brume_node *n, char *text, size_t size)
{
    const struct brume_sdpa_attrs *a = n->attrs;
    snprintf(text, size, "heads %d causal %d", a->heads, a->causal);
}

const struct brume_op brume_op_sdpa_grad = {
    .name = "sdpa_grad", .tolerance = BRUME_TOL_ATTENTION, .n_in_min = 6, .n_in_max = 6, .n_out = 3, .shape = grad_shape,
    .kernels = backward_kernels, .flops = grad_flops, .key = key,
};

static void grad(brume_graph *g, const struct brume_node *n, const brume_tensor *dy, brume_tensor *dx, const bool *need)
{
    const brume_tensor in[6] = { n->in[0], n->in[1], n->in[2], n->out[0], n->out[1], dy[0] };
    if (dy[0] == BRUME_NONE) return;
    if (n->in_v[1]->shape.d[1] == 1) {
        /* One key has the weight 1 whatever the query says: exactly 0, where p (dp - delta) below would leave the rounding of
         * delta. */
        if (need[0]) dx[0] = brume_constant(g, n->in_v[0]->shape, 0.0f);
        if (need[1]) dx[1] = brume_constant(g, n->in_v[1]->shape, 0.0f);
        if (need[2]) dx[2] = brume_sum(g, dy[0], 1u << 1, 1);
        return;
    }
    const brume_tensor d = brume_node_add(g, &brume_op_sdpa_grad, 6, in, n->attrs, sizeof(struct brume_sdpa_attrs));
    for (int i = 0; i < 3; i++)
        if (need[i] && d != BRUME_NONE) dx[i] = d + i;
}

const struct brume_op brume_op_sdpa = {
    .name = "sdpa", .tolerance = BRUME_TOL_ATTENTION, .n_in_min = 3, .n_in_max = 3, .n_out = 2, .shape = shape, .grad = grad,
    .kernels = forward_kernels, .flops = flops, .key = key,
};

brume_tensor brume_sdpa(brume_graph *g, brume_tensor q, brume_tensor k, brume_tensor v, int heads, int causal, float scale)
{
    const struct brume_sdpa_attrs at = { heads, causal, scale };
    const brume_tensor in[3] = { q, k, v };
    return brume_node_add(g, &brume_op_sdpa, 3, in, &at, sizeof at);
}
