/* Which samples form step s, and which are held out: a pure function of the order and s, without state, so
 * that a run resumes at any step and every rank computes the same. Nothing here grows with the dataset.
 *
 * The samples of a dataset stand at places 0 .. samples + held - 1: those trained on first, then those held
 * out. Where the share is taken from the end, place p is sample p; where it is drawn, a bijection made from
 * the seed and the number of samples alone says which. */
#ifndef YKI_DATA_ORDER_H
#define YKI_DATA_ORDER_H

#include <stdbool.h>
#include <stdint.h>

#include "yoke/job.h"

/* Made by yki_order_init. */
typedef struct yki_order {
    int64_t samples; /* trained on: at places 0..samples-1 */
    int64_t held;    /* held out: at the places after them */
    int64_t batch;   /* samples per step, over all devices and micro-batches */
    bool shuffle, drop_last;
    bool drawn; /* the places are */
    uint64_t seed;
} yki_order;

/* Samples kept for eval: floor(share * n), where share is the decimal number that `share` was
 * read from (so that 0.29 of 100 is 29, though the double nearest to 0.29 is below it). 0 for share <= 0 or
 * NaN, n for share >= 1. */
int64_t yki_holdout_count(double share, int64_t n);

/* The order over n samples, yki_holdout_count(holdout, n) of them held out. YOKE_INVALID, naming the counts,
 * if no sample is left, batch < 1, or drop_last leaves no step because batch > samples. */
yoke_status yki_order_init(yki_order *order, int64_t n, double holdout, yoke_holdout by, int64_t batch,
                           bool shuffle, bool drop_last, uint64_t seed);

/* The sample at a place, 0..samples + held - 1. */
int64_t yki_order_place(const yki_order *order, int64_t place);
/* The i-th sample that is held out, 0 <= i < held. */
int64_t yki_order_held(const yki_order *order, int64_t i);

/* Steps until every sample came up once (with drop_last: all but the samples mod batch last). At least 1. */
int64_t yki_order_steps_per_epoch(const yki_order *order);

/* Writes the samples of step >= 0 to indices[0..batch) and returns how many: batch, or fewer in an epoch's
 * last step unless drop_last. Epoch e is steps e*steps_per_epoch ...; with shuffle each has its own
 * permutation, made from (seed, e). */
int64_t yki_order_batch(const yki_order *order, int64_t step, int64_t *indices);

/* How many samples step `step` has, without computing them. */
int64_t yki_order_batch_count(const yki_order *order, int64_t step);

/* Where `position` (0..samples-1) of epoch `epoch` is in the dataset: a bijection onto the samples trained on
 * for each (seed, epoch). O(1): a Feistel network (Luby and Rackoff, "How to Construct Pseudorandom
 * Permutations from Pseudorandom Functions", 1988) on the next power of two, walked along its cycle back into
 * range (Black and Rogaway, "Ciphers with Arbitrary Finite Domains", 2002). */
int64_t yki_order_sample(const yki_order *order, int64_t epoch, int64_t position);

#endif
