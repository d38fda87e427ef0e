/* What moves at a step's end: gradients, over all who have parts of their sums, and the weights that zero's
 * shards updated. And which elements of a parameter are a rank's own. */
#include "base/fail.h"
#include "run/rank.h"

static int shard_of(const yki_rank *rank)
{
    return rank->place[YKI_AXIS_DP] % rank->plan->shards;
}

static int64_t offset_of(const yki_rank *rank, yki_tensor_kind kind, int parameter)
{
    const yki_kept *kept = &rank->states->kept[parameter];
    const int64_t offsets[] = {[YKI_TENSOR_WEIGHT] = kept->weight,
                               [YKI_TENSOR_MASTER] = kept->master,
                               [YKI_TENSOR_GRADIENT] = kept->gradient};
    return kind < YKI_TENSOR_MOMENT ? offsets[kind] : kept->moment[kind - YKI_TENSOR_MOMENT];
}

/* Buffers are f32 and whole, whatever the precision and zero's stage. */
static bool is_buffer(const yki_rank *rank, int parameter)
{
    return parameter >= rank->program->nparameters;
}

static yki_dtype dtype_of(const yki_rank *rank, yki_tensor_kind kind, int parameter)
{
    bool bf16 = rank->plan->options.precision == YOKE_PRECISION_BF16 && !is_buffer(rank, parameter);
    return bf16 && kind == YKI_TENSOR_WEIGHT ? YKI_BF16 : YKI_F32;
}

static yki_view view_of(const yki_rank *rank, yki_tensor_kind kind, int parameter, int64_t first,
                        int64_t elems)
{
    int64_t offset = offset_of(rank, kind, parameter);
    yki_dtype dtype = dtype_of(rank, kind, parameter);
    if (offset < 0) return (yki_view){0};
    return (yki_view){.data = rank->memory + offset + first * (int64_t)yki_dtype_bytes(dtype),
                      .dtype = dtype,
                      .ndim = 1,
                      .dims = {elems}};
}

yki_view yki_rank_tensor(const yki_rank *rank, yki_tensor_kind kind, int parameter)
{
    const yki_local_parameter *p = &rank->program->parameters[parameter];
    bool shard = yki_states_sharded(rank->plan, kind) && !is_buffer(rank, parameter);
    int64_t mine = p->cut.outer * p->cut.share[shard_of(rank)] * p->cut.inner;
    return view_of(rank, kind, parameter, 0, shard ? mine : p->elems);
}

int64_t yki_rank_pieces(const yki_rank *rank, int parameter)
{
    /* in a tensor that is kept whole, a shard's rows may lie apart */
    bool some_whole = rank->plan->zero == 1 || rank->plan->zero == 2;
    return some_whole ? rank->program->parameters[parameter].cut.outer : 1;
}

yki_view yki_rank_piece(const yki_rank *rank, yki_tensor_kind kind, int parameter, int64_t piece)
{
    const yki_cut *cut = &rank->program->parameters[parameter].cut;
    if (yki_rank_pieces(rank, parameter) == 1 && cut->outer > 1)
        return yki_rank_tensor(rank, kind, parameter);
    int64_t elems = cut->share[shard_of(rank)] * cut->inner, first = piece * elems;
    if (!yki_states_sharded(rank->plan, kind))
        first = (piece * yki_shares_before(cut->share, rank->plan->shards) +
                 yki_shares_before(cut->share, shard_of(rank))) *
                cut->inner;
    return view_of(rank, kind, parameter, first, elems);
}

/* Of the segments gathered so far, which then are none. */
static yoke_status all_reduce(yki_rank *rank, yki_comm *comm, const char *what)
{
    yki_move_launch move = {.comm = comm,
                            .dtype = YKI_F32,
                            .segments = rank->segments,
                            .nsegments = rank->nsegments,
                            .reduction = YKI_SUM};
    yki_request request = {0};
    if (rank->nsegments == 0) return YOKE_OK;
    rank->nsegments = 0;
    yki_post_waiting(rank, what);
    YKI_TRY(yki_movements[YKI_MOVE_ALL_REDUCE].start(&move, &request));
    return yki_wait(&request);
}

static yki_segment segment_of(yki_view view)
{
    return (yki_segment){view.data, view.dims[0]};
}

/* The rank's own part of a parameter's gradient. */
static void add_own(yki_rank *rank, int parameter)
{
    for (int64_t k = 0; k < yki_rank_pieces(rank, parameter); k++)
        rank->segments[rank->nsegments++] =
            segment_of(yki_rank_piece(rank, YKI_TENSOR_GRADIENT, parameter, k));
}

/* A tensor that is kept whole, to be gathered or scattered in place. */
static yki_piece in_place(const yki_rank *rank, yki_tensor_kind kind, int parameter)
{
    void *data = yki_rank_tensor(rank, kind, parameter).data;
    return (yki_piece){data, data, rank->program->parameters[parameter].cut, 0};
}

/* Without zero, gradients are reduced over all replicas; zero 1 scatters them over the shards. */
yoke_status yki_rank_start_bucket(yki_rank *rank, const yki_instruction *in)
{
    bool scatters = rank->plan->zero == 1;
    yki_request *request = &rank->buckets[rank->nbuckets++ % (YKI_COMM_OUTSTANDING - 1)];
    yki_segment *segments = &rank->bucket_segments[in->first_bucketed];
    yki_piece *pieces = &rank->bucket_pieces[in->first_bucketed];
    for (int i = 0; i < in->nbucket; i++) {
        segments[i] = segment_of(yki_rank_tensor(rank, YKI_TENSOR_GRADIENT, in->bucket[i]));
        pieces[i] = in_place(rank, YKI_TENSOR_GRADIENT, in->bucket[i]);
    }
    yki_move_launch move = {.comm = scatters ? rank->shards : rank->replicas,
                            .dtype = YKI_F32,
                            .reduction = YKI_SUM,
                            .segments = segments,
                            .nsegments = in->nbucket,
                            .pieces = pieces,
                            .npieces = in->nbucket};
    YKI_TRY(yki_wait(request));
    return yki_movements[in->op - YKI_OP_MOVE].start(&move, request);
}

/* Along dp, of what was in no bucket; then all buckets have ended. */
static yoke_status reduce_replicas(yki_rank *rank)
{
    const yki_program *program = rank->program;
    int count = 0;
    yki_request request = {0};
    for (int i = 0; i < program->nparameters && rank->plan->zero <= 1; i++) {
        if (program->parameters[i].bucketed) continue;
        rank->pieces[count++] = in_place(rank, YKI_TENSOR_GRADIENT, i);
        if (rank->plan->zero == 0) add_own(rank, i);
    }
    yki_move_launch move = {.comm = rank->shards,
                            .dtype = YKI_F32,
                            .reduction = YKI_SUM,
                            .pieces = rank->pieces,
                            .npieces = count};
    if (rank->plan->zero == 1 && count > 0)
        YKI_TRY(yki_movements[YKI_MOVE_REDUCE_SCATTER].start(&move, &request));
    YKI_TRY(yki_wait(&request));
    YKI_TRY(all_reduce(rank, rank->replicas, "all_reduce of gradients over dp"));
    yki_post_waiting(rank, "buckets of gradients over dp");
    for (int i = 0; i < YKI_COMM_OUTSTANDING - 1; i++) YKI_TRY(yki_wait(&rank->buckets[i]));
    rank->nbuckets = 0;
    for (int i = 0; i < program->nparameters && rank->plan->zero > 0; i++) add_own(rank, i);
    return all_reduce(rank, rank->replicas, "all_reduce of gradients over dp");
}

/* Along tp, of parameters that several ranks have and use for divided work. */
static yoke_status reduce_parts(yki_rank *rank)
{
    const yki_program *program = rank->program;
    for (int k = 0; k < rank->plan->nsums; k++) {
        for (int i = 0; i < program->nparameters; i++)
            if (rank->plan->param_places[program->parameters[i].parameter].gradient_parts ==
                rank->plan->sums[k])
                add_own(rank, i);
        YKI_TRY(all_reduce(rank, rank->sums[k], "all_reduce of gradients over tp"));
    }
    return YOKE_OK;
}

/* Over stages that share a tied parameter. */
static yoke_status reduce_ties(yki_rank *rank)
{
    const yki_program *program = rank->program;
    for (int t = 0; t < rank->plan->nties; t++) {
        for (int i = 0; i < program->nparameters && rank->ties[t]; i++)
            if (rank->plan->param_places[program->parameters[i].parameter].tie == t) add_own(rank, i);
        if (rank->ties[t]) YKI_TRY(all_reduce(rank, rank->ties[t], "all_reduce of tied gradients over pp"));
    }
    return YOKE_OK;
}

/* Along cp: each rank has the part of its tokens. */
static yoke_status reduce_context(yki_rank *rank)
{
    if (rank->plan->mesh.degree[YKI_AXIS_CP] == 1) return YOKE_OK;
    for (int i = 0; i < rank->program->nparameters; i++) add_own(rank, i);
    return all_reduce(rank, rank->axis[YKI_AXIS_CP], "all_reduce of gradients over cp");
}

yoke_status yki_rank_reduce(yki_rank *rank)
{
    static const struct {
        yki_span span;
        yoke_status (*reduce)(yki_rank *rank);
    } all[] = {{YKI_SPAN_REPLICAS, reduce_replicas},
               {YKI_SPAN_PARTS, reduce_parts},
               {YKI_SPAN_TIES, reduce_ties},
               {YKI_SPAN_CONTEXT, reduce_context}};
    double start = yki_now_ns();
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        YKI_TRY(all[i].reduce(rank));
        start = yki_trace_span(rank, all[i].span, start);
    }
    return YOKE_OK;
}

static bool gathers_weights(const yki_rank *rank)
{
    return rank->plan->zero == 1 || rank->plan->zero == 2;
}

int64_t yki_rank_gathered_bytes(const yki_rank *rank)
{
    int64_t elems = 0;
    for (int i = 0; i < rank->program->nparameters && gathers_weights(rank); i++) {
        const yki_local_parameter *p = &rank->program->parameters[i];
        elems += p->elems - p->cut.outer * p->cut.share[shard_of(rank)] * p->cut.inner;
    }
    return elems > 0 ? elems * (int64_t)yki_dtype_bytes(dtype_of(rank, YKI_TENSOR_WEIGHT, 0)) : 0;
}

yoke_status yki_rank_gather_weights(yki_rank *rank)
{
    yki_request request = {0};
    if (!gathers_weights(rank)) return YOKE_OK;
    for (int i = 0; i < rank->program->nparameters; i++)
        rank->pieces[i] = in_place(rank, YKI_TENSOR_WEIGHT, i);
    yki_move_launch move = {.comm = rank->shards,
                            .dtype = dtype_of(rank, YKI_TENSOR_WEIGHT, 0),
                            .pieces = rank->pieces,
                            .npieces = rank->program->nparameters};
    YKI_TRY(yki_movements[YKI_MOVE_ALL_GATHER].start(&move, &request));
    return yki_wait(&request);
}
