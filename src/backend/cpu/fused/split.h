/* Work shared over a team: contiguous parts whose borders depend on sizes and thread count only, never on
 * timing. */
#ifndef YKI_BACKEND_CPU_SPLIT_H
#define YKI_BACKEND_CPU_SPLIT_H

#include "backend/cpu/cpu.h"

enum { YKI_PARTS_MAX = 256 };

/* Does items begin .. end-1 of a launch as part number `part`. context: what the kernel passed to yki_split.
 */
typedef void (*yki_part)(const yki_launch *launch, void *context, int64_t begin, int64_t end, int part);

/* Cuts `items` into at most `threads` parts at multiples of `unit` items and runs them, in parallel where
 * each would move enough bytes to pay for waking its thread. Returns the number of parts; none where there
 * are no items. */
int yki_split(const yki_launch *launch, void *context, int threads, int64_t items, int64_t unit,
              int64_t item_bytes, yki_part body);

/* The same where each part adds to its own double: partial sums in the order of the parts. */
double yki_split_sum(const yki_launch *launch, int threads, int64_t items, int64_t unit, int64_t item_bytes,
                     yki_part body);

#endif
