/* Which samples form step s: a pure function of the order and s, without state, so that a run resumes at any
 * step and every rank computes the same. Nothing here grows with the dataset. */
#ifndef YKI_DATA_ORDER_H
#define YKI_DATA_ORDER_H

#include <stdbool.h>
#include <stdint.h>

#include "yoke/status.h"

/* Made by yki_order_init. */
typedef struct yki_order {
    int64_t samples; /* after the holdout: the order is over 0..samples-1 */
    int64_t batch;   /* samples per step, over all devices and micro-batches */
    bool shuffle, drop_last;
    uint64_t seed;
} yki_order;

/* Samples kept from the end for eval: floor(share * n), where share is the decimal number that `share` was
 * read from (so that 0.29 of 100 is 29, though the double nearest to 0.29 is below it). 0 for share <= 0 or
 * NaN, n for share >= 1. */
int64_t yki_holdout_count(double share, int64_t n);

/* The order over the first n - yki_holdout_count(holdout, n) of n samples. YOKE_INVALID, naming the counts,
 * if no sample is left, batch < 1, or drop_last leaves no step because batch > samples. */
yoke_status yki_order_init(yki_order *order, int64_t n, double holdout, int64_t batch, bool shuffle,
                           bool drop_last, uint64_t seed);

/* Steps until every sample came up once (with drop_last: all but the samples mod batch last). At least 1. */
int64_t yki_order_steps_per_epoch(const yki_order *order);

/* Writes the samples of step >= 0 to indices[0..batch) and returns how many: batch, or fewer in an epoch's
 * last step unless drop_last. Epoch e is steps e*steps_per_epoch ...; with shuffle each has its own
 * permutation, made from (seed, e). */
int64_t yki_order_batch(const yki_order *order, int64_t step, int64_t *indices);

/* How many samples step `step` has, without computing them. */
int64_t yki_order_batch_count(const yki_order *order, int64_t step);

/* Where `position` (0..samples-1) of epoch `epoch` is in the dataset: a bijection of 0..samples-1 for each
 * (seed, epoch). O(1): a Feistel network (Luby and Rackoff, "How to Construct Pseudorandom Permutations from
 * Pseudorandom Functions", 1988) on the next power of two, walked along its cycle back into range (Black and
 * Rogaway, "Ciphers with Arbitrary Finite Domains", 2002). */
int64_t yki_order_sample(const yki_order *order, int64_t epoch, int64_t position);

#endif
