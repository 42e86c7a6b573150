/* SPDX-License-Identifier: MIT
 * Golden autoencoders: the latent from given moments and noise, what is decoded from it and from the mean, the KL divergence, all
 * gradients. */
#include "brume/autoencoder.h"
#include "check.h"
#include "golden_model.h"

#define TOL 1e-4 /* of the largest value, as the goldens state */

static void run(const char *folder, const char *name, const brume_autoencoder *a, brume_device *d, const char *device_name)
{
    struct golden_run r;
    if (golden_run_open(&r, folder, name, device_name, a->n_params)) {
        const brume_shape x = golden_run_shape(&r, "sample"), noise = golden_run_shape(&r, "eps");
        if (x.ndim != 4 || noise.ndim != 4) {
            golden_complain(&r, "sample, eps", "missing from io.safetensors, or no images");
        } else {
            const brume_tensor image = brume_input(r.g, "sample", BRUME_F32, x), eps = brume_input(r.g, "eps", BRUME_F32, noise);
            const brume_tensor moments = brume_autoencoder_encode(r.g, &a->config, r.slab, image);
            const struct { const char *name; brume_tensor t; } parts[] = {
                { "latent_mean", brume_autoencoder_mean(r.g, moments) }, { "latent_logvar",
                                                                           brume_autoencoder_logvar(r.g, moments) },
                { "latent", brume_autoencoder_sample(r.g, moments, eps) }, { "kl", brume_autoencoder_kl(r.g, moments) },
                { "output_from_mean", brume_autoencoder_decode(r.g, &a->config, r.slab, brume_autoencoder_mean(r.g, moments)) },
            };
            enum { PARTS = sizeof parts / sizeof *parts };
            for (int i = 0; i < PARTS; i++) brume_output(r.g, parts[i].t, parts[i].name);
            r.y = brume_autoencoder_decode(r.g, &a->config, r.slab, parts[2].t);
            if (golden_run_finish(&r, d, a->params) && golden_run_set(&r, "sample", image) && golden_run_set(&r, "eps", eps)) {
                golden_run_check(&r);
                for (int i = 0; i < PARTS; i++) golden_run_compare(&r, parts[i].name, parts[i].t, TOL);
            }
        }
    }
    golden_run_close(&r);
}

void golden_autoencoder(const char *folder, const char *name, const struct test_devices *devices)
{
    brume_autoencoder *a = NULL;
    char note[1100];
    if (brume_autoencoder_load(folder, NULL, &a, note) != BRUME_OK) {
        printf("FAILED  %s: %s\n", name, brume_error());
        check_failed++;
        return;
    }
    if (note[0]) printf("note    %s: %s\n", name, note);
    for (int i = 0; i < devices->n; i++) run(folder, name, a, devices->at[i].device, devices->at[i].where);
    brume_autoencoder_free(a);
}
