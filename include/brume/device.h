/* SPDX-License-Identifier: MIT
 * Devices: where plans run. "cpu" is plain C with SIMD; "opencl" is any OpenCL 1.2 device. */
#ifndef BRUME_DEVICE_H
#define BRUME_DEVICE_H

#include <stddef.h>
#include <stdint.h>

#include "brume/api.h"
#include "brume/status.h"

BRUME_API_BEGIN

/** A place where plans run: the cpu with some threads, an OpenCL device, or two of them (compare.h). */
typedef struct brume_device brume_device;
typedef struct brume_buffer brume_buffer; /* memory of one device */

/** How a device is opened; { 0 } is right for most. */
typedef struct brume_device_options {
    int threads;       /* cpu: worker threads, 0 = one per core */
    const char *isa;   /* cpu: NULL or "auto" = best; "generic", "avx2", "avx512", "neon" */
    const char *kind;  /* opencl: NULL, or the kind of device ("cpu", "gpu") whose kernels are taken, whatever the device is */
    int clblast;       /* opencl: -1 = where it suits the device (GPUs), 0 = never, 1 = always */
    int no_cache;      /* opencl: 1 = compiled programs are neither taken from the disk nor stored there; see
                          brume_cache_get_info() */
    int no_tuning;     /* 1 = kernels are chosen by the rules alone, not by what brume_tuner_run() found fastest; see
                          brume/tune.h */
    /**
     * opencl: told how far long preparations are, at the first use of a model on a device: "compiling programs", then (drivers
     * compile what they need at the first launch) "preparing kernels", and "storing programs". May be called from another thread,
     * never by two at once. NULL: nobody is told. Nothing is told where compiled programs are found.
     */
    void (*preparing)(void *ctx, const char *what, int done, int total);
    void *preparing_ctx; /**< handed to preparing */
    /**
     * opencl: the most that one launch may take, in milliseconds; longer ones, by an estimate on the safe side, are cut into
     * pieces, with the same results. 0: $BRUME_LAUNCH_MS, else 200, because the watchdog of a display ends what takes 2 s; on
     * devices that are processors, which no watchdog looks after, any time. Below 0: any time.
     */
    double launch_ms;
    /**
     * Above 0: leaves room for other programs. Threads of this program get a lower priority; on OpenCL devices a launch takes at
     * most so many milliseconds, is waited for, and is followed by a pause of a quarter of its time. 0: no.
     */
    double nice_ms;
    int no_self_test;  /* 1 = kernels are not tested at their first use on a device; see brume/self_test.h. $BRUME_SELF_TEST=off
                          does the same */
    /** Told what a user should know: a kernel that failed its self-test and what takes its place. NULL: it goes to stderr. */
    void (*warn)(void *ctx, const char *text);
    void *warn_ctx; /**< handed to warn */
} brume_device_options;

/** What a device is and can do. */
typedef struct brume_device_info {
    char spec[32];         /* what brume_device_open() takes: "cpu", "opencl:0.0" */
    char name[128];        /* device name as its driver gives it */
    char platform[128];    /* OpenCL platform, or the ISA of the cpu backend */
    char driver[128];      /**< its version; of the cpu the instruction set */
    char version[128];     /**< of OpenCL, as the device says it; "C11" of the cpu */
    int is_opencl, is_cpu_type, is_gpu_type; /**< 1: it is one */
    int compute_units;     /**< threads of the cpu; compute units of an OpenCL device */
    int vector_width;      /* native f32 vector width */
    uint64_t memory_bytes; /**< in all; 0: not known */
    uint64_t max_alloc_bytes, local_bytes; /**< of one buffer; shared within a work-group; 0: not known */
    uint64_t max_work_group; /**< work-items */
    int usable;            /* 0: found, but cannot be used; note says why */
    char note[256];        /**< what a user should know of it; "": nothing */
} brume_device_info;

/**
 * Opens a device. spec: "auto" (the cpu, unless a usable OpenCL device that is no processor was faster in a probe, see
 * brume/probe.h), "cpu", "opencl" (first usable device; GPUs first), "opencl:P.D" (platform P, device D, as brume_device_list()
 * numbers them). options may be NULL.
 */
brume_status brume_device_open(const char *spec, const brume_device_options *options, brume_device **out);
/** Closes it; NULL is fine. Plans and buffers of the device must be freed before. */
void brume_device_close(brume_device *d);
/** Of a device that "auto" chose among several: why, in words ("3.1x the speed of the cpu in a probe"); else "". */
const char *brume_device_choice(const brume_device *d);
/** Facts of an open device. */
void brume_device_get_info(const brume_device *d, brume_device_info *info);

/**
 * Every device of this machine, the cpu first. out and n: array allocated by the call, freed by the caller with free().
 * A machine without an OpenCL loader or device yields the cpu alone, and BRUME_OK; note (may be NULL) receives why.
 */
brume_status brume_device_list(brume_device_info **out, int *n, char note[256]);

/** OpenCL programs that the device has made so far, by the compiler or from compiled ones on the disk; 0 and 0 on the cpu. */
void brume_device_get_programs(const brume_device *d, int *compiled, int *cached);

/** Kernel launches submitted to an OpenCL device so far: a step of a plan is one or several, long ones are cut. 0 on the cpu. */
uint64_t brume_device_launches(const brume_device *d);

/** Where compiled OpenCL programs are kept between runs. */
typedef struct brume_cache_info {
    char folder[1024];     /**< "": nothing is kept; note says why */
    int usable;            /* 0: every process compiles for itself; note says why */
    int entries;           /**< files */
    uint64_t bytes, limit; /* what was not used for longest goes when bytes would exceed limit */
    char note[256];        /**< why nothing is kept, or "" */
} brume_cache_info;
/**
 * The folder programs in $BRUME_CACHE, else in $XDG_CACHE_HOME/brume, else in ~/.cache/brume; made if missing. BRUME_CACHE=off:
 * none. BRUME_CACHE_MIB sets the limit (256). An entry belongs to one source, set of options, device, driver and version of
 * brume; one that is damaged or that the driver refuses is compiled anew and replaced. The folder may be deleted at any time.
 */
void brume_cache_get_info(brume_cache_info *info);

/** Memory on the device, not initialised; read and write are synchronous. */
brume_status brume_buffer_new(brume_device *d, size_t bytes, brume_buffer **out);
void brume_buffer_free(brume_buffer *b);
size_t brume_buffer_bytes(const brume_buffer *b);
brume_status brume_buffer_write(brume_buffer *b, size_t offset, const void *src, size_t bytes);
brume_status brume_buffer_read(brume_buffer *b, size_t offset, void *dst, size_t bytes);
/** Its memory, where that is the host's own (cpu): then copies can be done without; else NULL. */
void *brume_buffer_host(brume_buffer *b);

/**
 * Measures the multiply-add rate of all cores or compute units together, in GFLOP/s (a multiply-add counts as two): what kernels
 * can reach at most. Takes some tens of milliseconds.
 */
brume_status brume_device_measure_peak(brume_device *d, double *gflops);

/** Waits until everything submitted to the device is done. */
brume_status brume_device_finish(brume_device *d);

BRUME_API_END

#endif
