/* SPDX-License-Identifier: MIT
 * What the faulty OpenCL library of tests/cl_faults.c counts and is told. */
#ifndef BRUME_TESTS_CL_FAULTS_H
#define BRUME_TESTS_CL_FAULTS_H

struct cl_faults {
    int fail_at;      /* the call that fails, counted from 1; 0: none. Releases do not count */
    int code;         /* with this error */
    int calls;        /* so far */
    int created;      /* calls that make something */
    int alive;        /* made and not yet released */
    int no_binary;    /* 1: programs say that they have no binary */
    int refuse_binary; /* 1: no binary is taken */
    int binaries;     /* binaries that the driver was given */
    char failed[64];  /* name of the call that failed, "" if none has */
};

extern struct cl_faults cl_faults;

#endif
