/* SPDX-License-Identifier: MIT
 * The options of `brume sample`. */
#include "sample_args.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "brume/model.h"
#include "names.h"
#include "replay.h"

static const char *const variances[] = { "small", "large", "learned-range", "learned", NULL };
static const char *const automatic[] = { "auto", "off", "on", NULL };
static const char *const off_on[] = { "off", "on", NULL };
static const char *const spacings[] = { "leading", "linspace", "trailing", NULL };
static const char *const sigma_grids[] = { "table", "karras", "exponential", "lu", NULL }; /* order of brume_sigmas */
static const char *const solver_types[] = { "midpoint", "heun", "bh1", "bh2", NULL };      /* order of brume_solver_type */
static const char *const predictors[] = { "reverse_diffusion", "euler_maruyama", "ancestral", NULL };
static const char *const correctors[] = { "langevin", "ald", "none", NULL };
static const char *const final_sigmas[] = { "zero", "sigma-min", NULL };

static const char *const examples[] = {
    "brume sample runs/shapes --out samples.png",
    "brume sample runs/mnist --out digits.png --class all --n 100 --guidance 2 --sampler dpmpp-2m --steps 20",
    "brume sample stable-diffusion-v1-5 --out fox.png --prompt \"a painting of a red fox\" --negative blurry --steps 30",
    "brume sample --replay fox.png --out again.png  # the same picture once more: PNGs hold what drew them",
    "brume sample ddpm-cifar10-32 --out cars.png --n 16 --strip strip.png --film film.gif",
    "brume sample runs/mnist --n 9 --samplers ddpm,ddim,heun,dpmpp-2m,unipc --steps 5,10,20,50 --table samplers.html",
    "brume sample runs/moons --n 2000 --out points.svg --trajectories ways.svg --field field.svg --strip-columns 5",
    "brume sample runs/shapes --out other.png --init-image mine.png --strength 0.6  # from a picture",
    "brume sample runs/shapes --out mended.png --init-image mine.png --mask hole.png --sampler repaint", NULL };
static const struct cli_usage usage = { "sample", "[MODEL]", "Draws images from a model folder (of brume or diffusers).",
                                        examples, 0, 1, NULL };

/* "a,b,c" as numbers; returns how many, or -1. */
static int list_of(const char *text, double *out, int room)
{
    int n = 0;
    for (const char *p = text; ; p++) {
        char *end;
        if (n == room) return -1;
        out[n++] = strtod(p, &end);
        if (end == p || (*end && *end != ',') || !isfinite(out[n - 1])) return -1;
        if (!*end) return n;
        p = end;
    }
}

static int check(struct sample_args *a, const struct cli_option *o)
{
    const struct cli_usage *u = &usage;
    double list[64];
    if (!a->out && !a->save_tensors && !a->table && !a->replay)
        return cli_wrong(u, "give --out FILE.png, --save-tensors FILE or --table FILE.html");
    if ((a->samplers != NULL) != (a->table != NULL)) return cli_wrong(u, "--samplers A,B,... and --table FILE.html go together");
    if (a->steps_list && !a->table) {
        char *end;
        a->steps = strtoll(a->steps_list, &end, 10);
        if (end == a->steps_list || *end || a->steps < 0 || a->steps > 1000000)
            return cli_wrong(u, "--steps %s: expected an integer from 0 to 1000000", a->steps_list);
    }
    if (cli_given(o, "guidance") && cli_given(o, "guidance-w"))
        return cli_wrong(u, "--guidance S and --guidance-w W say the same, S = 1 + W; give one");
    if (cli_given(o, "guidance-w")) a->guidance = brume_guidance_from_w(a->guidance_w);
    else if (a->prompt && !cli_given(o, "guidance")) a->guidance = 7.5;
    if (a->limit && !cli_bytes(a->limit, &a->memory_limit))
        return cli_wrong(u, "--memory-limit %s: expected bytes, as in 1500000, 800M or 2G", a->limit);
    if (a->negative_prompt && !a->prompt) return cli_wrong(u, "--negative needs --prompt");
    if (a->guidance_interval && list_of(a->guidance_interval, a->interval, 2) != 2)
        return cli_wrong(u, "--guidance-interval: expected LO,HI, two noise levels sigma; got '%s'", a->guidance_interval);
    if (a->respacing) {
        a->n_sections = list_of(a->respacing, list, 64);
        for (int i = 0; i < a->n_sections; i++) {
            if (list[i] >= 1 && list[i] <= INT32_MAX && list[i] == floor(list[i])) a->sections[i] = (int32_t)list[i];
            else a->n_sections = -1;
        }
        if (a->n_sections < 1)
            return cli_wrong(u, "--respacing: expected numbers of steps separated by commas, such as 10,10,5; got '%s'",
                             a->respacing);
    }
    if ((a->mask || a->interpolate || a->strength != 1) && !a->init_image)
        return cli_wrong(u, "--%s needs --init-image FILE", a->mask ? "mask" : a->interpolate ? "interpolate" : "strength");
    if (a->interpolate && (a->mask || a->strength != 1))
        return cli_wrong(u, "--interpolate draws whole ways between two pictures: give neither --mask nor --strength");
    if (a->init_image && a->init_noise) return cli_wrong(u, "give one of --init-image and --init-noise");
    return CLI_GO_ON;
}

void sample_args_default(struct sample_args *a)
{
    *a = (struct sample_args){ .device = CLI_DEVICE_DEFAULT,
                               .batch = 64,
                               .eta = -1,
                               .guidance = 1,
                               .strip_images = 6,
                               .strip_columns = 10,
                               .variance = -1,
                               .spacing = -1,
                               .sigmas = -1,
                               .solver_type = -1,
                               .final_sigma = -1,
                               .strength = 1,
                               .s_noise = 1,
                               .correct_steps = -1,
                               .denoise_last = -1,
                               .negative = -1,
                               .classifier_scale = 1,
                               .threshold_max = 1,
                               .frame_ms = 80,
                               .reference_steps = 1000 };
}

int sample_args_parse(int argc, char **argv, struct sample_args *a, const struct cli_usage **u, const char **folder)
{
    sample_args_default(a);
    struct cli_option options[] = {
        OPT_GROUP("What to draw"),
        OPT_INT("n", &a->n, 0, 1000000, "N", "number of images; 0: 16, or all of --init-noise"),
        OPT_STRING("prompt", &a->prompt, "TEXT", "what the images show, for models with a text encoder"),
        OPT_STRING("class", &a->classes, "K",
                   "class numbers separated by commas, or all (the default); one column of the grid each"),
        OPT_INT("seed", &a->seed, 0, 9e15, "N", "the noise of image i depends on the seed and i alone, not on the batch"),
        OPT_INT("size", &a->size, 0, 4096, "N", "height and width; 0: the model's"),
        OPT_STRING("init-noise", &a->init_noise, "FILE", "start noise: tensor 'noise' (N, C, H, W) of a safetensors file"),
        OPT_STRING("init-image", &a->init_image, "FILE",
                   "start from a picture (with --strength), or keep the parts that --mask shows"),
        OPT_FLOAT("strength", &a->strength, 0, 1, "X", "part of the way that the picture is noised and drawn anew (SDEdit)"),
        OPT_STRING("mask", &a->mask, "FILE",
                   "inpainting: white keeps --init-image, black is drawn; by replacement, or better --sampler repaint"),
        OPT_STRING("interpolate", &a->interpolate, "FILE",
                   "a second picture: draws the way from --init-image to it through their DDIM inversions"),
        OPT_STRING("replay", &a->replay, "FILE.png",
                   "draw this picture of brume sample again, to --out or FILE-replay.png; MODEL is the one that drew it unless "
                   "given, and other options change what they name"),
        OPT_LIST("lora", &a->loras, "FILE[:SCALE]",
                 "add low-rank adapters of diffusers or kohya to the weights, times SCALE; may be given again"),
        OPT_FLOAT("ema", &a->ema, 0, 1, "X",
                  "of a run that keeps several averages: the one of that decay; 0: the one in the folder"),
        OPT_STRING("weights", &a->weights, "VARIANT", "which weights of the folder: fp16, non_ema, ..."),

        OPT_GROUP("Sampler"),
        OPT_NAME("sampler", &a->sampler, cli_samplers(), "NAME",
                 "how to get from noise to image (brume methods tells of each); default: what the model's scheduler asks for"),
        OPT_STRING("steps", &a->steps_list, "N", "steps; 0: the sampler's default, 50 of text models"),
        OPT_FLOAT("eta", &a->eta, -1, 1, "X",
                  "noise of ddim and of ancestral and SDE solvers: 0 none, 1 full; -1: the sampler's default"),
        OPT_CHOICE("spacing", &a->spacing, spacings, "which times the steps visit; default: the sampler's"),
        OPT_STRING("respacing", &a->respacing, "N,N,..",
                   "ddpm, repaint: cut the time steps in equal parts and take that many of each"),
        OPT_CHOICE("sigmas", &a->sigmas, sigma_grids,
                   "noise levels: those of the times, or a grid between the ends; default: the model's"),
        OPT_FLOAT("rho", &a->rho, 0, 1000, "X", "karras: how much closer small noise levels lie; 0: 7"),
        OPT_FLOAT("sigma-min", &a->sigma_min, 0, 1e6, "X", "smallest noise level of such a grid; 0: the model's"),
        OPT_FLOAT("sigma-max", &a->sigma_max, 0, 1e6, "X", "largest noise level; 0: the model's"),
        OPT_CHOICE("final-sigma", &a->final_sigma, final_sigmas,
                   "where the last step of sigma-based samplers ends; default: the sampler's"),
        OPT_INT("order", &a->order, 0, 4, "N", "order of multistep solvers; 0: the sampler's"),
        OPT_CHOICE("solver-type", &a->solver_type, solver_types,
                   "variant of DPM-Solver (midpoint, heun) and UniPC (bh1, bh2); default: the sampler's"),
        OPT_CHOICE("variance", &a->variance, variances,
                   "ddpm: posterior variance (small), beta (large), or the model's own; default: the model's"),
        OPT_CHOICE("use-clipped-model-output", &a->reproject, automatic,
                   "ddim: derive eps again from the clipped x0; auto: with guidance, whose predictions leave [-1, 1]"),
        OPT_FLOAT("churn", &a->s_churn, 0, 1e6, "X",
                  "heun, euler, dpm2: noise added on the way, S_churn of Karras et al. (2022)"),
        OPT_FLOAT("churn-min", &a->s_min, 0, 1e6, "X", "smallest noise level with churn"),
        OPT_FLOAT("churn-max", &a->s_max, 0, 1e6, "X", "largest noise level with churn; 0: no limit"),
        OPT_FLOAT("churn-noise", &a->s_noise, 0, 10, "X", "scale of that noise, S_noise"),
        OPT_INT("langevin-steps", &a->langevin_steps, 0, 100000, "N", "ald: steps at each noise level; 0: the sampler's"),
        OPT_FLOAT("langevin-step", &a->langevin_step, 0, 1, "X", "ald: step size at the smallest noise level; 0: the sampler's"),
        OPT_NAME("predictor", &a->predictor, predictors, "NAME", "pc; default: the model's"),
        OPT_NAME("corrector", &a->corrector, correctors, "NAME", "pc; default: the model's"),
        OPT_FLOAT("snr", &a->snr, 0, 10, "X", "pc: signal-to-noise ratio of the corrector; 0: the model's"),
        OPT_INT("correct-steps", &a->correct_steps, -1, 1000, "N", "pc: corrector steps per predictor step; -1: the model's"),
        OPT_FLAG("probability-flow", &a->probability_flow, "pc: follow the ODE instead of the SDE"),
        OPT_FLOAT("rtol", &a->rtol, 0, 1, "X", "ode: relative error allowed in a step; 0: 1e-5"),
        OPT_FLOAT("atol", &a->atol, 0, 1, "X", "ode: absolute error allowed in a step; 0: 1e-5"),
        OPT_CHOICE("denoise-last", &a->denoise_last, off_on,
                   "ald, pc, ode: one step without noise in the end; default: the sampler's"),
        OPT_FLOAT("flow-mu", &a->flow_mu, -100, 100, "X", "flow: dynamic shift of the noise levels"),
        OPT_INT("jump-length", &a->jump_length, 0, 100000, "N", "repaint: steps of a jump back; 0: 10"),
        OPT_INT("jump-samples", &a->jump_n_sample, 0, 1000, "N", "repaint: times that each part is drawn; 0: 10"),

        OPT_GROUP("Guidance"),
        OPT_FLOAT("guidance", &a->guidance, -1000, 1000, "S",
                  "classifier-free guidance e_u + S (e_c - e_u); 1: none; default: 1, with --prompt 7.5"),
        OPT_FLOAT("guidance-w", &a->guidance_w, -1000, 1000, "W",
                  "the same as Ho & Salimans (2022) write it: (1 + W) e_c - W e_u, S = 1 + W"),
        OPT_STRING("negative", &a->negative_prompt, "TEXT", "guide away from this text instead of from the empty one"),
        OPT_INT("negative-class", &a->negative, -1, 1e9, "K", "guide away from this class instead of from \"no class\""),
        OPT_FLOAT("guidance-rescale", &a->rescale, 0, 1, "PHI",
                  "bring that part of the result back to the deviation of e_c (Lin et al. 2023)"),
        OPT_STRING("guidance-interval", &a->guidance_interval, "LO,HI",
                   "guide only at noise levels sigma within (Kynkaanniemi et al. 2024)"),
        OPT_CHOICE("clip", &a->clip, automatic, "clamp the predicted x0 to [-1, 1]; auto: as the model's scheduler says"),
        OPT_FLOAT("threshold", &a->threshold, 0, 1, "P",
                  "dynamic thresholding at this quantile of |x0| (Saharia et al. 2022), such as 0.995; 0: off"),
        OPT_FLOAT("threshold-max", &a->threshold_max, 1, 1e6, "X", "largest value that such thresholds may have"),
        OPT_STRING("classifier", &a->classifier, "MODEL",
                   "guide by the gradient of a classifier of noisy images (brume train --task classifier)"),
        OPT_FLOAT("classifier-scale", &a->classifier_scale, -1000, 1000, "S", "scale of that gradient"),

        OPT_GROUP("Output"),
        OPT_STRING("out", &a->out, "FILE.png", "grid of the images; points of the plane: scatter plot, also .svg"),
        OPT_INT("columns", &a->columns, 0, 1000, "N", "columns of the grid; 0: one per class, or about square"),
        OPT_INT("scale", &a->scale, 0, 64, "N", "enlargement of the pixels; 0: pleasant to look at"),
        OPT_STRING("save-tensors", &a->save_tensors, "FILE", "write 'samples' (N, C, H, W) in [-1, 1] as safetensors"),
        OPT_STRING("strip", &a->strip, "FILE.png", "picture of the way from noise to image"),
        OPT_STRING("x0-strip", &a->x0_strip, "FILE.png", "picture of the estimates of x0 on that way (Tweedie's formula)"),
        OPT_STRING("forward-strip", &a->forward_strip, "FILE.png", "picture of the forward process, from these images to noise"),
        OPT_INT("strip-images", &a->strip_images, 1, 64, "N", "rows of such a picture"),
        OPT_INT("strip-columns", &a->strip_columns, 2, 64, "N", "columns of such a picture"),
        OPT_STRING("film", &a->film, "FILE.gif", "film of the denoising: the state beside the estimate of x0"),
        OPT_INT("frame-ms", &a->frame_ms, 20, 60000, "MS", "how long each picture of the film is shown"),

        OPT_STRING("trajectories", &a->trajectories, "FILE", "points of the plane: their ways from noise, as .svg or .png"),
        OPT_STRING("field", &a->field, "FILE",
                   "points of the plane: the score field at --strip-columns noise levels, as .svg or .png"),
        OPT_NAME("samplers", &a->samplers, cli_samplers(), "NAME,NAME,..", "several samplers for --table"),
        OPT_STRING("table", &a->table, "FILE.html",
                   "samplers (rows) by --steps 5,10,20 (columns): pictures of the same seeds, times, distance to the ODE"),
        OPT_INT("reference-steps", &a->reference_steps, 1, 1000000, "N",
                "DDIM steps that stand for the exact ODE in such a table"),

        OPT_GROUP("Machine"),
        OPT_INT("batch", &a->batch, 1, 65536, "N", "most images drawn at once"),
        OPT_STORAGE(&a->storage),
        OPT_STRING("memory-limit", &a->limit, "BYTES",
                   "of latents decoded: beyond so much, as 300M or 1G, they are decoded in tiles; default: what the U-Net's "
                   "weights take, or 1G"),
        OPT_DEVICE(&a->device),
        OPT_FLAG("quiet", &a->quiet, "say nothing but errors"),
        { 0 } };
    int n = 0;
    *u = &usage;
    if (!(a->options = malloc(sizeof options))) return cli_no_memory(&usage);
    memcpy(a->options, options, sizeof options);
    int status = cli_parse(&usage, a->options, argc, argv, folder, &n);
    if (status == CLI_GO_ON && a->replay) status = replay_apply(a, &usage, folder);
    else if (status == CLI_GO_ON && !*folder) status = cli_wrong(&usage, "an argument is missing: brume sample MODEL");
    return status == CLI_GO_ON ? check(a, a->options) : status;
}

void sample_args_free(struct sample_args *a)
{
    for (int i = 0; i < a->n_texts; i++) free(a->texts[i]);
    free(a->texts);
    free(a->options);
    record_free(&a->record);
}

void sample_args_apply(const struct sample_args *a, brume_scheduler_config *c, brume_sampler_options *o)
{
    if (a->variance >= 0) c->variance_type = (brume_variance)a->variance;
    if (a->spacing >= 0) c->timestep_spacing = (brume_spacing)a->spacing;
    if (a->sigmas >= 0) c->sigmas = (brume_sigmas)a->sigmas;
    if (a->rho > 0) c->rho = a->rho;
    if (a->sigma_min > 0) c->sigma_min = a->sigma_min;
    if (a->sigma_max > 0) c->sigma_max = a->sigma_max;
    if (a->final_sigma >= 0) c->final_sigmas_type = (brume_final_sigma)a->final_sigma;
    if (a->order > 0) c->solver_order = (int32_t)a->order;
    if (a->solver_type >= 0) c->solver_type = (brume_solver_type)a->solver_type;
    if (a->clip) c->clip_sample = a->clip == 2;
    if (a->threshold > 0) {
        c->thresholding = true;
        c->dynamic_thresholding_ratio = a->threshold;
        c->sample_max_value = a->threshold_max;
    }
    brume_sampler_options_default(o);
    o->steps = (int32_t)a->steps;
    o->eta = a->eta;
    o->use_clipped_model_output = a->reproject ? a->reproject == 2 : a->guidance != 1;
    o->strength = a->strength;
    o->sections = a->n_sections ? a->sections : NULL;
    o->n_sections = a->n_sections;
    o->order = (int32_t)a->order;
    o->mu = a->flow_mu;
    o->s_churn = a->s_churn;
    o->s_min = a->s_min;
    o->s_max = a->s_max;
    o->s_noise = a->s_noise;
    o->langevin_steps = (int32_t)a->langevin_steps;
    o->langevin_step = a->langevin_step;
    o->denoise_last = a->denoise_last;
    o->snr = a->snr;
    o->correct_steps = (int32_t)a->correct_steps;
    o->predictor = a->predictor;
    o->corrector = a->corrector;
    o->probability_flow = a->probability_flow;
    o->rtol = a->rtol;
    o->atol = a->atol;
    o->jump_length = (int32_t)a->jump_length;
    o->jump_n_sample = (int32_t)a->jump_n_sample;
}
