/* SPDX-License-Identifier: MIT
 * A whole run: steps, log, previews, checkpoints, and a clean end on request. */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/fail.h"
#include "base/file.h"
#include "base/lock.h"
#include "brume/report.h"
#include "train/learner.h"
#include "train/ranks.h"

struct run {
    const struct brume_learner *learner;
    const brume_run_options *o;
    FILE *log;
    double started, stepping, waited, summing; /* seconds in all steps, and those of them that went by waiting for data, and for
                                                  sums over ranks */
    bool first; /* rank 0, which alone writes */
};

static double now(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + 1e-9 * (double)ts.tv_nsec;
}

static void tell(const struct run *r, const char *fmt, int64_t step, const char *path)
{
    char text[4300];
    snprintf(text, sizeof text, fmt, step, path);
    if (r->o->event) r->o->event(r->o->ctx, text);
}

static brume_status join(char *path, size_t size, const char *folder, const char *name)
{
    const int n = snprintf(path, size, "%s/%s", folder, name);
    return n > 0 && (size_t)n < size ? BRUME_OK : brume_fail(BRUME_E_ARG, "the folder's path is too long: %s", folder);
}

/* Cuts off the lines of steps behind `done`, which will be written again, and a line that is torn. */
static brume_status cut_lines(const char *path, int64_t done)
{
    char line[4096];
    long keep = 0;
    long long step;
    FILE *f = fopen(path, "r");
    if (!f) return BRUME_OK;
    while (fgets(line, sizeof line, f) && sscanf(line, "{\"step\": %lld", &step) == 1 && step <= done && strchr(line, '\n'))
        keep = ftell(f);
    fclose(f);
    return truncate(path, keep) ? brume_fail(BRUME_E_IO, "%s: cannot shorten: %s", path, strerror(errno)) : BRUME_OK;
}

static brume_status open_log(struct run *r)
{
    char path[4096];
    brume_status s = join(path, sizeof path, r->o->folder, "training/log.jsonl");
    if (s == BRUME_OK) s = cut_lines(path, *r->learner->done);
    if (s != BRUME_OK) return s;
    r->log = fopen(path, "a");
    return r->log ? BRUME_OK : brume_fail(BRUME_E_IO, "%s: cannot open the log: %s", path, strerror(errno));
}

static brume_status write_log(struct run *r, const brume_train_result *x, double rate)
{
    char norm[32];
    snprintf(norm, sizeof norm, x->skipped ? "null" : "%.7g", x->grad_norm);
    fprintf(r->log,
            "{\"step\": %" PRId64
            ", \"loss\": %.7g, \"grad_norm\": %s, \"lr\": %.7g, \"images_per_s\": %.5g, \"seconds\": %.3f, \"data_wait\": %.3g",
            *r->learner->done, x->loss, norm, x->lr, rate, now() - r->started, x->data_wait);
    if (r->learner->config->parallel) fprintf(r->log, ", \"sum_wait\": %.3g", x->sum_wait);
    if (r->learner->log) r->learner->log(r->learner->self, x, r->log);
    fprintf(r->log, "}\n");
    return ferror(r->log) ? brume_fail(BRUME_E_IO, "%s/training/log.jsonl: %s", r->o->folder, strerror(errno)) : BRUME_OK;
}

static brume_status cut_validations(const struct run *r)
{
    char path[4096];
    const brume_status s = join(path, sizeof path, r->o->folder, "training/validation.jsonl");
    return s == BRUME_OK ? cut_lines(path, *r->learner->done) : s;
}

static void put_loss(FILE *f, const char *before, double x)
{
    if (isfinite(x)) fprintf(f, "%s%.7g", before, x);
    else fprintf(f, "%snull", before); /* JSON knows no NaN */
}

static brume_status validate(struct run *r)
{
    struct brume_validation_result x;
    char path[4096];
    const double begun = now();
    brume_status s = r->learner->validate(r->learner->self, &x);
    if (s == BRUME_OK) s = join(path, sizeof path, r->o->folder, "training/validation.jsonl");
    FILE *f = s == BRUME_OK ? fopen(path, "a") : NULL;
    if (s == BRUME_OK && !f) return brume_fail(BRUME_E_IO, "%s: cannot open: %s", path, strerror(errno));
    if (s != BRUME_OK) return s;
    fprintf(f, "{\"step\": %" PRId64, *r->learner->done);
    put_loss(f, ", \"loss\": ", x.loss);
    fprintf(f, ", \"by_time\": [");
    for (int k = 0; k < BRUME_VALIDATION_BINS; k++) put_loss(f, k ? ", " : "", x.by_time[k]);
    fprintf(f, "], \"images\": %" PRId64 ", \"seconds\": %.3f}\n", x.images, now() - begun);
    const int failed = fflush(f) || fsync(fileno(f));
    if (fclose(f) || failed) return brume_fail(BRUME_E_IO, "%s: %s", path, strerror(errno));
    char text[64];
    snprintf(text, sizeof text, "validation loss %.4f", x.loss);
    tell(r, "step %" PRId64 ": %s", *r->learner->done, text);
    return BRUME_OK;
}

static brume_status checkpoint(struct run *r)
{
    if (fflush(r->log) || fsync(fileno(r->log))) /* or a state might reach the disk before its lines */
        return brume_fail(BRUME_E_IO, "%s/training/log.jsonl: %s", r->o->folder, strerror(errno));
    brume_status s = r->learner->save(r->learner->self, r->o->folder, 0);
    if (s == BRUME_OK) tell(r, "checkpoint of step %" PRId64 " in %s", *r->learner->done, r->o->folder);
    return s;
}

/* Before the checkpoint of the same step: a run that goes on from that has the folder. */
static brume_status keep(struct run *r)
{
    char path[4096];
    const brume_status s = brume_keep_model(r->learner, r->o->folder, path);
    if (s == BRUME_OK) tell(r, "the model of step %" PRId64 " is kept in %s", *r->learner->done, path);
    return s;
}

static brume_status preview(struct run *r)
{
    char name[64], path[4096];
    if (r->learner->words) {
        r->learner->words(r->learner->self, path, sizeof path);
        if (r->o->event) r->o->event(r->o->ctx, path);
        return BRUME_OK;
    }
    if (r->o->sample_count < 1) return BRUME_OK;
    snprintf(name, sizeof name, "training/samples/step-%08" PRId64 ".png", *r->learner->done);
    brume_status s = join(path, sizeof path, r->o->folder, name);
    if (s == BRUME_OK) s = r->learner->picture(r->learner->self, r->o, path);
    if (s == BRUME_OK) tell(r, "samples of step %" PRId64 " in %s", *r->learner->done, path);
    return s;
}

/* A page that cannot be written is told, but ends no run. */
static void report(struct run *r, bool end)
{
    enum { REFRESH = 30 }; /* seconds */
    if ((fflush(r->log) || brume_report_write(r->o->folder, NULL, end ? 0 : REFRESH) != BRUME_OK) && r->o->event)
        r->o->event(r->o->ctx, brume_error());
}

static void tell_waiting(const struct run *r)
{
    char text[160];
    const double all = fmax(r->stepping, 1e-9);
    const int n = snprintf(text, sizeof text, "steps waited for data %.2g %% of their time", 100 * r->waited / all);
    if (r->learner->config->parallel)
        snprintf(text + n, sizeof text - (size_t)n, ", for the sum over ranks %.2g %%", 100 * r->summing / all);
    if (r->o->event && r->stepping > 0) r->o->event(r->o->ctx, text);
}

/* A step that failed: its state is kept, and the message says how to see it again. */
static brume_status abort_run(struct run *r)
{
    const struct brume_learner *l = r->learner;
    char path[4096], why[1400], what[320] = "", again[4096] = "";
    snprintf(why, sizeof why, "%s", brume_error());
    if (join(path, sizeof path, r->o->folder, "training/abort.safetensors") != BRUME_OK || l->keep(l->self, path) != BRUME_OK)
        snprintf(again, sizeof again, "\nits state could not be saved: %.1000s", brume_error());
    else if (r->o->config)
        snprintf(again, sizeof again,
                 "\nthe state before that step is in %.1000s; again: brume train --config %.1000s/training/run.json "
                 "--resume-from %.1000s --out NEW",
                 path, r->o->folder, path);
    else snprintf(again, sizeof again, "\nthe state before that step is in %.1000s", path);
    if (l->find(l->self, what) != BRUME_OK) what[0] = 0; /* not enough memory to look */
    return brume_fail(BRUME_E_NUMERIC, "%s%s%s%s", why, what[0] ? "\nthe first that is not finite: " : "", what, again);
}

/* What rank 0 writes must be whole before another one may end, which ends all of them. */
static brume_status wait_for_first(const struct run *r)
{
    char nothing = 0;
    return brume_parallel_broadcast(r->learner->config->parallel, 0, &nothing, 1);
}

/* Has any rank been asked to end? All must end after the same step. */
static brume_status ask_stop(const struct run *r, double begin, bool *stop)
{
    const brume_run_options *o = r->o;
    double asked = (o->stop && *o->stop) || (o->max_seconds > 0 && now() - begin >= o->max_seconds);
    const brume_status s = brume_parallel_sum_f64(r->learner->config->parallel, &asked, 1);
    *stop = asked > 0;
    return s;
}

/* All ranks have found the same; one of them writes and tells. */
static brume_status stop_aborted(struct run *r)
{
    const brume_status s = r->first ? abort_run(r) : BRUME_E_NUMERIC, waited = wait_for_first(r);
    return waited == BRUME_OK ? s : waited;
}

static bool due(int64_t every, int64_t done) { return every > 0 && done % every == 0; }

static brume_status loop(struct run *r)
{
    const brume_run_options *o = r->o;
    const int64_t *done = r->learner->done, steps = r->learner->config->steps;
    double rate = 0, last = now();
    const double begin = last;
    brume_status s = BRUME_OK;
    while (s == BRUME_OK && *done < steps) {
        brume_train_result x;
        if ((s = r->learner->step(r->learner->self, &x)) != BRUME_OK)
            return s == BRUME_E_NUMERIC && r->learner->keep ? stop_aborted(r) : s;
        const double t = now(), speed = r->learner->config->batch / fmax(t - last, 1e-9);
        rate = rate > 0 ? 0.9 * rate + 0.1 * speed : speed;
        r->stepping += t - last;
        r->waited += x.data_wait;
        r->summing += x.sum_wait;
        if (r->first && (s = write_log(r, &x, rate)) != BRUME_OK) return s;
        if (r->first && o->progress) o->progress(o->ctx, *done, steps, &x, rate);
        const bool end = *done == steps;
        bool stop;
        if ((s = ask_stop(r, begin, &stop)) != BRUME_OK) return s;
        if (r->first && r->learner->validate && (due(o->validate_every, *done) || end)) s = validate(r);
        if (s == BRUME_OK && r->first && (due(o->sample_every, *done) || end)) s = preview(r);
        if (s == BRUME_OK && r->first && due(o->keep_every, *done)) s = keep(r);
        if (s == BRUME_OK && r->first && (due(o->save_every, *done) || end || stop)) s = checkpoint(r);
        if (s == BRUME_OK && r->first && (due(o->report_every, *done) || end || stop)) report(r, end || stop);
        if (r->first && (end || stop)) tell_waiting(r);
        if (s == BRUME_OK && stop && !end) {
            if ((s = wait_for_first(r)) != BRUME_OK) return s;
            return brume_fail(BRUME_E_STOPPED,
                              "stopped after step %" PRId64 " of %" PRId64 "; the checkpoint is in %s, --resume goes on from it",
                              *done, steps, o->folder);
        }
        last = now();
    }
    return s;
}

static brume_status write_config(const brume_run_options *o)
{
    char path[4096];
    if (!o->config) return BRUME_OK;
    const brume_status s = join(path, sizeof path, o->folder, "training/run.json");
    return s == BRUME_OK ? brume_file_write(path, o->config, strlen(o->config)) : s;
}

/* Where to begin: at a checkpoint, which a run that goes on has; at a state given; or at step 0. */
static brume_status begin(struct run *r)
{
    const brume_run_options *o = r->o;
    const struct brume_learner *l = r->learner;
    char path[4096];
    bool unfinished = false;
    brume_status s = join(path, sizeof path, o->folder, "training/state.safetensors");
    if (r->first) brume_remove_unfinished(o->folder, 2);
    if (s == BRUME_OK && r->first) s = brume_keep_clean(o->folder);
    if (s == BRUME_OK && o->resume) {
        s = l->resume(l->self, o->folder, NULL);
        const char *warning = s == BRUME_OK ? l->warning(l->self) : NULL;
        if (warning && r->first && o->event) o->event(o->ctx, warning);
        if (s == BRUME_OK && r->first) s = l->finish(l->self, o->folder, &unfinished);
        if (unfinished && s == BRUME_OK)
            tell(r, "the model of step %" PRId64 " in %s is written again: the run ended while it was saved", *r->learner->done,
                 o->folder);
        return s;
    }
    if (s == BRUME_OK && r->first && brume_is_file(path))
        return brume_fail(BRUME_E_ARG, "%s already holds a run; go on with --resume, or choose another --out", o->folder);
    return s == BRUME_OK && o->resume_from && l->resume_file ? l->resume_file(l->self, o->resume_from) : s;
}

static brume_status take_folder(const struct run *r, int *lock)
{
    const brume_run_options *o = r->o;
    char path[4096];
    brume_status s = join(path, sizeof path, o->folder, "training/samples");
    if (s == BRUME_OK) s = brume_make_folders(path);
    if (s == BRUME_OK) s = join(path, sizeof path, o->folder, "training/lock");
    return s == BRUME_OK ? brume_lock_take(path, o->folder, lock) : s;
}

/* What is written besides checkpoints. */
static brume_status open_files(struct run *r)
{
    brume_status s = write_config(r->o);
    if (s == BRUME_OK) s = open_log(r);
    return s == BRUME_OK ? cut_validations(r) : s;
}

brume_status brume_learner_run(const struct brume_learner *learner, const brume_run_options *o)
{
    brume_parallel *ranks = learner->config->parallel;
    struct run r = { .learner = learner, .o = o, .started = now(), .first = brume_parallel_rank(ranks) == 0 };
    int lock = -1;
    brume_status s = r.first ? take_folder(&r, &lock) : BRUME_OK;
    if (s == BRUME_OK) s = begin(&r);
    if (s == BRUME_OK) s = brume_ranks_same_step(ranks, *learner->done);
    if (s == BRUME_OK && r.first) s = open_files(&r);
    if (s == BRUME_OK) s = loop(&r);
    if (r.log && fclose(r.log) && s == BRUME_OK)
        s = brume_fail(BRUME_E_IO, "%s/training/log.jsonl: %s", o->folder, strerror(errno));
    brume_lock_drop(lock);
    return s;
}
