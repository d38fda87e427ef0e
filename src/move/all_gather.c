/* all_gather: sharded to replicated. */
#include "move/movements.h"

yoke_status yki_all_gather_move(const yki_move_launch *launch, yki_request *request)
{
    return yki_all_gather_start(launch->comm, launch->in, launch->out, launch->dtype, &launch->cut, request);
}

int64_t yki_all_gather_bytes(const yki_move_launch *launch, int n)
{
    return (n - 1) * yki_cut_bytes(&launch->cut, n, launch->dtype);
}
