/* from_first: what the first member has, to all, in place. Of state that members keep each for themselves and
 * that must become one, such as statistics of replicas; no gradient flows through it. */
#include "move/movements.h"

yoke_status yki_from_first_move(const yki_move_launch *launch, yki_request *request)
{
    size_t bytes = (size_t)launch->elems * yki_dtype_bytes(launch->dtype);
    return yki_broadcast_start(launch->comm, launch->out, bytes, 0, request);
}

int64_t yki_from_first_bytes(const yki_move_launch *launch, int n)
{
    return (n - 1) * launch->elems * (int64_t)yki_dtype_bytes(launch->dtype);
}
