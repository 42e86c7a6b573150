/* SPDX-License-Identifier: MIT
 * What statistics of features are made of. */
#ifndef BRUME_EVALUATE_FEATURE_STATS_H
#define BRUME_EVALUATE_FEATURE_STATS_H

#include "brume/evaluate.h"

struct brume_feature_stats {
    int64_t n, dims;
    double *mean;    /* of the rows so far */
    double *moment;  /* (dims, dims), upper triangle: sum of (x - mean) (x - mean)^T */
};

#endif
