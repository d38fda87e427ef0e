/* Instructions on what a rank keeps: movements of parameters and gradients, and kernels on its own elements.
 */
#include <math.h>

#include "base/fail.h"
#include "run/rank.h"

/* Of all_reduce: the rank's own elements, run by run. */
static int gather_segments(yki_rank *rank, const struct yki_do_move_states *move, yki_segment *segments)
{
    int count = 0;
    for (int i = 0; i < move->npieces; i++)
        for (int64_t k = 0; k < rank->states->kept[move->pieces[i].parameter].runs; k++) {
            yki_view run = yki_rank_run(rank, move->tensor, move->pieces[i].parameter, k);
            segments[count++] = (yki_segment){run.data, run.dims[0]};
        }
    return count;
}

yoke_status yki_rank_start_states(yki_rank *rank, const yki_instruction *in, const yki_frame *frame,
                                  yki_request *request)
{
    const struct yki_do_move_states *move = &in->as.move_states;
    yki_move kind = (yki_move)(in->op - YKI_OP_MOVE);
    yki_piece *pieces = &rank->pieces[move->first_piece];
    yki_move_launch launch = {.comm = rank->groups[move->group],
                              .dtype = move->dtype,
                              .reduction = YKI_SUM,
                              .pieces = pieces,
                              .npieces = move->npieces};
    for (int i = 0; i < move->npieces; i++) {
        const yki_state_piece *piece = &move->pieces[i];
        yki_view mine = yki_rank_tensor(rank, move->tensor, piece->parameter);
        bool in_place = piece->all.space == YKI_SPACE_NONE;
        pieces[i] =
            (yki_piece){mine.data, in_place ? mine.data : yki_frame_address(frame, &piece->all),
                        rank->program->parameters[piece->parameter].cut,
                        !in_place && kind == YKI_MOVE_REDUCE_SCATTER && !(piece->begins && frame->begins)};
        launch.out = mine.data;
        launch.elems = mine.dims[0];
    }
    if (kind == YKI_MOVE_ALL_REDUCE) {
        launch.segments = &rank->segments[move->first_segment];
        launch.nsegments = gather_segments(rank, move, &rank->segments[move->first_segment]);
    }
    return yki_movements[kind].start(&launch, request);
}

/* Received while an instruction moves what a rank keeps after all have agreed on the step. */
static int64_t received_states(const yki_rank *rank, const struct yki_do_move_states *move, yki_move kind)
{
    int64_t elems = 0;
    for (int i = 0; i < move->npieces; i++) {
        int parameter = move->pieces[i].parameter;
        const yki_kept *kept = &rank->states->kept[parameter];
        int64_t all = rank->program->parameters[parameter].elems;
        if (kind == YKI_MOVE_ALL_GATHER) elems += all - kept->runs * kept->run_elems;
        if (kind == YKI_MOVE_FROM_FIRST && yki_comm_rank(rank->groups[move->group]) > 0) elems += all;
    }
    return elems * (int64_t)yki_dtype_bytes(move->dtype);
}

/* The same of what updates make of it: no sample has a part in that. */
static int64_t received_made(const yki_instruction *in)
{
    yki_view from = yki_operand_view(&in->operands[0], 0), to = yki_operand_view(&in->operands[1], 0);
    if (in->op != YKI_OP_MOVE + YKI_MOVE_ALL_GATHER) return 0;
    return (yki_view_elems(&to) - yki_view_elems(&from)) * (int64_t)yki_dtype_bytes(to.dtype);
}

void yki_rank_will_move(const yki_rank *rank, int64_t moved[YKI_AXIS_COUNT])
{
    const yki_code *code = &rank->program->ends[YKI_END_UPDATE];
    for (int i = 0; i < code->count; i++) {
        const yki_instruction *in = &code->instructions[i];
        if (in->kind != YKI_DO_MOVE_STATES && in->kind != YKI_DO_MOVE) continue;
        moved[rank->plan->groups[yki_group_of(in)].axis] +=
            in->kind == YKI_DO_MOVE
                ? received_made(in)
                : received_states(rank, &in->as.move_states, (yki_move)(in->op - YKI_OP_MOVE));
    }
}

/* The step's rule for one parameter. */
static yki_update rule_of(const yki_rank *rank, const struct yki_do_states *states, int parameter)
{
    const yki_step *step = rank->run->step;
    const yki_local_parameter *p = &rank->program->parameters[parameter];
    double scale = step->clip > 0 ? step->clip / (rank->norm + 1e-6) : 1; /* PyTorch's clip_grad_norm_ */
    yki_update rule = step->update[yki_plan_rule_of(rank->plan, p->parameter)];
    rule.grad_scale = states->scaled ? p->scale : scale < 1 ? scale : 1;
    if (!p->decays) rule.weight_decay = 0;
    return rule;
}

void yki_rank_run_states(yki_rank *rank, const yki_instruction *in)
{
    const struct yki_do_states *states = &in->as.states;
    if (states->first_alone && yki_comm_rank(rank->groups[YKI_GROUP_REPLICAS]) > 0) return;
    for (int i = 0; i < states->nparameters; i++) {
        int parameter = states->parameters[i];
        yki_update rule = rule_of(rank, states, parameter);
        yki_attr attr = {0};
        if (states->tracked)
            attr.p =
                pow(1 - states->tracked->momentum, (double)yki_rank_tracked(rank, states->tracked, 0, 0));
        for (int64_t k = 0; k < rank->states->kept[parameter].runs; k++) {
            yki_launch launch = {.kernel = (yki_kernel)in->op,
                                 .attr = &attr,
                                 .nviews = states->ntensors,
                                 .loss = yki_rank_total(rank, YKI_TOTAL_SQUARES),
                                 .workspace = rank->workspace,
                                 .workspace_bytes = (size_t)rank->workspace_bytes,
                                 .update = &rule};
            for (int v = 0; v < states->ntensors; v++)
                if (states->tensors[v] != YKI_TENSOR_NONE)
                    launch.views[v] = yki_rank_run(rank, states->tensors[v], parameter, k);
            rank->backend->launch(rank->queue, NULL, &launch);
        }
    }
}
