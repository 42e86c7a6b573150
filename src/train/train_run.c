/* SPDX-License-Identifier: MIT
 * Runs of denoisers and classifiers. */
#include <inttypes.h>

#include "train/learner.h"
#include "train/trainer.h"

static brume_status step(void *self, brume_train_result *r) { return brume_trainer_step(self, r); }
static brume_status save(void *self, const char *folder, int64_t note) { return brume_trainer_save(self, folder, note); }
static brume_status model(void *self, const char *folder) { return brume_trainer_save_model(self, folder); }
static brume_status resume(void *self, const char *folder, int64_t *note) { return brume_trainer_resume(self, folder, note); }
static brume_status resume_file(void *self, const char *path) { return brume_trainer_resume_file(self, path); }
static brume_status finish(void *self, const char *folder, bool *was_unfinished)
{
    return brume_trainer_finish_save(self, folder, was_unfinished);
}
static brume_status keep(void *self, const char *path) { return brume_trainer_save_abort(self, path); }
static brume_status find(void *self, char what[320]) { return brume_trainer_find_not_finite(self, what); }
static brume_status validate(void *self, struct brume_validation_result *r)
{
    return brume_validation_run(((struct brume_trainer *)self)->validation, r);
}
static const char *warning(void *self) { return brume_trainer_resume_warning(self); }

static brume_status picture(void *self, const brume_run_options *o, const char *path)
{
    return brume_trainer_preview(self, o->sample_count, o->sample_guidance, path);
}

/* A classifier draws nothing, but can say how good it is. */
static void words(void *self, char *text, size_t size)
{
    struct brume_trainer *t = self;
    brume_tally_text(&t->recent, text, size);
    t->recent = (struct brume_tally){ 0 };
}

/* Counts by noise level, in the bins that brume_tally_text() names. */
static void write_tally(void *self, const brume_train_result *r, FILE *log)
{
    const struct brume_tally *t = &((struct brume_trainer *)self)->last;
    fprintf(log, ", \"accuracy\": %.5g", r->accuracy);
    for (int which = 0; which < 2; which++) {
        fprintf(log, ", \"%s\": [", which ? "correct" : "seen");
        for (int i = 0; i < BRUME_TALLY_BINS; i++) fprintf(log, "%s%" PRId64, i ? ", " : "", which ? t->correct[i] : t->seen[i]);
        fprintf(log, "]");
    }
}

brume_status brume_train_run(brume_trainer *t, const brume_train_config *c, const brume_run_options *o)
{
    const bool classifies = brume_trainer_classifies(c);
    const struct brume_learner learner = {
        .self = t, .config = c, .done = &t->done, .step = step, .save = save, .model = model, .resume = resume,
        .resume_file = resume_file, .finish = finish, .warning = warning, .picture = picture, .words = classifies ? words : NULL,
        .validate = o->validation ? validate : NULL, .keep = keep, .find = find, .log = classifies ? write_tally : NULL };
    brume_status s = o->validation ? brume_validation_new(t, o->validation, o->validation_images, &t->validation) : BRUME_OK;
    if (s == BRUME_OK) s = brume_learner_run(&learner, o);
    brume_validation_free(t->validation);
    t->validation = NULL;
    return s;
}
