/* SPDX-License-Identifier: MIT
 * What brume compare runs of a model: its parts one by one, a few training steps, a whole sampling run. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "brume/classifier.h"
#include "brume/model.h"
#include "brume/params.h"
#include "brume/pipeline.h"
#include "compare.h"
#include "paths.h"

#define TOKENS 8           /* of a context that no text encoder makes */

/* What is compared, and what parts share. */
struct subject {
    brume_device *d;
    const struct compare_args *a;
    brume_model *m;              /* with weights of a folder, or fresh ones */
    brume_train_config config;
    brume_buffer *x, *out;
    int32_t *labels;
    float *context;
    int64_t tokens;
    brume_tokenizer *tokenizer;  /* what reads texts in training where the model brings nothing */
    brume_text_model *text;
};

static brume_shape image_shape(const struct subject *s)
{
    const brume_unet2d_config *u = &s->m->unet;
    return BRUME_SHAPE(s->a->batch, u->sample_size[0], u->sample_size[1], u->in_channels);
}

static brume_status no_memory(void) { return BRUME_E_MEMORY; }

static brume_status buffers(struct subject *s)
{
    const brume_unet2d_config *u = &s->m->unet;
    const brume_shape shape = image_shape(s);
    const int64_t n = brume_shape_numel(shape), wide = u->out_channels > u->in_channels ? u->out_channels : u->in_channels;
    float *x = compare_noise((uint64_t)s->a->seed, 1, n);
    brume_status st = x ? brume_buffer_new(s->d, (size_t)n * sizeof *x, &s->x) : no_memory();
    if (st == BRUME_OK) st = brume_buffer_new(s->d, (size_t)(n / u->in_channels * wide) * sizeof *x, &s->out);
    if (st == BRUME_OK) st = brume_buffer_write(s->x, 0, x, (size_t)n * sizeof *x);
    free(x);
    s->labels = calloc((size_t)s->a->batch, sizeof *s->labels);
    if (!s->labels) return no_memory();
    for (int64_t i = 0; i < s->a->batch && u->num_class_embeds > 0; i++) s->labels[i] = (int32_t)(i % u->num_class_embeds);
    return st;
}

/* What cross-attention reads: of texts, where the model can read them; else noise. */
static brume_status make_context(struct subject *s)
{
    const int64_t width = brume_unet2d_context_dim(&s->m->unet), n = s->a->batch;
    if (!width) return BRUME_OK;
    if (!s->m->text_encoder || !s->m->tokenizer) {
        s->tokens = TOKENS;
        s->context = compare_noise((uint64_t)s->a->seed, 2, n * TOKENS * width);
        return s->context ? BRUME_OK : no_memory();
    }
    static const char *const prompts[] = { "a small red circle left of a blue square", "" };
    brume_prompt_context *p = NULL;
    brume_compare_phase(s->d, "text encoder");
    const brume_status st = brume_prompt_encode(s->d, s->m, prompts, 2, &p);
    if (st != BRUME_OK) return st;
    s->tokens = p->tokens;
    const size_t each = (size_t)(p->tokens * p->width);
    s->context = malloc((size_t)n * each * sizeof *s->context);
    for (int64_t i = 0; s->context && i < n; i++)
        memcpy(s->context + (size_t)i * each, p->context + (size_t)(i % 2) * each, each * sizeof *s->context);
    brume_prompt_context_free(p);
    return s->context ? BRUME_OK : no_memory();
}

static brume_status denoiser(struct subject *s, brume_unet2d_denoiser **out)
{
    const brume_unet2d_config *u = &s->m->unet;
    const brume_unet2d_denoiser_options o = {
        .prediction_type = s->m->scheduler.prediction_type, .labels = u->class_embed_type == BRUME_CLASS_TABLE ? s->labels : NULL,
        .context = s->context, .tokens = s->context ? s->tokens : 0, .guidance.scale = 1,
        .storage = (brume_storage)s->a->storage };
    return brume_unet2d_denoiser_new(s->d, u, s->m->params, image_shape(s), &o, out);
}

static brume_status classify(struct subject *s)
{
    brume_classifier *c = NULL;
    brume_status st = brume_classifier_new(s->d, s->m, image_shape(s), s->labels, &c);
    float *log_p = st == BRUME_OK ? malloc((size_t)(s->a->batch * brume_classifier_classes(c)) * sizeof *log_p) : NULL;
    const brume_level level = { .t = 300, .a = 0.8, .s = 0.6 };
    brume_compare_phase(s->d, "forward");
    if (st == BRUME_OK) st = log_p ? brume_classifier_log_p(c, s->x, &level, log_p) : no_memory();
    brume_compare_phase(s->d, "gradient by the image");
    const brume_classifier_gradient *g = st == BRUME_OK ? brume_classifier_get_gradient(c) : NULL;
    if (g) st = g->gradient(g->self, s->x, &level, s->out);
    free(log_p);
    brume_classifier_free(c);
    return st;
}

static brume_status forward(struct subject *s)
{
    brume_unet2d_denoiser *n = NULL;
    brume_status st = denoiser(s, &n);
    brume_compare_phase(s->d, "forward");
    const brume_denoiser *ask = st == BRUME_OK ? brume_unet2d_denoiser_get(n) : NULL;
    if (ask) st = ask->predict(ask->self, s->x, &(brume_level){ .t = 500, .a = 0.7, .s = 0.7 }, s->out, NULL);
    brume_unet2d_denoiser_free(n);
    return st;
}

static brume_status decode(struct subject *s, const brume_shape shape)
{
    const brume_autoencoder_config *c = &s->m->autoencoder->config;
    const int64_t f = brume_autoencoder_factor(c), n = brume_shape_numel(shape);
    float *latents = malloc((size_t)n * sizeof *latents),
          *pictures = malloc((size_t)(n / shape.d[3] * f * f * c->out_channels) * sizeof *pictures);
    brume_status st = latents && pictures ? brume_buffer_read(s->x, 0, latents, (size_t)n * sizeof *latents) : no_memory();
    brume_compare_phase(s->d, "decoding");
    if (st == BRUME_OK) st = brume_latents_decode(s->d, s->m->autoencoder, latents, shape, NULL, pictures, NULL);
    free(latents);
    free(pictures);
    return st;
}

/* A whole run by the sampler that the model's scheduler asks for. */
static brume_status draw(struct subject *s)
{
    const brume_shape shape = image_shape(s);
    const brume_sampler_kind *kind = brume_sampler_find("ddim");
    brume_process *process = NULL;
    brume_status st = brume_process_new(&s->m->scheduler, &process);
    if (st != BRUME_OK) return st;
    if (!(kind->processes >> brume_process_get_kind(process) & 1)) kind = brume_sampler_for_config(&s->m->scheduler);
    brume_process_free(process);
    brume_scheduler_config grid;
    brume_scheduler_config_default(&grid);
    brume_sampler_options o;
    brume_sampler *sampler = NULL;
    brume_unet2d_denoiser *n = NULL;
    int64_t *seeds = malloc((size_t)s->a->batch * sizeof *seeds);
    if (!seeds) return no_memory();
    for (int64_t i = 0; i < s->a->batch; i++) seeds[i] = s->a->seed + i;
    st = brume_sampler_config(kind, &s->m->scheduler, &grid);
    brume_sampler_options_default(&o);
    o.name = kind->name;
    o.steps = (int32_t)s->a->sample_steps;
    o.scheduler = &grid;
    brume_compare_phase(s->d, "sampling by %.40s", kind->name);
    if (st == BRUME_OK) st = denoiser(s, &n);
    if (st == BRUME_OK) st = brume_sampler_new(s->d, &o, shape, &sampler);
    if (st == BRUME_OK) st = brume_sampler_start(sampler, seeds, s->x);
    const brume_sampler_input in = { .denoiser = n ? brume_unet2d_denoiser_get(n) : NULL, .seeds = seeds };
    if (st == BRUME_OK) st = brume_sampler_run(sampler, &in, s->x);
    brume_sampler_free(sampler);
    brume_unet2d_denoiser_free(n);
    brume_scheduler_config_clear(&grid);
    free(seeds);
    return st == BRUME_OK && s->m->autoencoder ? decode(s, shape) : st;
}

/* The model's own, or a small one with fresh weights where it is a network alone. Either stays as it is. */
static brume_status read_texts(struct subject *s)
{
    brume_train_config *c = &s->config;
    brume_dataset *data = NULL;
    if (!brume_unet2d_context_dim(&c->unet)) return BRUME_OK;
    if (s->m->tokenizer && s->m->text_encoder) {
        c->text = (brume_train_text){ s->m->tokenizer, s->m->text_encoder->config, s->m->text_encoder };
        return BRUME_OK;
    }
    const brume_dataset_options o = { .size = 16, .count = 64, .threads = -1 };
    brume_status st = brume_dataset_open("shapes-text", &o, &data);
    if (st == BRUME_OK) st = brume_train_config_text(c, data, &s->tokenizer);
    if (st == BRUME_OK) st = brume_text_model_new(&c->text.encoder, (uint64_t)s->a->seed, &s->text);
    if (st == BRUME_OK) c->text.frozen = s->text;
    brume_dataset_free(data);
    return st;
}

static brume_status train(struct subject *s)
{
    brume_train_config *c = &s->config;
    brume_trainer *t = NULL;
    c->unet = s->m->unet;
    c->batch = (int32_t)s->a->batch;
    c->storage = (brume_storage)s->a->storage;
    c->seed = (uint64_t)s->a->seed;
    c->steps = s->a->steps;
    c->warmup = 0;
    c->parallel = NULL;
    brume_status st = read_texts(s);
    if (st == BRUME_OK) st = brume_trainer_new(s->d, c, NULL, &t);
    if (st == BRUME_OK) st = brume_trainer_set_params(t, s->m->params, s->m->n_params);
    for (int64_t i = 0; st == BRUME_OK && i < s->a->steps; i++) {
        brume_train_result r;
        brume_compare_phase(s->d, "training step %lld", (long long)i + 1);
        st = brume_trainer_step(t, &r);
    }
    brume_trainer_free(t);
    return st;
}

static brume_status run_model(struct subject *s)
{
    const bool classifier = s->m->unet.architecture == BRUME_ARCHITECTURE_CLASSIFIER;
    brume_status st = buffers(s);
    if (st == BRUME_OK) st = make_context(s);
    if (st == BRUME_OK) st = classifier ? classify(s) : forward(s);
    if (st == BRUME_OK && s->a->train) st = train(s);
    return st == BRUME_OK && !classifier && s->a->sample_steps ? draw(s) : st;
}

/* A folder with weights is taken as it is; configs and presets get fresh ones. */
static brume_status open_model(struct subject *s, const char *what)
{
    const struct compare_args *a = s->a;
    char note[512];
    brume_status st = brume_train_config_load(what, a->preset, (int32_t)a->size, &s->config, note);
    if (st != BRUME_OK) return st;
    /* Networks that are told sigma have another process than the default; a folder's own scheduler is read below. */
    if (s->config.unet.time_embedding_type == BRUME_TIME_FOURIER)
        st = brume_train_config_process(&s->config, brume_process_preset_find("ve"), 1);
    if (st != BRUME_OK) return st;
    const bool folder = what && !cli_is_file(what);
    if (folder) st = brume_model_load(what, NULL, &s->m);
    else st = brume_model_new(&s->config.unet, &s->config.scheduler, (uint64_t)a->seed, &s->m);
    if (st != BRUME_OK) return st;
    if (s->config.unet.sample_size[0] > 0)
        memcpy(s->m->unet.sample_size, s->config.unet.sample_size, sizeof s->m->unet.sample_size);
    if (!folder) return BRUME_OK;
    if (s->m->has_scheduler) return brume_train_config_schedule(what, &s->config, note);
    brume_scheduler_config_clear(&s->m->scheduler);
    return brume_scheduler_config_copy(&s->m->scheduler, &s->config.scheduler);
}

brume_status compare_model(brume_device *d, const struct compare_args *a, const char *what)
{
    struct subject s = { .d = d, .a = a };
    int is_part = 0;
    brume_status st = what ? compare_part(d, a, what, &is_part) : BRUME_OK;
    if (is_part || st != BRUME_OK) return st;
    brume_train_config_default(&s.config);
    st = open_model(&s, what);
    if (st == BRUME_OK) st = run_model(&s);
    brume_scheduler_config_clear(&s.config.scheduler);
    brume_tokenizer_free(s.tokenizer);
    brume_text_model_free(s.text);
    brume_buffer_free(s.x);
    brume_buffer_free(s.out);
    brume_model_free(s.m);
    free(s.labels);
    free(s.context);
    return st;
}
