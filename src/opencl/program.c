/* SPDX-License-Identifier: MIT
 * Programs: assembled from the embedded sources, built once per device and set of defines, several at a time, or taken from the
 * folder of compiled programs. */
#include "opencl/internal.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/pool.h"
#include "opencl/embedded.h"
#include "opencl/opencl.h"

struct brume_cl_program {
    struct brume_cl_program *next;
    char *name;             /* defines and file, or defines and text: what the device finds it by */
    char *key;              /* device, options, source: what the folder finds it by; NULL once nothing is to be kept */
    cl_program program;
};

const char *brume_cl_source(const char *file)
{
    for (const struct brume_cl_file *f = brume_cl_files; f->name; f++)
        if (!strcmp(f->name, file)) return f->text;
    return NULL;
}

uint64_t brume_opencl_kernels(void)
{
    uint64_t h = 0;
    for (const struct brume_cl_file *f = brume_cl_files; f->name; f++) h = h * 1099511628211u ^ brume_fnv1a(f->text, f->length);
    return h;
}

/* One program to be made. Threads write to their own job only; what failed is said afterwards, by the thread that asked. */
struct job {
    const struct brume_cl_want *want;
    struct brume_cl_program *made;
    char options[320];
    const char *source;     /* the end of the key */
    bool cached;
    cl_int err;
    const char *call;       /* that failed */
    char *log;              /* of the compiler; to be freed, NULL without memory or log */
};

static char *build_log(const struct brume_cl_device *d, cl_program p)
{
    size_t bytes = 0;
    if (d->cl->GetProgramBuildInfo(p, d->id, CL_PROGRAM_BUILD_LOG, 0, NULL, &bytes) || !bytes) return NULL;
    char *log = calloc(1, bytes + 1);
    if (log && d->cl->GetProgramBuildInfo(p, d->id, CL_PROGRAM_BUILD_LOG, bytes, log, NULL)) log[0] = 0;
    return log;
}

/* Number of kernels of a program; 0 if the driver does not tell. */
static unsigned kernel_count(const struct brume_cl_device *d, cl_program p)
{
    size_t n = 0;
    return d->cl->GetProgramInfo(p, CL_PROGRAM_NUM_KERNELS, sizeof n, &n, NULL) ? 0 : (unsigned)n;
}

/* From the folder. A driver that refuses its own binary, after an update for example, gets the source. */
static cl_program from_cache(const struct brume_cl_device *d, const struct job *j)
{
    const unsigned char *binary = NULL;
    size_t bytes = 0;
    unsigned kernels = 0;
    void *memory = brume_cl_cache_load(&d->cache, j->made->key, &binary, &bytes, &kernels);
    if (!memory) return NULL;
    cl_int err = CL_SUCCESS, status = CL_SUCCESS;
    cl_program p = d->cl->CreateProgramWithBinary(d->context, 1, &d->id, &bytes, &binary, &status, &err);
    free(memory);
    if (p && !err && !status && !d->cl->BuildProgram(p, 1, &d->id, j->options, NULL, NULL) && kernel_count(d, p) == kernels)
        return p;
    if (p) d->cl->ReleaseProgram(p);
    return NULL;
}

static void build(const struct brume_cl_device *d, struct job *j)
{
    cl_program p = from_cache(d, j);
    j->cached = p != NULL;
    if (!p) {
        j->call = "clCreateProgramWithSource";
        p = d->cl->CreateProgramWithSource(d->context, 1, &j->source, NULL, &j->err);
        if (!p && !j->err) j->err = CL_INVALID_VALUE;
        if (j->err) return;
        j->call = "clBuildProgram";
        j->err = d->cl->BuildProgram(p, 1, &d->id, j->options, NULL, NULL);
        if (j->err) {
            j->log = build_log(d, p);
            d->cl->ReleaseProgram(p);
            return;
        }
    }
    j->made->program = p;
}

static char *name_of(const struct brume_cl_want *w)
{
    const char *what = w->text ? w->text : w->file;
    const size_t bytes = strlen(w->defines) + 1 + strlen(what) + 1;
    char *name = malloc(bytes);
    if (name) snprintf(name, bytes, "%s\n%s", w->defines, what);
    return name;
}

static struct brume_cl_program *find(const struct brume_cl_device *d, const char *name)
{
    for (struct brume_cl_program *p = d->programs; p; p = p->next)
        if (!strcmp(p->name, name)) return p;
    return NULL;
}

int brume_cl_heads(const char *text, const char *parts[BRUME_CL_HEADS])
{
    static const char *const heads[BRUME_CL_HEADS] = { "common.h", "math.h", "philox.h", "tile.h", "winograd.h", "group_norm.h" };
    int n = 0;
    for (int i = 0; i < BRUME_CL_HEADS; i++) {
        /* The first two are everybody's, the others of those that name them. */
        const char *head = i < 2 || strstr(text, heads[i]) ? brume_cl_source(heads[i]) : NULL;
        if (head) parts[n++] = head;
    }
    return n;
}

/* All that the compiler's result depends on; the source comes last. */
static brume_status make_key(const struct brume_cl_device *d, struct job *j)
{
    const struct brume_cl_want *w = j->want;
    const char *text = w->text ? w->text : brume_cl_source(w->file);
    if (!text)
        return brume_fail(BRUME_E_DEVICE, "%s: no source '%s' in this build; is it listed in cl/meson.build?", w->what, w->file);
    /* The noise must have the same bits everywhere: philox.h turns contraction off for all that follows it, and such programs get
     * no option that would allow it again. */
    const bool rng = strstr(text, "philox") != NULL;
    const char *parts[BRUME_CL_HEADS + 1];
    const int n = brume_cl_heads(text, parts);
    parts[n] = text;
    size_t bytes = strlen(d->identity) + sizeof j->options + 2;
    for (int i = 0; i <= n; i++) bytes += strlen(parts[i]) + 1;
    /* -w: drivers print warnings to the terminal, such as that a loop was not unrolled. */
    snprintf(j->options, sizeof j->options, "-cl-std=CL1.2 -w%s %s", rng ? "" : " -cl-mad-enable", w->defines);
    char *key = malloc(bytes);
    if (!key) return brume_fail(BRUME_E_MEMORY, "cannot allocate the source of program %s", w->file);
    const int head = snprintf(key, bytes, "%s\n%s\n", d->identity, j->options);
    size_t at = (size_t)head;
    for (int i = 0; i <= n; i++) at += (size_t)snprintf(key + at, bytes - at, "%s\n", parts[i]);
    j->made->key = key;
    j->source = key + head;
    return BRUME_OK;
}

/* A job for what the device does not have yet and no other job makes. */
static brume_status add_job(const struct brume_cl_device *d, const struct brume_cl_want *w, struct job *jobs, int *n)
{
    char *name = name_of(w);
    if (!name) return brume_fail(BRUME_E_MEMORY, "cannot allocate the name of program %s", w->file);
    bool known = find(d, name) != NULL;
    for (int i = 0; i < *n && !known; i++) known = !strcmp(jobs[i].made->name, name);
    struct brume_cl_program *made = known ? NULL : calloc(1, sizeof *made);
    if (!made) {
        free(name);
        return known ? BRUME_OK : brume_fail(BRUME_E_MEMORY, "cannot allocate program %s", w->file);
    }
    made->name = name;
    jobs[*n] = (struct job){ .want = w, .made = made };
    return make_key(d, &jobs[(*n)++]);
}

static void free_program(const struct brume_cl_device *d, struct brume_cl_program *p)
{
    if (p->program) d->cl->ReleaseProgram(p->program);
    free(p->name);
    free(p->key);
    free(p);
}

struct batch { struct brume_cl_device *d; struct job *jobs; int n, done; pthread_mutex_t lock; };

static void run_job(void *ctx, int64_t task, int thread)
{
    struct batch *b = ctx;
    (void)thread;
    build(b->d, &b->jobs[task]);
    pthread_mutex_lock(&b->lock);
    b->done++;
    if (!b->jobs[task].cached) brume_cl_progress(b->d, "compiling programs", b->done, b->n);
    pthread_mutex_unlock(&b->lock);
}

/* A compiler works in one thread; most drivers let several of them work at once. Not those of one processor: where a user gave a
 * driver one core, its compiler shall not take more, and simulators that count as one processor (Oclgrind) crash when two
 * programs are built side by side. */
static void run_jobs(struct brume_cl_device *d, struct job *jobs, int n)
{
    struct batch b = { .d = d, .jobs = jobs, .n = n };
    brume_pool *pool = NULL;
    pthread_mutex_init(&b.lock, NULL);
    const bool alone = d->info.is_cpu_type && d->info.compute_units == 1;
    if (n > 1 && !alone && brume_pool_new(0, &pool) != BRUME_OK) pool = NULL; /* then one after the other */
    brume_pool_run(pool, n, run_job, &b);
    brume_pool_free(pool);
    pthread_mutex_destroy(&b.lock);
}

static brume_status job_failed(struct brume_cl_device *d, const struct job *j)
{
    const struct brume_cl_want *w = j->want;
    return brume_cl_fail(d, j->err, j->call, "building %s for %s with '%s' (driver %s) failed; build log: %s", w->file, w->what,
                         j->options, d->info.driver, j->log && *j->log ? j->log : "(empty)");
}

/* The device takes what the jobs made; s becomes the failure of the first that made nothing. */
static brume_status take(struct brume_cl_device *d, struct job *jobs, int n, brume_status s)
{
    for (int i = 0; i < n; i++) {
        struct job *j = &jobs[i];
        if (!s && j->err) s = job_failed(d, j);
        free(j->log);
        if (!j->made->program) {
            free_program(d, j->made);
            continue;
        }
        if (j->cached || d->base.trial || !d->cache.folder) {
            free(j->made->key);
            j->made->key = NULL;
        }
        if (j->cached) d->base.programs_cached++;
        else d->base.programs_compiled++;
        j->made->next = d->programs;
        d->programs = j->made;
    }
    return s;
}

brume_status brume_cl_programs_make(struct brume_cl_device *d, const struct brume_cl_want *wants, int n)
{
    brume_status s = brume_cl_check_lost(d);
    if (s) return s;
    struct job *jobs = calloc((size_t)n + 1, sizeof *jobs);
    if (!jobs) return brume_fail(BRUME_E_MEMORY, "cannot allocate %d programs", n);
    int n_jobs = 0;
    for (int i = 0; i < n && !s; i++) s = add_job(d, &wants[i], jobs, &n_jobs);
    if (!s && n_jobs) run_jobs(d, jobs, n_jobs);
    s = take(d, jobs, n_jobs, s);
    free(jobs);
    return s;
}

brume_status brume_cl_program_get(struct brume_cl_device *d, const struct brume_cl_want *want, cl_program *out)
{
    brume_status s = brume_cl_programs_make(d, want, 1);
    if (s) return s;
    char *name = name_of(want);
    const struct brume_cl_program *p = name ? find(d, name) : NULL;
    if (!p) s = brume_fail(BRUME_E_MEMORY, "cannot allocate the name of program %s", want->file);
    else *out = p->program;
    free(name);
    return s;
}

/* The driver's binary into the folder; some drivers have none. */
static void keep(const struct brume_cl_device *d, struct brume_cl_program *p)
{
    size_t bytes = 0;
    unsigned char *binary = NULL;
    if (!d->cl->GetProgramInfo(p->program, CL_PROGRAM_BINARY_SIZES, sizeof bytes, &bytes, NULL) && bytes &&
        (binary = malloc(bytes)) && !d->cl->GetProgramInfo(p->program, CL_PROGRAM_BINARIES, sizeof binary, &binary, NULL))
        brume_cl_cache_store(&d->cache, p->key, binary, bytes, kernel_count(d, p->program));
    free(binary);
    free(p->key);
    p->key = NULL;
}

/* In a thread of its own: what fails here must not take the place of an error text that the caller has yet to read. */
static void *keep_all(void *device)
{
    struct brume_cl_device *d = device;
    int n = 0, done = 0;
    for (struct brume_cl_program *p = d->programs; p; p = p->next) n += p->key != NULL;
    for (struct brume_cl_program *p = d->programs; p; p = p->next) {
        if (!p->key) continue;
        keep(d, p);
        brume_cl_progress(d, "storing programs", ++done, n);
    }
    if (n) brume_cl_cache_trim(&d->cache);
    return NULL;
}

void brume_cl_programs_keep(struct brume_cl_device *d)
{
    pthread_t thread;
    if (d->cache.folder && !d->lost && !pthread_create(&thread, NULL, keep_all, d)) pthread_join(thread, NULL);
}

void brume_cl_programs_free(struct brume_cl_device *d)
{
    while (d->programs) {
        struct brume_cl_program *p = d->programs;
        d->programs = p->next;
        free_program(d, p);
    }
}
