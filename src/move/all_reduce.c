/* all_reduce: partial to replicated. Several segments are reduced in place; one piece may come from `in`. */
#include "move/movements.h"

yoke_status yki_all_reduce_move(const yki_move_launch *launch, yki_request *request)
{
    if (launch->segments)
        return yki_all_reduce_start(launch->comm, launch->segments, launch->nsegments, launch->dtype,
                                    launch->reduction, request);
    if (launch->in && launch->in != launch->out && launch->elems > 0) yki_copy_here(launch);
    yki_segment whole = {launch->out, launch->elems}; /* a single segment is copied by the comm */
    return yki_all_reduce_start(launch->comm, &whole, 1, launch->dtype, launch->reduction, request);
}

int64_t yki_all_reduce_bytes(const yki_move_launch *launch, int n)
{
    int64_t elems = launch->segments ? 0 : launch->elems;
    for (int i = 0; launch->segments && i < launch->nsegments; i++) elems += launch->segments[i].elems;
    return 2 * (n - 1) * elems * (int64_t)yki_dtype_bytes(launch->dtype);
}
