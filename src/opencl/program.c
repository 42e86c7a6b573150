/* SPDX-License-Identifier: MIT
 * Programs: assembled from the embedded sources, built once per device and set of defines. */
#include "opencl/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "opencl/embedded.h"

struct brume_cl_program {
    struct brume_cl_program *next;
    char *key;
    cl_program program;
};

const char *brume_cl_source(const char *file)
{
    for (const struct brume_cl_file *f = brume_cl_files; f->name; f++)
        if (!strcmp(f->name, file)) return f->text;
    return NULL;
}

/* The build log, to be freed; NULL without memory or log. */
static char *build_log(const struct brume_cl_device *d, cl_program p)
{
    size_t bytes = 0;
    if (d->cl->GetProgramBuildInfo(p, d->id, CL_PROGRAM_BUILD_LOG, 0, NULL, &bytes) || !bytes) return NULL;
    char *log = calloc(1, bytes + 1);
    if (log && d->cl->GetProgramBuildInfo(p, d->id, CL_PROGRAM_BUILD_LOG, bytes, log, NULL)) log[0] = 0;
    return log;
}

static brume_status build(struct brume_cl_device *d, const char *file, const char *text, const char *defines, const char *what,
                          cl_program *out)
{
    /* The noise must have the same bits everywhere: philox.h turns contraction off for all that follows it, and such programs get
     * no option that would allow it again. */
    const bool rng = strstr(text, "philox") != NULL;
    const char *const heads[] = { "common.h", "math.h", rng ? "philox.h" : NULL };
    const char *parts[4];
    cl_uint n = 0;
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) {
        const char *head = heads[i] ? brume_cl_source(heads[i]) : NULL;
        if (head) parts[n++] = head;
    }
    parts[n++] = text;
    char options[320];
    snprintf(options, sizeof options, "-cl-std=CL1.2%s %s", rng ? "" : " -cl-mad-enable", defines);

    cl_int err = CL_SUCCESS;
    cl_program p = d->cl->CreateProgramWithSource(d->context, n, parts, NULL, &err);
    if (!p || err) return brume_cl_fail(d, err, "clCreateProgramWithSource", "%s", file);
    err = d->cl->BuildProgram(p, 1, &d->id, options, NULL, NULL);
    if (err) {
        char *log = build_log(d, p);
        const brume_status s = brume_cl_fail(d, err, "clBuildProgram", "building %s for %s with '%s' (driver %s) failed; build log: %s", file,
                                             what, options, d->info.driver, log && *log ? log : "(empty)");
        free(log);
        d->cl->ReleaseProgram(p);
        return s;
    }
    *out = p;
    return BRUME_OK;
}

brume_status brume_cl_program_get(struct brume_cl_device *d, const char *file, const char *text, const char *defines, const char *what,
                                  cl_program *out)
{
    brume_status s = brume_cl_check_lost(d);
    if (s) return s;
    /* An embedded file is known by its name, a generated text only by itself. */
    const size_t bytes = strlen(defines) + 1 + strlen(text ? text : file) + 1;
    char *key = malloc(bytes);
    if (!key) return brume_fail(BRUME_E_MEMORY, "cannot allocate the key of program %s", file);
    snprintf(key, bytes, "%s\n%s", defines, text ? text : file);
    for (const struct brume_cl_program *p = d->programs; p; p = p->next) {
        if (strcmp(p->key, key)) continue;
        free(key);
        *out = p->program;
        return BRUME_OK;
    }
    const char *source = text ? text : brume_cl_source(file);
    struct brume_cl_program *p = calloc(1, sizeof *p);
    if (!p) s = brume_fail(BRUME_E_MEMORY, "cannot allocate program %s", file);
    else if (!source) s = brume_fail(BRUME_E_DEVICE, "%s: no source '%s' in this build; is it listed in cl/meson.build?", what, file);
    else s = build(d, file, source, defines, what, &p->program);
    if (s) {
        free(p);
        free(key);
        return s;
    }
    p->key = key;
    p->next = d->programs;
    d->programs = p;
    *out = p->program;
    return BRUME_OK;
}

void brume_cl_programs_free(struct brume_cl_device *d)
{
    while (d->programs) {
        struct brume_cl_program *p = d->programs;
        d->programs = p->next;
        d->cl->ReleaseProgram(p->program);
        free(p->key);
        free(p);
    }
}
