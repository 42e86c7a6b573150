/* SPDX-License-Identifier: MIT
 * brume info: what a file or folder holds. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "brume/data.h"
#include "brume/file.h"
#include "brume/image.h"
#include "brume/json.h"
#include "brume/weights.h"
#include "commands.h"
#include "names.h"
#include "options.h"
#include "paths.h"
#include "record.h"

struct report {
    brume_json_writer *w; /* with --json, else NULL */
    int all;              /* list every tensor */
    int *status;          /* set where a message has been printed already */
};

/* Text from a file must not steer the terminal: control characters are shown as '?'. Valid until the next call but one. */
static const char *plain(const char *text)
{
    static char copies[2][2048];
    static int next;
    char *copy = copies[next ^= 1];
    snprintf(copy, sizeof copies[0], "%s", text);
    for (unsigned char *c = (unsigned char *)copy; *c; c++)
        if (*c < 32 || *c == 127) *c = '?';
    return copy;
}

static void put_int(const struct report *r, const char *key, int64_t value)
{
    if (r->w) brume_json_put_int(r->w, key, value);
    else printf("%-12s%lld\n", key, (long long)value);
}

static void put_string(const struct report *r, const char *key, const char *value)
{
    if (r->w) brume_json_put_string(r->w, key, value);
    else printf("%-12s%s\n", key, plain(value));
}

static void put_tensor(const struct report *r, const brume_st_tensor *t)
{
    if (r->w) {
        brume_json_begin_object(r->w, NULL);
        brume_json_put_string(r->w, "name", t->name);
        brume_json_put_string(r->w, "dtype", brume_st_dtype_name(t->dtype));
        brume_json_begin_array(r->w, "shape", 1);
        for (int i = 0; i < t->ndim; i++) brume_json_put_int(r->w, NULL, t->shape[i]);
        brume_json_end(r->w);
        brume_json_end(r->w);
        return;
    }
    printf("  %-8s", brume_st_dtype_name(t->dtype));
    char shape[160];
    int n = snprintf(shape, sizeof shape, "(");
    for (int i = 0; i < t->ndim && n < (int)sizeof shape; i++)
        n += snprintf(shape + n, sizeof shape - (size_t)n, "%s%lld", i ? ", " : "", (long long)t->shape[i]);
    printf("%s)%*s %s\n", shape, n < 22 ? 22 - n : 0, "", plain(t->name));
}

static void put_weights(const struct report *r, const brume_weights *w)
{
    int64_t values = 0, bytes = 0, of_type[BRUME_ST_F8_E5M2 + 1] = { 0 };
    const int64_t n = brume_weights_count(w);
    for (int64_t i = 0; i < n; i++) {
        const brume_st_tensor *t = brume_weights_at(w, i);
        values += t->count;
        bytes += (int64_t)t->bytes;
        of_type[t->dtype]++;
    }
    char types[200] = "";
    int used = 0;
    for (int k = 0; k <= BRUME_ST_F8_E5M2; k++)
        if (of_type[k] && used < (int)sizeof types)
            used += snprintf(types + used, sizeof types - (size_t)used, "%s%s", used ? ", " : "",
                             brume_st_dtype_name((brume_st_dtype)k));
    put_int(r, "tensors", n);
    put_int(r, "values", values);
    put_int(r, "bytes", bytes);
    put_string(r, "types", types);
    put_int(r, "files", brume_weights_files(w));
    if (!r->all) return;
    if (r->w) brume_json_begin_array(r->w, "list", 0);
    for (int64_t i = 0; i < n; i++) put_tensor(r, brume_weights_at(w, i));
    if (r->w) brume_json_end(r->w);
}

static int ends_with(const char *s, const char *end)
{
    const size_t n = strlen(s), m = strlen(end);
    return n >= m && !strcmp(s + n - m, end);
}

static int is_folder(const char *path)
{
    struct stat st;
    return !stat(path, &st) && S_ISDIR(st.st_mode);
}

static int exists(const char *folder, const char *name, char *path, size_t n)
{
    struct stat st;
    return snprintf(path, n, "%s/%s", folder, name) < (int)n && !stat(path, &st);
}

static brume_status info_safetensors(const struct report *r, const char *path)
{
    brume_weights *w;
    brume_safetensors *f = NULL;
    brume_status s = brume_weights_open(path, "", NULL, &w);
    if (s == BRUME_OK) s = brume_safetensors_open(path, &f);
    if (s == BRUME_OK) {
        put_string(r, "kind", "safetensors");
        if (r->w) brume_json_begin_object(r->w, "metadata");
        for (int64_t i = 0; i < brume_safetensors_metadata_count(f); i++) {
            const char *key, *value;
            brume_safetensors_metadata_at(f, i, &key, &value);
            if (r->w) brume_json_put_string(r->w, key, value);
            else printf("%-12s%s = %s\n", "metadata", plain(key), plain(value));
        }
        if (r->w) brume_json_end(r->w);
        put_weights(r, w);
    }
    brume_safetensors_close(f);
    brume_weights_close(w);
    return s;
}

static brume_status info_png(const struct report *r, const char *path)
{
    brume_image *im;
    const brume_status s = brume_png_read(path, &im);
    if (s != BRUME_OK) return s;
    put_string(r, "kind", "png");
    put_int(r, "width", im->width);
    put_int(r, "height", im->height);
    put_int(r, "channels", im->channels);
    if (r->w) brume_json_begin_object(r->w, "text");
    for (int i = 0; i < im->n_text; i++) {
        if (!strcmp(im->text[2 * i], "brume")) continue; /* the record: below */
        if (r->w) brume_json_put_string(r->w, im->text[2 * i], im->text[2 * i + 1]);
        else printf("%-12s%s = %s\n", "text", plain(im->text[2 * i]), plain(im->text[2 * i + 1]));
    }
    if (r->w) brume_json_end(r->w);
    struct record record;
    *r->status = record_read(im, path, &record);
    if (*r->status == CLI_GO_ON && r->w) record_put(&record, r->w);
    else if (*r->status == CLI_GO_ON) record_print(&record);
    record_free(&record);
    brume_image_free(im);
    return BRUME_OK;
}

/* Class of a part by its own configuration: "_class_name" of diffusers, the first of "architectures" of transformers. */
static brume_status info_config(const struct report *r, const char *path)
{
    brume_json *j;
    const brume_status s = brume_json_load(path, &j);
    if (s != BRUME_OK) return s;
    const char *name = brume_json_string(brume_json_find(j, "_class_name"), NULL);
    if (!name) name = brume_json_string(brume_json_at(brume_json_find(j, "architectures"), 0), "unknown");
    put_string(r, "class", name);
    static const char *const sizes[] = { "in_channels", "out_channels", "sample_size", "layers_per_block", "num_class_embeds",
                                         "num_train_timesteps", NULL };
    for (const char *const *k = sizes; *k; k++) {
        const brume_json *v = brume_json_find(j, *k);
        if (brume_json_typeof(v) != BRUME_JSON_INT) continue;
        if (r->w) brume_json_put_int(r->w, *k, brume_json_integer(v, 0));
        else printf("%-12s%s = %lld\n", "", *k, (long long)brume_json_integer(v, 0));
    }
    brume_json_free(j);
    return BRUME_OK;
}

static brume_status info_part(const struct report *r, const char *folder, const char *config)
{
    char path[4096];
    brume_weights *w;
    brume_status s = exists(folder, config, path, sizeof path) ? info_config(r, path) : BRUME_OK;
    if (s != BRUME_OK || strcmp(config, "config.json")) return s;
    s = brume_weights_open(folder, "diffusion_pytorch_model", NULL, &w);
    if (s == BRUME_E_IO) s = brume_weights_open(folder, "model", NULL, &w);
    if (s == BRUME_OK) put_weights(r, w);
    brume_weights_close(w);
    return s;
}

static brume_status info_pipeline(const struct report *r, const char *folder, const char *index)
{
    brume_json *j;
    brume_status s = brume_json_load(index, &j);
    if (s != BRUME_OK) return s;
    put_string(r, "kind", "pipeline");
    put_string(r, "class", brume_json_string(brume_json_find(j, "_class_name"), "unknown"));
    for (int64_t i = 0; s == BRUME_OK && i < brume_json_count(j); i++) {
        const brume_json *v = brume_json_at(j, i);
        const char *name = brume_json_key(v);
        char sub[4096], path[4096];
        if (brume_json_typeof(v) != BRUME_JSON_ARRAY || brume_json_is_null(brume_json_at(v, 1))) continue;
        if ((s = brume_name_check(name, index)) != BRUME_OK) break;
        if (r->w) brume_json_begin_object(r->w, name);
        else printf("\n%s\n", plain(name));
        if (!exists(folder, name, sub, sizeof sub)) snprintf(sub, sizeof sub, "%s", folder); /* a flat pipeline */
        if (exists(sub, "scheduler_config.json", path, sizeof path) && !strcmp(name, "scheduler"))
            s = info_part(r, sub, "scheduler_config.json");
        else if (exists(sub, "config.json", path, sizeof path)) s = info_part(r, sub, "config.json");
        else put_string(r, "class", brume_json_string(brume_json_at(v, 1), "unknown"));
        if (r->w) brume_json_end(r->w);
    }
    brume_json_free(j);
    return s;
}

static brume_status info_data(const struct report *r, const char *what)
{
    brume_dataset *ds;
    const brume_status s = brume_dataset_open(what, NULL, &ds);
    if (s != BRUME_OK) return s;
    put_string(r, "kind", brume_dataset_kind(ds));
    put_int(r, "items", brume_dataset_count(ds));
    put_int(r, "height", brume_dataset_height(ds));
    put_int(r, "width", brume_dataset_width(ds));
    put_int(r, "channels", brume_dataset_channels(ds));
    put_int(r, "classes", brume_dataset_classes(ds));
    for (int64_t i = 0; i < 4 && i < brume_dataset_count(ds); i++) {
        char text[200], key[16];
        brume_dataset_caption(ds, i, text, sizeof text);
        snprintf(key, sizeof key, "item %d", (int)i);
        put_string(r, key, text);
    }
    brume_dataset_free(ds);
    return BRUME_OK;
}

static brume_status info(const struct report *r, const char *what)
{
    char path[4096];
    if (ends_with(what, ".safetensors")) return info_safetensors(r, what);
    if (ends_with(what, ".png")) return info_png(r, what);
    if (is_folder(what) && exists(what, "model_index.json", path, sizeof path)) return info_pipeline(r, what, path);
    if (is_folder(what) && exists(what, "config.json", path, sizeof path)) {
        put_string(r, "kind", "model");
        return info_part(r, what, "config.json");
    }
    return info_data(r, what);
}

int cmd_info(int argc, char **argv)
{
    static const char *const examples[] = { "brume info RUN", "brume info model.safetensors --tensors",
                                            "brume info samples.png  # how it was drawn",
                                            "brume info shapes       # the built-in data set", NULL };
    const struct cli_usage u = { "info", "FILE|FOLDER",
                                 "Shows what a model folder, a .safetensors file, a .png file or a data set holds.", examples,
                                 1, 1, cli_data_sets() };
    int json = 0, told = CLI_GO_ON;
    struct report r = { .status = &told };
    struct cli_option options[] = { OPT_FLAG("tensors", &r.all, "list every tensor"),
                                    OPT_FLAG("json", &json, "print JSON"), { 0 } };
    const char *what;
    const int status = cli_parse(&u, options, argc, argv, &what, NULL);
    if (status != CLI_GO_ON) return status;
    if (cli_is_file(what) && !ends_with(what, ".safetensors") && !ends_with(what, ".png")) {
        fprintf(stderr, "brume: %s: expected a .safetensors or .png file, or a folder\n", what);
        return CLI_FAILED;
    }
    if (json) {
        if (!(r.w = brume_json_writer_new())) return CLI_FAILED; /* not even a message could be made */
        brume_json_begin_object(r.w, NULL);
    }
    const brume_status s = info(&r, what);
    if (r.w) {
        brume_json_end(r.w);
        const char *text = brume_json_writer_text(r.w);
        if (s == BRUME_OK && told == CLI_GO_ON && text) puts(text);
        brume_json_writer_free(r.w);
    }
    if (told != CLI_GO_ON) return told;
    return s == BRUME_OK ? CLI_DONE : cli_failed();
}
