/* broadcast: one replicated value, used by all ranks of an axis, each in its own way. Every rank has the
 * value, so nothing moves forward; it is here for its adjoint, which sums the ranks' partial gradients. */
#include "move/movements.h"

yoke_status yki_broadcast_move(const yki_move_launch *launch, yki_request *request)
{
    *request = (yki_request){0};
    if (launch->out != launch->in && launch->elems > 0) yki_copy_here(launch);
    return YOKE_OK;
}

int64_t yki_broadcast_bytes(const yki_move_launch *launch, int n)
{
    (void)launch;
    (void)n;
    return 0;
}
