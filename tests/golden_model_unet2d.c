/* SPDX-License-Identifier: MIT
 * Golden U-Nets: pipelines and bare folders. */
#include "brume/model.h"
#include "check.h"
#include "golden_model.h"

static void run(const char *folder, const char *name, const brume_model *m, brume_device *d, const char *device_name)
{
    struct golden_run r;
    if (golden_run_open(&r, folder, name, device_name, m->n_params)) {
        const brume_shape x = golden_run_shape(&r, "sample"), context = golden_run_shape(&r, "encoder_hidden_states");
        if (x.ndim != 4) {
            golden_complain(&r, "sample", "missing from io.safetensors, or no image");
        } else {
            const brume_unet2d_inputs in =
                brume_unet2d_declare_inputs(r.g, &m->unet, x.d[0], x.d[1], x.d[2], context.ndim == 3 ? context.d[1] : 1);
            r.y = brume_unet2d(r.g, &m->unet, r.slab, &in, NULL);
            if (golden_run_finish(&r, d, m->params) && golden_run_set(&r, "sample", in.x) &&
                golden_run_set(&r, "timestep", in.t) &&
                (in.labels == BRUME_NONE || golden_run_set(&r, "class_labels", in.labels)) &&
                (in.context == BRUME_NONE || golden_run_set(&r, "encoder_hidden_states", in.context)))
                golden_run_check(&r);
        }
    }
    golden_run_close(&r);
}

void golden_unet2d(const char *folder, const char *name, const struct test_devices *devices)
{
    brume_model *m = NULL;
    const brume_status s = brume_model_load(folder, NULL, &m);
    if (s == BRUME_E_UNSUPPORTED) {
        printf("skipped %s: %s\n", name, brume_error());
        check_skipped++;
    } else if (s != BRUME_OK) {
        printf("FAILED  %s: %s\n", name, brume_error());
        check_failed++;
    } else {
        if (m->note[0]) printf("note    %s: %s\n", name, m->note);
        for (int i = 0; i < devices->n; i++) run(folder, name, m, devices->at[i].device, devices->at[i].where);
    }
    brume_model_free(m);
}
