/* SPDX-License-Identifier: MIT
 * brume plan: what a model takes on a device, before anything runs. */
#include <math.h>
#include <stdio.h>

#include "brume/plan.h"
#include "brume/train.h"
#include "commands.h"
#include "device_options.h"
#include "memory.h"
#include "model_plan.h"
#include "names.h"
#include "options.h"
#include "report.h"

struct plan_args {
    struct cli_device device;
    const char *preset;
    int64_t batch, micro_batch, size, pictures;
    int mode, recompute, storage, json, steps, quiet;
    double gflops;
    const char *limit;
    uint64_t memory_limit;
};

/*
 * Largest resident set of a process that trains or evaluates; of a device with memory of its own, without what lies there.
 * base: of the process before. Weights come through `values` values on the host that are freed before anything runs,
 * and then those that are needed packed alone are dropped.
 */
static double peak_bytes(const brume_plan_stats *s, const brume_device_info *d, double base, int64_t values)
{
    /* What PoCL keeps for a network's programs, and per kernel object with its code: measured. */
    const double driver = d->is_opencl ? 6 * 1048576.0 + 8192.0 * s->prepared : 0;
    const double host = base + (double)s->host_bytes + driver, copy = 4.0 * (double)values + (double)s->dropped_bytes,
                 device = (double)s->persistent_bytes;
    const double run = (double)(s->arena_bytes + s->input_bytes + s->packed_bytes);
    if (!d->is_cpu_type) return host + copy;
    return host + device + (run > copy ? run : copy);
}

/* Pictures of a folder that a run keeps on the host. */
static double kept_bytes(const struct plan_args *a, const brume_train_config *c)
{
    const double limit = 256 * 1048576.0, one = 4.0 * c->unet.sample_size[0] * c->unet.sample_size[1] * c->unet.in_channels;
    const double room = one > 0 ? floor(limit / one) : 0;
    return a->mode ? one * ((double)a->pictures < room ? (double)a->pictures : room) : 0;
}

static double device_bytes(const brume_plan_stats *s)
{
    return (double)(s->arena_bytes + s->persistent_bytes + s->input_bytes + s->packed_bytes);
}

static void report_bound(struct cli_report *r, const struct plan_args *a, const brume_plan_bound *b)
{
    cli_report_float(r, "launch_gflops", a->gflops > 0 ? "speed of a device, as given" : "speed of the device, measured",
                     b->gflops, "GFLOP/s");
    cli_report_float(r, "launch_bound_ms", "a launch may take", b->bound_ms, "ms");
    cli_report_text(r, "longest_launch", "longest launch", b->longest);
    cli_report_float(r, "longest_launch_ms", "by a poor kernel, whole", b->longest_ms, "ms");
    cli_report_int(r, "longest_launch_pieces", "pieces that it is cut into", b->longest_pieces);
    cli_report_float(r, "longest_piece_ms", "longest piece of all", b->piece_ms, "ms");
    cli_report_int(r, "launches", "launches of a run", b->launches);
    cli_report_int(r, "launches_cut", "of these cut", b->cut);
    cli_report_int(r, "pieces", "launches with all pieces", b->pieces);
}

static void report(const struct plan_args *a, const brume_train_config *c, const brume_device_info *info,
                   const brume_plan_stats *s, const brume_plan_bound *b, double base, int64_t copy, const char *advice)
{
    struct cli_report r;
    const double mib = 1048576;
    const int64_t params = brume_unet2d_param_count(&c->unet);
    if (!cli_report_begin(&r, a->json)) return;
    cli_report_text(&r, "device", "device", info->name);
    cli_report_text(&r, "mode", "mode", a->mode ? "train" : "infer");
    cli_report_int(&r, "batch", "batch", a->batch);
    if (a->mode && a->micro_batch) cli_report_int(&r, "micro_batch", "micro-batch", a->micro_batch);
    cli_report_int(&r, "parameters", "parameters", params);
    cli_report_int(&r, "kernels", "kernel launches of one run", s->kernels);
    cli_report_int(&r, "tuned", "of these by tuned kernels", s->tuned);
    cli_report_float(&r, "gflop", "arithmetic of one run", s->flops / 1e9, "GFLOP");
    cli_report_float(&r, "arena_mib", "activations and workspaces", (double)s->arena_bytes / mib, "MiB");
    cli_report_float(&r, "persistent_mib", "parameters and training state", (double)s->persistent_bytes / mib, "MiB");
    cli_report_float(&r, "input_mib", "inputs", (double)s->input_bytes / mib, "MiB");
    cli_report_float(&r, "packed_mib", "packed weights", (double)s->packed_bytes / mib, "MiB");
    cli_report_float(&r, "total_mib", "all of it on the device", device_bytes(s) / mib, "MiB");
    cli_report_float(&r, "base_mib", "program, libraries and driver", base / mib, "MiB");
    if (a->pictures) cli_report_float(&r, "pictures_mib", "pictures that are kept", kept_bytes(a, c) / mib, "MiB");
    cli_report_float(&r, "peak_mib", "largest memory of the process", (peak_bytes(s, info, base, copy) + kept_bytes(a, c)) / mib,
                     "MiB");
    cli_report_float(&r, "device_mib", "memory of the device", (double)info->memory_bytes / mib, "MiB");
    if (info->max_alloc_bytes)
        cli_report_float(&r, "device_max_alloc_mib", "largest buffer of the device", (double)info->max_alloc_bytes / mib, "MiB");
    if (b->launches) report_bound(&r, a, b);
    cli_report_int(&r, "fits", "it fits (1: yes)", *advice == 0);
    if (*advice) cli_report_text(&r, "advice", "why, and what would fit", advice);
    cli_report_end(&r);
}

static brume_status plan(const struct plan_args *a, const char *model)
{
    char note[512];
    brume_train_config c;
    brume_plan_stats stats;
    brume_plan_bound bound = { .gflops = a->gflops };
    brume_device *d = NULL;
    brume_device_info info;
    double base = 0;
    int64_t copy = 0;
    char advice[1024] = "";
    brume_status s = brume_train_config_load(model, a->preset, (int32_t)a->size, &c, note);
    if (s != BRUME_OK) return s;
    c.batch = (int32_t)a->batch;
    c.micro_batch = (int32_t)a->micro_batch;
    c.recompute = a->recompute;
    c.storage = (brume_storage)a->storage;
    c.memory_limit = a->memory_limit;
    if ((s = cli_device_open(&a->device, 1, &d)) != BRUME_OK) return s;
    brume_device_get_info(d, &info);
    s = a->mode ? brume_train_estimate(d, &c, &stats) : cli_plan_infer(d, &c, a->batch, a->steps && !a->json, &stats,
                                                                                info.is_opencl ? &bound : NULL, &copy);
    if (a->mode) copy = brume_unet2d_param_count(&c.unet);
    if (s == BRUME_E_MEMORY && a->mode) s = brume_train_check_memory(d, &c); /* says what would fit */
    if (s == BRUME_OK) s = cli_base(d, &base);
    if (s == BRUME_OK && a->mode && brume_train_check_memory(d, &c) == BRUME_E_MEMORY)
        snprintf(advice, sizeof advice, "%s", brume_error());
    if (s == BRUME_OK && !a->mode && info.memory_bytes && device_bytes(&stats) > (double)info.memory_bytes)
        snprintf(advice, sizeof advice, "this does not fit; use a smaller --batch");
    if (s == BRUME_OK && a->mode && info.is_opencl) s = brume_train_get_bound(d, &c, &bound);
    if (s == BRUME_OK) report(a, &c, &info, &stats, &bound, base, copy, advice);
    brume_device_close(d);
    return s;
}

int cmd_plan(int argc, char **argv)
{
    static const char *const examples[] = { "brume plan --preset mnist --mode train --batch 64",
                                            "brume plan RUN --batch 16 --device opencl", NULL };
    static const char *const modes[] = { "infer", "train", NULL };
    const struct cli_usage u = { "plan", "[MODEL|CONFIG.json]",
                                 "Tells parameters, arithmetic, memory and the longest launch of a model on a device, without "
                                 "running it.",
                                 examples, 0, 1, NULL };
    struct plan_args a = { .device = CLI_DEVICE_DEFAULT, .batch = 1 };
    struct cli_option options[] = {
        OPT_PRESET(&a.preset),
        OPT_CHOICE("mode", &a.mode, modes, "infer or train"),
        OPT_INT("batch", &a.batch, 1, 65536, "N", "images at once"),
        OPT_INT("micro-batch", &a.micro_batch, 0, 65536, "N", "train: images at once, a divisor of the batch; 0: all"),
        OPT_STRING("memory-limit", &a.limit, "BYTES",
                   "train: what would fit into so much memory, as 800M or 2G; default: what the device has"),
        OPT_STORAGE(&a.storage),
        OPT_FLAG("recompute", &a.recompute, "train: keep less for the backward pass and compute it again"),
        OPT_INT("pictures", &a.pictures, 0, 1e9, "N",
                "train: of so many pictures in a folder, which a run keeps in memory once they are read, up to 256 MiB (see "
                "--data-cache of brume train)"),
        OPT_INT("size", &a.size, 0, 4096, "N", "height and width of the images; 0: as the config says"),
        OPT_FLOAT("gflops", &a.gflops, 0, 1e9, "G", "OpenCL: cut launches as for a device with so many GFLOP/s; 0: as measured"),
        OPT_FLAG("steps", &a.steps, "list every kernel launch (infer)"),
        OPT_DEVICE(&a.device),
        OPT_FLAG("json", &a.json, "print JSON"),
        OPT_FLAG("quiet", &a.quiet, "no messages"),
        { 0 }
    };
    const char *model;
    const int status = cli_parse_model(&u, options, argc, argv, &a.preset, &model);
    if (status != CLI_GO_ON) return status;
    if (a.limit && !cli_bytes(a.limit, &a.memory_limit))
        return cli_wrong(&u, "--memory-limit %s: expected bytes, as in 1500000, 800M or 2G", a.limit);
    return plan(&a, model) == BRUME_OK ? CLI_DONE : cli_failed();
}
