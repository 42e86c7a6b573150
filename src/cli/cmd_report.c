/* SPDX-License-Identifier: MIT
 * brume report: a page about a run. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "brume/model.h"
#include "brume/report.h"
#include "commands.h"
#include "device_options.h"
#include "options.h"

struct report_args {
    struct cli_device device;
    const char *out, *prompt;
    int64_t steps;
    int pictures, quiet;
};

static void inside(char path[4096], const char *run, const char *name) { snprintf(path, 4096, "%s/training/%s", run, name); }

/* Are the pictures of this checkpoint there already? */
static int drawn(const char *run)
{
    char state[4096], picture[4096];
    struct stat a, b;
    inside(state, run, "state.safetensors");
    inside(picture, run, "pictures/reverse.png");
    return !stat(picture, &b) && (stat(state, &a) || b.st_mtime >= a.st_mtime);
}

/* The pictures are those of `brume sample`; a model that draws none (a classifier, say) has a page without. */
static void draw(const struct report_args *a, const char *run)
{
    char folder[4096], out[4096], reverse[4096], forward[4096], x0[4096], steps[32], threads[32], count[32];
    brume_model *m = NULL;
    if (brume_model_load(run, NULL, &m) != BRUME_OK) {
        fprintf(stderr, "brume report: no pictures: %s\n", brume_error());
        return;
    }
    const brume_unet2d_config *u = &m->unet;
    const int text = m->tokenizer != NULL, classes = u->class_embed_type == BRUME_CLASS_TABLE ? u->num_class_embeds - 1 : 0,
              draws = u->architecture != BRUME_ARCHITECTURE_CLASSIFIER;
    const int planar = u->architecture == BRUME_ARCHITECTURE_MLP;
    brume_model_free(m);
    if (!draws || planar) return;
    inside(folder, run, "pictures");
    mkdir(folder, 0777);
    inside(out, run, "pictures/samples.png");
    inside(reverse, run, "pictures/reverse.png");
    inside(forward, run, "pictures/forward.png");
    inside(x0, run, "pictures/x0.png");
    snprintf(steps, sizeof steps, "%lld", (long long)a->steps);
    snprintf(threads, sizeof threads, "%lld", (long long)a->device.threads);
    const char *args[32] = { "sample", run, "--out", out, "--strip", reverse, "--forward-strip", forward,
                             "--x0-strip", x0, "--steps", steps, "--device", a->device.spec, "--threads", threads };
    int n = 16;
    if (text) args[n++] = "--prompt", args[n++] = a->prompt ? a->prompt : "";
    snprintf(count, sizeof count, "%d", text ? 8 : !classes ? 24 : classes * (classes > 16 ? 1 : 4)); /* rows of all classes */
    args[n++] = "--n", args[n++] = count;
    if (classes) args[n++] = "--class", args[n++] = "all", args[n++] = "--guidance", args[n++] = "2";
    if (a->quiet) args[n++] = "--quiet";
    char **argv = malloc((size_t)(n + 1) * sizeof *argv);
    for (int i = 0; argv && i <= n; i++) argv[i] = (char *)(uintptr_t)args[i]; /* which the command only reads */
    if (!argv || cmd_sample(n, argv) != CLI_DONE) fprintf(stderr, "brume report: the page has no new pictures\n");
    free(argv);
}

int cmd_report(int argc, char **argv)
{
    static const char *const examples[] = { "brume report runs/mnist  # runs/mnist/report.html",
                                            "brume report runs/mnist --no-pictures --out page.html", NULL };
    static const struct cli_usage usage = {
        "report",
        "RUN",
        "Writes one HTML page about a run of brume train, which needs nothing else to be shown: curves, samples over time, the "
        "forward and the reverse process, evaluations, configuration.",
        examples,
        1,
        1,
        NULL
    };
    struct report_args a = { .device = CLI_DEVICE_DEFAULT, .pictures = 1, .steps = 50 };
    struct cli_option options[] = {
        OPT_STRING("out", &a.out, "FILE.html", "the page; default: report.html in the run's folder"),
        OPT_FLAG("pictures", &a.pictures, "draw pictures of the two processes, where the run has none of its last checkpoint"),
        OPT_INT("steps", &a.steps, 1, 100000, "N", "steps of the sampler in such pictures"),
        OPT_STRING("prompt", &a.prompt, "TEXT", "what a text model is to draw there; default: nothing in particular"),
        OPT_DEVICE(&a.device),
        OPT_FLAG("quiet", &a.quiet, "say nothing but errors"),
        { 0 } };
    const char *run;
    const int status = cli_parse(&usage, options, argc, argv, &run, NULL);
    if (status != CLI_GO_ON) return status;
    if (a.pictures && !drawn(run)) draw(&a, run);
    if (brume_report_write(run, a.out, 0) != BRUME_OK) return cli_failed();
    if (!a.quiet) printf("%s%s\n", a.out ? a.out : run, a.out ? "" : "/report.html");
    return CLI_DONE;
}
