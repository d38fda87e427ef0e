/* all_to_all: a change of the dim that is sharded. The adjoint is the exchange back, which is also the
 * inverse. */
#include "move/movements.h"

yoke_status yki_all_to_all_move(const yki_move_launch *launch, yki_request *request)
{
    return yki_all_to_all_start(launch->comm, launch->in, launch->out, launch->dtype, &launch->exchange,
                                request);
}

/* All but what stays: the whole tensor less the blocks that a rank has before and after. */
int64_t yki_all_to_all_bytes(const yki_move_launch *launch, int n)
{
    const yki_exchange *x = &launch->exchange;
    int64_t rest = x->outer * x->mid * x->inner * (int64_t)yki_dtype_bytes(launch->dtype), stays = 0;
    for (int r = 0; r < n; r++) stays += x->share_a[r] * x->share_b[r];
    return rest * (yki_shares_before(x->share_a, n) * yki_shares_before(x->share_b, n) - stays);
}
