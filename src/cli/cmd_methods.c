/* SPDX-License-Identifier: MIT
 * brume methods: the rows of the library as tables. docs/methods.md is their markdown form. */
#include <stdio.h>
#include <string.h>

#include "brume/objective.h"
#include "brume/process.h"
#include "brume/sampler.h"
#include "brume/schedule.h"
#include "brume/train.h"
#include "commands.h"
#include "options.h"

enum { COLUMNS = 6, CELL = 320 };
typedef char row_cells[COLUMNS][CELL];

/* A table: cells() fills row i, returns 0 past the end. The first column is the name to be given on the command line. */
struct table {
    const char *name, *title, *text;
    const char *columns[COLUMNS + 1]; /* ended by NULL */
    int (*cells)(int i, row_cells c);
};

#define PUT(c, ...) snprintf((c), CELL, __VA_ARGS__)

static void put_processes(char *out, unsigned set)
{
    *out = 0;
    for (int k = BRUME_PROCESS_DISCRETE; k <= BRUME_PROCESS_VE; k++)
        if (set >> k & 1) {
            const size_t used = strlen(out);
            snprintf(out + used, CELL - used, "%s%s", used ? ", " : "", brume_process_kind_name((brume_process_kind)k));
        }
}

/* Methods that are options of a command, not rows of the library. */
struct option_row { const char *option, *what, *paper; };

static const struct option_row grids[] = {
    { "sample --spacing leading", "t = floor(T/n) i + steps_offset: never visits T - 1",
      "Ho et al. 2020; Lin et al. 2023, table 2" },
    { "sample --spacing linspace", "t from T - 1 to 0 in equal parts", "Lin et al. 2023, table 2" },
    { "sample --spacing trailing", "t = round(T - i T/n) - 1: starts at T - 1, as zero terminal SNR needs",
      "Lin et al. 2023, table 2" },
    { "sample --respacing N,N", "T cut in equal parts, so many steps of each", "Nichol & Dhariwal 2021, sec. 4" },
    { "sample --sigmas karras", "sigma^(1/rho) in equal steps, rho = 7", "Karras et al. 2022, eq. 5" },
    { "sample --sigmas exponential", "ln sigma in equal steps", "k-diffusion" },
    { "sample --sigmas lu", "lambda = -ln sigma in equal steps", "Lu et al. 2022a" },
    { "sample --final-sigma sigma-min", "the last step ends at the smallest noise instead of none", "diffusers" },
    { "sample --flow-mu X", "dynamic shift of flow sigmas: e^mu / (e^mu + 1/sigma - 1)", "Esser et al. 2024" },
    { 0 },
};

static const struct option_row guidance[] = {
    { "sample --guidance S", "e = e_u + S (e_c - e_u); the same in eps, x0, v, score and flow; 1 is none", "Ho & Salimans 2022" },
    { "sample --guidance-w W", "e = (1 + W) e_c - W e_u, so S = 1 + W", "Ho & Salimans 2022, eq. 6" },
    { "sample --negative-class K", "e_u of a class to stay away from", "Ho & Salimans 2022" },
    { "sample --guidance-rescale PHI", "PHI m std(m_c) / std(m) + (1 - PHI) m, per image", "Lin et al. 2023, eqs. 15-16" },
    { "sample --guidance-interval LO,HI", "guided at noise levels within only", "Kynkaanniemi et al. 2024" },
    { "sample --clip on", "x0 clamped to [-1, 1]", "Ho et al. 2020, released code" },
    { "sample --threshold P", "q = quantile(|x0|, P) >= 1 per image; x0 = clamp(x0, -q, q) / q",
      "Saharia et al. 2022 (dynamic thresholding)" },
    { "sample --classifier MODEL", "ddpm: mean + S variance grad log p(y|x); all others: eps - S s grad log p(y|x)",
      "Dhariwal & Nichol 2021, algorithms 1 and 2" },
    { "train --cond-drop P", "the class left out of part of the examples, so that e_u is learned",
      "Ho & Salimans 2022, algorithm 1" },
    { 0 },
};

static const struct option_row tasks[] = {
    { "sample --init-image FILE", "with --strength X: a x0 + s z at that part of the way, then sampled",
      "Meng et al. 2021 (SDEdit)" },
    { "sample --mask FILE", "inpainting by replacement: after every step the known part is a x0 + s z",
      "Song et al. 2021, app. I" },
    { "sample --sampler repaint", "inpainting with jumps back up that harmonise both parts", "Lugmayr et al. 2022, algorithm 1" },
    { "sample --interpolate FILE", "both pictures inverted by DDIM, their noises interpolated on the sphere",
      "Song, Meng & Ermon 2021, sec. 4.3 and 5.3" },
    { 0 },
};

static const struct option_row likelihoods[] = {
    { "eval --metrics vlb", "L_T + sum of L_t + L_0, discretised Gaussian decoder; all terms, or --steps drawn by importance",
      "Ho et al. 2020, eqs. 5 and 13" },
    { "eval --metrics ode-nll", "d log p / dt = -div of the probability-flow ODE, adaptive Runge-Kutta 5(4)",
      "Song et al. 2021, eqs. 39 and 40" },
    { "eval --probe NAME", "v^T J v with random signs or normal numbers, or the trace of J",
      "Hutchinson 1990; Grathwohl et al. 2019" },
    { 0 },
};

static const struct option_row samples[] = {
    { "eval --metrics fid",
      "Frechet distance of normal distributions with the moments of features: |m1 - m2|^2 + tr(S1 + S2 - 2 (S1 S2)^(1/2))",
      "Heusel et al. 2017, eq. 6" },
    { "eval --metrics kid", "unbiased MMD^2 of features with the kernel (a . b / D + 1)^3, mean over subsets",
      "Binkowski et al. 2018, sec. 4" },
    { "eval --metrics prdc",
      "precision and recall: samples and images within k-nearest-neighbour balls of the other kind; density and coverage",
      "Kynkaanniemi et al. 2019, eqs. 1 and 2; Naeem et al. 2020, eqs. 4 and 6" },
    { "eval --metrics class-accuracy", "samples that a classifier takes for the class they were drawn of",
      "accuracy of a classifier of noisy images at its smallest level" },
    { "eval --metrics neighbours", "nearest training images of samples, beside those of images that nobody trained with",
      "Euclidean distance of pixels or features" },
    { 0 },
};

static const struct option_row training[] = {
    { "train --bound hybrid", "L_simple + T/1000 of the bound, whose gradient reaches the variance only",
      "Nichol & Dhariwal 2021, eq. 16" },
    { "train --bound vlb", "the variational bound alone", "Nichol & Dhariwal 2021" },
    { "train --variance learned-range", "ln variance = w ln beta + (1 - w) ln posterior variance",
      "Nichol & Dhariwal 2021, eq. 15" },
    { "train --zero-snr", "sqrt(alpha_bar) shifted and scaled to end at 0", "Lin et al. 2023, algorithm 1" },
    { "train --offset-noise X", "eps += X N(0, 1) per (sample, channel)", "Guttenberg 2023" },
    { 0 },
};

static int option_cells(const struct option_row *rows, int i, row_cells c)
{
    if (!rows[i].option) return 0;
    PUT(c[0], "%s", rows[i].option);
    PUT(c[1], "%s", rows[i].what);
    PUT(c[2], "%s", rows[i].paper);
    return 1;
}
static int grid_cells(int i, row_cells c) { return option_cells(grids, i, c); }
static int guidance_cells(int i, row_cells c) { return option_cells(guidance, i, c); }
static int task_cells(int i, row_cells c) { return option_cells(tasks, i, c); }
static int likelihood_cells(int i, row_cells c) { return option_cells(likelihoods, i, c); }
static int sample_cells(int i, row_cells c) { return option_cells(samples, i, c); }
static int training_cells(int i, row_cells c) { return option_cells(training, i, c); }

static int schedule_cells(int i, row_cells c)
{
    const brume_schedule_kind *k = brume_schedule_row(i);
    if (!k) return 0;
    PUT(c[0], "%s", k->name);
    PUT(c[1], "%s", k->alias ? k->alias : "");
    PUT(c[2], "%s", k->paper);
    return 1;
}

static int process_cells(int i, row_cells c)
{
    const brume_process_preset *k = brume_process_preset_row(i);
    if (!k) return 0;
    PUT(c[0], "%s", k->name);
    PUT(c[1], "%s", k->what);
    PUT(c[2], "%s", k->paper);
    PUT(c[3], "%s", k->objective);
    PUT(c[4], "%s", k->class_name);
    return 1;
}

static int objective_cells(int i, row_cells c)
{
    const brume_objective_kind *k = brume_objective_row(i);
    if (!k) return 0;
    PUT(c[0], "%s", k->name);
    PUT(c[1], "%s", k->what);
    PUT(c[2], "%s", k->paper);
    return 1;
}

static int weighting_cells(int i, row_cells c)
{
    const brume_weighting_kind *k = brume_weighting_row(i);
    if (!k) return 0;
    PUT(c[0], "%s", k->name);
    PUT(c[1], "%s", k->what);
    PUT(c[2], "%s", k->paper);
    put_processes(c[3], k->processes);
    return 1;
}

static int time_cells(int i, row_cells c)
{
    const brume_time_sampling_kind *k = brume_time_sampling_row(i);
    if (!k) return 0;
    PUT(c[0], "%s", k->name);
    PUT(c[1], "%s", k->what);
    PUT(c[2], "%s", k->paper);
    return 1;
}

static int sampler_cells(int i, row_cells c)
{
    const brume_sampler_kind *k = brume_sampler_row(i);
    if (!k) return 0;
    PUT(c[0], "%s", k->name);
    PUT(c[1], "%s", k->what);
    PUT(c[2], "%s", k->paper);
    put_processes(c[3], k->processes);
    if (k->flags & BRUME_SAMPLER_ADAPTIVE) PUT(c[4], "adaptive");
    else if (!k->default_steps) PUT(c[4], "levels"); /* of the ladder */
    else PUT(c[4], "%d", k->default_steps);
    PUT(c[5], "%g", k->default_eta);
    return 1;
}

static int class_cells(int i, row_cells c)
{
    const char *name = brume_scheduler_class_name(i);
    brume_scheduler_config config;
    if (!name || brume_scheduler_config_class(name, &config) != BRUME_OK) return 0;
    const brume_sampler_kind *k = brume_sampler_for_config(&config);
    PUT(c[0], "%s", name);
    PUT(c[1], "%s", brume_process_kind_name(config.process));
    PUT(c[2], "%s", k ? k->name : "");
    brume_scheduler_config_clear(&config);
    return 1;
}

#define WHAT_SOURCE "what it does", "source"
static const struct table tables[] = {
    { "schedules", "Noise schedules", "Tables of betas, `train --schedule`: x = sqrt(alpha_bar) x0 + sqrt(1 - alpha_bar) eps.",
      { "name", "also", "formula and source", NULL }, schedule_cells },
    { "processes", "Other noise processes",
      "Also named by `train --schedule`; they bring their objective and class of scheduler.",
      { "name", WHAT_SOURCE, "objective", "class", NULL }, process_cells },
    { "objectives", "Objectives", "What the network predicts, `train --objective`. Any sampler of the process takes any of them.",
      { "name", WHAT_SOURCE, NULL }, objective_cells },
    { "weightings", "Weightings", "Of the loss by noise level, `train --weighting`; SNR = a^2 / s^2.",
      { "name", WHAT_SOURCE, "processes", NULL }, weighting_cells },
    { "times", "Times of the examples", "`train --time-sampling`.", { "name", WHAT_SOURCE, NULL }, time_cells },
    { "training", "More for training", "", { "option", WHAT_SOURCE, NULL }, training_cells },
    { "samplers", "Samplers",
      "`sample --sampler`; '-' counts as '_'. The last two columns are the defaults of `--steps` and `--eta`.",
      { "name", WHAT_SOURCE, "processes", "steps", "eta", NULL }, sampler_cells },
    { "classes", "Schedulers in files",
      "What `_class_name` of scheduler_config.json means: the process, and the sampler unless `--sampler` names another.",
      { "class", "process", "sampler", NULL }, class_cells },
    { "grids", "Steps and noise levels", "", { "option", WHAT_SOURCE, NULL }, grid_cells },
    { "guidance", "Guidance and clipping", "", { "option", WHAT_SOURCE, NULL }, guidance_cells },
    { "tasks", "Tasks without retraining", "", { "option", WHAT_SOURCE, NULL }, task_cells },
    { "likelihoods", "Likelihood", "In bits per dimension.", { "option", WHAT_SOURCE, NULL }, likelihood_cells },
    { "samples", "Metrics of samples",
      "From features of a classifier, of any network in a folder, or pixels: see [features](features.md).",
      { "option", WHAT_SOURCE, NULL }, sample_cells },
};
enum { N_TABLES = sizeof tables / sizeof *tables };

static void print_cell(const char *text, int code)
{
    printf(code ? " `" : " ");
    for (; *text; text++) {
        if (*text == '|') putchar('\\');
        putchar(*text);
    }
    printf(code ? "` |" : " |");
}

static void print_markdown(const struct table *t)
{
    static row_cells c;
    printf("\n## %s\n%s%s|", t->title, t->text, *t->text ? "\n\n" : "");
    for (int k = 0; t->columns[k]; k++) print_cell(t->columns[k], 0);
    printf("\n|");
    for (int k = 0; t->columns[k]; k++) printf(" --- |");
    printf("\n");
    for (int i = 0; t->cells(i, c); i++) {
        printf("|");
        for (int k = 0; t->columns[k]; k++) print_cell(c[k], k == 0);
        printf("\n");
    }
}

static void print_text(const struct table *t)
{
    static row_cells c;
    printf("%s\n", t->title);
    for (int i = 0; t->cells(i, c); i++) {
        if (strlen(c[0]) <= 20) printf("  %-20s %s\n", c[0], c[1]);
        else printf("  %s\n  %-20s %s\n", c[0], "", c[1]);
        for (int k = 2; t->columns[k]; k++)
            if (*c[k]) printf("  %-20s %s: %s\n", "", t->columns[k], c[k]);
    }
    printf("\n");
}

int cmd_methods(int argc, char **argv)
{
    static const char *const examples[] = { "brume methods", "brume methods samplers",
                                            "brume methods --markdown > docs/methods.md", NULL };
    const char *names[N_TABLES + 1] = { NULL };
    for (int i = 0; i < N_TABLES; i++) names[i] = tables[i].name;
    const struct cli_usage u = { "methods", "[KIND]",
                                 "Lists the methods that brume knows, with their papers and defaults; or one kind of them.",
                                 examples, 0, 1, names };
    const char *kind = NULL;
    int n_args = 0, markdown = 0, found = 0;
    struct cli_option options[] = { OPT_FLAG("markdown", &markdown, "print docs/methods.md"), { 0 } };
    const int status = cli_parse(&u, options, argc, argv, &kind, &n_args);
    if (status != CLI_GO_ON) return status;

    for (int i = 0; i < N_TABLES; i++) found |= n_args == 0 || !strcmp(kind, names[i]);
    if (!found) {
        const char *near = cli_nearest(kind, names, N_TABLES);
        return near ? cli_wrong(&u, "there are no '%s'; did you mean '%s'?", kind, near)
                    : cli_wrong(&u, "there are no '%s'", kind);
    }
    if (markdown && n_args == 0)
        printf("# Methods\n\nMade by `brume methods --markdown` from the rows of the library; a test compares.\n");
    for (int i = 0; i < N_TABLES; i++)
        if (n_args == 0 || !strcmp(kind, names[i])) {
            if (markdown) print_markdown(&tables[i]);
            else print_text(&tables[i]);
        }
    return CLI_DONE;
}
