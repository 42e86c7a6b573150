/* SPDX-License-Identifier: MIT
 * Runs of denoisers and classifiers. */
#include <inttypes.h>

#include "train/learner.h"
#include "train/trainer.h"

static brume_status step(void *self, brume_train_result *r) { return brume_trainer_step(self, r); }
static brume_status save(void *self, const char *folder, int64_t note) { return brume_trainer_save(self, folder, note); }
static brume_status resume(void *self, const char *folder, int64_t *note) { return brume_trainer_resume(self, folder, note); }
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
    const struct brume_learner learner = { .self = t, .config = c, .done = &t->done, .step = step, .save = save, .resume = resume, .warning = warning, .picture = picture,
                                   .words = classifies ? words : NULL, .log = classifies ? write_tally : NULL };
    return brume_learner_run(&learner, o);
}
