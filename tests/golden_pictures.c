/* SPDX-License-Identifier: MIT
 * Drawing from a picture in latents, against diffusers with the same noise: image to image and inpainting, every step and the
 * image. usage: golden_pictures [--device D]... EXPECTED.safetensors [PIPELINE]; exit status 77 where the pipeline is not there.
 * scripts/make_golden_pictures.py writes what is expected. */
#include "../src/cli/view.h"
#include "base/file.h"
#include "brume/pipeline.h"
#include "brume/safetensors.h"
#include "check.h"
#include "devices.h"

#define TOL 2e-3 /* absolute: what the shared golden data allow after several steps of a guided network in f32 */
enum { H = 16, W = 16, SIDE = 8, Z = 4, LATENT = SIDE * SIDE * Z, IMAGE = H * W * 3, STEPS = 5, MOST = 65536 };

static const brume_safetensors *expected;
static const brume_model *model;
static brume_device *device;

/* A tensor of the file, (N, C, plane) turned into (N, plane, C); c 0: as it is. Returns values per N, 0 after a message. */
static int64_t values(const char *name, int64_t c, int64_t plane, float *out)
{
    static float raw[MOST];
    const brume_st_tensor *t = brume_safetensors_find(expected, name);
    if (!CHECK(t != NULL && t->count <= MOST) || !CHECK_OK(brume_st_read_f32(t, 0, t->count, raw))) return 0;
    for (int64_t i = 0; i < t->count; i++) out[c ? (i / (c * plane) * plane + i % plane) * c + i / plane % c : i] = raw[i];
    return t->count;
}

static double largest(const float *a, const float *b, int64_t n)
{
    double worst = 0;
    for (int64_t i = 0; i < n; i++) {
        const double e = fabs((double)a[i] - (double)b[i]);
        if (!(e <= worst)) worst = e;
    }
    return worst;
}

struct run {
    float *noise, want[STEPS * LATENT];
    int64_t steps, seen;
    double worst;
};

/* diffusers draws once, and takes that for every step. */
static brume_status fill(void *self, int draw, brume_buffer *out)
{
    (void)draw;
    return brume_buffer_write(out, 0, ((struct run *)self)->noise, LATENT * sizeof(float));
}

static brume_status observe(void *ctx, const brume_sampler_event *e)
{
    struct run *r = ctx;
    float got[LATENT];
    if (!e->step) return BRUME_OK;
    const brume_status s = brume_buffer_read(e->x, 0, got, sizeof got);
    if (s == BRUME_OK && r->seen < r->steps) r->worst = fmax(r->worst, largest(got, r->want + r->seen * LATENT, LATENT));
    r->seen++;
    return s;
}

/* known, mask: of one latent; mask NULL: image to image. */
static void check_run(const struct view *v, const char *scheduler, const char *run, const float *known, const float *mask,
                      double strength, float *noise, const brume_unet2d_denoiser_options *network, const char *folder)
{
    static struct run r;
    char path[1200], name[100], note[512];
    float image[IMAGE], *got = NULL, x0[LATENT];
    brume_scheduler_config c;
    brume_sampler_options o;
    brume_sampler *sampler = NULL;
    brume_unet2d_denoiser *denoiser = NULL;
    brume_buffer *x = NULL, *from = NULL, *keep = NULL;
    const brume_shape shape = BRUME_SHAPE(1, SIDE, SIDE, Z);
    const size_t bytes = LATENT * sizeof(float);
    r = (struct run){ .noise = noise };
    snprintf(name, sizeof name, "%s.%s.steps", scheduler, run);
    r.steps = values(name, Z, SIDE * SIDE, r.want) / LATENT;
    snprintf(name, sizeof name, "%s.%s.image", scheduler, run);
    CHECK_INT(values(name, 3, H * W, image), IMAGE);
    snprintf(path, sizeof path, "%s/schedulers/%s/scheduler_config.json", folder, scheduler);
    if (!CHECK_OK(brume_scheduler_config_read(path, &c, note))) return;
    brume_sampler_options_default(&o);
    o.name = brume_sampler_for_config(&c)->name;
    o.steps = STEPS;
    o.strength = strength;
    o.scheduler = &c;
    if (CHECK_OK(brume_sampler_new(device, &o, shape, &sampler)) &&
        CHECK_OK(brume_unet2d_denoiser_new(device, &model->unet, model->params, shape, network, &denoiser)) &&
        CHECK_OK(brume_buffer_new(device, bytes, &x)) && CHECK_OK(brume_buffer_new(device, bytes, &from)) &&
        CHECK_OK(brume_buffer_new(device, bytes, &keep))) {
        const brume_noise_source source = { .self = &r, .fill = fill };
        const brume_sampler_input in = { .denoiser = brume_unet2d_denoiser_get(denoiser), .noise = &source, .known = from,
                                         .mask = mask ? keep : NULL, .observe = observe, .ctx = &r };
        CHECK_OK(brume_buffer_write(x, 0, noise, bytes));
        CHECK_OK(brume_buffer_write(from, 0, known, bytes));
        if (mask) CHECK_OK(brume_buffer_write(keep, 0, mask, bytes));
        CHECK_OK(brume_sampler_run(sampler, &in, x));
        CHECK_OK(brume_buffer_read(x, 0, x0, bytes));
        if (CHECK_OK(view_pictures(v, x0, 1, &got))) {
            const double worst = largest(got, image, IMAGE);
            printf("%-6s %-17s %lld steps: latents off by %.2g, the image by %.2g\n", scheduler, run, (long long)r.seen, r.worst,
                   worst);
            CHECK_INT(r.seen, r.steps);
            CHECK(r.steps > 0 && r.worst <= TOL);
            CHECK(worst <= TOL);
            for (int i = 0; mask && i < LATENT; i++) /* what is kept comes out as it went in */
                if (mask[i] > 0 && !CHECK(x0[i] == known[i])) break;
        }
    }
    free(got);
    brume_buffer_free(x);
    brume_buffer_free(from);
    brume_buffer_free(keep);
    brume_unet2d_denoiser_free(denoiser);
    brume_sampler_free(sampler);
    brume_scheduler_config_clear(&c);
}

static void check_device(const char *folder)
{
    static float picture[IMAGE], holes[H * W], white[IMAGE], eps[LATENT], noise[LATENT], want[LATENT], known[LATENT],
        mask[LATENT], moments[2 * LATENT];
    static float context[4096], negative[4096];
    struct view v;
    values("image", 3, H * W, picture);
    values("mask", 1, H * W, holes);
    values("eps", Z, SIDE * SIDE, eps);
    values("noise", Z, SIDE * SIDE, noise);
    values("latents", Z, SIDE * SIDE, want);
    const int64_t width = brume_unet2d_context_dim(&model->unet), tokens = values("prompt_embeds", 0, 0, context) / width;
    values("negative_prompt_embeds", 0, 0, negative);
    view_begin(&v, model->autoencoder, SIDE, SIDE, Z);
    CHECK_INT(v.height, H);
    if (CHECK_OK(view_open(&v, device, 0)) && CHECK_OK(brume_latent_coder_moments(v.coder, picture, 1, moments))) {
        brume_latents_sample(&model->autoencoder->config, moments, SIDE * SIDE, eps, known);
        CHECK(largest(known, want, LATENT) <= 1e-4); /* one network */
        /* brume's masks are white where diffusers' are black */
        for (int i = 0; i < IMAGE; i++) white[i] = holes[i / 3] > 0.5f ? -1 : 1;
        view_mask(&v, white, mask);
        int kept = 0;
        for (int i = 0; i < LATENT; i++) kept += mask[i] > 0;
        CHECK_INT(kept, LATENT - 4 * 3 * Z); /* rows 3 .. 10 by columns 5 .. 11 hold 4 x 3 first pixels of blocks */
        const brume_unet2d_denoiser_options network = { .prediction_type = BRUME_PREDICT_EPS, .context = context,
                                                        .tokens = tokens, .null_context = negative, .guidance = { .scale = 5 } };
        static const char *const schedulers[] = { "ddim", "euler" };
        for (int i = 0; i < 2; i++) {
            check_run(&v, schedulers[i], "img2img", known, NULL, 0.6, noise, &network, folder);
            check_run(&v, schedulers[i], "inpaint", known, mask, 1, noise, &network, folder);
            check_run(&v, schedulers[i], "inpaint-strength", known, mask, 0.6, noise, &network, folder);
        }
    }
    view_close(&v);
}

int main(int argc, char **argv)
{
    struct test_devices devices;
    brume_safetensors *file = NULL;
    brume_model *m = NULL;
    test_devices_open(&devices, &argc, argv, 0);
    const char *folder = argc > 2 ? argv[2] : "../shared/golden/models/pipeline-sd-tiny";
    if (argc < 2 || !brume_is_folder(folder)) {
        printf("skipped: %s is not there\n", folder);
        check_skipped++;
    } else if (CHECK_OK(brume_safetensors_open(argv[1], &file)) && CHECK_OK(brume_model_load(folder, NULL, &m)) &&
               CHECK(m->autoencoder != NULL)) {
        expected = file;
        model = m;
        for (int i = 0; i < devices.n; i++) {
            printf("%s\n", devices.at[i].where);
            device = devices.at[i].device;
            check_device(folder);
        }
    }
    brume_model_free(m);
    brume_safetensors_close(file);
    test_devices_close(&devices);
    return check_report();
}
