/* shard: replicated to sharded, by keeping my slice. Moves nothing between ranks. */
#include "move/movements.h"

static void keep(yki_comm *comm, const yki_cut *cut, yki_dtype dtype, const void *all, void *mine)
{
    int rank = yki_comm_rank(comm);
    size_t unit = (size_t)cut->inner * yki_dtype_bytes(dtype);
    size_t whole = (size_t)yki_shares_before(cut->share, yki_comm_size(comm)) * unit;
    size_t first = (size_t)yki_shares_before(cut->share, rank) * unit, kept = (size_t)cut->share[rank] * unit;
    if (kept == 0) return;
    yki_comm_copy(comm, &(yki_rect){.to = mine,
                                    .from = (const char *)all + first,
                                    .width = kept,
                                    .rows = (size_t)cut->outer,
                                    .to_step = kept,
                                    .from_step = whole});
}

yoke_status yki_shard_move(const yki_move_launch *launch, yki_request *request)
{
    *request = (yki_request){0};
    if (!launch->pieces) keep(launch->comm, &launch->cut, launch->dtype, launch->in, launch->out);
    for (int i = 0; launch->pieces && i < launch->npieces; i++)
        keep(launch->comm, &launch->pieces[i].cut, launch->dtype, launch->pieces[i].all,
             launch->pieces[i].mine);
    return YOKE_OK;
}

int64_t yki_shard_bytes(const yki_move_launch *launch, int n)
{
    (void)launch;
    (void)n;
    return 0;
}
