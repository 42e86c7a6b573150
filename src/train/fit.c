/* SPDX-License-Identifier: MIT
 * Whether a training run fits into memory, and what would make it fit: found by laying plans out, which takes milliseconds. */
#include <inttypes.h>
#include <stdio.h>

#include "base/fail.h"
#include "train/trainer.h"

static double mib(uint64_t bytes) { return (double)bytes / 1048576; }
static uint64_t total(const brume_plan_stats *s)
{
    return s->arena_bytes + s->persistent_bytes + s->input_bytes + s->packed_bytes;
}

/* Bytes that the run takes; UINT64_MAX: no plan could be made, say because a tensor is larger than the device's buffers may
 * be. */
static uint64_t need(brume_device *d, const brume_train_config *c, const brume_dataset *data)
{
    brume_plan_stats s;
    return brume_trainer_estimate(d, c, data, &s) == BRUME_OK ? total(&s) : UINT64_MAX;
}

/* The largest proper divisor of the batch whose micro-batches fit; 0: none. bytes: what the last one tried takes. */
static int32_t largest_part(brume_device *d, brume_train_config c, const brume_dataset *data, int recompute, uint64_t limit,
                            uint64_t *bytes)
{
    c.recompute = recompute;
    for (int32_t n = c.batch - 1; n > 0; n--) {
        if (c.batch % n) continue;
        c.micro_batch = n;
        if ((*bytes = need(d, &c, data)) <= limit) return n;
    }
    return 0;
}

brume_status brume_trainer_check_memory(brume_device *d, const brume_train_config *c, const brume_dataset *data)
{
    brume_device_info info;
    brume_device_get_info(d, &info);
    const uint64_t limit =
        c->memory_limit && (!info.memory_bytes || c->memory_limit < info.memory_bytes) ? c->memory_limit : info.memory_bytes;
    brume_plan_stats s;
    brume_status made = brume_trainer_estimate(d, c, data, &s);
    if ((made != BRUME_OK && made != BRUME_E_MEMORY) || (made == BRUME_OK && (!limit || total(&s) <= limit))) return made;

    char why[700], ways[400] = "";
    size_t used = 0;
    if (made == BRUME_OK)
        snprintf(why, sizeof why, "a step takes %.1f MiB (activations %.1f, parameters and state %.1f), %s %.1f MiB",
                 mib(total(&s)), mib(s.arena_bytes), mib(s.persistent_bytes),
                 limit == c->memory_limit ? "the limit given is" : "the device has", mib(limit));
    else
        snprintf(why, sizeof why, "%s", brume_error());
    brume_train_config again = *c;
    uint64_t bytes = 0;
    again.recompute = 1;
    if (!c->recompute && (bytes = need(d, &again, data)) <= limit)
        used += (size_t)snprintf(ways + used, sizeof ways - used, "; --recompute takes %.1f MiB", mib(bytes));
    const int32_t kept = c->recompute ? 0 : largest_part(d, *c, data, 0, limit, &bytes);
    if (kept) used += (size_t)snprintf(ways + used, sizeof ways - used, "; --micro-batch %d takes %.1f MiB", kept, mib(bytes));
    const int32_t both = largest_part(d, *c, data, 1, limit, &bytes);
    if (both) snprintf(ways + used, sizeof ways - used, "; --recompute --micro-batch %d takes %.1f MiB", both, mib(bytes));
    else if (!used && bytes && bytes != UINT64_MAX)
        snprintf(ways, sizeof ways, "; not even --recompute --micro-batch 1 fits, it takes %.1f MiB: use a smaller model",
                 mib(bytes));
    else if (!used) snprintf(ways, sizeof ways, "; use a smaller model or smaller images");
    return brume_fail(BRUME_E_MEMORY, "training: batch %d on '%s': %s%s", c->batch, info.name, why, ways);
}

brume_status brume_train_check_memory(brume_device *d, const brume_train_config *c)
{
    return brume_trainer_check_memory(d, c, NULL);
}
