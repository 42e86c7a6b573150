/* SPDX-License-Identifier: MIT
 * brume devices: what can compute here. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "brume/device.h"
#include "brume/json.h"
#include "brume/probe.h"
#include "commands.h"
#include "devices_check.h"
#include "options.h"

/* Measures all devices, or the one that spec names; what fails is told. figures: for each of the list, as it was measured, else
 * as it was kept, else zeros. */
static int probe(const brume_device_info *list, int n, const char *spec, brume_probe *figures)
{
    brume_device_info one;
    if (spec && cli_device_describe(spec, &one) != BRUME_OK) return cli_failed();
    int status = CLI_DONE;
    for (int i = 0; i < n; i++) {
        if (!list[i].usable || (spec && strcmp(list[i].spec, one.spec))) continue;
        if (brume_probe_run(list[i].spec, NULL, &figures[i]) != BRUME_OK) status = cli_failed();
    }
    return status;
}

static void print_text(const brume_device_info *d, const brume_probe *figures, int n, const char *note)
{
    int unknown = 0;
    for (int i = 0; i < n; i++) {
        printf("%-12s%s\n", d[i].spec, d[i].name);
        printf("%12s%s%s%s%s\n", "", d[i].platform, *d[i].version ? ", " : "", d[i].version, d[i].is_gpu_type ? ", GPU" : "");
        printf("%12s%d compute units, vectors of %d floats, %.1f GiB", "", d[i].compute_units, d[i].vector_width,
               (double)d[i].memory_bytes / 1073741824.0);
        if (d[i].is_opencl)
            printf(" (at most %.1f GiB at once), %llu KiB local memory, work-groups of %llu",
                   (double)d[i].max_alloc_bytes / 1073741824.0, (unsigned long long)(d[i].local_bytes >> 10),
                   (unsigned long long)d[i].max_work_group);
        printf("\n");
        const brume_probe *p = &figures[i];
        if (p->step_ms > 0)
            printf("%12sprobe: matrix product %.3g GFLOP/s, convolution %.3g GFLOP/s, launch %.2g us\n", "", p->matmul_gflops,
                   p->conv_gflops, p->launch_us);
        unknown += d[i].usable && !(p->step_ms > 0);
        if (!d[i].usable) printf("%12snot usable: %s\n", "", d[i].note);
        else if (*d[i].note) printf("%12s%s\n", "", d[i].note);
    }
    if (*note) printf("%s\n", note);
    if (unknown) printf("how fast? brume devices --probe measures it\n");
}

static void print_cache(const brume_cache_info *c)
{
    if (c->usable)
        printf("compiled programs: %s, %d files, %.1f of at most %.0f MiB\n", c->folder, c->entries, (double)c->bytes / 1048576,
               (double)c->limit / 1048576);
    else printf("compiled programs are not kept: %s\n", c->note);
}

static int print_json(const brume_device_info *d, const brume_probe *figures, int n, const char *note, const brume_cache_info *c)
{
    brume_json_writer *w = brume_json_writer_new();
    if (!w) return CLI_FAILED; /* not even a message could be made */
    brume_json_begin_object(w, NULL);
    brume_json_begin_array(w, "devices", 0);
    for (int i = 0; i < n; i++) {
        brume_json_begin_object(w, NULL);
        brume_json_put_string(w, "device", d[i].spec);
        brume_json_put_string(w, "name", d[i].name);
        brume_json_put_string(w, "platform", d[i].platform);
        brume_json_put_string(w, "driver", d[i].driver);
        brume_json_put_string(w, "version", d[i].version);
        brume_json_put_string(w, "type", d[i].is_gpu_type ? "gpu" : d[i].is_cpu_type ? "cpu" : "other");
        brume_json_put_int(w, "compute_units", d[i].compute_units);
        brume_json_put_int(w, "vector_width", d[i].vector_width);
        brume_json_put_int(w, "memory_bytes", (int64_t)d[i].memory_bytes);
        brume_json_put_int(w, "max_alloc_bytes", (int64_t)d[i].max_alloc_bytes);
        brume_json_put_int(w, "local_bytes", (int64_t)d[i].local_bytes);
        brume_json_put_int(w, "max_work_group", (int64_t)d[i].max_work_group);
        brume_json_put_bool(w, "usable", d[i].usable);
        const brume_probe *p = &figures[i];
        if (p->step_ms > 0) {
            brume_json_begin_object(w, "probe");
            brume_json_put_double(w, "matmul_gflops", p->matmul_gflops);
            brume_json_put_double(w, "conv_gflops", p->conv_gflops);
            brume_json_put_double(w, "launch_us", p->launch_us);
            brume_json_put_double(w, "step_ms", p->step_ms);
            brume_json_end(w);
        }
        brume_json_put_string(w, "note", d[i].note);
        brume_json_end(w);
    }
    brume_json_end(w);
    brume_json_put_string(w, "note", note);
    brume_json_begin_object(w, "cache");
    brume_json_put_bool(w, "usable", c->usable);
    brume_json_put_string(w, "folder", c->folder);
    brume_json_put_int(w, "entries", c->entries);
    brume_json_put_int(w, "bytes", (int64_t)c->bytes);
    brume_json_put_int(w, "limit", (int64_t)c->limit);
    brume_json_put_string(w, "note", c->note);
    brume_json_end(w);
    brume_json_end(w);
    const char *text = brume_json_writer_text(w);
    if (text) puts(text);
    brume_json_writer_free(w);
    return text ? CLI_DONE : CLI_FAILED;
}

int cmd_devices(int argc, char **argv)
{
    static const char *const examples[] = { "brume devices", "brume devices --json",
                                            "brume devices --probe  # how fast are they?",
                                            "brume devices --check --device opencl:0.0  # are its kernels right?",
                                            "brume sample MODEL --device opencl:0.0 --out a.png  # use one of them", NULL };
    const struct cli_usage u = {
        "devices",
        "",
        "Lists the devices of this machine: the processor, and every OpenCL device that a driver offers. With --check it "
        "computes every op with every kernel and compares with plain C: exit status 1 if one is wrong. With --probe it times a "
        "matrix product, a convolution and a small operator on each device, as --device auto does where there is a GPU, and "
        "keeps the figures.",
        examples,
        0,
        0,
        NULL
    };
    int json = 0, check = 0, measure = 0;
    const char *spec = NULL;
    struct cli_option options[] = {
        OPT_FLAG("check", &check, "test every kernel of every op; takes minutes where many programs are compiled"),
        OPT_FLAG("probe", &measure, "measure how fast devices are: about a second for each, more where programs are compiled"),
        OPT_STRING("device", &spec, "D", "check or measure only this one: cpu, opencl or opencl:PLATFORM.DEVICE"),
        OPT_FLAG("json", &json, "print JSON"),
        { 0 }
    };
    int status = cli_parse(&u, options, argc, argv, NULL, NULL);
    if (status != CLI_GO_ON) return status;
    if (spec && !check && !measure) return cli_wrong(&u, "--device goes with --check or --probe");
    if (check && measure) return cli_wrong(&u, "--check and --probe are two things");

    brume_device_info *list = NULL;
    int n = 0;
    char note[256] = "";
    if (brume_device_list(&list, &n, note) != BRUME_OK) return cli_failed();
    if (check) {
        status = cli_devices_check(list, n, spec, json);
        free(list);
        return status;
    }
    brume_probe *figures = calloc((size_t)n + 1, sizeof *figures);
    if (!figures) {
        free(list);
        return cli_no_memory(&u);
    }
    for (int i = 0; i < n; i++) (void)brume_probe_find(&list[i], &figures[i]);
    status = measure ? probe(list, n, spec, figures) : CLI_DONE;
    brume_cache_info cache;
    brume_cache_get_info(&cache);
    if (json) {
        if (print_json(list, figures, n, note, &cache) != CLI_DONE) status = CLI_FAILED;
    } else {
        print_text(list, figures, n, note);
        print_cache(&cache);
    }
    free(figures);
    free(list);
    return status;
}
