/* SPDX-License-Identifier: MIT
 * Which tensor of a step is the first that is not finite: found by a plan of the same step that keeps all tensors. */
#include "train/trainer.h"

brume_status brume_trainer_find_not_finite(struct brume_trainer *t, char what[320])
{
    struct brume_trainer *x = NULL;
    what[0] = 0;
    brume_status s = brume_trainer_twin(t, NULL, 0, &x);
    for (int32_t first = 0; s == BRUME_OK && !what[0] && first < t->config.batch; first += x->part) {
        s = brume_trainer_load_part(x, first);
        if (s == BRUME_OK) s = brume_plan_run(x->plan);
        if (s == BRUME_OK) s = brume_plan_find_not_finite(x->plan, what);
    }
    brume_trainer_twin_free(x);
    return s;
}
