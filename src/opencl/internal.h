/* SPDX-License-Identifier: MIT
 * Types and functions shared by the files of the OpenCL backend. */
#ifndef BRUME_OPENCL_INTERNAL_H
#define BRUME_OPENCL_INTERNAL_H

#define CL_TARGET_OPENCL_VERSION 120
#define CL_USE_DEPRECATED_OPENCL_1_2_APIS /* clCreateCommandQueue: the one that every version and macOS have */
#define CL_SILENCE_DEPRECATION
#ifdef __APPLE__
#include <OpenCL/cl.h>
#else
#include <CL/cl.h>
#endif

#include <stdbool.h>

#include "base/fail.h"
#include "graph/cl_launch.h"
#include "opencl/cache.h"
#include "plan/backend.h"

/* ---- loader.c: the library, opened at run time ----------------------------------------------------------------------------- */

struct brume_cl_api {
#define F(name) __typeof__(cl##name) *name;
#include "opencl/functions.def"
#undef F
};

/** The functions of the OpenCL library, or NULL where there is none; why (256 bytes, may be NULL) receives the reason. */
const struct brume_cl_api *brume_cl_load(char *why);

/* ---- errors.c -------------------------------------------------------------------------------------------------------------- */

/** "CL_OUT_OF_RESOURCES (-5)" into buf; returns buf. */
const char *brume_cl_error_text(cl_int err, char buf[64]);

struct brume_cl_device;
/**
 * Fails with "CALL: ERROR on DEVICE: context; what to do". Out of memory becomes BRUME_E_MEMORY, the rest BRUME_E_DEVICE. Errors
 * after which a context may hang at any call mark the device as lost.
 */
brume_status brume_cl_fail(struct brume_cl_device *d, cl_int err, const char *call, const char *fmt, ...) BRUME_PRINTF(4, 5);
/** BRUME_OK, or the refusal to touch a lost device again. */
brume_status brume_cl_check_lost(const struct brume_cl_device *d);

/* ---- platforms.c ----------------------------------------------------------------------------------------------------------- */

#define BRUME_CL_MAX_PLATFORMS 32
#define BRUME_CL_MAX_DEVICES 32 /* of one platform */

/** Platforms into ids; returns their number, 0 with the reason in why (256 bytes). */
int brume_cl_platforms(const struct brume_cl_api *cl, cl_platform_id ids[BRUME_CL_MAX_PLATFORMS], char *why);
/** Devices of a platform, 0 with the reason in why (256 bytes). */
int brume_cl_devices(const struct brume_cl_api *cl, cl_platform_id p, cl_device_id ids[BRUME_CL_MAX_DEVICES], char *why);
/** Fills info for device D of platform P; usable and note say whether brume can run there. */
void brume_cl_describe(const struct brume_cl_api *cl, cl_platform_id p, cl_device_id d, int platform, int device,
                       brume_device_info *info);

/* ---- device.c, buffer.c ---------------------------------------------------------------------------------------------------- */

struct brume_cl_program;

struct brume_cl_device {
    struct brume_device base;
    const struct brume_cl_api *cl;
    cl_device_id id;
    cl_context context;
    cl_command_queue queue;
    brume_device_info info;
    struct brume_cl_program *programs;  /* built so far, a list */
    struct brume_cl_cache cache;        /* of compiled programs, between processes */
    char *identity;                     /* version of brume, device, driver: what a compiled program belongs to */
    brume_device_options options;
    cl_mem dummy;                       /* bound where an optional tensor is absent; never read */
    cl_kernel fill;                     /* made at the first fill */
    bool gemm_ready;                    /* CLBlast has its parameters */
    double bound_ms;                    /* that a launch may take; INFINITY: any time */
    double gflops;                      /* multiply-add rate; 0: not measured yet */
    uint64_t next_serial;
    int in_flight;                      /* launches since the last wait */
    cl_event newest;                    /* of a launch since the last wait, or NULL: how it ended tells how all before it did */
    int unflushed;                      /* launches since the last flush, */
    double unflushed_ms;                /* and what they take by the estimates that bounded them */
    bool lost;
    char lost_why[128];
};

struct brume_cl_buffer {
    struct brume_buffer base;
    cl_mem mem;
    uint64_t serial;                    /* never reused, unlike addresses: tells whether kernel arguments are up to date */
    bool fresh;                         /* nothing was written yet */
    size_t zeros_from;                  /* all bytes from here on still have to become zeros: brume_cl_buffer_settle() does it */
};

/** Writes the zeros that a fill left for later. Needed before anything but brume_cl_buffer_write() sees the buffer. */
brume_status brume_cl_buffer_settle(struct brume_cl_buffer *b);

/** Tells the caller of the library how far long preparations are. */
void brume_cl_progress(const struct brume_cl_device *d, const char *what, int done, int total);

static inline struct brume_cl_device *brume_cl_device_of(struct brume_device *d) { return (struct brume_cl_device *)d; }

brume_status brume_cl_buffer_new(struct brume_device *d, size_t bytes, brume_buffer **out);
void brume_cl_buffer_free(brume_buffer *b);
brume_status brume_cl_buffer_write(brume_buffer *b, size_t offset, const void *src, size_t bytes);
brume_status brume_cl_buffer_read(brume_buffer *b, size_t offset, void *dst, size_t bytes);
brume_status brume_cl_buffer_fill(brume_buffer *b, size_t offset, size_t bytes, uint32_t pattern);
brume_status brume_cl_finish(struct brume_device *d);
/** After a wait: whether the work that was waited for has ended well. Drivers may accept a launch, fail, and say so by its event
 * alone. */
brume_status brume_cl_waited(struct brume_cl_device *d);

/* ---- program.c ------------------------------------------------------------------------------------------------------------- */

/** A program: cl/FILE, or `text` if given (then file only names it in messages), with defines. what: for messages, who asks for
 * it. */
struct brume_cl_want { const char *file, *text, *defines, *what; };
/** Makes, several at a time, what the device does not have yet: from the folder of compiled programs, else by the compiler. */
brume_status brume_cl_programs_make(struct brume_cl_device *d, const struct brume_cl_want *wants, int n);
/** One program, made now if need be; owned by the device. */
brume_status brume_cl_program_get(struct brume_cl_device *d, const struct brume_cl_want *want, cl_program *out);
/** Stores the binaries of programs that were compiled. After their first run, for some drivers compile only then what they
 * store. */
void brume_cl_programs_keep(struct brume_cl_device *d);
void brume_cl_programs_free(struct brume_cl_device *d);
#define BRUME_CL_HEADS 6
/** The texts of cl/ that go in front of a program's own, in order; returns their number. */
int brume_cl_heads(const char *text, const char *parts[BRUME_CL_HEADS]);
/** The text of cl/FILE, or NULL. */
const char *brume_cl_source(const char *file);

/* ---- fused.c --------------------------------------------------------------------------------------------------------------- */

/**
 * Kernels of n chains as one OpenCL source (to be freed), and a launch for each: file unset, kernel names point into
 * *names (to be freed). Arguments are inputs 0.. and output 0 of the step.
 */
brume_status brume_cl_fused(const struct brume_caps *caps, const struct brume_fused *const *chains, int n, char **source,
                            char **names, struct brume_cl_launch *launches);

/* ---- gemm.c ---------------------------------------------------------------------------------------------------------------- */

/** Runs one GEMM on the device's queue; a, b, c: buffers and offsets in elements. what: node for messages. */
brume_status brume_cl_run_gemm(struct brume_cl_device *d, const struct brume_cl_gemm *g, const cl_mem mem[3],
                               const uint64_t offset[3], const char *what);
/** Compiles what brume_cl_run_gemm() will need. */
brume_status brume_cl_warm_gemm(struct brume_cl_device *d, const struct brume_cl_gemm *g);

/* ---- peak.c ---------------------------------------------------------------------------------------------------------------- */

brume_status brume_cl_measure_peak(struct brume_device *d, double *gflops);

/* ---- exec.c ---------------------------------------------------------------------------------------------------------------- */

brume_status brume_cl_prepare(struct brume_device *d, const struct brume_step *steps, int n, int n_slots,
                              struct brume_exec **out);
void brume_cl_exec_free(struct brume_exec *e);
brume_status brume_cl_pack(struct brume_exec *e, brume_buffer *const *slots);
brume_status brume_cl_run(struct brume_exec *e, brume_buffer *const *slots, int from, int to);

#endif
