/* reduce_scatter: partial to sharded. */
#include "move/movements.h"

yoke_status yki_reduce_scatter_move(const yki_move_launch *launch, yki_request *request)
{
    if (launch->pieces)
        return yki_reduce_scatter_start(launch->comm, launch->pieces, launch->npieces, launch->dtype,
                                        request);
    yki_piece whole = {(void *)(uintptr_t)launch->out, (void *)(uintptr_t)launch->in, launch->cut, 0};
    return yki_reduce_scatter_start(launch->comm, &whole, 1, launch->dtype, request);
}

int64_t yki_reduce_scatter_bytes(const yki_move_launch *launch, int n)
{
    int64_t bytes = launch->pieces ? 0 : yki_cut_bytes(&launch->cut, n, launch->dtype);
    for (int i = 0; launch->pieces && i < launch->npieces; i++)
        bytes += yki_cut_bytes(&launch->pieces[i].cut, n, launch->dtype);
    return (n - 1) * bytes;
}
