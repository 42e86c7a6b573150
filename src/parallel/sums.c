/* SPDX-License-Identifier: MIT
 * Sums over MPI that go on beside other work. MPI libraries move data only when they are called, so a thread of our own calls
 * them. */
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>

#include "base/fail.h"
#include "parallel/mpi.h"

/* nanoseconds between two looks, as long as nobody waits: some 1 % of a core, and little against what a bucket takes */
#define NAP 50000

struct sum { float *x; int n, code; MPI_Request request; bool done; };

struct brume_parallel_sums {
    struct sum *sums;
    int most;
    int started;          /* by the caller */
    int under_way;        /* handed to MPI, in the same order */
    int waited;           /* waited for; all: the next one is number 0 again */
    bool threaded, quit;
    bool hurry;           /* the caller waits */
    bool busy;            /* the thread calls MPI */
    pthread_t thread;
    pthread_mutex_t lock; /* of everything above; never held while MPI works */
    pthread_cond_t work, news;
};

static int begin(struct sum *m)
{
    return MPI_Iallreduce(MPI_IN_PLACE, m->x, m->n, MPI_FLOAT, MPI_SUM, MPI_COMM_WORLD, &m->request);
}

static void end(struct brume_parallel_sums *s, struct sum *m, int code)
{
    pthread_mutex_lock(&s->lock);
    m->code = code;
    m->done = true;
    pthread_cond_signal(&s->news);
    pthread_mutex_unlock(&s->lock);
}

/* Begins sums old .. to - 1 and looks once at all from `from` on; tells whether any of them goes on. */
static bool look(struct brume_parallel_sums *s, int from, int old, int to)
{
    bool left = false;
    for (int i = from; i < to; i++) {
        struct sum *m = &s->sums[i];
        int done = 0;
        if (m->done) continue; /* only this thread makes it true */
        int code = i < old ? MPI_SUCCESS : begin(m);
        if (code == MPI_SUCCESS) code = MPI_Test(&m->request, &done, MPI_STATUS_IGNORE);
        if (done || code != MPI_SUCCESS) end(s, m, code);
        else left = true;
    }
    return left;
}

static void *take_onward(void *ctx)
{
    struct brume_parallel_sums *s = ctx;
    pthread_mutex_lock(&s->lock);
    while (!s->quit) {
        const int old = s->under_way, to = s->started;
        int from = s->waited;
        while (from < old && s->sums[from].done) from++;
        if (from == to) {
            pthread_cond_wait(&s->work, &s->lock);
            continue;
        }
        s->under_way = to;
        s->busy = true;
        pthread_mutex_unlock(&s->lock);
        const bool left = look(s, from, old, to);
        pthread_mutex_lock(&s->lock);
        s->busy = false;
        if (!left) pthread_cond_signal(&s->news);
        if (!left || s->started > to) continue;
        const bool hurry = s->hurry;
        pthread_mutex_unlock(&s->lock);
        if (hurry) sched_yield(); /* the caller sleeps */
        else nanosleep(&(struct timespec){ .tv_nsec = NAP }, NULL);
        pthread_mutex_lock(&s->lock);
    }
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

brume_status brume_parallel_sums_new(brume_parallel *p, int most, brume_parallel_sums **out)
{
    *out = NULL;
    if (!p) return BRUME_OK;
    struct brume_parallel_sums *s = calloc(1, sizeof *s);
    if (s) s->sums = malloc((size_t)(most > 0 ? most : 1) * sizeof *s->sums);
    if (!s || !s->sums) {
        free(s);
        return brume_fail(BRUME_E_MEMORY, "MPI: out of memory");
    }
    s->most = most;
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->work, NULL);
    pthread_cond_init(&s->news, NULL);
    s->threaded = p->level >= MPI_THREAD_SERIALIZED && !pthread_create(&s->thread, NULL, take_onward, s);
    *out = s;
    return BRUME_OK;
}

void brume_parallel_sums_free(brume_parallel_sums *s)
{
    if (!s) return;
    if (s->threaded) {
        pthread_mutex_lock(&s->lock);
        s->quit = true;
        pthread_cond_signal(&s->work);
        pthread_mutex_unlock(&s->lock);
        pthread_join(s->thread, NULL);
    }
    pthread_cond_destroy(&s->news);
    pthread_cond_destroy(&s->work);
    pthread_mutex_destroy(&s->lock);
    free(s->sums);
    free(s);
}

brume_status brume_parallel_sums_start(brume_parallel_sums *s, float *x, int64_t n)
{
    if (!s) return BRUME_OK;
    if (n < 0 || n > INT32_MAX)
        return brume_fail(BRUME_E_ARG, "MPI: a sum may have %d values, got %lld", INT32_MAX, (long long)n);
    pthread_mutex_lock(&s->lock);
    const bool room = s->started < s->most;
    if (room) {
        struct sum *m = &s->sums[s->started++];
        *m = (struct sum){ .x = x, .n = (int)n };
        if (s->threaded) pthread_cond_signal(&s->work);
        else m->done = (m->code = begin(m)) != MPI_SUCCESS;
    }
    pthread_mutex_unlock(&s->lock);
    return room ? BRUME_OK : brume_fail(BRUME_E_ARG, "MPI: more than %d sums at once", s->most);
}

brume_status brume_parallel_sums_wait(brume_parallel_sums *s)
{
    if (!s) return BRUME_OK;
    pthread_mutex_lock(&s->lock);
    if (s->waited == s->started) {
        pthread_mutex_unlock(&s->lock);
        return brume_fail(BRUME_E_ARG, "MPI: there is no sum to wait for");
    }
    struct sum *m = &s->sums[s->waited];
    const bool last = s->waited + 1 == s->started;
    if (!s->threaded && !m->done) m->code = MPI_Wait(&m->request, MPI_STATUS_IGNORE);
    s->hurry = true;
    while (s->threaded && (!m->done || (last && s->busy))) pthread_cond_wait(&s->news, &s->lock);
    s->hurry = false;
    const int code = m->code;
    s->waited++;
    if (last) s->waited = s->started = s->under_way = 0;
    pthread_mutex_unlock(&s->lock);
    return brume_mpi_check(code, "summing over ranks");
}
