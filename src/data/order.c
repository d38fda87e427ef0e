/* Which samples form a step. */
#include "data/order.h"

#include <math.h>

#include "base/fail.h"
#include "base/rng.h"

/* Four rounds make a pseudorandom permutation of a large domain; tiny ones need more to mix. */
enum { FEISTEL_ROUNDS = 12 };

int64_t yki_holdout_count(double share, int64_t n)
{
    if (!(share > 0) || n <= 0) return 0;
    if (share >= 1) return n;
    /* A decimal within half a unit in the last place reads as `share`; if one of those makes a whole count,
     * that was meant. The remainder is exact by fma. */
    double count = (double)n, nearest = nearbyint(share * count);
    double half_unit = (nextafter(share, 2) - share) / 2;
    int64_t whole = (int64_t)nearest;
    if (fabs(fma(share, count, -nearest)) > half_unit * count) whole = (int64_t)floor(share * count);
    return whole < n ? whole : n;
}

yoke_status yki_order_init(yki_order *order, int64_t n, double holdout, yoke_holdout by, int64_t batch,
                           bool shuffle, bool drop_last, uint64_t seed)
{
    int64_t held = yki_holdout_count(holdout, n), samples = n - held;
    if (samples <= 0)
        return yki_fail(YOKE_INVALID,
                        "no samples are left to train on: the data has %lld and the holdout of %g keeps %lld",
                        (long long)n, holdout, (long long)held);
    if (batch < 1)
        return yki_fail(YOKE_INVALID, "a batch of %lld samples is not possible; it needs at least 1",
                        (long long)batch);
    if (drop_last && batch > samples)
        return yki_fail(
            YOKE_INVALID,
            "a batch of %lld is larger than the %lld samples to train on, and drop_last drops what is less",
            (long long)batch, (long long)samples);
    *order = (yki_order){.samples = samples,
                         .held = held,
                         .batch = batch,
                         .shuffle = shuffle,
                         .drop_last = drop_last,
                         .drawn = by == YOKE_HOLDOUT_DRAW && held > 0,
                         .seed = seed};
    return YOKE_OK;
}

int64_t yki_order_steps_per_epoch(const yki_order *order)
{
    int64_t full = order->samples / order->batch;
    return full + (!order->drop_last && order->samples % order->batch != 0);
}

int64_t yki_order_batch_count(const yki_order *order, int64_t step)
{
    int64_t first = step % yki_order_steps_per_epoch(order) * order->batch, left = order->samples - first;
    return left < order->batch ? left : order->batch;
}

/* A permutation of 0..2^(low + high) - 1: each round changes one half by a function of the other. */
static uint64_t feistel(uint64_t key, int low_bits, int high_bits, uint64_t x)
{
    uint64_t low_mask = (UINT64_C(1) << low_bits) - 1, high_mask = (UINT64_C(1) << high_bits) - 1;
    uint64_t low = x & low_mask, high = x >> low_bits;
    for (uint64_t round = 0; round < FEISTEL_ROUNDS; round += 2) {
        high ^= yki_rng_bits(key, round << 32 | low) & high_mask;
        low ^= yki_rng_bits(key, (round + 1) << 32 | high) & low_mask;
    }
    return high << low_bits | low;
}

static uint64_t permute(uint64_t key, uint64_t n, uint64_t x)
{
    int bits = 2; /* both halves have at least one */
    while (bits < 63 && UINT64_C(1) << bits < n) bits++;
    do x = feistel(key, bits / 2, bits - bits / 2, x);
    while (x >= n);
    return x;
}

static uint64_t epoch_key(const yki_order *order, int64_t epoch)
{
    return yki_rng_key(order->seed, "data.shuffle", (uint64_t)epoch);
}

static uint64_t place_key(const yki_order *order)
{
    return order->drawn ? yki_rng_key(order->seed, "data.holdout", 0) : 0;
}

static int64_t at_place(const yki_order *order, uint64_t key, uint64_t place)
{
    uint64_t n = (uint64_t)(order->samples + order->held);
    return (int64_t)(order->drawn ? permute(key, n, place) : place);
}

int64_t yki_order_place(const yki_order *order, int64_t place)
{
    return at_place(order, place_key(order), (uint64_t)place);
}

int64_t yki_order_held(const yki_order *order, int64_t i)
{
    return yki_order_place(order, order->samples + i);
}

int64_t yki_order_sample(const yki_order *order, int64_t epoch, int64_t position)
{
    uint64_t at = (uint64_t)position;
    if (order->shuffle) at = permute(epoch_key(order, epoch), (uint64_t)order->samples, at);
    return yki_order_place(order, (int64_t)at);
}

int64_t yki_order_batch(const yki_order *order, int64_t step, int64_t *indices)
{
    int64_t steps = yki_order_steps_per_epoch(order), epoch = step / steps,
            first = step % steps * order->batch;
    int64_t count = yki_order_batch_count(order, step);
    uint64_t key = order->shuffle ? epoch_key(order, epoch) : 0, places = place_key(order);
    for (int64_t i = 0; i < count; i++) {
        uint64_t position = (uint64_t)(first + i);
        if (order->shuffle) position = permute(key, (uint64_t)order->samples, position);
        indices[i] = at_place(order, places, position);
    }
    return count;
}
