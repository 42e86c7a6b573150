/* SPDX-License-Identifier: MIT
 * RePaint (Lugmayr et al. 2022, algorithm 1): inpainting by ancestral steps whose known part is drawn from the given image, with
 * jumps back up so that both parts come to agree. */
#include <math.h>
#include <stdlib.h>

#include "base/fail.h"
#include "diffusion/sampling.h"

static int64_t places(int32_t n, int32_t jump) { return n > jump ? (n - 1) / jump : 0; }

int64_t brume_repaint_times(int32_t n, int32_t jump, int32_t resample, int32_t *out)
{
    if (!out) return n + 2 * places(n, jump) * jump * (resample - 1);
    int64_t count = 0;
    int32_t *left = calloc((size_t)n, sizeof *left);
    if (!left) return -1;
    for (int64_t j = 0; j < (int64_t)n - jump; j += jump) left[j] = resample - 1;
    for (int32_t t = n - 1; t >= 0; t--) {
        out[count++] = t;
        if (left[t] <= 0) continue;
        left[t]--;
        for (int32_t k = 0; k < jump; k++) out[count++] = ++t;
    }
    free(left);
    return count;
}

static int32_t jump_length(const brume_sampler_options *o) { return o->jump_length > 0 ? o->jump_length : 10; }
static int32_t jump_n_sample(const brume_sampler_options *o) { return o->jump_n_sample > 0 ? o->jump_n_sample : 10; }

/* Every reverse step asks the network, jumps do not: n, and what the jumps took back. */
int32_t brume_calls_repaint(const brume_scheduler_config *c, const brume_sampler_options *o, int32_t n)
{
    const int32_t jump = jump_length(o);
    const int64_t calls = n + places(n, jump) * jump * (jump_n_sample(o) - 1);
    (void)c;
    return calls > INT32_MAX ? 0 : (int32_t)calls;
}

/* x = mask (sqrt(P) known + sqrt(1 - P) z) + (1 - mask) (c0 x0 + ct x + sqrt(pv) z'): eqs. 8a-8c, from node i to the next. */
static brume_status reverse(struct brume_sampling *s, const struct brume_node *at)
{
    const struct brume_node *next = at + 1;
    const double beta = -expm1(2 * log(at->a / next->a)), A1 = at->s * at->s, P1 = next->s * next->s; /* 1 - alpha_bar */
    const double c0 = next->a * beta / A1, ct = sqrt(1 - beta) * P1 / A1, sd = sqrt(beta * P1 / A1);
    const int noisy = P1 > 0;
    brume_buffer *known, *unknown;
    struct brume_terms kn = { 0 }, un = { 0 };
    brume_status e = brume_sampling_register(s, 0, &known);
    if (e == BRUME_OK) e = brume_sampling_register(s, 1, &unknown);
    if (e == BRUME_OK) e = brume_sampling_denoise(s, s->x, at, s->x0);
    if (e == BRUME_OK && noisy) e = brume_sampling_noise(s);
    brume_terms_add(&kn, next->a, s->in->known);
    brume_terms_add(&kn, sqrt(P1), s->z);
    if (e == BRUME_OK) e = brume_sampling_combine(s, &kn, known);
    if (e == BRUME_OK && noisy) e = brume_sampling_noise(s);
    brume_terms_add(&un, c0, s->x0);
    brume_terms_add(&un, ct, s->x);
    brume_terms_add(&un, sd, s->z);
    if (e == BRUME_OK) e = brume_sampling_combine(s, &un, unknown);
    if (e == BRUME_OK) e = brume_sampling_merge(s, known, unknown, s->spare);
    if (e != BRUME_OK) return e;
    brume_buffer *x = s->spare;
    s->spare = s->x;
    s->x = x;
    return brume_sampling_step(s, next);
}

/* Back up from the node after `to`: x = sqrt(1 - beta) x + sqrt(beta) z (eq. 2) */
static brume_status forward(struct brume_sampling *s, const struct brume_node *to)
{
    const double log_keep = 2 * log(to->a / to[1].a);
    struct brume_terms x = { 0 };
    brume_status e = brume_sampling_noise(s);
    brume_terms_add(&x, exp(0.5 * log_keep), s->x);
    brume_terms_add(&x, sqrt(-expm1(log_keep)), s->z);
    if (e == BRUME_OK) e = brume_sampling_update(s, &x);
    return e == BRUME_OK ? brume_sampling_step(s, to) : e;
}

brume_status brume_run_repaint(struct brume_sampling *s)
{
    if (s->options->strength < 1)
        return brume_fail(BRUME_E_UNSUPPORTED, "sampler repaint starts from noise only, so strength must be 1");
    const int32_t n = s->n, jump = jump_length(s->options), resample = jump_n_sample(s->options);
    const struct brume_node *node = s->grid->node;
    const int64_t count = brume_repaint_times(n, jump, resample, NULL);
    int32_t *times = count <= INT32_MAX ? malloc((size_t)count * sizeof *times) : NULL;
    brume_status e = BRUME_OK;
    if (!times || brume_repaint_times(n, jump, resample, times) < 0)
        e = brume_fail(BRUME_E_MEMORY, "out of memory for the jumps of %d steps, each %d long, every place passed %d times", n,
                       jump, resample);
    s->n = (int32_t)count;
    /* Place k of the chain is node n-1-k; a jump from the place last goes to the noise that its step began with. */
    for (int64_t i = 0, last = n; i < count && e == BRUME_OK; last = times[i++])
        e = times[i] < last ? reverse(s, &node[n - 1 - times[i]]) : forward(s, &node[n - 1 - last]);
    free(times);
    return e;
}
