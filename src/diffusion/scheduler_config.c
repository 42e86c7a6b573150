/* SPDX-License-Identifier: MIT
 * scheduler_config.json: one table of keys, read over the defaults of a class and written as that class writes them. */
#include <float.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "brume/json.h"
#include "diffusion/scheduler_classes.h"
#include "diffusion/solver_coef.h"

struct word { const char *text; int value; }; /* the first text of a value is the one written */
static const struct word predictions[] = { { "epsilon", BRUME_PREDICT_EPS }, { "sample", BRUME_PREDICT_X0 }, { "v_prediction", BRUME_PREDICT_V },
                                           { "score", BRUME_PREDICT_SCORE }, { "flow_prediction", BRUME_PREDICT_FLOW }, { 0 } };
/* diffusers' EDM classes call the preconditioned F "epsilon"; their "v_prediction" is F with the opposite sign, which brume does not have */
static const struct word edm_predictions[] = { { "epsilon", BRUME_PREDICT_EDM }, { "edm", BRUME_PREDICT_EDM }, { "sample", BRUME_PREDICT_X0 },
                                               { "score", BRUME_PREDICT_SCORE }, { "flow_prediction", BRUME_PREDICT_FLOW },
                                               { "plain_epsilon", BRUME_PREDICT_EPS }, { "plain_v", BRUME_PREDICT_V }, { 0 } };
static const struct word variances[] = { { "fixed_small", BRUME_VARIANCE_FIXED_SMALL }, { "fixed_small_log", BRUME_VARIANCE_FIXED_SMALL },
                                         { "fixed_large", BRUME_VARIANCE_FIXED_LARGE }, { "learned_range", BRUME_VARIANCE_LEARNED_RANGE },
                                         { "learned", BRUME_VARIANCE_LEARNED }, { 0 } };
static const struct word spacings[] = { { "leading", BRUME_SPACING_LEADING }, { "linspace", BRUME_SPACING_LINSPACE },
                                        { "trailing", BRUME_SPACING_TRAILING }, { 0 } };
static const struct word ends[] = { { "zero", BRUME_FINAL_ZERO }, { "sigma_min", BRUME_FINAL_SIGMA_MIN }, { 0 } };
static const struct word algorithms[] = { { "dpmsolver++", BRUME_DPMSOLVERPP }, { "dpmsolver", BRUME_DPMSOLVER },
                                          { "sde-dpmsolver++", BRUME_SDE_DPMSOLVERPP }, { 0 } };
/* As in diffusers, a solver type of another family means the plain one of this. */
static const struct word solvers[] = { { "midpoint", BRUME_SOLVER_MIDPOINT }, { "heun", BRUME_SOLVER_HEUN }, { "bh1", BRUME_SOLVER_MIDPOINT },
                                       { "bh2", BRUME_SOLVER_MIDPOINT }, { "logrho", BRUME_SOLVER_MIDPOINT }, { 0 } };
/* DEIS in log rho is the multistep DPM-Solver whose polynomial in lambda is integrated exactly. */
static const struct word deis_algorithms[] = { { "deis", BRUME_DPMSOLVER }, { "dpmsolver", BRUME_DPMSOLVER }, { "dpmsolver++", BRUME_DPMSOLVER }, { 0 } };
static const struct word deis_solvers[] = { { "logrho", BRUME_SOLVER_HEUN }, { "midpoint", BRUME_SOLVER_HEUN }, { "heun", BRUME_SOLVER_HEUN },
                                            { "bh1", BRUME_SOLVER_HEUN }, { "bh2", BRUME_SOLVER_HEUN }, { 0 } };
static const struct word unipc_solvers[] = { { "bh2", BRUME_SOLVER_BH2 }, { "bh1", BRUME_SOLVER_BH1 }, { "midpoint", BRUME_SOLVER_BH2 },
                                             { "heun", BRUME_SOLVER_BH2 }, { "logrho", BRUME_SOLVER_BH2 }, { 0 } };
static const struct word sigma_schedules[] = { { "karras", BRUME_SIGMAS_KARRAS }, { "exponential", BRUME_SIGMAS_EXPONENTIAL },
                                               { "polyexponential", BRUME_SIGMAS_POLYEXPONENTIAL }, { "vp", BRUME_SIGMAS_VP },
                                               { "geometric", BRUME_SIGMAS_GEOMETRIC }, { 0 } };
static const struct word interpolations[] = { { "linear", false }, { "log_linear", true }, { 0 } };
static const struct word time_shifts[] = { { "exponential", false }, { "linear", true }, { 0 } };

enum type {
    INTEGER, REAL, NULLABLE /* real; null is NaN */, FLAG, WORD, WORD_FLAG /* a word for a bool */, SIGMAS /* a flag for one of brume_sigmas */,
    BETAS, SCHEDULE, STEPS, /* each the one key of its kind */
    FIXED,  /* only the default can be followed */
    WITHOUT /* changes nothing here; any value */
};

struct key {
    const char *name;
    enum type type;
    size_t at;                /* offset of the field */
    double lo, hi;
    const struct word *words;
    int sigmas;
    const char *only;         /* for classes whose name begins like this; NULL: all */
    unsigned model;           /* 1 << process of the models that this describes, whatever the class */
};

enum { DISCRETE = 1 << BRUME_PROCESS_DISCRETE, LADDER = 1 << BRUME_PROCESS_EDM | 1 << BRUME_PROCESS_NCSN | 1 << BRUME_PROCESS_VE,
       BETA_SDE = 1 << BRUME_PROCESS_VP | 1 << BRUME_PROCESS_SUBVP, ANY_MODEL = 0x7f };

#define AT(field) .at = offsetof(brume_scheduler_config, field)
static const struct key keys[] = {
    { "num_train_timesteps", INTEGER, AT(num_train_timesteps), 1, 10000000, .model = ANY_MODEL },
    { "beta_start", REAL, AT(beta_start), 0, 1, .model = DISCRETE },
    { "beta_end", REAL, AT(beta_end), 0, 1, .model = DISCRETE },
    { "trained_betas", BETAS, .model = DISCRETE },
    { "beta_schedule", SCHEDULE, .model = DISCRETE },
    { "rescale_betas_zero_snr", FLAG, AT(rescale_betas_zero_snr), .model = DISCRETE },
    { "prediction_type", WORD, AT(prediction_type), .words = edm_predictions, .only = "EDM", .model = ANY_MODEL },
    { "prediction_type", WORD, AT(prediction_type), .words = predictions, .model = ANY_MODEL },
    { "variance_type", WORD, AT(variance_type), .words = variances, .model = ANY_MODEL },
    { "beta_min", REAL, AT(beta_min), 0, FLT_MAX, .model = BETA_SDE },
    { "beta_max", REAL, AT(beta_max), 0, FLT_MAX, .model = BETA_SDE },
    { "sigma_min", NULLABLE, AT(sigma_min), FLT_MIN, FLT_MAX, .model = LADDER },
    { "sigma_max", NULLABLE, AT(sigma_max), FLT_MIN, FLT_MAX, .model = LADDER },
    { "sigma_data", REAL, AT(sigma_data), FLT_MIN, FLT_MAX, .model = 1 << BRUME_PROCESS_EDM },
    { "clip_sample", FLAG, AT(clip_sample) },
    { "clip_sample_range", REAL, AT(clip_sample_range), DBL_MIN, FLT_MAX },
    { "thresholding", FLAG, AT(thresholding) },
    { "dynamic_thresholding_ratio", REAL, AT(dynamic_thresholding_ratio), 0, 1 },
    { "sample_max_value", REAL, AT(sample_max_value), 1, FLT_MAX },
    { "set_alpha_to_one", FLAG, AT(set_alpha_to_one) },
    { "steps_offset", INTEGER, AT(steps_offset), 0, INT_MAX / 2 },
    { "timestep_spacing", WORD, AT(timestep_spacing), .words = spacings },
    { "use_karras_sigmas", SIGMAS, .sigmas = BRUME_SIGMAS_KARRAS },
    { "use_exponential_sigmas", SIGMAS, .sigmas = BRUME_SIGMAS_EXPONENTIAL },
    { "use_lu_lambdas", SIGMAS, .sigmas = BRUME_SIGMAS_LU },
    { "sigma_schedule", WORD, AT(sigmas), .words = sigma_schedules },
    { "rho", REAL, AT(rho), 1e-3, 1e3 },
    { "final_sigmas_type", WORD, AT(final_sigmas_type), .words = ends },
    { "interpolation_type", WORD_FLAG, AT(interpolation_log_linear), .words = interpolations },
    { "algorithm_type", WORD, AT(algorithm_type), .words = deis_algorithms, .only = "DEIS" },
    { "algorithm_type", WORD, AT(algorithm_type), .words = algorithms },
    { "solver_type", WORD, AT(solver_type), .words = unipc_solvers, .only = "UniPC" },
    { "solver_type", WORD, AT(solver_type), .words = deis_solvers, .only = "DEIS" },
    { "solver_type", WORD, AT(solver_type), .words = solvers },
    { "exact_third_order", FLAG, AT(exact_third_order) },
    { "solver_order", INTEGER, AT(solver_order), 1, BRUME_SOLVER_MAX_ORDER, .only = "UniPC" },
    { "solver_order", INTEGER, AT(solver_order), 1, 3 },
    { "lower_order_final", FLAG, AT(lower_order_final) },
    { "euler_at_final", FLAG, AT(euler_at_final) },
    { "lambda_min_clipped", REAL, AT(lambda_min_clipped), -INFINITY, FLT_MAX },
    { .name = "disable_corrector", .type = STEPS },
    { "skip_prk_steps", FLAG, AT(skip_prk_steps) },
    { "original_inference_steps", INTEGER, AT(original_inference_steps), 1, 10000000 },
    { "timestep_scaling", REAL, AT(timestep_scaling), 0, FLT_MAX },
    { "shift", REAL, AT(shift), FLT_MIN, FLT_MAX, .model = 1 << BRUME_PROCESS_FLOW },
    { "use_flow_sigmas", FLAG, AT(use_flow_sigmas) },
    { "flow_shift", REAL, AT(shift), FLT_MIN, FLT_MAX },
    { "use_dynamic_shifting", FLAG, AT(use_dynamic_shifting), .only = "FlowMatch" },
    { "time_shift_type", WORD_FLAG, AT(linear_time_shift), .words = time_shifts, .only = "FlowMatch" },
    { "shift_terminal", NULLABLE, AT(shift_terminal), 0, 1 - DBL_EPSILON, .only = "FlowMatch" },
    { "stochastic_sampling", FLAG, AT(stochastic_sampling) },
    { "snr", REAL, AT(snr), FLT_MIN, FLT_MAX },
    { "correct_steps", INTEGER, AT(correct_steps), 0, 1000000 },
    { "sampling_eps", REAL, AT(sampling_eps), 1e-12, 0.999, .model = BETA_SDE | 1 << BRUME_PROCESS_VE },
    { .name = "use_beta_sigmas", .type = FIXED },
    { .name = "use_dynamic_shifting", .type = FIXED },
    { .name = "timestep_type", .type = FIXED },
    { .name = "invert_sigmas", .type = FIXED },
    { .name = "predict_x0", .type = FIXED },
    { .name = "solver_p", .type = FIXED },
    { .name = "time_shift_type", .type = WITHOUT },
    { .name = "shift_terminal", .type = WITHOUT },
    { .name = "base_shift", .type = WITHOUT },  /* of these, callers of diffusers make mu */
    { .name = "max_shift", .type = WITHOUT },
    { .name = "base_image_seq_len", .type = WITHOUT },
    { .name = "max_image_seq_len", .type = WITHOUT },
    { .name = "eta", .type = WITHOUT },         /* RePaintScheduler; brume's sampler draws with the posterior variance of the paper */
};
enum { N_KEYS = sizeof keys / sizeof *keys };

static const struct key *find_key(const char *name, const char *class_name)
{
    for (int i = 0; i < N_KEYS; i++)
        if (!strcmp(keys[i].name, name) && (!keys[i].only || !strncmp(keys[i].only, class_name, strlen(keys[i].only)))) return &keys[i];
    return NULL;
}

/* What a class does not know has these values. */
static const brume_scheduler_config base = {
    .class_name = "DDPMScheduler", .num_train_timesteps = 1000, .beta_start = 1e-4, .beta_end = 0.02, .beta_schedule = "linear",
    .beta_min = 0.1, .beta_max = 20, .sigma_min = NAN, .sigma_max = NAN, .sigma_data = 0.5, .clip_sample_range = 1,
    .dynamic_thresholding_ratio = 0.995, .sample_max_value = 1, .set_alpha_to_one = true, .rho = 7, .solver_order = 2, .lower_order_final = true,
    .lambda_min_clipped = -INFINITY, .original_inference_steps = 50, .timestep_scaling = 10, .shift = 1, .shift_terminal = NAN, .snr = 0.16,
    .correct_steps = 1, .sampling_eps = 1e-3,
};

void brume_scheduler_config_default(brume_scheduler_config *c)
{
    *c = base;
    c->clip_sample = true;
}

void brume_scheduler_config_clear(brume_scheduler_config *c)
{
    free(c->trained_betas);
    brume_scheduler_config_default(c);
}

static brume_status copy_betas(brume_scheduler_config *c)
{
    if (!c->trained_betas) return BRUME_OK;
    const size_t bytes = (size_t)c->num_train_timesteps * sizeof *c->trained_betas;
    const double *from = c->trained_betas;
    c->trained_betas = malloc(bytes);
    if (!c->trained_betas) return brume_fail(BRUME_E_MEMORY, "out of memory for trained_betas");
    memcpy(c->trained_betas, from, bytes);
    return BRUME_OK;
}

brume_status brume_scheduler_config_copy(brume_scheduler_config *dst, const brume_scheduler_config *src)
{
    *dst = *src;
    return copy_betas(dst);
}

static void set_word(brume_scheduler_config *c, const struct key *k, int value)
{
    if (k->type == WORD_FLAG) memcpy((char *)c + k->at, &(bool){ value }, sizeof(bool));
    else memcpy((char *)c + k->at, &value, sizeof value);
}

static int get_word(const brume_scheduler_config *c, const struct key *k)
{
    int value;
    if (k->type == WORD_FLAG) return *(const bool *)((const char *)c + k->at);
    memcpy(&value, (const char *)c + k->at, sizeof value);
    return value;
}

static brume_status read_word(const brume_json *root, const struct key *k, brume_scheduler_config *c)
{
    const char *text = NULL;
    const brume_status s = brume_json_get_string(root, k->name, NULL, &text);
    if (s != BRUME_OK || !text) return s;
    char known[200] = "";
    for (const struct word *w = k->words; w->text; w++) {
        if (!strcmp(w->text, text)) {
            set_word(c, k, w->value);
            return BRUME_OK;
        }
        snprintf(known + strlen(known), sizeof known - strlen(known), "%s%s", w == k->words ? "" : ", ", w->text);
    }
    return brume_fail(BRUME_E_UNSUPPORTED, "%s %s \"%.60s\" is not one of %s", brume_json_where(root), k->name, text, known);
}

static brume_status read_betas(const brume_json *list, brume_scheduler_config *c)
{
    const int64_t n = brume_json_count(list);
    if (brume_json_typeof(list) != BRUME_JSON_ARRAY || n < 1 || n > INT32_MAX)
        return brume_fail(BRUME_E_FORMAT, "%s must be a list of numbers", brume_json_where(list));
    c->trained_betas = malloc((size_t)n * sizeof *c->trained_betas);
    if (!c->trained_betas) return brume_fail(BRUME_E_MEMORY, "out of memory for trained_betas");
    for (int64_t i = 0; i < n; i++) {
        const brume_json *v = brume_json_at(list, i);
        c->trained_betas[i] = brume_json_number(v, -1.0);
        if (!(c->trained_betas[i] >= 0.0 && c->trained_betas[i] < 1.0))
            return brume_fail(BRUME_E_FORMAT, "%s: expected a number within 0 .. 1", brume_json_where(v));
    }
    c->num_train_timesteps = (int32_t)n;
    return BRUME_OK;
}

static brume_status read_schedule(const brume_json *root, brume_scheduler_config *c)
{
    const char *name = NULL;
    const brume_status s = brume_json_get_string(root, "beta_schedule", c->beta_schedule, &name);
    if (s != BRUME_OK) return s;
    const brume_schedule_kind *row = brume_schedule_find(name);
    if (row) {
        memset(c->beta_schedule, 0, sizeof c->beta_schedule); /* equal configs have equal bytes */
        snprintf(c->beta_schedule, sizeof c->beta_schedule, "%s", row->name);
        return BRUME_OK;
    }
    if (!brume_json_is_null(brume_json_find(root, "trained_betas"))) return BRUME_OK;
    char known[256] = "";
    for (int i = 0; brume_schedule_row(i); i++)
        snprintf(known + strlen(known), sizeof known - strlen(known), "%s%s", i ? ", " : "", brume_schedule_row(i)->name);
    return brume_fail(BRUME_E_UNSUPPORTED, "%s beta_schedule \"%.60s\" is not one of %s", brume_json_where(root), name, known);
}

static brume_status read_steps(const brume_json *root, brume_scheduler_config *c)
{
    int64_t list[BRUME_CORRECTOR_STEPS];
    int n = 0;
    const brume_status s = brume_json_get_ints(root, "disable_corrector", BRUME_CORRECTOR_STEPS, 0, 10000000, list, &n);
    if (s != BRUME_OK) return s;
    memset(c->disable_corrector, 0, sizeof c->disable_corrector);
    for (int i = 0; i < n; i++) c->disable_corrector[i] = (int32_t)list[i];
    c->n_disable_corrector = n;
    return BRUME_OK;
}

/* The flag of one kind; two at once are a mistake. */
static brume_status read_sigmas(const brume_json *root, const struct key *k, brume_scheduler_config *c)
{
    int on = 0;
    const brume_status s = brume_json_get_bool(root, k->name, 0, &on);
    if (s != BRUME_OK || !on) return s;
    if (c->sigmas != BRUME_SIGMAS_TABLE && c->sigmas != (brume_sigmas)k->sigmas)
        return brume_fail(BRUME_E_FORMAT, "%s asks for two kinds of sigmas at once, %s being the second: leave one", brume_json_where(root), k->name);
    c->sigmas = (brume_sigmas)k->sigmas;
    return BRUME_OK;
}

static brume_status check_fixed(const brume_json *value, const brume_json *wanted)
{
    const brume_json_type type = brume_json_typeof(value);
    if (type == BRUME_JSON_NULL ||
        (type == brume_json_typeof(wanted) && (type != BRUME_JSON_STRING || !strcmp(brume_json_string(value, ""), brume_json_string(wanted, "")))))
        return BRUME_OK;
    return brume_fail(BRUME_E_UNSUPPORTED, "%s: brume's samplers know only the default of this key; leave it out", brume_json_where(value));
}

/* Reads one key of an object; wanted is its value in the class' defaults. */
static brume_status read_key(const brume_json *root, const struct key *k, const brume_json *wanted, brume_scheduler_config *c)
{
    char *field = (char *)c + k->at;
    const brume_json *value = brume_json_find(root, k->name);
    brume_status s = BRUME_OK;
    if (brume_json_is_null(value)) return s;
    switch (k->type) {
    case INTEGER: {
        int64_t v = 0;
        s = brume_json_get_int(root, k->name, 0, (int64_t)k->lo, (int64_t)k->hi, &v);
        if (s == BRUME_OK) *(int32_t *)field = (int32_t)v;
        return s;
    }
    case REAL: case NULLABLE: {
        double v = 0;
        s = brume_json_get_double(root, k->name, 0, k->lo, k->hi, &v);
        if (s == BRUME_OK) *(double *)field = v;
        return s;
    }
    case FLAG: {
        int v = 0;
        s = brume_json_get_bool(root, k->name, 0, &v);
        if (s == BRUME_OK) *(bool *)field = v;
        return s;
    }
    case WORD: case WORD_FLAG: return read_word(root, k, c);
    case SIGMAS: return read_sigmas(root, k, c);
    case BETAS: return read_betas(value, c);
    case SCHEDULE: return read_schedule(root, c);
    case STEPS: return read_steps(root, c);
    case FIXED: return check_fixed(value, wanted);
    case WITHOUT: break;
    }
    return s;
}

static brume_status parse_defaults(const struct brume_scheduler_class *class, brume_json **out)
{
    return brume_json_parse(class->defaults, strlen(class->defaults), class->name ? class->name : "DDPMScheduler", out);
}

/* c = defaults of the class, by the name of the caller's choice. */
static brume_status fill(const struct brume_scheduler_class *class, const brume_json *defaults, const char *name, brume_scheduler_config *c)
{
    *c = base;
    memset(c->class_name, 0, sizeof c->class_name);
    snprintf(c->class_name, sizeof c->class_name, "%s", name);
    c->process = class->process;
    const unsigned process = 1u << class->process;
    if (process & (BETA_SDE | 1 << BRUME_PROCESS_VE | 1 << BRUME_PROCESS_NCSN)) c->sigmas = BRUME_SIGMAS_KARRAS;
    if (class->process == BRUME_PROCESS_NCSN) c->sampling_eps = 1e-5;
    brume_status s = BRUME_OK;
    for (int64_t i = 0; i < brume_json_count(defaults) && s == BRUME_OK; i++) {
        const brume_json *v = brume_json_at(defaults, i);
        s = read_key(defaults, find_key(brume_json_key(v), name), v, c);
    }
    return s;
}

/* Betas that are those of the named schedule, bit by bit, are written only for programs that do not know the name. */
static brume_status drop_known_betas(brume_scheduler_config *c)
{
    const brume_schedule_kind *kind = brume_schedule_find(c->beta_schedule);
    if (!c->trained_betas || !kind) return BRUME_OK;
    const size_t bytes = (size_t)c->num_train_timesteps * sizeof(double);
    double *beta = malloc(bytes);
    if (!beta) return brume_fail(BRUME_E_MEMORY, "out of memory for betas");
    kind->fill(c, beta);
    if (!memcmp(beta, c->trained_betas, bytes)) {
        free(c->trained_betas);
        c->trained_betas = NULL;
    }
    free(beta);
    return BRUME_OK;
}

static brume_status read_root(const brume_json *root, const struct brume_scheduler_class *class, const brume_json *defaults, brume_scheduler_config *c,
                              char note[512])
{
    size_t used = 0, ignored = 0;
    brume_status s = BRUME_OK;
    const brume_json *betas = NULL;
    const char *name = brume_json_string(brume_json_find(root, "_class_name"), base.class_name);
    if (strlen(name) >= sizeof c->class_name) return brume_fail(BRUME_E_FORMAT, "%s _class_name is too long", brume_json_where(root));
    if ((s = fill(class, defaults, name, c)) != BRUME_OK) return s;
    if (!class->name) used += (size_t)snprintf(note, 512, "scheduler %.60s is not known and read as DDPMScheduler", name);
    for (int64_t i = 0; i < brume_json_count(root) && s == BRUME_OK; i++) {
        const brume_json *v = brume_json_at(root, i), *wanted = brume_json_find(defaults, brume_json_key(v));
        const struct key *k = find_key(brume_json_key(v), name);
        if (k && (wanted || k->model >> class->process & 1)) {
            if (k->type == BETAS) betas = v; /* their number overrides num_train_timesteps, wherever that stands */
            else s = read_key(root, k, wanted, c);
        } else if (brume_json_key(v)[0] != '_' && used < 400) {
            used += (size_t)snprintf(note + used, 512 - used, "%s%.60s", ignored++ ? ", " : used ? "; keys ignored: " : "keys ignored in the scheduler's config: ",
                                     brume_json_key(v));
        }
    }
    if (s == BRUME_OK && !brume_json_is_null(betas)) s = read_betas(betas, c);
    if (c->use_flow_sigmas) c->process = BRUME_PROCESS_FLOW;
    return s == BRUME_OK ? drop_known_betas(c) : s;
}

static const struct brume_scheduler_class *class_or_unknown(const char *name)
{
    const struct brume_scheduler_class *class = brume_scheduler_class_find(name);
    return class ? class : &brume_scheduler_class_unknown;
}

brume_status brume_scheduler_config_from_json(const brume_json *object, brume_scheduler_config *c, char note[512])
{
    char unasked[512];
    brume_json *defaults = NULL;
    if (!note) note = unasked;
    note[0] = 0;
    brume_scheduler_config_default(c);
    if (brume_json_typeof(object) != BRUME_JSON_OBJECT) return brume_fail(BRUME_E_FORMAT, "%s expected an object {...}", brume_json_where(object));
    const struct brume_scheduler_class *class = class_or_unknown(brume_json_string(brume_json_find(object, "_class_name"), base.class_name));
    brume_status s = parse_defaults(class, &defaults);
    if (s == BRUME_OK) s = read_root(object, class, defaults, c, note);
    if (s != BRUME_OK) brume_scheduler_config_clear(c);
    brume_json_free(defaults);
    return s;
}

brume_status brume_scheduler_config_parse(const char *text, size_t length, const char *where, brume_scheduler_config *c, char note[512])
{
    brume_json *root = NULL;
    brume_scheduler_config_default(c);
    brume_status s = brume_json_parse(text, length, where, &root);
    if (s == BRUME_OK) s = brume_scheduler_config_from_json(root, c, note);
    brume_json_free(root);
    return s;
}

brume_status brume_scheduler_config_read(const char *path, brume_scheduler_config *c, char note[512])
{
    brume_json *root = NULL;
    brume_scheduler_config_default(c);
    brume_status s = brume_json_load(path, &root);
    if (s == BRUME_OK) s = brume_scheduler_config_from_json(root, c, note);
    brume_json_free(root);
    return s;
}

brume_status brume_scheduler_config_class(const char *class_name, brume_scheduler_config *c)
{
    const struct brume_scheduler_class *class = brume_scheduler_class_find(class_name);
    brume_json *defaults = NULL;
    brume_scheduler_config_default(c);
    if (!class) {
        char known[1024] = "";
        for (int i = 0; brume_scheduler_class_name(i); i++)
            snprintf(known + strlen(known), sizeof known - strlen(known), "%s%s", i ? ", " : "", brume_scheduler_class_name(i));
        return brume_fail(BRUME_E_UNSUPPORTED, "scheduler class \"%.60s\" is not one of %s", class_name, known);
    }
    brume_status s = parse_defaults(class, &defaults);
    if (s == BRUME_OK) s = fill(class, defaults, class_name, c);
    if (s != BRUME_OK) brume_scheduler_config_clear(c);
    brume_json_free(defaults);
    return s;
}

static size_t size_of(const struct key *k)
{
    return k->type == FLAG || k->type == WORD_FLAG ? sizeof(bool) : k->type == REAL || k->type == NULLABLE ? sizeof(double) : sizeof(int32_t);
}

brume_status brume_scheduler_config_convert(const brume_scheduler_config *src, const char *class_name, brume_scheduler_config *dst)
{
    static const char *const clipping[] = { "clip_sample", "clip_sample_range", "thresholding", "dynamic_thresholding_ratio", "sample_max_value" };
    brume_json *defaults = NULL;
    brume_status s = brume_scheduler_config_class(class_name, dst);
    if (s == BRUME_OK && dst->process != src->process)
        s = brume_fail(BRUME_E_ARG, "%s is for models of another process than %s", class_name, src->class_name);
    if (s == BRUME_OK) s = parse_defaults(brume_scheduler_class_find(class_name), &defaults);
    if (s != BRUME_OK) {
        brume_scheduler_config_default(dst);
        return s;
    }
    for (int i = 0; i < N_KEYS; i++) {
        const struct key *k = &keys[i];
        if (!(k->model >> src->process & 1) || k->type == BETAS || k->type == SCHEDULE) continue;
        memcpy((char *)dst + k->at, (const char *)src + k->at, size_of(k));
    }
    for (size_t i = 0; i < sizeof clipping / sizeof *clipping; i++) {
        const struct key *k = find_key(clipping[i], class_name);
        if (brume_json_find(defaults, k->name)) memcpy((char *)dst + k->at, (const char *)src + k->at, size_of(k));
    }
    brume_json_free(defaults);
    memcpy(dst->beta_schedule, src->beta_schedule, sizeof dst->beta_schedule);
    dst->trained_betas = src->trained_betas;
    s = copy_betas(dst);
    if (s != BRUME_OK) brume_scheduler_config_default(dst);
    return s;
}

/* The betas to write: trained ones, or those of a schedule that other programs may not know by its name (diffusers' DDPMScheduler has
 * sigmoid and laplace, its other classes only the three below); betas written out work everywhere, and the name stays beside them.
 * NULL in *out: the name is enough. *fresh is what the caller frees. */
static brume_status betas_to_write(const brume_scheduler_config *c, const double **out, double **fresh)
{
    static const char *const everywhere[] = { "linear", "scaled_linear", "squaredcos_cap_v2" };
    const brume_schedule_kind *kind = brume_schedule_find(c->beta_schedule);
    *out = c->trained_betas;
    *fresh = NULL;
    if (*out || !kind || c->num_train_timesteps < 1 || c->process != BRUME_PROCESS_DISCRETE) return BRUME_OK;
    for (size_t i = 0; i < sizeof everywhere / sizeof *everywhere; i++)
        if (!strcmp(kind->name, everywhere[i])) return BRUME_OK;
    *out = *fresh = malloc((size_t)c->num_train_timesteps * sizeof **fresh);
    if (!*fresh) return brume_fail(BRUME_E_MEMORY, "out of memory for the betas of schedule %s", kind->name);
    kind->fill(c, *fresh);
    return BRUME_OK;
}

static void put_default(brume_json_writer *w, const char *name, const brume_json *v)
{
    switch (brume_json_typeof(v)) {
    case BRUME_JSON_FALSE: case BRUME_JSON_TRUE: brume_json_put_bool(w, name, brume_json_boolean(v, 0)); return;
    case BRUME_JSON_INT: brume_json_put_int(w, name, brume_json_integer(v, 0)); return;
    case BRUME_JSON_REAL: brume_json_put_double(w, name, brume_json_number(v, 0)); return;
    case BRUME_JSON_STRING: brume_json_put_string(w, name, brume_json_string(v, "")); return;
    case BRUME_JSON_NULL: case BRUME_JSON_ARRAY: case BRUME_JSON_OBJECT: break;
    }
    brume_json_put_null(w, name);
}

static const char *text_of(const struct word *words, int value)
{
    for (; words->text; words++)
        if (words->value == value) return words->text;
    return NULL;
}

/* wanted: the key's value in the class' defaults, NULL if the class does not know it */
static void put_key(brume_json_writer *w, const struct key *k, const brume_json *wanted, const brume_scheduler_config *c, const double *betas)
{
    const char *field = (const char *)c + k->at;
    switch (k->type) {
    case INTEGER: brume_json_put_int(w, k->name, *(const int32_t *)field); return;
    case NULLABLE:
        if (isnan(*(const double *)field)) {
            brume_json_put_null(w, k->name);
            return;
        } /* fall through */
    case REAL: brume_json_put_double(w, k->name, *(const double *)field); return;
    case FLAG: brume_json_put_bool(w, k->name, *(const bool *)field); return;
    case WORD: case WORD_FLAG:
        if (wanted && brume_json_is_null(wanted) && get_word(c, k) == 0) brume_json_put_null(w, k->name);
        else brume_json_put_string(w, k->name, text_of(k->words, get_word(c, k)));
        return;
    case SIGMAS: brume_json_put_bool(w, k->name, c->sigmas == (brume_sigmas)k->sigmas); return;
    case SCHEDULE: brume_json_put_string(w, k->name, c->beta_schedule); return;
    case STEPS:
        brume_json_begin_array(w, k->name, 1);
        for (int i = 0; i < c->n_disable_corrector; i++) brume_json_put_int(w, NULL, c->disable_corrector[i]);
        brume_json_end(w);
        return;
    case BETAS:
        if (!betas) {
            brume_json_put_null(w, k->name);
            return;
        }
        brume_json_begin_array(w, k->name, 1);
        for (int32_t i = 0; i < c->num_train_timesteps; i++) brume_json_put_double(w, NULL, betas[i]);
        brume_json_end(w);
        return;
    case FIXED: case WITHOUT: break;
    }
    put_default(w, k->name, wanted);
}

brume_status brume_scheduler_config_put(brume_json_writer *w, const char *name, const brume_scheduler_config *c)
{
    const struct brume_scheduler_class *class = class_or_unknown(c->class_name);
    const double *betas;
    double *fresh;
    brume_json *defaults = NULL;
    brume_status s = betas_to_write(c, &betas, &fresh);
    if (s == BRUME_OK) s = parse_defaults(class, &defaults);
    if (s == BRUME_OK) {
        brume_json_begin_object(w, name);
        brume_json_put_string(w, "_class_name", c->class_name);
        brume_json_put_string(w, "_diffusers_version", "0.42.1");
        for (int64_t i = 0; i < brume_json_count(defaults); i++) {
            const brume_json *v = brume_json_at(defaults, i);
            put_key(w, find_key(brume_json_key(v), c->class_name), v, c, betas);
        }
        for (int i = 0; i < N_KEYS; i++) {
            const struct key *k = &keys[i];
            if (!(k->model >> class->process & 1) || k != find_key(k->name, c->class_name) || brume_json_find(defaults, k->name)) continue;
            if (memcmp((const char *)c + k->at, (const char *)&base + k->at, size_of(k))) put_key(w, k, NULL, c, betas);
        }
        brume_json_end(w);
    }
    brume_json_free(defaults);
    free(fresh);
    return s;
}

brume_status brume_scheduler_config_write(const char *path, const brume_scheduler_config *c)
{
    brume_json_writer *w = brume_json_writer_new();
    if (!w) return brume_fail(BRUME_E_MEMORY, "%s: out of memory while writing", path);
    brume_status s = brume_scheduler_config_put(w, NULL, c);
    if (s == BRUME_OK) s = brume_json_writer_save(w, path);
    brume_json_writer_free(w);
    return s;
}
