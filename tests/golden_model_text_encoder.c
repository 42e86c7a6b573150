/* SPDX-License-Identifier: MIT
 * Golden text encoders: a folder with text_encoder/ (and text_encoder_prefixed/, the same with other names), or a bare one. */
#include "base/file.h"
#include "brume/text_encoder.h"
#include "check.h"
#include "golden_model.h"

#define POOLED_TOL 1e-4 /* of the largest value, as for the output */

static int write_rows(struct golden_run *r, const brume_text_encoder_config *c, brume_tensor ids, brume_tensor rows)
{
    const brume_shape s = brume_tensor_shape(r->g, ids);
    int32_t *host = malloc((size_t)(s.d[0] * (s.d[1] + 1)) * sizeof *host), *row = host + s.d[0] * s.d[1];
    const int64_t n = s.d[0] * s.d[1];
    const brume_st_tensor *t = brume_safetensors_find(r->io, "input_ids");
    if (!host || !t || t->count != n || !golden_ok(r, "input_ids", brume_st_read_f32(t, 0, n, r->want))) {
        free(host);
        return golden_complain(r, "input_ids", "not readable");
    }
    for (int64_t i = 0; i < n; i++) host[i] = (int32_t)r->want[i];
    brume_text_encoder_pooled_rows(c, host, s.d[0], s.d[1], row);
    const int ok = golden_ok(r, "rows", brume_plan_write(r->plan, rows, row, (size_t)s.d[0] * sizeof *row));
    free(host);
    return ok;
}

static void run(const char *folder, const char *name, const brume_text_encoder_config *c, const float *params, int64_t n_params,
                brume_device *d, const char *device_name)
{
    struct golden_run r;
    if (golden_run_open(&r, folder, name, device_name, n_params)) {
        const brume_shape s = golden_run_shape(&r, "input_ids");
        r.strip = "text_model.";
        if (s.ndim != 2) {
            golden_complain(&r, "input_ids", "missing from io.safetensors, or of another form");
        } else {
            const brume_tensor ids = brume_input(r.g, "ids", BRUME_I32, s),
                               rows = brume_input(r.g, "rows", BRUME_I32, BRUME_SHAPE(s.d[0]));
            r.y = brume_text_encoder(r.g, c, r.slab, "", ids);
            const brume_tensor pooled = brume_text_encoder_pooled(r.g, r.y, rows);
            brume_output(r.g, pooled, "pooled");
            brume_tensor embeds = BRUME_NONE;
            if (c->projection) brume_output(r.g, embeds = brume_text_encoder_project(r.g, c, r.slab, "", pooled), "text_embeds");
            if (golden_run_finish(&r, d, params) && golden_run_set(&r, "input_ids", ids) && write_rows(&r, c, ids, rows)) {
                golden_run_check(&r);
                if (brume_safetensors_find(r.io, "pooler_output")) golden_run_compare(&r, "pooler_output", pooled, POOLED_TOL);
                if (c->projection && brume_safetensors_find(r.io, "text_embeds"))
                    golden_run_compare(&r, "text_embeds", embeds, POOLED_TOL);
            }
        }
    }
    golden_run_close(&r);
}

static void try(const char *folder, const char *model, const char *name, const struct test_devices *devices)
{
    brume_text_model *m;
    char note[1100];
    if (brume_text_model_load(model, NULL, &m, note) != BRUME_OK) {
        printf("FAILED  %s: %s\n", name, brume_error());
        check_failed++;
        return;
    }
    if (note[0]) printf("note    %s: %s\n", name, note);
    for (int i = 0; i < devices->n; i++)
        run(folder, name, &m->config, m->params, m->n_params, devices->at[i].device, devices->at[i].where);
    brume_text_model_free(m);
}

void golden_text_encoder(const char *folder, const char *name, const struct test_devices *devices)
{
    static const char *const parts[] = { "text_encoder", "text_encoder_prefixed" };
    int found = 0;
    for (int i = 0; i < 2; i++) {
        char *path = brume_path_join(folder, parts[i]), label[300];
        snprintf(label, sizeof label, "%s/%s", name, parts[i]);
        if (path && brume_is_folder(path)) {
            found = 1;
            try(folder, path, label, devices);
        }
        free(path);
    }
    if (!found) try(folder, folder, name, devices);
}
