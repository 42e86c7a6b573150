/* SPDX-License-Identifier: MIT
 * What the OpenCL layer of tests/cl_faults.c is told and counts. */
#ifndef BRUME_TESTS_CL_FAULTS_H
#define BRUME_TESTS_CL_FAULTS_H

/** What happens at the call. */
enum cl_fault_mode {
    CL_FAULT_FAIL,   /**< it does nothing (a release: its work) and returns the code */
    CL_FAULT_SILENT, /**< it does nothing and returns CL_SUCCESS, and NULL where it should make something: a driver that lies */
    CL_FAULT_LATE,   /**< it does its work after `code` milliseconds */
    CL_FAULT_EVENT,  /**< only launches count: this one and all that follow are accepted, but never run, and their events end with
                          the code. What waits for the queue returns CL_SUCCESS nevertheless: only the events tell */
};

struct cl_faults {
    enum cl_fault_mode mode;
    int fail_at;      /* the call that fails, counted from 1; 0: none */
    int code;
    int calls;        /* so far */
    int created;      /* calls that make something other than an event */
    int alive;        /* made and not yet released */
    int no_binary;    /* 1: programs say that they have no binary */
    int refuse_binary; /* 1: no binary is taken */
    int binaries;     /* binaries that the driver was given */
    char failed[64];  /* name of the call that failed, "" if none has */
};

extern struct cl_faults cl_faults;

#endif
