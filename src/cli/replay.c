/* SPDX-License-Identifier: MIT
 * Drawing a picture again from its record. */
#include "replay.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "brume/file.h"
#include "brume/image.h"
#include "config.h"
#include "options_file.h"

/* Options that name files which the pictures depend on; --classifier names a model. */
static const char *const inputs[] = { "init-image", "mask", "init-noise", "interpolate", "classifier" };
enum { INPUTS = sizeof inputs / sizeof *inputs };

static const char *path_of(const struct sample_args *a, const char *name)
{
    const struct cli_option *o = cli_find(a->options, name, strlen(name));
    return *(const char **)o->to;
}

static const char *hex(uint64_t fingerprint, char text[20])
{
    snprintf(text, 20, "%016llx", (unsigned long long)fingerprint);
    return text;
}

/* Fingerprint of inputs[i], or 0. */
static uint64_t fingerprint(const struct drawing *d, int i)
{
    uint64_t h = 0;
    const char *path = path_of(d->a, inputs[i]);
    if (!path) return 0;
    if (!strcmp(inputs[i], "classifier")) return d->judge_fingerprint;
    return brume_file_fingerprint(path, &h) == BRUME_OK ? h : 0;
}

/* Settings of the sampler's model: the same whatever order or file they came in. */
static brume_status scheduler_fingerprint(const struct drawing *d, uint64_t *h)
{
    *h = 0;
    brume_json_writer *w = brume_json_writer_new();
    if (!w) return BRUME_E_MEMORY;
    brume_status s = brume_scheduler_config_put(w, NULL, &d->model->scheduler);
    const char *text = s == BRUME_OK ? brume_json_writer_text(w) : NULL;
    if (s == BRUME_OK && !text) s = BRUME_E_MEMORY;
    for (; text && *text; text++) *h = (*h ^ (unsigned char)*text) * 1099511628211u; /* FNV-1a */
    brume_json_writer_free(w);
    return s;
}

/* What was given, and what decides most even if it was not, so that other defaults of a later version change nothing. */
static void put_options(brume_json_writer *w, const struct drawing *d)
{
    const struct sample_args *a = d->a;
    for (const struct cli_option *o = a->options; o->type; o++) {
        if (!record_holds(o)) continue;
        if (!strcmp(o->name, "n")) brume_json_put_int(w, "n", d->n);
        else if (!strcmp(o->name, "seed")) brume_json_put_int(w, "seed", a->seed);
        else if (!strcmp(o->name, "batch")) brume_json_put_int(w, "batch", d->batch);
        else if (!strcmp(o->name, "sampler")) brume_json_put_string(w, "sampler", d->sampler_name);
        else if (!strcmp(o->name, "size") && d->h == d->w && !a->init_noise) brume_json_put_int(w, "size", d->view.height);
        else if (!strcmp(o->name, "steps") && !a->respacing && (a->steps || !a->interpolate))
            brume_json_put_int(w, "steps", brume_sampler_steps(d->sampler));
        else if (!strcmp(o->name, "guidance") && (d->conditional || d->prompts))
            brume_json_put_double(w, "guidance", a->guidance);
        else if (o->given && o->type != CLI_STRING) cli_option_write(w, o);
        else if (o->given && strcmp(o->name, "steps")) record_put_text(w, o->name, *(const char **)o->to);
    }
}

static brume_status put_record(brume_json_writer *w, const struct drawing *d, const char *picture)
{
    char text[20];
    uint64_t scheduler;
    const brume_status s = scheduler_fingerprint(d, &scheduler);
    if (s != BRUME_OK) return s;
    brume_device_info info;
    brume_device_get_info(d->device, &info);
    brume_json_begin_object(w, NULL);
    brume_json_put_int(w, "format", 1);
    brume_json_put_string(w, "brume", BRUME_VERSION);
    brume_json_put_string(w, "picture", picture);
    brume_json_begin_object(w, "model");
    record_put_text(w, "path", d->folder);
    brume_json_put_string(w, "weights", hex(d->fingerprint, text));
    brume_json_put_string(w, "scheduler", hex(scheduler, text));
    brume_json_end(w);
    brume_json_begin_object(w, "device");
    brume_json_put_string(w, "spec", info.spec);
    brume_json_put_string(w, "name", info.name);
    brume_json_put_string(w, "platform", info.platform);
    brume_json_end(w);
    if ((d->conditional || d->prompts) && d->a->guidance != 1) brume_json_put_string(w, "guidance", "e_u + guidance (e_c - e_u)");
    brume_json_put_bool(w, "keeps_x0", d->observe_x0);
    brume_json_begin_object(w, "options");
    put_options(w, d);
    brume_json_end(w);
    brume_json_begin_object(w, "files");
    for (int i = 0; i < INPUTS; i++)
        if (path_of(d->a, inputs[i])) brume_json_put_string(w, inputs[i], hex(fingerprint(d, i), text));
    brume_json_end(w);
    brume_json_end(w);
    return BRUME_OK;
}

brume_status replay_record(const struct drawing *d, const char *picture, brume_image *im)
{
    brume_json_writer *w = brume_json_writer_new();
    if (!w) return BRUME_E_MEMORY;
    brume_status st = put_record(w, d, picture);
    const char *text = st == BRUME_OK ? brume_json_writer_text(w) : NULL;
    if (st == BRUME_OK) st = text ? brume_image_set_text(im, "Software", "brume") : BRUME_E_MEMORY;
    if (st == BRUME_OK) st = brume_image_set_text(im, "brume", text);
    brume_json_writer_free(w);
    return st;
}

brume_status replay_write(const struct drawing *d, const char *picture, const char *path, brume_image *im)
{
    brume_status st = replay_record(d, picture, im);
    if (st == BRUME_OK) st = brume_png_write(path, im);
    brume_image_free(im);
    return st;
}

/* Keeps a text as long as the arguments. */
static const char *keep(struct sample_args *a, char *text)
{
    char **more = text ? realloc(a->texts, (size_t)(a->n_texts + 1) * sizeof *more) : NULL;
    if (!more) {
        free(text);
        return NULL;
    }
    a->texts = more;
    return more[a->n_texts++] = text;
}

/* Texts come from records in two forms, and steps are a number here; all other types are those of the table. */
static int set(struct sample_args *a, const struct cli_usage *u, struct cli_option *o, const brume_json *v)
{
    char number[40];
    if (o->type != CLI_STRING) return cli_option_read(u, o, v);
    if (!strcmp(o->name, "steps") && brume_json_typeof(v) != BRUME_JSON_INT)
        return cli_wrong(u, "%s: expected an integer", brume_json_where(v));
    snprintf(number, sizeof number, "%lld", (long long)brume_json_integer(v, 0));
    char *text = !strcmp(o->name, "steps") ? strdup(number) : record_text(v);
    if (!text) return CLI_FAILED;
    const char *kept = keep(a, text);
    return kept ? cli_set(u, o, kept) : cli_no_memory(u);
}

static int apply(struct sample_args *a, const struct cli_usage *u, const brume_json *v)
{
    struct cli_option *o = cli_find(a->options, brume_json_key(v), strlen(brume_json_key(v)));
    if (!o || !record_holds(o)) {
        fprintf(stderr, "brume: %s: brume %s knows no such option of drawings\n", brume_json_where(v), BRUME_VERSION);
        return CLI_FAILED;
    }
    /* the command line wins */
    if (o->given || (!strcmp(o->name, "guidance") && cli_given(a->options, "guidance-w"))) return CLI_GO_ON;
    o->given = 1;
    if (set(a, u, o, v) == CLI_GO_ON) return CLI_GO_ON;
    fprintf(stderr, "brume: that is what %s asks for\n", brume_json_where(v));
    return CLI_FAILED;
}

static int is_folder(const char *path)
{
    struct stat st;
    return !stat(path, &st) && S_ISDIR(st.st_mode);
}

/* The device of the record where it is there, else what --device says. */
static int choose_device(struct sample_args *a)
{
    const struct record *r = &a->record;
    brume_device_info *list = NULL;
    int n = 0, best = -1;
    if (cli_given(a->options, "device")) return CLI_GO_ON;
    if (!strcmp(r->device, "cpu")) {
        a->device.spec = "cpu";
        return CLI_GO_ON;
    }
    if (brume_device_list(&list, &n, NULL) != BRUME_OK) return cli_failed();
    for (int i = 0; i < n; i++)
        if (list[i].usable && !strcmp(list[i].name, r->device_name) && !strcmp(list[i].platform, r->platform) &&
            (best < 0 || !strcmp(list[i].spec, r->device)))
            best = i;
    const char *spec = best >= 0 ? keep(a, strdup(list[best].spec)) : NULL;
    if (spec) a->device.spec = spec;
    free(list);
    return CLI_GO_ON;
}

/* Where the picture goes: --out, or a name made of the old one; nowhere if other results are asked for. */
static int place(struct sample_args *a, const struct cli_usage *u)
{
    const char *const others[] = { "save-tensors", "strip", "x0-strip", "forward-strip", "film",
                                   "trajectories", "field", "table" };
    const char *picture = a->record.picture;
    struct cli_option *o = cli_find(a->options, picture, strlen(picture));
    int asked = a->out != NULL;
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) asked |= path_of(a, others[i]) != NULL;
    if (!asked) {
        size_t n = strlen(a->replay);
        if (n > 4 && !strcmp(a->replay + n - 4, ".png")) n -= 4;
        char *name = malloc(n + 12);
        if (name) snprintf(name, n + 12, "%.*s-replay.png", (int)n, a->replay);
        if (!(a->out = keep(a, name))) return cli_no_memory(u);
    }
    if (!a->out || !strcmp(picture, "out")) return CLI_GO_ON;
    if (o->given) return cli_wrong(u, "%s is the picture of --%s: give --out or --%s, not both", a->replay, picture, picture);
    *(const char **)o->to = a->out;
    a->out = NULL;
    return CLI_GO_ON;
}

int replay_apply(struct sample_args *a, const struct cli_usage *u, const char **folder)
{
    brume_image *im = NULL;
    if (brume_png_read(a->replay, &im) != BRUME_OK) return cli_failed();
    int status = record_read(im, a->replay, &a->record);
    brume_image_free(im);
    if (status != CLI_GO_ON) return status;
    if (!a->record.json) {
        fprintf(stderr, "brume: %s does not say how it was drawn: only PNGs of brume sample can be drawn again\n", a->replay);
        return CLI_FAILED;
    }
    for (int64_t i = 0; status == CLI_GO_ON && i < brume_json_count(a->record.options); i++)
        status = apply(a, u, brume_json_at(a->record.options, i));
    if (status == CLI_GO_ON) status = place(a, u);
    if (status == CLI_GO_ON) status = choose_device(a);
    if (status != CLI_GO_ON) return status;
    a->keep_x0 = a->record.keeps_x0;
    if (*folder) return CLI_GO_ON;
    if (!(*folder = keep(a, record_text(a->record.model)))) return cli_no_memory(u);
    if (is_folder(*folder)) return CLI_GO_ON;
    fprintf(stderr, "brume: the model '%s' that drew %s is not here; say where it is: brume sample MODEL --replay %s\n", *folder,
            a->replay, a->replay);
    return CLI_FAILED;
}

void replay_compare(const struct drawing *d)
{
    const struct record *r = &d->a->record;
    char text[20];
    uint64_t scheduler;
    brume_device_info info;
    if (!r->json) return;
    brume_device_get_info(d->device, &info);
    if (strcmp(hex(d->fingerprint, text), r->weights))
        fprintf(stderr,
                "warning: the weights of %s are not those that drew %s (fingerprint %s, then %s): the picture will differ\n",
                d->folder, d->a->replay, text, r->weights);
    if (scheduler_fingerprint(d, &scheduler) == BRUME_OK && strcmp(hex(scheduler, text), r->scheduler))
        fprintf(stderr, "warning: the scheduler of %s has other settings than when %s was drawn: the picture may differ\n",
                d->folder, d->a->replay);
    for (int i = 0; i < INPUTS; i++) {
        const char *then = brume_json_string(brume_json_find(r->files, inputs[i]), NULL);
        if (then && path_of(d->a, inputs[i]) && strcmp(hex(fingerprint(d, i), text), then))
            fprintf(stderr, "warning: --%s: %s is not what it was when %s was drawn: the picture will differ\n", inputs[i],
                    path_of(d->a, inputs[i]), d->a->replay);
    }
    if (strcmp(info.name, r->device_name) || strcmp(info.platform, r->platform))
        fprintf(stderr, "warning: %s was drawn on %s (%s), this is %s (%s): last bits may differ\n", d->a->replay, r->device_name,
                r->platform, info.name, info.platform);
    if (strcmp(r->version, BRUME_VERSION))
        fprintf(stderr, "warning: %s was drawn by brume %s, this is %s: last bits may differ\n", d->a->replay, r->version,
                BRUME_VERSION);
}
