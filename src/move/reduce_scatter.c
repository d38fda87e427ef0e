/* reduce_scatter: partial to sharded. */
#include "move/movements.h"

yoke_status yki_reduce_scatter_move(const yki_move_launch *launch, yki_request *request)
{
    return yki_reduce_scatter_start(launch->comm, launch->in, launch->out, launch->dtype, &launch->cut,
                                    request);
}

int64_t yki_reduce_scatter_bytes(const yki_move_launch *launch, int n)
{
    return (n - 1) * yki_cut_bytes(&launch->cut, n, launch->dtype);
}
