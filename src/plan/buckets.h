/* Buckets: gradients that a body completes, reduced along dp a few at a time while the backward pass goes on.
 */
#ifndef YKI_PLAN_BUCKETS_H
#define YKI_PLAN_BUCKETS_H

#include "plan/builder.h"

typedef struct yki_buckets {
    yki_builder *b;
    const yki_placed *placed;
    int *last; /* by the program's parameter: the last node of the body that writes its gradient, if it is to
                  be in a bucket; -1 */
    int *list; /* of the bucket under way */
    int count;
    int64_t bytes;
} yki_buckets;

/* For a body of a part; none where gradients are not reduced along dp at the end of the part's last
 * micro-batch, which runs another body or none. */
void yki_buckets_begin(yki_builder *b, const yki_part_program *part, const yki_part_storage *storage,
                       yki_body body, yki_buckets *k);
/* After a node of the body: what it completes goes into the bucket; a full one is reduced. */
void yki_buckets_fill(yki_buckets *k, int node, yki_code *code);
/* At the body's end: the rest. */
void yki_buckets_end(yki_buckets *k, yki_code *code);

#endif
