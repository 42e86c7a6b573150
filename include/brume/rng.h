/* SPDX-License-Identifier: MIT
 * Random numbers on the host: counter-based, so a generator is a few integers that a checkpoint can hold, and element i can be
 * had without drawing the ones before it. The same numbers as brume_normal() and brume_uniform() draw on any device. */
#ifndef BRUME_RNG_H
#define BRUME_RNG_H

#include <stdint.h>

#include "brume/api.h"

BRUME_API_BEGIN

/** Philox4x32-10 (Salmon et al. 2011): four words for a 128-bit counter and a 64-bit key, low words first. */
void brume_philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]);

/** A seed for item `index` of a family: distinct for distinct indices, far apart for near ones (SplitMix64, Steele et al.
 * 2014). */
uint64_t brume_seed_mix(uint64_t seed, uint64_t index);

/** Elements first .. first + n - 1 of one sample of brume_normal() / brume_uniform() with this seed, stream and step. */
void brume_fill_normal(uint64_t seed, uint32_t stream, uint32_t step, uint64_t first, int64_t n, float *out);
void brume_fill_uniform(uint64_t seed, uint32_t stream, uint32_t step, uint64_t first, int64_t n, float *out);

/** A sequence of random words. Set seed, stream and step, and next to 0; copying the struct saves the state. */
typedef struct brume_rng {
    uint64_t seed; /**< of the sequence */
    uint32_t stream, step; /**< which of the seed's sequences */
    uint64_t next; /* index of the word that comes next */
} brume_rng;

/** The next word: each of 2^32 exactly as likely. */
uint32_t brume_rng_u32(brume_rng *r);
float brume_rng_uniform(brume_rng *r); /**< in [0, 1), a multiple of 2^-24 */
float brume_rng_normal(brume_rng *r);  /**< mean 0, variance 1 */
/** Integer in 0 .. n - 1, each exactly as likely (Lemire 2019); n 0 gives 0. */
uint32_t brume_rng_below(brume_rng *r, uint32_t n);
/** A random order of 0 .. n - 1, each exactly as likely (Fisher-Yates); n < 2^32. */
void brume_rng_permutation(brume_rng *r, int64_t n, int64_t *out);

BRUME_API_END

#endif
