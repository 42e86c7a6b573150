/* SPDX-License-Identifier: MIT
 * The thread pool: every task once, thread numbers within bounds, for any number of threads and tasks. */
#include <stdatomic.h>
#include <unistd.h>

#include "base/pool.h"
#include "check.h"

struct seen { _Atomic int count[64]; _Atomic int most_thread; };

static void task(void *ctx, int64_t i, int thread)
{
    struct seen *s = ctx;
    s->count[i]++;
    for (int most = s->most_thread; thread > most && !atomic_compare_exchange_weak(&s->most_thread, &most, thread);) {}
    if (i % 3 == 0) usleep(50); /* long enough for other threads to come in */
}

int main(void)
{
    for (int threads = 1; threads <= 8; threads++) {
        struct brume_pool *p = NULL;
        if (!CHECK_OK(brume_pool_new(threads, &p))) break;
        CHECK_INT(brume_pool_threads(p), threads);
        int bad = 0, outside = 0;
        for (int round = 0; round < 300; round++) {
            const int n = round % 12;
            struct seen s = { .most_thread = -1 };
            brume_pool_run(p, n, task, &s);
            for (int i = 0; i < 64; i++) bad += s.count[i] != (i < n);
            outside += s.most_thread >= threads || s.most_thread >= n + (n == 0);
        }
        CHECK_INT(bad, 0);
        CHECK_INT(outside, 0);
        brume_pool_free(p);
    }
    struct brume_pool *p = NULL;
    CHECK_FAILS(brume_pool_new(-1, &p), BRUME_E_ARG, "threads");
    brume_pool_free(NULL);
    return check_report();
}
