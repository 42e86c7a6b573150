/* SPDX-License-Identifier: MIT
 * Averages of a run that its model folder does not hold: read from its state. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "brume/train.h"
#include "train/state_file.h"

/* The tensor of an average among decays "0.999,0.9999" of the state; 0: there is none. */
static int find_name(const char *decays, double decay, char name[32])
{
    int i = 0;
    for (const char *at = decays; at && *at; i++) {
        char *end;
        const double d = strtod(at, &end);
        if (end == at) return 0;
        if (fabs(d - decay) <= 1e-8 * (1 + decay)) {
            if (i) snprintf(name, 32, "ema.%.9g", d);
            else snprintf(name, 32, "ema");
            return 1;
        }
        at = *end == ',' ? end + 1 : end;
    }
    return 0;
}

brume_status brume_train_read_average(const char *folder, double decay, brume_model *m)
{
    brume_safetensors *f = NULL;
    bool previous;
    char note[640], name[32] = "";
    brume_status s = brume_state_file_find(folder, &f, &previous, note);
    if (s != BRUME_OK) return brume_fail_in(s, "averages are in the training state of a run");
    const char *decays = brume_safetensors_metadata(f, "brume.ema"),
               *objective = brume_safetensors_metadata(f, "brume.objective");
    const brume_st_tensor *x = find_name(decays, decay, name) ? brume_safetensors_find(f, name) : NULL;
    brume_text_model *text = m->text_encoder;
    if (objective && !strncmp(objective, "adapters ", 9))
        s = brume_fail(BRUME_E_UNSUPPORTED, "%s: averages of adapters are written by a resume with --ema-write", folder);
    else if (!x)
        s = brume_fail(BRUME_E_ARG, "%s: there is no average of decay %.9g; those of this run: %s", folder, decay,
                       decays ? decays : "one, in the folder");
    else if (x->count == m->n_params) text = NULL; /* one that stayed as it is */
    else if (!text || x->count != text->n_params + m->n_params)
        s = brume_fail(BRUME_E_SHAPE, "%s: its state has %" PRId64 " parameters, its model %" PRId64, folder, x->count,
                       m->n_params + (text ? text->n_params : 0));
    const int64_t n_text = s == BRUME_OK && text ? text->n_params : 0;
    if (s == BRUME_OK && n_text) s = brume_st_read_f32(x, 0, n_text, text->params);
    if (s == BRUME_OK) s = brume_st_read_f32(x, n_text, m->n_params, m->params);
    brume_safetensors_close(f);
    return s;
}
