/* SPDX-License-Identifier: MIT
 * brume eval: measures a model by what it finds probable, or by what it draws. */
#include <stdio.h>
#include <string.h>

#include "commands.h"
#include "eval.h"
#include "names.h"

static const struct { const char *name; enum eval_metric metric; } metrics[] = {
    { "vlb", EVAL_VLB }, { "ode-nll", EVAL_ODE }, { "fid", EVAL_FID }, { "kid", EVAL_KID }, { "prdc", EVAL_PRDC },
    { "class-accuracy", EVAL_CLASSES }, { "neighbours", EVAL_NEIGHBOURS },
};
enum { METRICS = sizeof metrics / sizeof *metrics };

static const char *const *metric_names(void)
{
    static const char *names[METRICS + 1];
    for (int i = 0; i < METRICS; i++) names[i] = metrics[i].name;
    return names;
}

/* "a,b" with names of metrics. */
static int parse_metrics(const struct cli_usage *u, const char *text, unsigned *out)
{
    for (const char *p = text; ; p++) {
        const size_t length = strcspn(p, ",");
        int i = 0;
        while (i < METRICS && (strlen(metrics[i].name) != length || strncmp(p, metrics[i].name, length))) i++;
        if (i == METRICS) return cli_no_choice(u, "metrics", text, metric_names());
        *out |= metrics[i].metric;
        p += length;
        if (!*p) return CLI_GO_ON;
    }
}

static int check_samples(const struct cli_usage *u, const struct cli_option *o, struct eval_args *a, const char *folder)
{
    if (a->metrics & EVAL_LIKELIHOODS)
        return cli_wrong(u, "--metrics: likelihoods (vlb, ode-nll) look at the data's pictures, the others at samples; ask for "
                            "them in two commands");
    if (cli_given(o, "conditional")) return cli_wrong(u, "--conditional is for likelihoods; samples are drawn of --class");
    if (!a->features) a->features = a->classifier;
    if ((a->metrics & EVAL_OF_FEATURES || a->by_features) && !a->features)
        return cli_wrong(u, "give --features: a classifier that brume train --task classifier made on the same data, a "
                            "BrumeFeatureNetwork folder, or pixels");
    if (a->metrics & EVAL_CLASSES && !a->classifier)
        return cli_wrong(u, "class-accuracy needs --classifier MODEL: one that brume train --task classifier made");
    if (a->metrics & (EVAL_OF_FEATURES | EVAL_NEIGHBOURS) && !a->data)
        return cli_wrong(u, "give --data: shapes, or a folder of pictures");
    if (a->metrics & EVAL_FID && !brume_frechet_available())
        return cli_wrong(u, "fid needs LAPACK, which this build has not: install liblapacke (Debian: liblapacke-dev) and build "
                            "again, or take kid");
    if (a->metrics & EVAL_NEIGHBOURS && !a->out && (a->samples || !eval_is_run(folder)))
        return cli_wrong(u, "neighbours: give --out FILE.png for the picture");
    if (a->samples && (a->sampler || a->steps || a->guidance != 1 || a->classes))
        return cli_wrong(u, "--samples are drawn already: give no --sampler, --steps, --guidance or --class");
    if (!cli_given(o, "n")) a->n = a->samples ? 0 : 1000;
    else if (!a->n && !a->samples) return cli_wrong(u, "--n: give the number of samples to draw");
    if (a->metrics & EVAL_PRDC && a->n && a->n <= a->k)
        return cli_wrong(u, "prdc with --k %lld needs more samples than that", (long long)a->k);
    if (a->metrics & EVAL_KID && a->n == 1) return cli_wrong(u, "kid needs 2 samples or more");
    return CLI_GO_ON;
}

int cmd_eval(int argc, char **argv)
{
    static const char *const examples[] = { "brume eval runs/mnist --data mnist --n 64 --steps 100",
                                            "brume eval runs/mnist --data mnist --metrics ode-nll --n 16 --tolerance 1e-4",
                                            "brume eval runs/cifar --data cifar-10 --metrics vlb,ode-nll --json",
                                            "brume eval runs/mnist --data mnist --metrics fid,kid,prdc,class-accuracy "
                                            "--classifier runs/judge --n 2000 --steps 50 --sampler ddim",
                                            "brume eval runs/mnist --data mnist --metrics neighbours --n 64 --out neighbours.png",
                                            NULL };
    static const char *const variances[] = { "model", "small", "large", NULL };
    static const char *const cdfs[] = { "tanh", "exact", NULL };
    static const char *const probes[] = { "signs", "normal", "exact", NULL };
    static const char *const spaces[] = { "pixels", "features", NULL };
    const struct cli_usage u = { "eval",
                                 "[MODEL]",
                                 "Measures a model: how probable it finds the pictures of a data set (bits per dimension), or "
                                 "how near the images that it draws are to them (FID, KID, precision and recall, accuracy of a "
                                 "classifier, nearest training images). A run's folder keeps the figures in "
                                 "training/evaluation.jsonl, and brume report shows them.",
                                 examples,
                                 0,
                                 1,
                                 NULL };
    struct eval_args a = { .device = CLI_DEVICE_DEFAULT, .n = 64, .batch = 32, .probes = 1, .tolerance = 1e-5, .conditional = 1,
                           .kid_subsets = 100, .k = 5, .guidance = 1 };
    const char *list = NULL;
    struct cli_option options[] = {
        OPT_GROUP("What to measure"),
        OPT_NAME("data", &a.data, cli_data_sets(), "DATA",
                 "a folder, of which the test part is taken, or built in; see brume train --help"),
        OPT_NAME("metrics", &list, metric_names(), "NAME,NAME,..",
                 "likelihoods (vlb: variational bound, ode-nll: probability-flow ODE), or figures of samples (prdc: precision, "
                 "recall, density, coverage); default: vlb for models of discrete time, else ode-nll"),
        OPT_INT("n", &a.n, 0, 1000000000, "N", "pictures; likelihoods: 0: all; samples to draw: 1000 unless given"),
        OPT_FLAG("train", &a.train, "the training part of the data"),
        OPT_INT("seed", &a.seed, 0, 9e15, "N", "of the choice of pictures, the noise, the times, the probes and the samples"),
        OPT_INT("steps", &a.steps, 0, 1000000, "N",
                "vlb: terms 0 < t < T to draw per batch, made even; 0: all, the complete bound. Samples: the sampler's steps; 0: "
                "its default"),
        OPT_FLOAT("ema", &a.ema, 0, 1, "X",
                  "of a run that keeps several averages: the one of that decay; 0: the one in the folder"),
        OPT_STRING("weights", &a.weights, "VARIANT", "which weights of the folder: fp16, non_ema, ..."),

        OPT_GROUP("Likelihoods"),
        OPT_CHOICE("variance", &a.variance, variances,
                   "vlb: variance of the model's steps, posterior (small) or beta (large); model: what its scheduler says"),
        OPT_CHOICE("cdf", &a.cdf, cdfs, "vlb: normal distribution function of the decoder, as released (tanh) or exact"),
        OPT_CHOICE(
            "probe", &a.probe, probes,
            "ode-nll: divergence by Hutchinson's estimate with random signs or normal numbers, or exact (D times the work)"),
        OPT_INT("probes", &a.probes, 1, 1000, "N", "ode-nll: vectors per image to average over"),
        OPT_FLOAT("tolerance", &a.tolerance, 1e-9, 1, "X", "ode-nll: relative and absolute error of a step"),
        OPT_FLAG("conditional", &a.conditional,
                 "models with classes: given each picture's class; --no-conditional: as \"no class\""),

        OPT_GROUP("Samples"),
        OPT_STRING("features", &a.features, "DIR",
                   "what makes features: a classifier of brume train --task classifier, a BrumeFeatureNetwork folder "
                   "(docs/features.md), or pixels; default: --classifier"),
        OPT_STRING("classifier", &a.classifier, "MODEL",
                   "class-accuracy: the classifier that judges, at its smallest noise level"),
        OPT_STRING("samples", &a.samples, "FILE",
                   "given samples instead of drawn ones: tensors 'samples' (N, C, H, W) in [-1, 1] and, for class-accuracy, "
                   "'labels' (N) of a safetensors file"),
        OPT_NAME("sampler", &a.sampler, cli_samplers(), "NAME", "as brume sample; default: what the model's scheduler asks for"),
        OPT_FLOAT("guidance", &a.guidance, -1000, 1000, "S", "classifier-free guidance e_u + S (e_c - e_u); 1: none"),
        OPT_STRING("class", &a.classes, "K", "class numbers separated by commas, drawn in turn; default: all"),
        OPT_STRING("reference", &a.reference, "FILE",
                   "keep the features of the data set in this file; default: in the folder of caches"),
        OPT_INT("reference-n", &a.reference_n, 0, 1000000000, "N",
                "images of the data set to compare with, chosen at random; 0: all"),
        OPT_INT("kid-subsets", &a.kid_subsets, 1, 100000, "N", "kid: subsets of up to 1000 to average over"),
        OPT_INT("k", &a.k, 1, 64, "N", "prdc: which neighbour the balls reach; neighbours: how many are shown"),
        OPT_CHOICE("by", &a.by_features, spaces, "neighbours: what is compared"),
        OPT_STRING("out", &a.out, "FILE.png",
                   "neighbours: samples, each beside its nearest training images; default: training/neighbours.png of a run"),

        OPT_GROUP("Machine"),
        OPT_INT("batch", &a.batch, 1, 65536, "N", "most images at once"),
        OPT_DEVICE(&a.device),
        OPT_FLAG("json", &a.json, "print JSON, with the bound's terms by time"),
        OPT_FLAG("quiet", &a.quiet, "no progress, no messages but errors"),
        { 0 }
    };
    const char *folder = NULL;
    int n = 0;
    int status = cli_parse(&u, options, argc, argv, &folder, &n);
    if (status == CLI_GO_ON && list) status = parse_metrics(&u, list, &a.metrics);
    if (status != CLI_GO_ON) return status;
    if (!folder && !a.samples) return cli_wrong(&u, "an argument is missing: brume eval MODEL");
    if (a.samples && folder) return cli_wrong(&u, "--samples stand for a model: give one of both");
    if (a.samples && !(a.metrics & ~(unsigned)EVAL_LIKELIHOODS))
        return cli_wrong(&u, "--samples: give --metrics, of fid, kid, prdc, class-accuracy, neighbours");
    if (a.metrics & ~(unsigned)EVAL_LIKELIHOODS) {
        status = check_samples(&u, options, &a, folder);
        return status == CLI_GO_ON ? eval_samples(&a, &u, folder) : status;
    }
    if (!a.data) return cli_wrong(&u, "give --data: shapes, or a folder of pictures");
    return eval_likelihood(&a, &u, folder);
}
