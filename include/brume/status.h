/* SPDX-License-Identifier: MIT
 * The one status type of the library, and the text that belongs to the last failure. */
#ifndef BRUME_STATUS_H
#define BRUME_STATUS_H

#include "brume/api.h"

BRUME_API_BEGIN

/** What a function that can fail returns; brume_error() has the text. */
typedef enum brume_status {
    BRUME_OK = 0,
    BRUME_E_ARG,         /* an argument or option outside its range */
    BRUME_E_SHAPE,       /* tensors whose shapes or types do not go together */
    BRUME_E_FORMAT,      /* a file whose bytes are not what its kind promises */
    BRUME_E_IO,          /* the operating system refused: open, read, write, rename */
    BRUME_E_MEMORY,      /* host or device memory is exhausted */
    BRUME_E_DEVICE,      /* a device, driver or kernel failed */
    BRUME_E_UNSUPPORTED, /* well-formed, but outside what this build can do */
    BRUME_E_NUMERIC,     /* a value became NaN or infinite */
    BRUME_E_STOPPED      /* interrupted on request (Ctrl-C); state was saved */
} brume_status;

/** Name of a status for messages: "ok", "shape", ... Never NULL. */
const char *brume_status_name(brume_status s);

/**
 * Text of the last failure in the calling thread: what, where, expected, got, what to do. Never NULL; "" before any failure.
 * Valid until the next failing call of the same thread.
 */
const char *brume_error(void);

BRUME_API_END

#endif
