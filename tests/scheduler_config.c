/* SPDX-License-Identifier: MIT
 * scheduler_config.json of every class: defaults, reading, writing, conversion, and what is refused. */
#include "brume/schedule.h"

#include <unistd.h>

#include "base/file.h"
#include "brume/json.h"
#include "check.h"

static char path[] = "/tmp/brume-scheduler-XXXXXX";

static brume_status parse(const char *text, brume_scheduler_config *c, char note[512])
{
    return brume_scheduler_config_parse(text, strlen(text), "test.json", c, note);
}

/* The structs are filled from one constant, so bytes between the fields are equal, too. */
static int same(const brume_scheduler_config *a, const brume_scheduler_config *b)
{
    brume_scheduler_config x = *a, y = *b;
    x.trained_betas = y.trained_betas = NULL;
    if (!a->trained_betas != !b->trained_betas) return 0;
    if (a->trained_betas && memcmp(a->trained_betas, b->trained_betas, (size_t)a->num_train_timesteps * sizeof(double))) return 0;
    return !memcmp(&x, &y, sizeof x);
}

static void round_trip(const brume_scheduler_config *c)
{
    brume_scheduler_config d;
    char note[512];
    if (!CHECK_OK(brume_scheduler_config_write(path, c)) || !CHECK_OK(brume_scheduler_config_read(path, &d, note))) return;
    CHECK_STR(note, "");
    if (!CHECK(same(c, &d))) fprintf(stderr, "    %s does not come back equal\n", c->class_name);
    brume_scheduler_config_clear(&d);
}

static void test_ddpm(void)
{
    brume_scheduler_config c, d;
    char note[512];
    if (CHECK_OK(parse("{}", &c, note))) {
        CHECK_STR(c.class_name, "DDPMScheduler");
        CHECK(c.num_train_timesteps == 1000 && c.clip_sample && c.clip_sample_range == 1 && c.set_alpha_to_one &&
              !c.trained_betas);
        CHECK_STR(note, "");
        brume_scheduler_config_default(&d);
        CHECK(same(&c, &d));
    }
    CHECK_OK(parse(
        "{\"_class_name\": \"DDIMScheduler\", \"beta_schedule\": \"squaredcos_cap_v2\", \"prediction_type\": \"v_prediction\", "
        "\"set_alpha_to_one\": false, \"steps_offset\": 1, \"timestep_spacing\": \"trailing\", \"clip_sample_range\": 2, "
        "\"beta_start\": 1e-05, \"trained_betas\": null, \"solver_order\": 2, \"lambda_min_clipped\": -Infinity}",
        &c, note));
    CHECK_STR(note, "keys ignored in the scheduler's config: solver_order, lambda_min_clipped");
    CHECK(c.prediction_type == BRUME_PREDICT_V && !c.set_alpha_to_one && c.steps_offset == 1 && c.beta_start == 1e-5);
    CHECK(c.timestep_spacing == BRUME_SPACING_TRAILING && c.clip_sample_range == 2);
    round_trip(&c);
    CHECK_OK(parse("{\"_class_name\": \"FancyScheduler\", \"clip_sample\": false, \"fancy\": 1}", &c, note));
    CHECK_STR(note, "scheduler FancyScheduler is not known and read as DDPMScheduler; keys ignored: fancy");
    CHECK_STR(c.class_name, "FancyScheduler");
    CHECK(!c.clip_sample && c.process == BRUME_PROCESS_DISCRETE);
}

static void test_betas(void)
{
    brume_scheduler_config c, d;
    brume_schedule *s = NULL;
    char note[512];
    /* their number counts, wherever the key of the other number stands */
    if (CHECK_OK(parse("{\"trained_betas\": [0.1, 0.2, 0.5], \"num_train_timesteps\": 1000}", &c, note))) {
        CHECK_INT(c.num_train_timesteps, 3);
        if (CHECK_OK(brume_schedule_new(&c, &s))) CHECK_NEAR(brume_alpha_bar(s, 2), 0.9 * 0.8 * 0.5, 1e-15);
        brume_schedule_free(s);
        round_trip(&c);
        CHECK_OK(brume_scheduler_config_copy(&d, &c));
        CHECK(same(&c, &d) && c.trained_betas != d.trained_betas);
        brume_scheduler_config_clear(&d);
        CHECK_OK(brume_scheduler_config_convert(&c, "EulerDiscreteScheduler", &d));
        CHECK(d.num_train_timesteps == 3 && d.trained_betas && d.trained_betas != c.trained_betas && d.trained_betas[2] == 0.5);
        brume_scheduler_config_clear(&d);
        brume_scheduler_config_clear(&c);
    }
    /* Schedules that diffusers' classes do not all know by name are written with their betas, and come back as the name. */
    for (int i = 0; brume_schedule_row(i); i++) {
        brume_json *root = NULL;
        brume_scheduler_config_default(&c);
        c.num_train_timesteps = 37;
        memset(c.beta_schedule, 0, sizeof c.beta_schedule);
        snprintf(c.beta_schedule, sizeof c.beta_schedule, "%s", brume_schedule_row(i)->name);
        round_trip(&c);
        if (!CHECK_OK(brume_json_load(path, &root))) continue;
        CHECK_INT(brume_json_count(brume_json_find(root, "trained_betas")), i > 2 ? 37 : 0);
        brume_json_free(root);
    }
}

/* Every key that changes something, away from its defaults; each class keeps those it knows. */
static const char *const other_values =
    "\"num_train_timesteps\": 77, \"beta_start\": 0.001, \"beta_end\": 0.03, \"beta_schedule\": \"scaled_linear\", "
    "\"rescale_betas_zero_snr\": true, \"prediction_type\": \"sample\", \"variance_type\": \"learned_range\", \"beta_min\": 0.2, "
    "\"beta_max\": 15, \"sigma_min\": 0.03, \"sigma_max\": 44, \"sigma_data\": 0.7, \"clip_sample\": true, "
    "\"clip_sample_range\": 3.5, \"thresholding\": true, \"dynamic_thresholding_ratio\": 0.9, \"sample_max_value\": 2, "
    "\"set_alpha_to_one\": false, \"steps_offset\": 1, \"timestep_spacing\": \"trailing\", \"rho\": 5, \"final_sigmas_type\": "
    "\"sigma_min\", \"interpolation_type\": \"log_linear\", \"solver_order\": 3, \"flow_shift\": 2, \"lower_order_final\": "
    "false, \"euler_at_final\": true, \"lambda_min_clipped\": -5.1, \"disable_corrector\": [0, 3], \"skip_prk_steps\": true, "
    "\"original_inference_steps\": 40, \"timestep_scaling\": 5, \"shift\": 3, \"shift_terminal\": 0.1, \"stochastic_sampling\": "
    "true, \"snr\": 0.2, \"correct_steps\": 2, \"sampling_eps\": 0.002, \"sigma_schedule\": \"exponential\", \"solver_type\": "
    "\"heun\", \"time_shift_type\": \"linear\"";

static void test_every_class(void)
{
    static const char *const sigmas[] = { "use_karras_sigmas", "use_exponential_sigmas", "use_lu_lambdas" };
    for (int i = 0; brume_scheduler_class_name(i); i++) {
        const char *name = brume_scheduler_class_name(i);
        brume_scheduler_config c, d;
        char text[4096], note[512];
        if (!CHECK_OK(brume_scheduler_config_class(name, &c))) continue;
        CHECK_STR(c.class_name, name);
        round_trip(&c);
        snprintf(text, sizeof text, "{\"_class_name\": \"%s\"}", name);
        if (CHECK_OK(parse(text, &d, note))) CHECK(same(&c, &d));
        for (int k = 0; k < 3; k++) {
            const char *algorithm = strncmp(name, "DEIS", 4) ? "sde-dpmsolver++" : "dpmsolver"; /* DEIS has no SDE */
            snprintf(text, sizeof text, "{\"_class_name\": \"%s\", \"%s\": true, \"algorithm_type\": \"%s\", %s}", name,
                     sigmas[k], algorithm, other_values);
            if (!CHECK_OK(parse(text, &d, note))) continue;
            CHECK(d.num_train_timesteps == 77 && d.prediction_type == BRUME_PREDICT_X0 && !same(&c, &d));
            round_trip(&d);
        }
    }
    /* solvers of diffusers on flow models */
    brume_scheduler_config flow;
    char note[512];
    if (CHECK_OK(parse("{\"_class_name\": \"UniPCMultistepScheduler\", \"use_flow_sigmas\": true, \"flow_shift\": 3, "
                       "\"prediction_type\": \"flow_prediction\"}",
                       &flow, note))) {
        CHECK(flow.process == BRUME_PROCESS_FLOW && flow.shift == 3 && flow.use_flow_sigmas);
        round_trip(&flow);
    }
    CHECK(!brume_scheduler_class_name(-1));
}

/* Defaults in which the classes differ; a table taken from diffusers 0.42. */
static void test_defaults(void)
{
    brume_scheduler_config c;
    CHECK_OK(brume_scheduler_config_class("HeunDiscreteScheduler", &c));
    CHECK(c.beta_start == 0.00085 && c.beta_end == 0.012 && !strcmp(c.beta_schedule, "linear") && !c.clip_sample);
    CHECK(c.timestep_spacing == BRUME_SPACING_LINSPACE && c.sigmas == BRUME_SIGMAS_TABLE && isnan(c.sigma_min));
    CHECK_OK(brume_scheduler_config_class("LCMScheduler", &c));
    CHECK(!strcmp(c.beta_schedule, "scaled_linear") && c.original_inference_steps == 50 && c.timestep_scaling == 10);
    CHECK_OK(brume_scheduler_config_class("PNDMScheduler", &c));
    CHECK(!c.set_alpha_to_one && !c.clip_sample && c.timestep_spacing == BRUME_SPACING_LEADING);
    CHECK_OK(brume_scheduler_config_class("UniPCMultistepScheduler", &c));
    CHECK(c.solver_type == BRUME_SOLVER_BH2 && c.solver_order == 2 && c.lower_order_final && c.n_disable_corrector == 0);
    CHECK_OK(brume_scheduler_config_class("DPMSolverSinglestepScheduler", &c));
    CHECK(c.solver_type == BRUME_SOLVER_MIDPOINT && !c.lower_order_final && c.lambda_min_clipped == -INFINITY);
    CHECK_OK(brume_scheduler_config_class("EDMEulerScheduler", &c));
    CHECK(c.process == BRUME_PROCESS_EDM && c.prediction_type == BRUME_PREDICT_EDM && c.sigma_min == 0.002 && c.sigma_max == 80 &&
          c.sigma_data == 0.5);
    CHECK(c.sigmas == BRUME_SIGMAS_KARRAS && c.rho == 7);
    CHECK_OK(brume_scheduler_config_class("FlowMatchEulerDiscreteScheduler", &c));
    CHECK(c.process == BRUME_PROCESS_FLOW && c.prediction_type == BRUME_PREDICT_FLOW && c.shift == 1 &&
          c.sigmas == BRUME_SIGMAS_TABLE);
    CHECK_OK(brume_scheduler_config_class("ScoreSdeVeScheduler", &c));
    CHECK(c.process == BRUME_PROCESS_VE && c.prediction_type == BRUME_PREDICT_SCORE && c.sigma_max == 1348 && c.snr == 0.15 &&
          c.sampling_eps == 1e-5);
    CHECK_OK(brume_scheduler_config_class("ScoreSdeSubVpScheduler", &c));
    CHECK(c.process == BRUME_PROCESS_SUBVP && c.beta_min == 0.1 && c.beta_max == 20);
    CHECK_OK(brume_scheduler_config_class("NCSNScheduler", &c));
    CHECK(c.process == BRUME_PROCESS_NCSN && c.num_train_timesteps == 10 && c.sigma_max == 1 && c.sigma_min == 0.01);
    CHECK_FAILS(brume_scheduler_config_class("NoScheduler", &c), BRUME_E_UNSUPPORTED, "UniPCMultistepScheduler");
}

static void test_convert(void)
{
    brume_scheduler_config c, d;
    char note[512];
    CHECK_OK(parse(
        "{\"_class_name\": \"DDPMScheduler\", \"beta_schedule\": \"cosine\", \"prediction_type\": \"v_prediction\", "
        "\"rescale_betas_zero_snr\": true, \"variance_type\": \"learned\", \"clip_sample_range\": 2, \"timestep_spacing\": "
        "\"trailing\", \"steps_offset\": 1}",
        &c, note));
    if (CHECK_OK(brume_scheduler_config_convert(&c, "HeunDiscreteScheduler", &d))) {
        CHECK_STR(d.class_name, "HeunDiscreteScheduler");
        CHECK_STR(d.beta_schedule, "squaredcos_cap_v2");
        CHECK(d.beta_start == 1e-4 && d.prediction_type == BRUME_PREDICT_V && d.rescale_betas_zero_snr &&
              d.variance_type == BRUME_VARIANCE_LEARNED);
        CHECK(d.clip_sample && d.clip_sample_range == 2); /* the class knows clipping */
        CHECK(d.timestep_spacing == BRUME_SPACING_LINSPACE && d.steps_offset == 0);
        round_trip(&d); /* rescaling is no key of that class, but describes the model */
    }
    if (CHECK_OK(brume_scheduler_config_convert(&c, "EulerDiscreteScheduler", &d))) CHECK(!d.clip_sample && isnan(d.sigma_min));
    CHECK_FAILS(brume_scheduler_config_convert(&c, "EDMEulerScheduler", &d), BRUME_E_ARG, "another process");
    CHECK_FAILS(brume_scheduler_config_convert(&c, "NoScheduler", &d), BRUME_E_UNSUPPORTED, "NoScheduler");
    CHECK_OK(
        parse("{\"_class_name\": \"EDMEulerScheduler\", \"sigma_min\": 0.01, \"sigma_max\": 50, \"sigma_data\": 1, \"rho\": 3}",
              &c, note));
    if (CHECK_OK(brume_scheduler_config_convert(&c, "EDMDPMSolverMultistepScheduler", &d)))
        CHECK(d.sigma_min == 0.01 && d.sigma_max == 50 && d.sigma_data == 1 && d.rho == 7 &&
              d.prediction_type == BRUME_PREDICT_EDM);
}

static void test_refusals(void)
{
    static const struct { const char *text; brume_status status; const char *says; } cases[] = {
        { "{\"beta_schedule\": \"wavy\"}", BRUME_E_UNSUPPORTED, "wavy" },
        { "{\"variance_type\": \"fixed_large_log\"}", BRUME_E_UNSUPPORTED, "fixed_large_log" },
        { "{\"trained_betas\": [0.1, 2]}", BRUME_E_FORMAT, "trained_betas" },
        { "{\"trained_betas\": 3}", BRUME_E_FORMAT, "trained_betas" },
        { "{\"num_train_timesteps\": 0}", BRUME_E_FORMAT, "num_train_timesteps" },
        { "{\"clip_sample\": 3}", BRUME_E_FORMAT, "clip_sample" },
        { "[1]", BRUME_E_FORMAT, "test.json" },
        { "{\"beta_start\":", BRUME_E_FORMAT, "test.json" },
        { "{\"prediction_type\": \"magic\"}", BRUME_E_UNSUPPORTED, "magic" },
        { "{\"_class_name\": \"EulerDiscreteScheduler\", \"use_beta_sigmas\": true}", BRUME_E_UNSUPPORTED, "use_beta_sigmas" },
        { "{\"_class_name\": \"EulerDiscreteScheduler\", \"timestep_type\": \"continuous\"}",
          BRUME_E_UNSUPPORTED, "timestep_type" },
        { "{\"_class_name\": \"EulerDiscreteScheduler\", \"sigma_min\": 0}", BRUME_E_FORMAT, "sigma_min" },
        { "{\"_class_name\": \"HeunDiscreteScheduler\", \"use_karras_sigmas\": true, \"use_exponential_sigmas\": true}",
          BRUME_E_FORMAT, "two kinds" },
        { "{\"_class_name\": \"DPMSolverMultistepScheduler\", \"use_dynamic_shifting\": true}", BRUME_E_UNSUPPORTED,
          "use_dynamic_shifting" },
        { "{\"_class_name\": \"DPMSolverMultistepScheduler\", \"algorithm_type\": \"sde-dpmsolver\"}",
          BRUME_E_UNSUPPORTED, "sde-dpmsolver" },
        { "{\"_class_name\": \"DPMSolverMultistepScheduler\", \"solver_order\": 4}", BRUME_E_FORMAT, "solver_order" },
        { "{\"_class_name\": \"UniPCMultistepScheduler\", \"predict_x0\": false}", BRUME_E_UNSUPPORTED, "predict_x0" },
        { "{\"_class_name\": \"UniPCMultistepScheduler\", \"solver_p\": {}}", BRUME_E_UNSUPPORTED, "solver_p" },
        { "{\"_class_name\": \"UniPCMultistepScheduler\", \"disable_corrector\": [-1]}", BRUME_E_FORMAT, "disable_corrector" },
        { "{\"_class_name\": \"EDMEulerScheduler\", \"prediction_type\": \"v_prediction\"}",
          BRUME_E_UNSUPPORTED, "v_prediction" },
        { "{\"_class_name\": \"EDMEulerScheduler\", \"sigma_schedule\": \"cubic\"}", BRUME_E_UNSUPPORTED, "cubic" },
        { "{\"_class_name\": \"FlowMatchEulerDiscreteScheduler\", \"invert_sigmas\": true}",
          BRUME_E_UNSUPPORTED, "invert_sigmas" },
        { "{\"_class_name\": \"FlowMatchEulerDiscreteScheduler\", \"shift_terminal\": 1}", BRUME_E_FORMAT, "shift_terminal" },
        { "{\"_class_name\": \"ScoreSdeVpScheduler\", \"sampling_eps\": 0}", BRUME_E_FORMAT, "sampling_eps" },
    };
    brume_scheduler_config c;
    char note[512];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        CHECK_FAILS(parse(cases[i].text, &c, note), cases[i].status, cases[i].says);
        CHECK(!c.trained_betas);
    }
    /* what would change nothing is let through */
    CHECK_OK(
        parse("{\"_class_name\": \"UniPCMultistepScheduler\", \"flow_shift\": 3, \"use_beta_sigmas\": false, \"solver_p\": null}",
              &c, note));
    CHECK_STR(note, "");
    CHECK_FAILS(brume_scheduler_config_read("/nonexistent.json", &c, note), BRUME_E_IO, "/nonexistent.json");
    CHECK_FAILS(brume_scheduler_config_write("/nonexistent/x.json", &c), BRUME_E_IO, "/nonexistent");
}

int main(void)
{
    const int fd = mkstemp(path);
    if (!CHECK(fd >= 0)) return check_report();
    close(fd);
    test_ddpm();
    test_betas();
    test_every_class();
    test_defaults();
    test_convert();
    test_refusals();
    unlink(path);
    return check_report();
}
