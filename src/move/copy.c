/* copy: a tensor to another device. To another stage's the sender gives `in`, the receiver `out`; the adjoint
 * is a copy back, over the channel of the other direction. Gradients that come back from several stages are
 * summed by the plan. Along an axis every member gives its cut to the next, and the last one to the first. */
#include "move/movements.h"

yoke_status yki_copy_move(const yki_move_launch *launch, yki_request *request)
{
    size_t bytes = (size_t)launch->elems * yki_dtype_bytes(launch->dtype);
    if (!launch->channel)
        return yki_shift_start(launch->comm, launch->in, launch->out, launch->dtype, &launch->cut,
                               launch->back, request);
    if (launch->sends) return yki_send_start(launch->channel, launch->in, bytes, request);
    return yki_receive_start(launch->channel, launch->out, bytes, request);
}

int64_t yki_copy_bytes(const yki_move_launch *launch, int n)
{
    if (launch->cut.share) return n > 1 ? yki_cut_bytes(&launch->cut, n, launch->dtype) : 0;
    return launch->elems * (int64_t)yki_dtype_bytes(launch->dtype);
}
