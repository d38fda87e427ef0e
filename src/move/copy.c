/* copy: a tensor to another stage's device. The sender gives `in`, the receiver `out`; the adjoint is a copy
 * back, over the channel of the other direction. Gradients that come back from several stages are summed by
 * the plan. */
#include "move/movements.h"

yoke_status yki_copy_move(const yki_move_launch *launch, yki_request *request)
{
    size_t bytes = (size_t)launch->elems * yki_dtype_bytes(launch->dtype);
    if (launch->sends) return yki_send_start(launch->channel, launch->in, bytes, request);
    return yki_receive_start(launch->channel, launch->out, bytes, request);
}

int64_t yki_copy_bytes(const yki_move_launch *launch, int n)
{
    (void)n;
    return launch->elems * (int64_t)yki_dtype_bytes(launch->dtype);
}
