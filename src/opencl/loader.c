/* SPDX-License-Identifier: MIT
 * Opens the OpenCL library at run time, so that brume starts where there is none. */
#include "opencl/internal.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef _WIN32
#include <windows.h>
static void *library_open(const char *name) { return (void *)LoadLibraryA(name); }
static void *library_symbol(void *lib, const char *name) { return (void *)GetProcAddress((HMODULE)lib, name); }
static const char *const names[] = { "OpenCL.dll" };
#else
#include <dlfcn.h>
static void *library_open(const char *name) { return dlopen(name, RTLD_NOW | RTLD_LOCAL); }
static void *library_symbol(void *lib, const char *name) { return dlsym(lib, name); }
#ifdef __APPLE__
static const char *const names[] = { "/System/Library/Frameworks/OpenCL.framework/OpenCL" };
#else
static const char *const names[] = { "libOpenCL.so.1", "libOpenCL.so" };
#endif
#endif

static pthread_once_t once = PTHREAD_ONCE_INIT;
static struct brume_cl_api api;
static bool loaded;
static char reason[256];

static bool resolve(void *lib, const char *symbol, void *pointer)
{
    void *f = library_symbol(lib, symbol);
    memcpy(pointer, &f, sizeof f); /* ISO C has no cast from object to function pointer */
    if (!f) snprintf(reason, sizeof reason, "the OpenCL library lacks %s: it is older than OpenCL 1.2", symbol);
    return f;
}

/* The library stays open for the life of the process: drivers do not survive being unloaded. */
static void load(void)
{
    void *lib = NULL;
    const char *wanted = getenv("BRUME_OPENCL_LIBRARY");
    if (wanted) lib = library_open(wanted);
    for (size_t i = 0; !wanted && !lib && i < sizeof names / sizeof *names; i++) lib = library_open(names[i]);
    if (!lib) {
        snprintf(reason, sizeof reason,
                 "no OpenCL library (%s): install an OpenCL ICD loader and a driver, for a CPU for example PoCL",
                 wanted ? wanted : names[0]);
        return;
    }
    loaded = true;
#define F(name) loaded = loaded && resolve(lib, "cl" #name, &api.name);
#include "opencl/functions.def"
#undef F
}

const struct brume_cl_api *brume_cl_load(char *why)
{
    pthread_once(&once, load);
    if (why) snprintf(why, sizeof reason, "%s", reason);
    return loaded ? &api : NULL;
}
