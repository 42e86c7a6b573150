/* SPDX-License-Identifier: MIT
 * Models of steps on the way, each a folder that stays: RUN/steps/000500. */
#include <inttypes.h>
#include <stdio.h>

#include "base/fail.h"
#include "base/file.h"
#include "base/folder.h"
#include "train/learner.h"

/* Names that are no step: what is being written, and what it takes the place of. */
#define FRESH ".unfinished"
#define ASIDE ".replaced"

static brume_status in_steps(const char *folder, const char *name, char path[4096])
{
    const int n = snprintf(path, 4096, "%s/steps/%s", folder, name);
    return n > 0 && n < 4096 ? BRUME_OK : brume_fail(BRUME_E_ARG, "the folder's path is too long: %s", folder);
}

brume_status brume_keep_clean(const char *folder)
{
    static const char *const left[] = { FRESH, ASIDE };
    char path[4096];
    brume_status s = BRUME_OK;
    for (int i = 0; i < 2 && s == BRUME_OK; i++) {
        s = in_steps(folder, left[i], path);
        if (s == BRUME_OK) s = brume_folder_remove(path);
    }
    return s;
}

brume_status brume_keep_model(const struct brume_learner *l, const char *folder, char path[4096])
{
    char name[32], fresh[4096], aside[4096];
    snprintf(name, sizeof name, "%06" PRId64, *l->done);
    brume_status s = in_steps(folder, name, path);
    if (s == BRUME_OK) s = in_steps(folder, FRESH, fresh);
    if (s == BRUME_OK) s = in_steps(folder, ASIDE, aside);
    if (s == BRUME_OK) s = brume_folder_remove(fresh);
    if (s == BRUME_OK) s = brume_make_folders(fresh);
    if (s == BRUME_OK) s = l->model(l->self, fresh);
    if (s == BRUME_OK) s = brume_folder_replace(fresh, path, aside);
    return s == BRUME_OK ? s : brume_fail_in(s, "keeping the model of step %" PRId64, *l->done);
}
