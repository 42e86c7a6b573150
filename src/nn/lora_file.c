/* SPDX-License-Identifier: MIT
 * Files of adapters: written from a slab, and merged into the weights of a model. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "base/file.h"
#include "brume/json.h"
#include "brume/model.h"
#include "brume/params.h"
#include "brume/safetensors.h"
#include "nn/lora.h"
#include "nn/lora_names.h"
#include "nn/unet2d_build.h"

const char *brume_lora_format_name(brume_lora_format f) { return f == BRUME_LORA_KOHYA ? "kohya" : "diffusers"; }

/* ---- writing --------------------------------------------------------------------------------------------------------------- */

/* A tensor on its way into the file. */
struct saving { const brume_param_info *param; const float *inside; double factor; float *file, alpha; };

static brume_status read_values(const void *data, int64_t first, int64_t n, void *dst)
{
    const struct saving *s = data;
    float *to = dst;
    if (!s->param) {
        *to = s->alpha;
        return BRUME_OK;
    }
    if (first == 0) brume_param_to_file(s->param, s->inside, s->file);
    memcpy(to, s->file + first, (size_t)n * sizeof *to);
    for (int64_t i = 0; s->factor != 1 && i < n; i++) to[i] = (float)(to[i] * s->factor);
    return BRUME_OK;
}

struct writing {
    brume_st_item *items;
    struct saving *saving;
    brume_shape *shapes;
    char (*names)[2 * BRUME_NN_PATH];
    float *file;
    int n;
};

static void add(struct writing *w, struct saving saving, const char *layer, const char *leaf)
{
    const int i = w->n++;
    snprintf(w->names[i], sizeof w->names[i], "%.250s%s", layer, leaf);
    w->shapes[i] = saving.param ? brume_param_file_shape(saving.param) : BRUME_SCALAR;
    w->saving[i] = saving;
    w->items[i] = (brume_st_item){ .name = w->names[i], .dtype = BRUME_ST_F32, .ndim = w->shapes[i].ndim, .shape = w->shapes[i].d,
                                   .data = &w->saving[i] };
}

brume_status brume_lora_save(const char *path, const brume_graph *g, const brume_lora *l, const float *adapters,
                             brume_lora_format format)
{
    const int n = brume_param_count(g, l->slab);
    const size_t room = (size_t)n + (size_t)n / 2 + 1;
    int64_t most = 1;
    char rank[32], alpha[32];
    for (int i = 0; i < n; i++) {
        const int64_t count = brume_shape_numel(brume_param_at(g, l->slab, i)->shape);
        if (count > most) most = count;
    }
    struct writing w = { calloc(room, sizeof *w.items), calloc(room, sizeof *w.saving), calloc(room, sizeof *w.shapes),
                         calloc(room, sizeof *w.names), malloc((size_t)most * sizeof *w.file), 0 };
    brume_status s =
        w.items && w.saving && w.shapes && w.names && w.file ? BRUME_OK : brume_fail(BRUME_E_MEMORY, "%s: out of memory", path);
    for (int i = 0; s == BRUME_OK && i < n; i++) {
        const brume_param_info *p = brume_param_at(g, l->slab, i);
        struct saving x = { .param = p, .inside = adapters + p->offset, .factor = 1, .file = w.file };
        char layer[2 * BRUME_NN_PATH];
        if (format == BRUME_LORA_DIFFUSERS) { /* whose alpha is the rank */
            if (i % 2) x.factor = l->alpha / l->rank;
            add(&w, x, p->name, "");
            continue;
        }
        brume_lora_name_flatten(p->name, layer);
        add(&w, x, layer, i % 2 ? ".lora_up.weight" : ".lora_down.weight");
        if (i % 2) add(&w, (struct saving){ .alpha = (float)l->alpha }, layer, ".alpha");
    }
    snprintf(rank, sizeof rank, "%d", l->rank);
    snprintf(alpha, sizeof alpha, "%.9g", l->alpha);
    const char *const kohya[] = { "ss_network_module", "networks.lora", "ss_network_dim", rank, "ss_network_alpha", alpha, NULL };
    if (s == BRUME_OK)
        s = brume_safetensors_write_from(path, w.items, w.n, format == BRUME_LORA_KOHYA ? kohya : NULL, read_values);
    free(w.items);
    free(w.saving);
    free(w.shapes);
    free(w.names);
    free(w.file);
    return s;
}

/* ---- merging --------------------------------------------------------------------------------------------------------------- */

/* A weight of the model, and what the file has for it. */
struct site { const brume_param_info *param; const brume_st_tensor *part[BRUME_LORA_ROLES]; };

/* One network of the model. */
struct network {
    const char *name;
    brume_graph *graph;
    float *params;
    int n;
    struct site *sites;
    double alpha;       /* of diffusers' metadata; NAN: none */
    int root_of_rank;   /* alpha / sqrt(rank) (Kalajdzievski 2023, rsLoRA) */
};

struct merging {
    brume_safetensors *file;
    struct network network[2]; /* U-Net, text encoder */
    int layers;
    int64_t rank_lo, rank_hi;
    int damaged;               /* tensors with values that are NaN or infinite, */
    const char *first_damaged; /* and the first of them */
};

static brume_status lay_out(struct network *n, const struct brume_network_kind *kind, const void *config, float *params)
{
    brume_tensor slab = BRUME_NONE;
    n->params = params;
    n->graph = brume_graph_new();
    if (!n->graph) return brume_fail(BRUME_E_MEMORY, "out of memory while merging adapters");
    brume_status s = kind->on_paper(n->graph, config, &slab);
    if (s != BRUME_OK) return s;
    if ((s = brume_graph_status(n->graph)) != BRUME_OK) return brume_fail(s, "%s", brume_graph_error(n->graph));
    n->n = brume_param_count(n->graph, slab);
    n->sites = calloc((size_t)n->n + 1, sizeof *n->sites);
    if (!n->sites) return brume_fail(BRUME_E_MEMORY, "out of memory while merging adapters");
    for (int i = 0; i < n->n; i++) n->sites[i].param = brume_param_at(n->graph, slab, i);
    return BRUME_OK;
}

static brume_status lay_out_model(struct merging *m, brume_model *model)
{
    brume_text_model *text = model->text_encoder;
    m->network[0] = (struct network){ .name = "unet", .alpha = NAN };
    m->network[1] = (struct network){ .name = "text_encoder", .alpha = NAN };
    const brume_status s = lay_out(&m->network[0], &brume_unet2d_network, &model->unet, model->params);
    return s == BRUME_OK && text ? lay_out(&m->network[1], &brume_text_encoder_network, &text->config, text->params) : s;
}

/* Alpha of files that diffusers 0.34 and later write: peft's configs as JSON, "unet.lora_alpha" and so on. */
static brume_status read_metadata(struct merging *m)
{
    const char *where = brume_safetensors_name(m->file), *text = brume_safetensors_metadata(m->file, "lora_adapter_metadata");
    brume_json *root = NULL;
    if (!text) return BRUME_OK;
    brume_status s = brume_json_parse(text, strlen(text), where, &root);
    for (int i = 0; s == BRUME_OK && i < 2; i++) {
        struct network *n = &m->network[i];
        char key[64];
        snprintf(key, sizeof key, "%s.lora_alpha", n->name);
        n->alpha = brume_json_number(brume_json_find(root, key), NAN);
        snprintf(key, sizeof key, "%s.use_rslora", n->name);
        n->root_of_rank = brume_json_boolean(brume_json_find(root, key), 0);
        snprintf(key, sizeof key, "%s.alpha_pattern", n->name);
        if (brume_json_count(brume_json_find(root, key)) > 0)
            s = brume_fail(
                BRUME_E_UNSUPPORTED,
                "%s: lora_adapter_metadata has %s, an alpha of its own for some layers, which brume does not read: write the "
                "file as kohya's",
                where, key);
    }
    brume_json_free(root);
    return s;
}

/* Gives a tensor of the file its place. */
static brume_status assign(struct merging *m, const brume_st_tensor *t)
{
    const char *where = brume_safetensors_name(m->file);
    struct brume_lora_name name;
    if (!brume_lora_name_parse(t->name, &name))
        return brume_fail(
            BRUME_E_UNSUPPORTED,
            "%s: tensor '%s' is no part of a low-rank adapter of unet or text_encoder: brume merges lora_A / lora_B, "
            "lora.down / lora.up and kohya's lora_down / lora_up / alpha",
            where, t->name);
    const struct network *n = &m->network[name.text];
    if (!n->params)
        return brume_fail(BRUME_E_UNSUPPORTED, "%s: tensor '%s' adapts a text encoder, and the model has none", where, t->name);
    for (int i = 0; i < n->n; i++) {
        struct site *site = &n->sites[i];
        if (!brume_lora_name_matches(&name, site->param->name)) continue;
        if (site->param->layout == BRUME_LAYOUT_SAME)
            return brume_fail(BRUME_E_UNSUPPORTED,
                              "%s: tensor '%s' adapts '%s', which is neither a linear layer nor a convolution", where, t->name,
                              site->param->name);
        if (site->part[name.role])
            return brume_fail(BRUME_E_FORMAT, "%s: tensors '%s' and '%s' are the same part of one adapter", where,
                              site->part[name.role]->name, t->name);
        site->part[name.role] = t;
        return BRUME_OK;
    }
    return brume_fail(BRUME_E_UNSUPPORTED, "%s: tensor '%s': the model's %s has no layer '%s'", where, t->name, n->name,
                      name.layer);
}

static void shape_text(const brume_st_tensor *t, char text[96])
{
    size_t used = (size_t)snprintf(text, 96, "[");
    for (int i = 0; i < t->ndim && used < 70; i++)
        used += (size_t)snprintf(text + used, 96 - used, i ? ", %" PRId64 : "%" PRId64, t->shape[i]);
    snprintf(text + used, 96 - used, "]");
}

/* rows x columns, the columns in one axis or in those of a kernel; kernel: with the very taps of the weight. */
static bool fits(const brume_st_tensor *t, int64_t rows, int64_t columns, int64_t kh, int64_t kw)
{
    if (t->ndim == 2) return t->shape[0] == rows && t->shape[1] == columns && kh == 1 && kw == 1;
    return t->ndim == 4 && t->shape[0] == rows && t->shape[1] == columns && t->shape[2] == kh && t->shape[3] == kw;
}

static brume_status check_site(struct merging *m, const struct site *site)
{
    const char *where = brume_safetensors_name(m->file);
    const brume_st_tensor *down = site->part[BRUME_LORA_DOWN], *up = site->part[BRUME_LORA_UP],
                          *alpha = site->part[BRUME_LORA_ALPHA];
    const brume_st_tensor *any = down ? down : up ? up : alpha;
    if (!any) return BRUME_OK;
    if (!down || !up)
        return brume_fail(BRUME_E_FORMAT, "%s: tensor '%s' is there, but not the adapter's %s for '%s'", where, any->name,
                          down ? "up (lora_B)" : "down (lora_A)", site->param->name);
    const brume_shape w = brume_param_file_shape(site->param);
    const int64_t kh = w.ndim == 4 ? w.d[2] : 1, kw = w.ndim == 4 ? w.d[3] : 1, rank = down->ndim ? down->shape[0] : 0;
    char a[96], b[96];
    shape_text(down, a);
    shape_text(up, b);
    if (rank < 1 || rank > BRUME_LORA_MAX_RANK || !fits(down, rank, w.d[1], kh, kw) || !fits(up, w.d[0], rank, 1, 1))
        return brume_fail(BRUME_E_FORMAT,
                          "%s: '%s' is %s and '%s' is %s; for '%s' expected [rank, %" PRId64 "%s] and [%" PRId64
                          ", rank], of one rank",
                          where, down->name, a, up->name, b, site->param->name, w.d[1], kh * kw > 1 ? ", kernel" : "", w.d[0]);
    if (alpha && alpha->count != 1) return brume_fail(BRUME_E_FORMAT, "%s: '%s' must be one number", where, alpha->name);
    if (!m->layers++) m->rank_lo = m->rank_hi = rank;
    if (rank < m->rank_lo) m->rank_lo = rank;
    if (rank > m->rank_hi) m->rank_hi = rank;
    return BRUME_OK;
}

static brume_status read_alpha(const struct merging *m, const struct network *n, const struct site *site, double *factor)
{
    const brume_st_tensor *t = site->part[BRUME_LORA_ALPHA];
    const double rank = (double)site->part[BRUME_LORA_DOWN]->shape[0];
    float value = 0;
    const brume_status s = t ? brume_st_read_f32(t, 0, 1, &value) : BRUME_OK;
    if (s != BRUME_OK) return s;
    const double alpha = t ? (double)value : isnan(n->alpha) ? rank : n->alpha;
    if (!isfinite(alpha) || alpha == 0) /* which some programs read as the rank, some as 0 */
        return brume_fail(BRUME_E_FORMAT, "%s: alpha of '%s' is %g, a number other than 0 is expected",
                          brume_safetensors_name(m->file), site->param->name, alpha);
    *factor = alpha / (!t && n->root_of_rank ? sqrt(rank) : rank);
    return BRUME_OK;
}

/* Reads a tensor, and notes it if it holds what is no number. */
static brume_status read_tensor(struct merging *m, const brume_st_tensor *t, float *to)
{
    const brume_status s = brume_st_read_f32(t, 0, t->count, to);
    int64_t k = 0;
    while (s == BRUME_OK && k < t->count && isfinite(to[k])) k++;
    if (s == BRUME_OK && k < t->count && !m->damaged++) m->first_damaged = t->name;
    return s;
}

static brume_status merge_site(struct merging *m, const struct network *n, const struct site *site, double scale)
{
    const brume_st_tensor *down = site->part[BRUME_LORA_DOWN], *up = site->part[BRUME_LORA_UP];
    if (!down) return BRUME_OK;
    struct brume_lora_pair pair = { .rank = down->shape[0], .file = true };
    float *a = malloc((size_t)down->count * sizeof *a), *b = malloc((size_t)up->count * sizeof *b);
    brume_status s = a && b ? BRUME_OK : brume_fail(BRUME_E_MEMORY, "out of memory while merging adapters");
    if (s == BRUME_OK) s = read_alpha(m, n, site, &pair.factor);
    if (s == BRUME_OK) s = read_tensor(m, down, a);
    if (s == BRUME_OK) s = read_tensor(m, up, b);
    pair.down = a;
    pair.up = b;
    pair.factor *= scale;
    if (s == BRUME_OK) s = brume_lora_add_pair(&pair, site->param, n->params + site->param->offset);
    free(a);
    free(b);
    return s;
}

/* All is checked before anything is changed. */
static brume_status merge_file(struct merging *m, brume_model *model, double scale)
{
    brume_status s = lay_out_model(m, model);
    double factor;
    if (s == BRUME_OK) s = read_metadata(m);
    for (int64_t k = 0; s == BRUME_OK && k < brume_safetensors_count(m->file); k++)
        s = assign(m, brume_safetensors_at(m->file, k));
    for (int i = 0; i < 2; i++)
        for (int k = 0; s == BRUME_OK && k < m->network[i].n; k++) {
            const struct site *site = &m->network[i].sites[k];
            s = check_site(m, site);
            if (s == BRUME_OK && site->part[BRUME_LORA_DOWN]) s = read_alpha(m, &m->network[i], site, &factor);
        }
    if (s == BRUME_OK && !m->layers) s = brume_fail(BRUME_E_FORMAT, "%s: no adapters in it", brume_safetensors_name(m->file));
    for (int i = 0; i < 2; i++)
        for (int k = 0; s == BRUME_OK && k < m->network[i].n; k++)
            s = merge_site(m, &m->network[i], &m->network[i].sites[k], scale);
    return s;
}

brume_status brume_lora_merge(brume_model *model, const char *path, double scale, char note[256])
{
    struct merging m = { 0 };
    char *inside = brume_is_folder(path) ? brume_path_join(path, BRUME_LORA_FILE) : NULL;
    if (note) note[0] = 0;
    if (!inside && brume_is_folder(path)) return brume_fail(BRUME_E_MEMORY, "%s: no memory for a path", path);
    if (!isfinite(scale)) return free(inside), brume_fail(BRUME_E_ARG, "%s: the scale of adapters must be finite", path);
    brume_status s = brume_safetensors_open(inside ? inside : path, &m.file);
    if (s == BRUME_OK) s = merge_file(&m, model, scale);
    if (s == BRUME_OK && note) {
        char more[32] = "";
        if (m.rank_lo < m.rank_hi) snprintf(more, sizeof more, " .. %" PRId64, m.rank_hi);
        const int used =
            snprintf(note, 256, "adapters of %d layers, rank %" PRId64 "%s, scale %g", m.layers, m.rank_lo, more, scale);
        if (m.damaged)
            snprintf(note + used, 256 - (size_t)used, "; %d of their tensors hold NaN or infinite values, the first is %s",
                     m.damaged, m.first_damaged);
    }
    for (int i = 0; i < 2; i++) {
        free(m.network[i].sites);
        brume_graph_free(m.network[i].graph);
    }
    brume_safetensors_close(m.file);
    free(inside);
    return s;
}
