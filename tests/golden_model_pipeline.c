/* SPDX-License-Identifier: MIT
 * Golden text-to-image pipelines: token ids, contexts, latents after every step of every sampler of io.json, and the images. */
#include "base/file.h"
#include "brume/json.h"
#include "brume/pipeline.h"
#include "check.h"
#include "golden_model.h"

#define PIPELINE_TOL 2e-3 /* absolute: what models.md allows after several steps of a guided network in f32 */
#define CONTEXT_TOL 1e-4  /* one network alone */
#define MOST_VALUES 65536

/* One pipeline on one device. */
struct attempt {
    const char *folder, *name, *device_name;
    const brume_model *m;
    brume_device *d;
    brume_safetensors *io;
    brume_prompt_context *prompts;  /* [prompt, negative prompt] */
    brume_shape shape;              /* of the latents, (N, h, w, c) */
    const char *run;                /* sampler whose steps are judged */
    int32_t steps;                  /* seen so far */
    int bad;
    double worst;                   /* in units of what is allowed */
    float want[MOST_VALUES], got[MOST_VALUES];
};

static int complain(struct attempt *a, const char *what, const char *detail)
{
    a->bad++;
    fprintf(stderr, "%s on %s: %s: %s\n", a->name, a->device_name, what, detail);
    return 0;
}

static int ok(struct attempt *a, const char *what, brume_status s)
{
    return s == BRUME_OK ? 1 : complain(a, what, brume_error());
}

/* Values first .. first + n - 1 of a tensor of the file into a->want. */
static int read_values(struct attempt *a, const char *name, int64_t first, int64_t n)
{
    const brume_st_tensor *t = brume_safetensors_find(a->io, name);
    if (!t || first + n > t->count || n > MOST_VALUES)
        return complain(a, name, "missing from io.safetensors, or of another size");
    return ok(a, name, brume_st_read_f32(t, first, n, a->want));
}

/* got against a->want; (N, H, W, C) against (N, C, H, W) where images is not NULL. Judged by <=, so that a NaN fails. */
static void compare(struct attempt *a, const char *what, const float *got, int64_t n, const brume_shape *images, double allowed)
{
    double worst = 0;
    int64_t at = 0;
    for (int64_t i = 0; i < n; i++) {
        int64_t inside = i;
        if (images) {
            const int64_t plane = images->d[1] * images->d[2], c = images->d[3];
            inside = (i / (plane * c) * plane + i % plane) * c + i / plane % c;
        }
        const double e = fabs((double)got[inside] - a->want[i]) / allowed;
        if (!(e <= worst) && !isnan(worst)) { worst = e; at = i; }
    }
    if (!(worst <= 1)) {
        char text[160];
        snprintf(text, sizeof text, "value %lld of %lld is off by %.3g, allowed %.3g", (long long)at, (long long)n,
                 worst * allowed, allowed);
        complain(a, what, text);
    }
    a->worst = fmax(a->worst, worst);
}

static void check_prompt(struct attempt *a, int64_t i, const char *ids, const char *embeds)
{
    const brume_prompt_context *p = a->prompts;
    if (read_values(a, ids, 0, p->tokens))
        for (int64_t k = 0; k < p->tokens; k++)
            if ((float)p->ids[i * p->tokens + k] != a->want[k]) {
                complain(a, ids, "other token ids");
                break;
            }
    if (read_values(a, embeds, 0, p->tokens * p->width))
        compare(a, embeds, p->context + i * p->tokens * p->width, p->tokens * p->width, NULL, CONTEXT_TOL);
}

static brume_status observe(void *ctx, const brume_sampler_event *e)
{
    struct attempt *a = ctx;
    char what[300];
    const int64_t n = brume_shape_numel(a->shape);
    if (!e->call) return BRUME_OK;
    const brume_status s = brume_buffer_read(e->x, 0, a->got, (size_t)n * sizeof *a->got);
    snprintf(what, sizeof what, "%s.latents", a->run);
    if (s == BRUME_OK && read_values(a, what, a->steps * n, n)) {
        snprintf(what, sizeof what, "%s.latents after step %d", a->run, a->steps + 1);
        compare(a, what, a->got, n, &a->shape, PIPELINE_TOL);
    }
    a->steps++;
    return s;
}

static void check_image(struct attempt *a)
{
    char what[300];
    const int64_t f = brume_autoencoder_factor(&a->m->autoencoder->config), c = a->m->autoencoder->config.out_channels;
    const int64_t n = a->shape.d[0] * a->shape.d[1] * a->shape.d[2] * f * f * c;
    float *image = n <= MOST_VALUES ? malloc((size_t)n * sizeof *image) : NULL;
    snprintf(what, sizeof what, "%s.image_nhwc", a->run);
    if (!image) complain(a, what, "too large for this test");
    else if (ok(a, what, brume_latents_decode(a->d, a->m->autoencoder, a->got, a->shape, NULL, image, NULL)) &&
             read_values(a, what, 0, n)) {
        for (int64_t i = 0; i < n; i++) image[i] = fminf(fmaxf(image[i] * 0.5f + 0.5f, 0), 1);
        compare(a, what, image, n, NULL, PIPELINE_TOL);
    }
    free(image);
}

/* From the file's latents with one sampler; the last state stays in a->got. */
static void check_run(struct attempt *a, brume_scheduler_config *c, int32_t steps, double guidance)
{
    const int64_t n = brume_shape_numel(a->shape), row = a->prompts->tokens * a->prompts->width,
                  plane = a->shape.d[1] * a->shape.d[2];
    const brume_sampler_kind *kind = brume_sampler_for_config(c);
    brume_sampler *sampler = NULL;
    brume_unet2d_denoiser *denoiser = NULL;
    brume_buffer *x = NULL;
    brume_sampler_options o;
    const brume_unet2d_denoiser_options network = { .prediction_type = c->prediction_type, .context = a->prompts->context,
                                                    .tokens = a->prompts->tokens, .null_context = a->prompts->context + row,
                                                    .guidance = { .scale = guidance } };
    brume_sampler_options_default(&o);
    o.name = kind ? kind->name : NULL;
    o.steps = steps;
    o.scheduler = c;
    a->steps = 0;
    if (read_values(a, "latents", 0, n)) {
        for (int64_t i = 0; i < n; i++)
            a->got[(i / (plane * a->shape.d[3]) * plane + i % plane) * a->shape.d[3] + i / plane % a->shape.d[3]] = a->want[i];
        if (ok(a, a->run, brume_sampler_new(a->d, &o, a->shape, &sampler)) &&
            ok(a, a->run, brume_unet2d_denoiser_new(a->d, &a->m->unet, a->m->params, a->shape, &network, &denoiser)) &&
            ok(a, a->run, brume_buffer_new(a->d, (size_t)n * sizeof(float), &x)) &&
            ok(a, a->run, brume_buffer_write(x, 0, a->got, (size_t)n * sizeof(float)))) {
            const int64_t seeds[1] = { 0 };
            const brume_sampler_input in = { .denoiser = brume_unet2d_denoiser_get(denoiser), .seeds = seeds,
                                             .observe = observe, .ctx = a };
            char name[300];
            snprintf(name, sizeof name, "%s.timesteps", a->run);
            const brume_st_tensor *times = brume_safetensors_find(a->io, name);
            if (ok(a, a->run, brume_sampler_run(sampler, &in, x)) && (!times || times->count != a->steps))
                complain(a, name, "another number of steps was made");
            if (ok(a, a->run, brume_buffer_read(x, 0, a->got, (size_t)n * sizeof(float)))) check_image(a);
        }
    }
    brume_buffer_free(x);
    brume_unet2d_denoiser_free(denoiser);
    brume_sampler_free(sampler);
}

static void check_runs(struct attempt *a, const brume_json *io)
{
    const brume_json *runs = brume_json_find(io, "runs");
    const double guidance = brume_json_number(brume_json_find(io, "guidance_scale"), 1);
    const int32_t steps = (int32_t)brume_json_integer(brume_json_find(io, "num_inference_steps"), 0);
    if (!brume_json_count(runs)) complain(a, "io.json", "names no runs");
    for (int64_t i = 0; i < brume_json_count(runs); i++) {
        const brume_json *run = brume_json_at(runs, i);
        brume_scheduler_config c;
        char note[512];
        a->run = brume_json_key(run);
        char *dir = brume_path_join(a->folder, brume_json_string(brume_json_find(run, "scheduler"), "scheduler"));
        char *path = dir ? brume_path_join(dir, "scheduler_config.json") : NULL;
        if (path && ok(a, a->run, brume_scheduler_config_read(path, &c, note))) {
            check_run(a, &c, steps, guidance);
            brume_scheduler_config_clear(&c);
        }
        free(path);
        free(dir);
    }
}

static void try(struct attempt *a, const brume_json *io)
{
    const char *const prompts[] = { brume_json_string(brume_json_find(io, "prompt"), ""),
                                    brume_json_string(brume_json_find(io, "negative_prompt"), "") };
    const brume_st_tensor *latents = brume_safetensors_find(a->io, "latents");
    if (!latents || latents->ndim != 4 || latents->shape[0] != 1 || latents->count > MOST_VALUES) {
        complain(a, "latents", "missing from io.safetensors, or not those of one image");
    } else if (ok(a, "prompts", brume_prompt_encode(a->d, a->m, prompts, 2, &a->prompts))) {
        a->shape = BRUME_SHAPE(1, latents->shape[2], latents->shape[3], latents->shape[1]);
        check_prompt(a, 0, "prompt_ids", "prompt_embeds");
        check_prompt(a, 1, "negative_prompt_ids", "negative_prompt_embeds");
        check_runs(a, io);
    }
    brume_prompt_context_free(a->prompts);
    a->prompts = NULL;
    if (a->bad) {
        check_failed++;
        printf("FAILED  %s on %s: %d differences\n", a->name, a->device_name, a->bad);
    } else {
        check_passed++;
        printf("ok      %s on %s: prompts, steps and images at %.3f of their tolerance\n", a->name, a->device_name, a->worst);
    }
    fflush(stdout);
}

void golden_pipeline(const char *folder, const char *name, const struct test_devices *devices)
{
    static struct attempt a;
    brume_model *m = NULL;
    brume_json *io = NULL;
    a = (struct attempt){ .folder = folder, .name = name };
    char *settings = brume_path_join(folder, "io.json"), *tensors = brume_path_join(folder, "io.safetensors");
    if (!settings || !tensors || brume_json_load(settings, &io) != BRUME_OK ||
        brume_safetensors_open(tensors, &a.io) != BRUME_OK || brume_model_load(folder, NULL, &m) != BRUME_OK) {
        printf("FAILED  %s: %s\n", name, brume_error());
        check_failed++;
    } else if (!m->autoencoder || !m->text_encoder || !m->tokenizer) {
        printf("FAILED  %s: a pipeline without %s\n", name,
               !m->autoencoder    ? "vae"
               : !m->text_encoder ? "text encoder"
                                  : "tokenizer");
        check_failed++;
    } else {
        if (m->note[0]) printf("note    %s: %s\n", name, m->note);
        a.m = m;
        for (int i = 0; i < devices->n; i++) {
            a.d = devices->at[i].device;
            a.device_name = devices->at[i].where;
            a.bad = 0;
            a.worst = 0;
            try(&a, io);
        }
    }
    brume_model_free(m);
    brume_safetensors_close(a.io);
    brume_json_free(io);
    free(settings);
    free(tensors);
}
