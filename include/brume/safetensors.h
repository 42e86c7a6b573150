/* SPDX-License-Identifier: MIT
 * safetensors files: named tensors in one file. Files are checked completely when opened; values are read on demand. */
#ifndef BRUME_SAFETENSORS_H
#define BRUME_SAFETENSORS_H

#include <stddef.h>
#include <stdint.h>

#include "brume/api.h"
#include "brume/status.h"

BRUME_API_BEGIN

/** Types of values in a file, as its header names them. */
typedef enum brume_st_dtype {
    BRUME_ST_F32 = 0, BRUME_ST_F16, BRUME_ST_BF16, BRUME_ST_F64, BRUME_ST_I64, BRUME_ST_I32, BRUME_ST_I16, BRUME_ST_I8,
    BRUME_ST_U64, BRUME_ST_U32,
    BRUME_ST_U16, BRUME_ST_U8, BRUME_ST_BOOL, BRUME_ST_F8_E4M3, BRUME_ST_F8_E5M2
} brume_st_dtype;

/** "F32", ...; and bytes of one element. */
const char *brume_st_dtype_name(brume_st_dtype t);
int64_t brume_st_dtype_bytes(brume_st_dtype t);

/** An open file: its header, checked. */
typedef struct brume_safetensors brume_safetensors;

/** A tensor of an open file; owned by it. */
typedef struct brume_st_tensor {
    const char *name;                /**< unique in the file */
    brume_st_dtype dtype;            /**< of its values in the file */
    int ndim;                        /* 0: a scalar */
    const int64_t *shape;            /* outermost first; a dimension may be 0 */
    int64_t count;                   /* elements */
    uint64_t bytes, offset;          /* size, and place within the file */
    const brume_safetensors *file;   /**< that it belongs to */
} brume_st_tensor;

/** Opens and checks a file. The message of BRUME_E_FORMAT names file, tensor and rule. */
brume_status brume_safetensors_open(const char *path, brume_safetensors **out);
/** The same over bytes in memory, which must stay; name stands for the file in messages. */
brume_status brume_safetensors_open_memory(const void *bytes, size_t n, const char *name, brume_safetensors **out);
/** Closes; NULL is fine. Tensor descriptions go with it. */
void brume_safetensors_close(brume_safetensors *f);
/** The name given at opening. */
const char *brume_safetensors_name(const brume_safetensors *f);

/** Tensors in order of their place in the file. */
int64_t brume_safetensors_count(const brume_safetensors *f);
const brume_st_tensor *brume_safetensors_at(const brume_safetensors *f, int64_t i);
/** The tensor of that name, or NULL. */
const brume_st_tensor *brume_safetensors_find(const brume_safetensors *f, const char *name);
/** Pairs of __metadata__; key and value are NULL outside the range. */
int64_t brume_safetensors_metadata_count(const brume_safetensors *f);
void brume_safetensors_metadata_at(const brume_safetensors *f, int64_t i, const char **key, const char **value);
/** Value of a metadata key, or NULL. */
const char *brume_safetensors_metadata(const brume_safetensors *f, const char *key);

/** Reads elements first .. first + n - 1 (row-major) as f32, whatever the type in the file (integers and F64 are rounded). */
brume_status brume_st_read_f32(const brume_st_tensor *t, int64_t first, int64_t n, float *dst);
/** The same as i64, from integer types and BOOL; floats are refused, as are U64 values above 2^63 - 1. */
brume_status brume_st_read_i64(const brume_st_tensor *t, int64_t first, int64_t n, int64_t *dst);

/** A tensor to write. */
typedef struct brume_st_item {
    const char *name;      /**< unique among the items */
    brume_st_dtype dtype;  /* F32, F16, BF16: data is float (rounded to nearest even); I32: int32_t; I64: int64_t; others are
                              refused */
    int ndim;              /**< 0: a scalar */
    const int64_t *shape; /**< ndim sizes, outermost first */
    const void *data; /**< row-major */
} brume_st_item;

/**
 * Writes a file, whole or not at all, larger types first, then by name. metadata: key, value, key, value, ..., NULL; or NULL.
 * {"format": "pt"} is always added, as some loaders insist on it.
 */
brume_status brume_safetensors_write(const char *path, const brume_st_item *items, int64_t n, const char *const *metadata);
/**
 * The same for values that need not lie in memory all at once: read(data, first, n, dst) puts values first .. first + n - 1 of
 * the item with that data (row-major; float, int32_t or int64_t) into dst. It is called tensor by tensor, in order of first from
 * 0 on.
 */
typedef brume_status brume_st_reader(const void *data, int64_t first, int64_t n, void *dst);
/** The same, calling read for the values; an error of read is returned, and no file is left. */
brume_status brume_safetensors_write_from(const char *path, const brume_st_item *items, int64_t n, const char *const *metadata,
                                          brume_st_reader *read);

/** Conversions of one value; narrowing rounds to nearest, ties to even. */
float brume_f16_to_f32(uint16_t h);
uint16_t brume_f32_to_f16(float x);
float brume_bf16_to_f32(uint16_t h);
uint16_t brume_f32_to_bf16(float x);

BRUME_API_END

#endif
