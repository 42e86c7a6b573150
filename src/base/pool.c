/* SPDX-License-Identifier: MIT
 * Thread pool: workers spin briefly between loops (a plan runs hundreds of short ones per second), then sleep. */
#include "base/pool.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/cores.h"
#include "base/fail.h"

#if defined(__x86_64__) || defined(__i386__)
#define RELAX() __builtin_ia32_pause()
#elif defined(__aarch64__)
#define RELAX() __asm__ volatile("yield")
#else
#define RELAX() ((void)0)
#endif

/* Spinning bridges the gap between two kernels of a plan (microseconds); longer gaps are the host's and are slept through. */
#define SPINS 4000

struct worker { struct brume_pool *pool; int index; pthread_t thread; };

struct brume_pool {
    int threads;
    struct worker *workers;
    void (*fn)(void *, int64_t, int);
    void *ctx;
    int64_t n;
    _Atomic int64_t next;        /* next task to hand out */
    _Atomic int running;         /* workers still inside the current loop */
    _Atomic unsigned generation; /* counts loops */
    _Atomic int quit;
    pthread_mutex_t mutex;
    pthread_cond_t wake;
};

static void work(struct brume_pool *p, int thread)
{
    for (;;) {
        const int64_t task = atomic_fetch_add_explicit(&p->next, 1, memory_order_relaxed);
        if (task >= p->n) return;
        p->fn(p->ctx, task, thread);
    }
}

static void *worker_main(void *arg)
{
    struct worker *w = arg;
    struct brume_pool *p = w->pool;
    unsigned seen = 0;
    for (;;) {
        for (int i = 0; i < SPINS && atomic_load_explicit(&p->generation, memory_order_acquire) == seen; i++) RELAX();
        if (atomic_load_explicit(&p->generation, memory_order_acquire) == seen) {
            pthread_mutex_lock(&p->mutex);
            while (atomic_load_explicit(&p->generation, memory_order_acquire) == seen) pthread_cond_wait(&p->wake, &p->mutex);
            pthread_mutex_unlock(&p->mutex);
        }
        seen = atomic_load_explicit(&p->generation, memory_order_acquire);
        if (atomic_load_explicit(&p->quit, memory_order_acquire)) return NULL;
        if (w->index < p->n) work(p, w->index); /* so that callers may keep scratch for min(threads, tasks) threads only */
        atomic_fetch_sub_explicit(&p->running, 1, memory_order_release);
    }
}

static void start_loop(struct brume_pool *p)
{
    pthread_mutex_lock(&p->mutex);
    atomic_fetch_add_explicit(&p->generation, 1, memory_order_release);
    pthread_cond_broadcast(&p->wake);
    pthread_mutex_unlock(&p->mutex);
}

brume_status brume_pool_new(int threads, brume_pool **out)
{
    *out = NULL;
    if (threads < 0 || threads > 1024)
        return brume_fail(BRUME_E_ARG, "threads: expected 0 (one per core) to 1024, got %d", threads);
    if (threads == 0) threads = brume_cores();
    brume_pool *p = calloc(1, sizeof *p);
    struct worker *w = calloc((size_t)threads, sizeof *w);
    if (!p || !w) {
        free(p);
        free(w);
        return brume_fail(BRUME_E_MEMORY, "thread pool: out of memory for %d threads", threads);
    }
    p->workers = w;
    p->threads = 1;
    pthread_mutex_init(&p->mutex, NULL);
    pthread_cond_init(&p->wake, NULL);
    for (int i = 1; i < threads; i++) {
        w[i].pool = p;
        w[i].index = i;
        if (pthread_create(&w[i].thread, NULL, worker_main, &w[i])) {
            brume_pool_free(p);
            return brume_fail(BRUME_E_MEMORY, "thread pool: the system refused thread %d of %d; try fewer with --threads", i,
                              threads);
        }
        p->threads = i + 1;
    }
    *out = p;
    return BRUME_OK;
}

void brume_pool_free(brume_pool *p)
{
    if (!p) return;
    atomic_store(&p->quit, 1);
    start_loop(p);
    for (int i = 1; i < p->threads; i++) pthread_join(p->workers[i].thread, NULL);
    pthread_mutex_destroy(&p->mutex);
    pthread_cond_destroy(&p->wake);
    free(p->workers);
    free(p);
}

int brume_pool_threads(const brume_pool *p) { return p ? p->threads : 1; }

void brume_pool_run(brume_pool *p, int64_t n, void (*fn)(void *ctx, int64_t task, int thread), void *ctx)
{
    if (!p || p->threads == 1 || n <= 1) {
        for (int64_t i = 0; i < n; i++) fn(ctx, i, 0);
        return;
    }
    p->fn = fn;
    p->ctx = ctx;
    p->n = n;
    atomic_store_explicit(&p->next, 0, memory_order_relaxed);
    atomic_store_explicit(&p->running, p->threads - 1, memory_order_relaxed);
    start_loop(p);
    work(p, 0);
    /* With more threads than cores a worker may need this core: yield now and then. */
    for (int i = 0; atomic_load_explicit(&p->running, memory_order_acquire) > 0; i++) {
        RELAX();
        if (i % 1000 == 999) sched_yield();
    }
}
